"""Tables of the ablation: ``python local/ablation_table.py [EXP_FOLDER]``, after ``ablation.sh``.

A cell's metric of a clip is the mean over its seeds; differences from the cell without anything are
bootstrapped over songs, each paired with itself.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asteroid_joint.metrics.report import read_rows
from asteroid_joint.metrics.significance import paired_bootstrap

CELLS = {
    "c1": "nothing: a UMX per stem",
    "c2": "MDL",
    "c3": "CL",
    "c4": "bridging",
    "c5": "MDL + CL",
    "c6": "MDL + bridging",
    "c7": "CL + bridging",
    "full": "all: X-UMX",
}
STEMS = ("drums", "bass", "other")
METRICS = {
    "nsdr_mean": ("NSDR of all stems, dB", 1.0),
    "nsdr": ("vocals", 1.0),
    **{f"nsdr_{stem}": (stem, 1.0) for stem in STEMS},
    "rpa": ("RPA %", 100.0),
    "oa": ("OA %", 100.0),
}
GROUPS = {"corpus": "made voices", "mir1k": "MIR-1K's voices"}


class Cell(NamedTuple):
    """Means over the seeds of a cell.

    Attributes:
        clips: Clip to metric to value.
        songs: Song of each clip.
        seeds: Those that were run.
    """

    clips: dict[str, dict[str, float]]
    songs: dict[str, str]
    seeds: list[str]


def read_cell(exp: Path, name: str) -> Cell | None:
    """A cell's runs; ``None`` where there are none."""
    paths = sorted(exp.glob(f"train_jointxumx_{name}_*/all_metrics.csv"))
    runs = [{row["name"]: row for row in read_rows(path)} for path in paths]
    if not runs:
        return None

    def mean(clip: str, metric: str) -> float:
        values = [run[clip][metric] for run in runs if run[clip].get(metric) is not None]
        return float(np.mean(values)) if values else np.nan

    clips = {clip: {metric: mean(clip, metric) for metric in METRICS} for clip in runs[0]}
    songs = {clip: row["song"] for clip, row in runs[0].items()}
    return Cell(clips, songs, [path.parent.name.rsplit("_", 1)[1] for path in paths])


def cell_text(cell: Cell, base: Cell, clips: Sequence[str], metric: str, scale: float) -> str:
    """Mean, and the difference from ``base`` with its 95 % interval."""
    ours, theirs = (np.array([c.clips[clip][metric] for clip in clips]) for c in (cell, base))
    text = f"{scale * np.nanmean(ours):.2f}"
    if cell is base:
        return text
    d = paired_bootstrap(ours, theirs, [base.songs[clip] for clip in clips])
    strong = "**" if d.low > 0 or d.high < 0 else ""
    shown = [f"{scale * x:+.2f}" for x in (d.mean, d.low, d.high)]
    return f"{text} ({strong}{shown[0]}{strong}: {shown[1]} to {shown[2]})"


def main(exp: Path) -> None:
    """Print a table for each group of test clips."""
    cells = {name: cell for name in CELLS if (cell := read_cell(exp, name))}
    if "c1" not in cells:
        sys.exit(f"ablation_table: no run of c1 in {exp}: start ./ablation.sh first.")
    base = cells["c1"]
    for group, title in GROUPS.items():
        clips = [clip for clip in base.clips if clip.startswith(f"{group}/")]
        print(f"\n{title}: {len(clips)} clips of {len({base.songs[c] for c in clips})} songs\n")
        print(f"| cell | seeds | {' | '.join(head for head, _ in METRICS.values())} |")
        print(f"|---|---|{'---|' * len(METRICS)}")
        for name, cell in cells.items():
            texts = [cell_text(cell, base, clips, m, s) for m, (_, s) in METRICS.items()]
            print(f"| {CELLS[name]} | {', '.join(cell.seeds)} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "exp")
