"""Tables of both stages: ``python local/rows_table.py [EXP_FOLDER]``, after ``stages.sh``.

A clip's value is the mean over seeds; differences are over the seeds that both rows have, intervals
and tests over songs.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from asteroid_joint.metrics.report import markdown_table
from asteroid_joint.metrics.seeds import (
    COMPARED,
    Column,
    Setting,
    compare_text,
    find_settings,
    means,
)

PREFIX = "train_jointcascade_"
ROWS = {  # run's name -> what it is
    "pipeline": "I: pipeline, the two trained apart",
    "shared": "I: naive joint, one network",
    "detached": "I: cascade, gradient cut",
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
    "mild": "II: filtered mildly",
    "filtered_dwhs": "II: filtered, our hard-sample weights",
}
CELLS = {  # preset -> separator + estimator
    "xumx_cnn": "JointXUMX + cnn",
    "dttnet_cnn": "JointDTTNet + cnn",
    "xumx_djcm": "JointXUMX + DJCM's",
    "dttnet_djcm": "JointDTTNet + DJCM's",
}
IN_CELLS = ("detached", "cascade", "masked", "filtered")
METRICS = {
    "sdr": Column("SDR dB", 2),
    "nsdr": Column("NSDR dB", 2),
    "rpa": Column("RPA %", 1, 100),
    "rca": Column("RCA %", 1, 100),
    "oa": Column("OA %", 1, 100),
    "vr": Column("VR %", 1, 100),
    "vfa": Column("VFA %", 1, 100),
}
CLAIMS = (
    ("cascade", "pipeline"),
    ("cascade", "shared"),
    ("cascade", "detached"),
    ("dwa", "cascade"),
    ("dwhs", "cascade"),
    ("dwhs", "dwa"),
    ("filtered", "cascade"),
    ("filtered", "longer"),
    ("filtered", "masked"),
    ("filtered", "unfiltered"),
    ("filtered_dwhs", "filtered"),
    ("unfiltered", "masked"),
    ("mild", "masked"),
    ("mild", "unfiltered"),
)
CLAIMS_OF_CELLS = (("cascade", "detached"), ("filtered", "cascade"), ("filtered", "masked"))
JUDGED = ("nsdr", "oa")


def print_means(settings: dict[str, Setting], names: dict[str, str]) -> None:
    """A row for each setting."""
    heads = ["stage and training", "seeds", *(column.title for column in METRICS.values())]
    rows = [
        [names[name], ", ".join(setting.runs), *means(setting, METRICS)]
        for name, setting in settings.items()
    ]
    print(markdown_table(heads, rows), end="\n\n")


def print_claims(
    settings: dict[str, Setting], names: dict[str, str], pairs: Iterable[tuple[str, str]]
) -> None:
    """A row for each pair that is there, and each metric that counts."""
    rows = [
        [names[one], names[other], *compare_text(settings[one], settings[other], m, METRICS[m])]
        for one, other in pairs
        if one in settings and other in settings
        for m in JUDGED
    ]
    print(markdown_table(["first", "second", *COMPARED], rows), end="\n\n")


def main(exp: Path) -> None:
    """Print the rows, then what other separators and estimators make of the two stages."""
    settings = find_settings(exp, PREFIX, ROWS)
    if not settings:
        sys.exit(f"rows_table: no results in {exp}: start ./stages.sh first.")
    print_means(settings, ROWS)
    print_claims(settings, ROWS, CLAIMS)
    names = {
        f"{row}@{cell}": f"{parts}, {ROWS[row]}"
        for cell, parts in CELLS.items()
        for row in IN_CELLS
    }
    cells = find_settings(exp, PREFIX, names)
    if cells:
        pairs = [(f"{a}@{cell}", f"{b}@{cell}") for cell in CELLS for a, b in CLAIMS_OF_CELLS]
        print_means(cells, names)
        print_claims(cells, names, pairs)
    for path in sorted(exp.glob("*labels*/audit.md")):
        print(f"pseudo labels, {path.parent.name}:\n\n{path.read_text().strip()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "exp")
