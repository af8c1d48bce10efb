"""The commands ``list`` and ``info``."""

import argparse
import json
from typing import Any

from .common import DONE, SOME_FAILED, add_plugins, tell


def add_list_commands(commands: Any) -> None:
    """Add both commands to a parser's subparsers."""
    everything = commands.add_parser(
        "list",
        help="list the models with their papers, and the shipped weights with licence and scores",
        description="List every model with its paper, size, sample rate and pitch grid, and the "
        "shipped weights with the licence of their data and their scores on unseen songs.",
    )
    everything.set_defaults(run=_list)
    info = commands.add_parser(
        "info",
        help="describe one model or one file of weights",
        description="Print everything known about a model (presets, sizes, arguments) or a model "
        "file (scores, data, split, licence, training, commit, arguments).",
    )
    info.add_argument(
        "model",
        metavar="MODEL",
        help="name of a model (DJCM) or of weights (djcm_pop, pop), a model file, or a hub id",
    )
    info.set_defaults(run=_info)
    for command in (everything, info):
        command.add_argument(
            "--json", action="store_true", help="print one JSON object instead of text"
        )
        add_plugins(command)


def _list(args: argparse.Namespace) -> int:
    from ...models.pretrained import DEFAULT_MODEL, available_weights
    from ...registry import DECODERS, MODELS, import_plugins
    from ...share.facts import describe_model, describe_weights
    from ...share.model_card import list_text
    from ...version import __version__

    import_plugins(args.plugins)
    models = [describe_model(name, stored=True) for name in sorted(MODELS)]
    weights = [describe_weights(name) for name in available_weights()]
    decoders = sorted(DECODERS)
    if args.json:
        found = {"version": __version__, "models": models, "weights": weights, "decoders": decoders}
        text = json.dumps(found, indent=1)
    else:
        listed = list_text(models, weights, decoders, DEFAULT_MODEL)
        text = f"asteroid-joint {__version__}\n\n{listed}"
    return DONE if tell(text) else SOME_FAILED


def _info(args: argparse.Namespace) -> int:
    from ...registry import MODELS, import_plugins
    from ...share.facts import describe_model, describe_weights, registered_name
    from ...share.model_card import model_text, weights_text

    import_plugins(args.plugins)
    is_model = registered_name(args.model) in MODELS
    facts = describe_model(args.model) if is_model else describe_weights(args.model)
    if args.json:
        text = json.dumps(facts, indent=1)
    else:
        text = model_text(facts) if is_model else weights_text(facts)
    return DONE if tell(text) else SOME_FAILED
