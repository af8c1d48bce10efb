"""What several commands share."""

import argparse
import sys


def positive(text: str) -> int:
    """An argument that is a number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, received {text!r}")
    return int(text)


def say(sentence: str) -> None:
    """One sentence for the user."""
    line = f"asteroid-joint: {sentence}\n"
    sys.stderr.write(line.encode(errors="backslashreplace").decode())
