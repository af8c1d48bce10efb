"""Exit codes, arguments and output that several commands share."""

import argparse
import sys
from typing import Any

from ...version import DEFAULT_MODEL

# exit codes: all done; some inputs failed, the others are complete; the call itself was wrong and
# nothing ran; interrupted, finished inputs are complete
DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def add_model(parser: Any) -> None:
    """Add ``--model`` and ``--device`` to a parser or a group of one."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="name of shipped weights (see list) or a model file; default %(default)s",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default %(default)s"
    )


def add_plugins(parser: Any) -> None:
    """Add ``--plugins`` to a parser or a group of one; see ``registry.import_plugins``."""
    parser.add_argument(
        "--plugins", default="", metavar="MODULE,...", help="modules that register further models"
    )


def positive(text: str) -> int:
    """Parse an integer of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more, received {text!r}")
    return int(text)


def say(sentence: str) -> None:
    """Print one sentence for the user to standard error."""
    line = f"asteroid-joint: {sentence}\n"
    sys.stderr.write(line.encode(errors="backslashreplace").decode())
