"""The command ``describe``."""

import argparse
from pathlib import Path
from typing import Any

from .common import DONE


def add_describe_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    describe = commands.add_parser(
        "describe",
        help="compare sets of songs: level, balance of voice and accompaniment, share of singing",
        description="Write OUT/songs.csv, summary.md and describe.png (extra: eval): of each song "
        "the energy of the vocals over the accompaniment, the level and the share of time with "
        "vocals, and their distributions in each set side by side. Reads MIR-1K, MUSDB's layout, "
        "Jamendo and folders with .activity.csv files.",
    )
    describe.add_argument(
        "sets",
        nargs="+",
        metavar="FOLDER",
        help="set of songs; NAME=FOLDER names it, NAME:PART=FOLDER takes a part: train, valid, "
        "test or, of MIR-1K, first_half or second_half of the training singers",
    )
    describe.add_argument(
        "-o", "--out", type=Path, default=Path("describe_report"), help="default %(default)s"
    )
    describe.set_defaults(run=_describe)


def _describe(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ...optional import optional
    from ..describe.measure import measure_set
    from ..describe.report import write_report
    from ..describe.sets import find_sets

    optional("matplotlib", "eval")  # before hours of reading, not after
    sets = find_sets(args.sets)
    n_clips = sum(len(dataset) for one in sets for dataset in one.datasets)
    with tqdm(total=n_clips, unit="clip", desc="describe", disable=None, leave=False) as bar:
        songs = {one.name: measure_set(one.name, one.datasets, bar.update) for one in sets}
    print(write_report(args.out, songs, [one.note for one in sets if one.note]))
    print(args.out)
    return DONE
