"""Tables of the ablation: ``python local/ablation_table.py [EXP_FOLDER]``, after ``ablation.sh``.

A cell's metric of a clip is the mean over its seeds. Differences are over the seeds that both cells
have, and bootstrapped over songs, each paired with itself.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asteroid_joint.metrics.report import markdown_table
from asteroid_joint.metrics.seeds import Setting, difference, find_settings

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
PARTS = {  # cells with and without, the others alike
    "bridging": (("c4", "c1"), ("c6", "c2"), ("c7", "c3"), ("full", "c5")),
    "MDL": (("c2", "c1"), ("c5", "c3"), ("c6", "c4"), ("full", "c7")),
    "CL": (("c3", "c1"), ("c5", "c2"), ("c7", "c4"), ("full", "c6")),
}
SUMMARY = ("nsdr_mean", "nsdr", "rpa", "oa")
GROUPS = {"corpus": "made voices", "mir1k": "MIR-1K's voices"}


def cell_text(cell: Setting, base: Setting, clips: Sequence[str], metric: str, scale: float) -> str:
    """Mean, and the difference from ``base`` with its 95 % interval."""
    text = f"{scale * np.nanmean(cell.values(metric, clips)):.2f}"
    return text if cell is base else f"{text}: {added(cell, base, clips, metric)}"


def added(one: Setting, other: Setting, clips: Sequence[str], metric: str) -> str:
    """Difference with its 95 % interval, bold where that leaves out zero."""
    d, scale = difference(one, other, metric, clips), METRICS[metric][1]
    strong = "**" if d.low > 0 or d.high < 0 else ""
    mean, low, high = (f"{scale * x:+.2f}" for x in d[:3])
    return f"{strong}{mean}{strong} ({low} to {high})"


def main(exp: Path) -> None:
    """Print a table for each group of test clips, and one of what each part adds."""
    cells = find_settings(exp, "train_jointxumx_", CELLS)
    if "c1" not in cells:
        sys.exit(f"ablation_table: no run of c1 in {exp}: start ./ablation.sh first.")
    base = cells["c1"]
    for group, title in GROUPS.items():
        clips = [clip for clip in base.songs if clip.startswith(f"{group}/")]
        print(f"\n{title}: {len(clips)} clips of {len({base.songs[c] for c in clips})} songs\n")
        rows = [
            [
                CELLS[name],
                ", ".join(cell.runs),
                *(cell_text(cell, base, clips, m, scale) for m, (_, scale) in METRICS.items()),
            ]
            for name, cell in cells.items()
        ]
        print(markdown_table(["cell", "seeds", *(head for head, _ in METRICS.values())], rows))
    print("\nwhat a part adds to the same cell without it, all clips, seeds that both have\n")
    rows = [
        [
            part,
            CELLS[without],
            ", ".join(seed for seed in cells[with_it].runs if seed in cells[without].runs),
            *(added(cells[with_it], cells[without], list(base.songs), m) for m in SUMMARY),
        ]
        for part, pairs in PARTS.items()
        for with_it, without in pairs
        if with_it in cells and without in cells
    ]
    print(markdown_table(["part", "to", "seeds", *(METRICS[m][0] for m in SUMMARY)], rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "exp")
