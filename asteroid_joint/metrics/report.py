"""Files and tables of per-clip metrics."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .detection import AreaDifference
from .museval_bss import column_names
from .significance import Difference
from .windowed_bss import COUNTS as BSS_COUNTS
from .windowed_bss import column_names as bss_names

Row = dict[str, Any]
Summary = dict[str, dict[str, float]]


class Column(NamedTuple):
    """A metric in a table: its name in files, its heading, its scale and digits in the table."""

    metric: str
    heading: str
    scale: float = 1.0
    digits: int = 2


# frame-wise scores are fractions in files, as in mir_eval, and percentages in tables
COLUMNS = (
    Column("sdr", "SDR dB"),
    Column("nsdr", "NSDR dB"),
    Column("si_sdr", "SI-SDR dB"),
    Column("rpa", "RPA %", 100, 1),
    Column("rca", "RCA %", 100, 1),
    Column("oa", "OA %", 100, 1),
    Column("rpa_t0", "RPA % (threshold 0)", 100, 1),
    Column("vr", "VR %", 100, 1),
    Column("vfa", "VFA %", 100, 1),
    Column("silent_rms_db", "silence dB", 1, 1),
)
DETECTION = (  # in a table of their own
    Column("auc", "AU-ROC of clips", 1, 4),
    Column("log_mse", "MSE", 1, 5),
    Column("silent_rms_db", "silence dB", 1, 1),
)
FACTS = ("split", "seed", "hardware", "commit")
UNDEFINED = "–"  # in place of an undefined number


def summarise(rows: Sequence[Mapping[str, Any]]) -> Summary:
    """Mean, standard deviation and median over clips of every numeric column.

    Args:
        rows: One per clip; NaN and missing values are ignored, and ``n`` is the number of others.

    Returns:
        Metric to ``{"mean", "std", "median", "n"}``, as plain floats.
    """
    summary: Summary = {}
    for metric in dict.fromkeys(k for row in rows for k, v in row.items() if _is_number(v)):
        values = np.array([row.get(metric, np.nan) for row in rows], float)
        values = values[~np.isnan(values)]
        if len(values):
            mean, std = float(values.mean()), float(values.std())
            median = float(np.median(values))
            summary[metric] = {"mean": mean, "std": std, "median": median, "n": len(values)}
    return summary


def rows_to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV text with one line per row; columns in the order in which they first occur."""
    out = io.StringIO()
    fields = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: float(v) if _is_number(v) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def read_rows(path: str | Path) -> list[Row]:
    """Read a file of :func:`rows_to_csv`; names remain text, everything else becomes a float.

    Raises:
        DataError: If the file is missing or not of that format.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"name", "song"} <= rows[0].keys():
            raise DataError(f"{path} does not contain per-clip metrics: give an all_metrics.csv.")
        text = ("name", "song", "singer")
        return [{k: v if k in text else float(v or "nan") for k, v in r.items()} for r in rows]
    except (OSError, ValueError, TypeError) as err:
        if isinstance(err, DataError):
            raise
        raise DataError(f"Cannot read per-clip metrics from {path}: {err}") from err


def markdown_row(cells: Iterable[str]) -> str:
    """``| a | b |``."""
    return f"| {' | '.join(cells)} |"


def markdown_table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown, without a title and a final newline.

    Example:
        >>> print(markdown_table(["a", "b"], [["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    return "\n".join([markdown_row(heads), f"|{'---|' * len(heads)}", *map(markdown_row, rows)])


def table_head() -> str:
    """The two header lines of the results table."""
    return markdown_table(["system", *(c.heading for c in COLUMNS), *FACTS], [])


def table_row(name: str, summary: Summary, facts: Mapping[str, Any]) -> str:
    """One line of the results table: mean ± standard deviation over clips.

    Args:
        name: Name of the system.
        summary: See :func:`summarise`; missing metrics give empty cells.
        facts: Values of the last columns.
    """
    cells = [name]
    for column in COLUMNS:
        value = summary.get(column.metric)
        if value is None:
            cells.append("")
        else:
            mean, std = (column.scale * value[k] for k in ("mean", "std"))
            cells.append(f"{mean:.{column.digits}f} ± {std:.{column.digits}f}")
    cells += ["" if facts.get(fact) is None else str(facts[fact]) for fact in FACTS]
    return markdown_row(cells)


def museval_table(name: str, summary: Summary, sources: Sequence[str]) -> str:
    """Markdown table of BSS Eval v4, a line per source; empty if it was not evaluated.

    Args:
        name: Name of the system.
        summary: See :func:`summarise`; as clips are medians over windows, its medians are the
            medians of medians of the literature.
        sources: Names of the sources.
    """
    here = [s for s in sources if column_names(s)[0] in summary]
    if not here:
        return ""
    ratios = ("SDR", "ISR", "SIR", "SAR")
    heads = [name, *(f"{r} {kind}" for r in ratios for kind in ("median", "mean"))]
    cells = [(k, kind) for k in range(len(ratios)) for kind in ("median", "mean")]
    values = np.array(
        [[summary.get(column_names(s)[k], {}).get(kind, np.nan) for k, kind in cells] for s in here]
    )
    named = zip([*here, "mean of stems"], [*values, values.mean(0)], strict=True)
    return markdown_table(heads, [[source, *(f"{x:.2f}" for x in row)] for source, row in named])


def comparison_table(differences: Mapping[str, Difference]) -> str:
    """Markdown table of :func:`~asteroid_joint.metrics.significance.compare_rows`."""
    columns = {column.metric: column for column in (*COLUMNS, *DETECTION)}
    heads = ["metric", "first - second", "95 % interval", "p", "p (Wilcoxon)", "clips", "songs"]
    rows = []
    for metric, d in differences.items():
        column = columns.get(metric, Column(metric, metric))
        digits = max(column.digits, 2)
        mean, low, high = (f"{column.scale * x:+.{digits}f}" for x in d[:3])
        tests = [f"{d.p_value:.4f}", f"{d.wilcoxon_p:.4f}", str(d.n_clips), str(d.n_songs)]
        rows.append([column.heading, mean, f"{low} to {high}", *tests])
    return markdown_table(heads, rows)


def area_comparison_table(d: AreaDifference) -> str:
    """Markdown table of :func:`~asteroid_joint.metrics.detection.delong_test`."""
    cells = {
        "AU-ROC of all frames": "",
        "first": f"{d.first:.4f}",
        "second": f"{d.second:.4f}",
        "first - second": f"{d.difference:+.4f}",
        "95 % interval": f"{d.low:+.4f} to {d.high:+.4f}",
        "p (DeLong)": f"{d.p_value:.2g}",
        "frames": str(d.n_frames),
    }
    return markdown_table(list(cells), [cells.values()])


def detection_table(
    name: str, summary: Summary, facts: Mapping[str, Any], sources: Sequence[str]
) -> str:
    """Markdown table of the metrics of the detection paper, for detection, separation or both.

    A metric that was not requested gives an empty cell, an undefined area (without vocal or
    non-vocal frames) a dash.

    Args:
        name: Name of the system.
        summary: See :func:`summarise`.
        facts: See :meth:`.frame_scores.FrameScores.facts`; also the counts of windows, if any.
        sources: Names of the sources.

    Returns:
        The table; empty if it has no metrics.

    References:
        D. Stoller, S. Ewert, S. Dixon, LVA/ICA 2018, https://arxiv.org/abs/1804.01650, table 1.
    """
    here = [s for s in sources if bss_names(s)[0] in summary]
    detected = "auc_pooled" in facts
    if not detected and not here and "log_mse" not in summary:
        return ""
    pooled = _fixed(facts["auc_pooled"], 4) or UNDEFINED if detected else ""
    cells = [("system", name), ("AU-ROC", pooled)]
    for column in DETECTION:
        mean = _fixed(summary.get(column.metric, {}).get("mean"), column.digits)
        is_area = column.metric == "auc"
        cells.append((column.heading, mean or UNDEFINED if is_area and detected else mean))
        if is_area and "n_auc_clips" in facts:
            share = f"{facts['n_auc_undefined']} of {facts['n_auc_clips']} clips"
            cells.append(("AU-ROC undefined", share))
    for source in here:
        values = " / ".join(_fixed(summary.get(k, {}).get("mean"), 2) for k in bss_names(source))
        cells.append((f"{source} SDR / SIR / SAR", values))
    if here:
        used, *left_out = (int(facts.get(count, 0)) for count in BSS_COUNTS)
        cells.append(("windows left out", f"{sum(left_out)} of {used + sum(left_out)}"))
    return markdown_table([head for head, _ in cells], [[cell for _, cell in cells]])


def _fixed(value: float | None, digits: int) -> str:
    """A number with a fixed number of digits, or nothing."""
    return "" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
