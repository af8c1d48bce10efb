"""The command ``describe``."""

import argparse
from pathlib import Path
from typing import Any

from .common import DONE, SOME_FAILED, tell


def add_describe_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    describe = commands.add_parser(
        "describe",
        help="compare sets of songs: level, balance of vocals and accompaniment, time with vocals",
        description="Measure the energy of the vocals over the accompaniment, the level and the "
        "proportion of time with vocals in each song, and write them to OUT/songs.csv, their "
        "distributions in each set to summary.md and describe.png (extra: eval). Reads MIR-1K, "
        "MUSDB's layout, Jamendo and folders with .activity.csv files.",
    )
    describe.add_argument(
        "sets",
        nargs="+",
        metavar="FOLDER",
        help="set of songs; NAME=FOLDER names it, NAME:PART=FOLDER selects a part: train, valid, "
        "test or, for MIR-1K, first_half or second_half of the training singers",
    )
    describe.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("describe_report"),
        help="folder for the report; default %(default)s",
    )
    describe.set_defaults(run=_describe)


def _describe(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ...optional import optional
    from ..describe.measure import measure_set
    from ..describe.report import write_report
    from ..describe.sets import find_sets

    optional("matplotlib", "eval")  # fail before hours of reading
    sets = find_sets(args.sets)
    n_clips = sum(len(dataset) for one in sets for dataset in one.datasets)
    with tqdm(total=n_clips, unit="clip", desc="describe", disable=None, leave=False) as bar:
        songs = {one.name: measure_set(one.name, one.datasets, bar.update) for one in sets}
    report = write_report(args.out, songs, [one.note for one in sets if one.note])
    return DONE if tell(f"{report}\n{args.out}") else SOME_FAILED
