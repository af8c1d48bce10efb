"""What the pitch head reads, as a table: ``python local/heads_table.py [EXP]``, after ``heads.sh``.

A clip's value is the mean over seeds; differences are over the seeds that both have, intervals
over songs.
"""

import sys
from pathlib import Path

import numpy as np

from asteroid_joint.metrics.seeds import difference, read_setting

HEADS = {
    "latent": "the latent",
    "decoder": "the last decoder's map",
    "magnitude": "the estimated magnitude: a cascade",
}
METRICS = {"nsdr": ("NSDR dB", 1, 2), "rpa": ("RPA %", 100, 1), "oa": ("OA %", 100, 1)}


def main(exp: Path) -> None:
    """Print means, and the differences from the latent with 95 % intervals."""
    settings = {}
    for head in HEADS:
        paths = sorted(exp.glob(f"train_jointdttnet_{head}_*/all_metrics.csv"))
        if paths:
            settings[head] = read_setting({p.parent.name.rpartition("_")[2]: p for p in paths})
    if "latent" not in settings:
        sys.exit(f"heads_table: no results in {exp}: start ./heads.sh first.")
    titles = [title for title, _, _ in METRICS.values()]
    heads = ["the head reads", "seeds", *titles, *(f"latent - it: {title}" for title in titles)]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for head, setting in settings.items():
        clips = list(setting.songs)
        cells = [HEADS[head], str(len(setting.runs))]
        for metric, (_, scale, digits) in METRICS.items():
            cells.append(f"{scale * np.nanmean(setting.values(metric, clips)):.{digits}f}")
        for metric, (_, scale, digits) in METRICS.items():
            if head == "latent":
                cells.append("")
                continue
            found = difference(settings["latent"], setting, metric, clips)
            mean, low, high = (f"{scale * x:+.{digits}f}" for x in found[:3])
            cells.append(f"{mean} ({low} to {high})")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "exp"))
