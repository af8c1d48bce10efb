"""Arguments for the knobs of pitch and notes, which several commands share."""

import argparse
from typing import Any

from ...inference.knobs import NOTE_SPLIT, NOTE_SPLITS
from ...inference.notes.segment import VOICE_RULES

KNOBS: dict[str, Any] = {"default": argparse.SUPPRESS}  # the fields have the defaults


def number(text: str) -> float:
    """Parse a number; its range is checked with the other options."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, received {text!r}") from None


def octaves(text: str) -> int:
    """Parse ``+1`` or ``-1``."""
    if text not in ("+1", "-1", "1"):
        raise argparse.ArgumentTypeError(f"expected +1 or -1, received {text!r}")
    return int(text)


def add_pitch_knobs(group: Any) -> None:
    """Add what is changed of F0; ``dest`` is the name of a field of ``PitchKnobs``."""
    group.add_argument(
        "--fmin",
        dest="fmin_hz",
        type=number,
        metavar="HZ",
        help="lowest pitch to look for; default: the model's",
        **KNOBS,
    )
    group.add_argument(
        "--fmax",
        dest="fmax_hz",
        type=number,
        metavar="HZ",
        help="highest pitch to look for; default: the model's",
        **KNOBS,
    )
    group.add_argument(
        "--octave",
        type=octaves,
        metavar="+1|-1",
        help="shift F0 and notes by an octave when they are found",
        **KNOBS,
    )
    group.add_argument(
        "--voicing-threshold",
        type=number,
        metavar="P",
        help="confidence, between 0 and 1, above which a frame is voiced; default: the model's "
        "(see info)",
        **KNOBS,
    )
    group.add_argument(
        "--hop",
        dest="hop_ms",
        type=number,
        metavar="MS",
        help="milliseconds between two entries of F0, interpolated inside voiced runs; default: "
        "the model's frames, mostly 20",
        **KNOBS,
    )


def add_note_knobs(group: Any) -> None:
    """Add what is changed of notes; ``dest`` is the name of a field of ``PitchKnobs``."""
    group.add_argument(
        "--note-least",
        dest="note_least_ms",
        type=number,
        metavar="MS",
        help=f"shortest note in milliseconds; default {1000 * VOICE_RULES.shortest_sec:g}",
        **KNOBS,
    )
    group.add_argument(
        "--note-split",
        choices=list(NOTE_SPLITS),
        help="how readily a sung line is divided into notes; default " + NOTE_SPLIT,
        **KNOBS,
    )
