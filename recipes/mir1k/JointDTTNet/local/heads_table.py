"""What the pitch head reads, as a table: ``python local/heads_table.py [EXP]``, after ``heads.sh``.

A clip's value is the mean over seeds; differences are over the seeds that both have, intervals
over songs.
"""

import sys
from pathlib import Path

from asteroid_joint.metrics.report import markdown_table
from asteroid_joint.metrics.seeds import (
    Column,
    difference,
    find_settings,
    means,
)

HEADS = {
    "latent": "the latent",
    "decoder": "the last decoder's map",
    "magnitude": "the estimated magnitude: a cascade",
}
METRICS = {
    "nsdr": Column("NSDR dB", 2),
    "rpa": Column("RPA %", 1, 100),
    "oa": Column("OA %", 1, 100),
}


def main(exp: Path) -> None:
    """Print means, and the differences from the latent with 95 % intervals."""
    settings = find_settings(exp, "train_jointdttnet_", HEADS)
    if "latent" not in settings:
        sys.exit(f"heads_table: no results in {exp}: start ./heads.sh first.")
    titles = [column.title for column in METRICS.values()]
    heads = ["the head reads", "seeds", *titles, *(f"latent - it: {title}" for title in titles)]
    rows = []
    for head, setting in settings.items():
        cells = [HEADS[head], str(len(setting.runs)), *means(setting, METRICS)]
        for metric, column in METRICS.items():
            if head == "latent":
                cells.append("")
                continue
            found = difference(settings["latent"], setting, metric, list(setting.songs))
            mean, low, high = (column.text(x, signed=True) for x in found[:3])
            cells.append(f"{mean} ({low} to {high})")
        rows.append(cells)
    print(markdown_table(heads, rows))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "exp"))
