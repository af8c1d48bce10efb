"""The command ``infer``: ``asteroid-infer``, which also knows the names of shipped weights."""

import os
from typing import Any

from .common import DONE, SOME_FAILED, say


def add_infer_command(commands: Any) -> None:
    """Add the command to a parser's subparsers, for its line of help: Asteroid parses options."""
    commands.add_parser("infer", help="run asteroid-infer with the models of this package")


def infer(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments of ``asteroid-infer``; the model may be a name of shipped weights.

    Returns:
        Exit code.

    Raises:
        UserError: If there is no such model.
    """
    from ...compat import infer as asteroid_infer
    from ...errors import UserError
    from ...models.pretrained import model_path

    try:
        asteroid_infer(_with_paths(argv))
    except UserError:
        raise
    except Exception as err:  # of Asteroid, whose sentences name the arguments of its functions
        if not argv[0].startswith("-"):
            model_path(_with_paths(argv)[0])  # raises if there is no model of that name
        reason = " ".join(str(err).split()).rstrip(".")
        reason = reason.replace("pass `resample=True`", "give --resample")
        say(f"asteroid-infer failed with {type(err).__name__}: {reason}.")
        return SOME_FAILED
    return DONE


def _with_paths(argv: list[str]) -> list[str]:
    """Arguments with the paths of shipped weights for their names; short ones if they are first."""
    from ...models.pretrained import available_weights, full_name, model_path

    names = [full_name(name) if at == 0 else name for at, name in enumerate(argv)]
    known = available_weights()
    return [model_path(x) if x in known and not os.path.exists(x) else x for x in names]
