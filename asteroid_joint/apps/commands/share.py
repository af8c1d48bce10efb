"""The commands ``share`` and ``export``."""

import argparse
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .common import DONE, SOME_FAILED, add_plugins, tell

MODEL_HELP = "name of shipped weights (djcm_pop, pop; see list), a model file, or a hub id"


def add_share_commands(commands: Any) -> None:
    """Add both commands to a parser's subparsers."""
    share = commands.add_parser(
        "share",
        help="upload a model to the Hugging Face hub, or write the folder to upload",
        description="Write pytorch_model.bin, which Asteroid's own loader reads, and a model card "
        "(README.md) with the scores, data and licence stored in the model file.",
    )
    share.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    where = share.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--to", metavar="USER/NAME", help="repository on the hub, created if missing"
    )
    where.add_argument(
        "--folder", type=Path, metavar="DIR", help="write the files to this folder instead"
    )
    share.add_argument("--name", default="", help="with --folder: USER/NAME that the card mentions")
    share.add_argument("--private", action="store_true", help="make a new repository private")
    share.add_argument(
        "--token", help="access token of the hub; default: that of `hf auth login`, or HF_TOKEN"
    )
    share.set_defaults(run=_share)

    export = commands.add_parser(
        "export",
        help="export a model to ONNX, for stems and pitch without Python (extra: onnx)",
        description="Write an ONNX file that maps windows of samples to stems, pitch and activity. "
        "It includes the transforms; its metadata describes the inputs and outputs. --runtime onnx "
        "takes it where it lies beside the weights under their name, with .onnx.",
    )
    export.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    export.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    export.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="length of a window; default %(default)g",
    )
    export.add_argument(
        "--pitch-only",
        action="store_true",
        help="export the part that `pitch` uses, which lies beside the weights with .pitch.onnx",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an existing file")
    export.set_defaults(run=_export)
    for command in (share, export):
        add_plugins(command)


def _share(args: argparse.Namespace) -> int:
    from ...registry import import_plugins
    from ...share.hub import push_to_hub, write_folder

    import_plugins(args.plugins)
    if args.folder is not None:
        if args.private or args.token:
            raise ConfigError("--private and --token are for --to: omit them with --folder.")
        result = str(write_folder(args.model, args.folder, name=args.name))
    else:
        if args.name:
            raise ConfigError("--name is for --folder: omit it, since --to gives the name.")
        result = push_to_hub(args.model, args.to, private=args.private, token=args.token)
    return DONE if tell(result) else SOME_FAILED


def _export(args: argparse.Namespace) -> int:
    from ...registry import import_plugins
    from ...share.onnx import export_named

    import_plugins(args.plugins)
    file = export_named(
        args.model,
        args.out,
        pitch_only=args.pitch_only,
        window_sec=args.seconds,
        overwrite=args.overwrite,
    )
    return DONE if tell(str(file)) else SOME_FAILED
