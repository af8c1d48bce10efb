"""Tables of both stages: ``python local/rows_table.py [EXP_FOLDER]``, after ``stages.sh``.

A clip's value is the mean over seeds; tests are over songs.
"""

import sys
from pathlib import Path

import numpy as np

from asteroid_joint.metrics.seeds import Setting, difference, read_setting

PREFIX = "train_jointcascade_"
ROWS = {  # run's name -> what it is
    "detached": "I: cascade, gradient cut between the two",
    "shared": "I: shared encoder",
    "mmoe": "I: mixture of experts",
    "cascade": "I: cascade",
    "sources_first": "I: cascade, weights 1.6 to 0.4",
    "pitch_first": "I: cascade, weights 0.4 to 1.6",
    "dwa": "I: cascade, DWA",
    "focal": "I: cascade, focal loss",
    "dwhs": "I: cascade, our hard-sample weights",
    "longer": "II: clips with both labels only",
    "masked": "II: missing labels left out",
    "unfiltered": "II: all pseudo labels",
    "filtered": "II: filtered pseudo labels",
    "filtered_dwhs": "II: filtered, our hard-sample weights",
}
METRICS = {
    "sdr": ("SDR dB", ".2f"),
    "nsdr": ("NSDR dB", ".2f"),
    "rpa": ("RPA", ".4f"),
    "rca": ("RCA", ".4f"),
    "oa": ("OA", ".4f"),
    "vr": ("VR", ".4f"),
    "vfa": ("VFA", ".4f"),
}
CLAIMS = [
    (first, second, metric)
    for first, second in (
        ("cascade", "shared"),
        ("cascade", "detached"),
        ("dwa", "cascade"),
        ("dwhs", "cascade"),
        ("dwhs", "dwa"),
        ("filtered", "longer"),
        ("filtered", "masked"),
        ("filtered", "unfiltered"),
        ("filtered_dwhs", "filtered"),
    )
    for metric in ("nsdr", "oa")
]


def main(exp: Path) -> None:
    """Print both tables."""
    settings: dict[str, Setting] = {}
    for name in ROWS:
        found = sorted(exp.glob(f"{PREFIX}{name}_[0-9]*/all_metrics.csv"))
        if found:
            settings[name] = read_setting(found, list(METRICS))
    if not settings:
        sys.exit(f"rows_table: no results in {exp}: start ./stages.sh first.")
    heads = ["stage and training", "seeds", *(head for head, _ in METRICS.values())]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, setting in settings.items():
        values = [
            f"{np.nanmean(setting.values(metric, list(setting.clips))):{form}}"
            for metric, (_, form) in METRICS.items()
        ]
        print(f"| {ROWS[name]} | {setting.seeds} | {' | '.join(values)} |")
    heads = ["first", "second", "metric", "first - second", "95 % interval", "p (bootstrap)"]
    heads += ["p (Wilcoxon)"]
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for first, second, metric in CLAIMS:
        if first not in settings or second not in settings:
            continue
        one, other = settings[first], settings[second]
        d = difference(one, other, metric, list(one.clips))
        head, form = METRICS[metric]
        mean, low, high = (f"{x:+{form}}" for x in d[:3])
        tests = f"{d.p_value:.4f} | {d.wilcoxon_p:.4f}"
        print(f"| {ROWS[first]} | {ROWS[second]} | {head} | {mean} | {low} to {high} | {tests} |")
    for path in sorted(exp.glob("labels_*/audit.md")):
        print(f"\npseudo labels, {path.parent.name}:\n\n{path.read_text().strip()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "exp")
