"""Entry points of the recipes' ``train.py`` and ``eval.py``: one sentence for a user's error."""

import sys
from pathlib import Path

from ..errors import UserError
from .config import parse_recipe_args


def train_main(script: str, argv: list[str] | None = None) -> None:
    """Train with the configuration beside ``script``; see :func:`.train.train`."""
    from .train import train

    try:
        print(train(parse_recipe_args(Path(script).resolve().parent, argv)))
    except UserError as err:
        sys.exit(f"train.py: {err}")
