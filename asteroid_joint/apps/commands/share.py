"""The commands ``share`` and ``export``."""

import argparse
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .common import DONE, add_plugins

MODEL_HELP = "shipped weights by name (djcm_pop, pop; see list), a model file, or a hub id"


def add_share_commands(commands: Any) -> None:
    """Add both commands to a parser's subparsers."""
    share = commands.add_parser(
        "share",
        help="put a model on the Hugging Face hub, or into a folder for it",
        description="Write pytorch_model.bin, which Asteroid's own loader reads, and a model card "
        "(README.md) with the figures, data and licence that the model file stores.",
    )
    share.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    where = share.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar="USER/NAME", help="repository of the hub, made if need be")
    where.add_argument("--folder", type=Path, metavar="DIR", help="write the files here instead")
    share.add_argument("--name", default="", help="in the card of --folder: USER/NAME to be")
    share.add_argument("--private", action="store_true", help="a new repository is yours alone")
    share.add_argument(
        "--token", help="of the hub; by default that of `hf auth login`, or HF_TOKEN"
    )
    share.set_defaults(run=_share)

    export = commands.add_parser(
        "export",
        help="write a model as an ONNX file: stems and pitch without Python (extra: onnx)",
        description="Write an ONNX file that takes windows of samples and gives stems, pitch and "
        "activity; transforms are inside, and what a program must know is in the file's metadata.",
    )
    export.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    export.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    export.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="length of the windows that the graph takes; default %(default)g",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an earlier file")
    export.set_defaults(run=_export)
    for command in (share, export):
        add_plugins(command)


def _share(args: argparse.Namespace) -> int:
    from ...registry import import_plugins
    from ...share.hub import push_to_hub, write_folder

    import_plugins(args.plugins)
    if args.folder is not None:
        if args.private or args.token:
            raise ConfigError("--private and --token are for --to: a folder is on your own disk.")
        print(write_folder(args.model, args.folder, name=args.name))
    else:
        if args.name:
            raise ConfigError("--name is for --folder: --to says the name already.")
        print(push_to_hub(args.model, args.to, private=args.private, token=args.token))
    return DONE


def _export(args: argparse.Namespace) -> int:
    from ...models.pretrained import load
    from ...registry import import_plugins
    from ...share.facts import describe_weights
    from ...share.onnx import export_onnx

    import_plugins(args.plugins)
    model = load(args.model)
    licences = describe_weights(args.model)["licences"]
    said = "; ".join(f"{x['title']}: {x['licence']}" for x in licences)
    overwrite = args.overwrite
    print(export_onnx(model, args.out, window_sec=args.seconds, licence=said, overwrite=overwrite))
    return DONE
