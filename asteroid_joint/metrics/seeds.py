"""Runs of settings with several seeds: means over seeds, differences of settings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .report import read_rows
from .significance import Difference, paired_bootstrap


class Column(NamedTuple):
    """A metric in a table.

    Attributes:
        title: Heading of the column.
        digits: Number of decimals.
        scale: Factor of the values: 100 for percentages.
    """

    title: str
    digits: int
    scale: float = 1.0

    def text(self, value: float, signed: bool = False) -> str:
        """A value as text.

        Example:
            >>> Column("RPA %", 1, 100).text(0.9123, signed=True)
            '+91.2'
        """
        return f"{self.scale * value:{'+' if signed else ''}.{self.digits}f}"


class Setting(NamedTuple):
    """Runs that differ only in their seed.

    Attributes:
        runs: Seed to clip to the clip's row of metrics.
        songs: Song of each clip.
    """

    runs: dict[str, dict[str, dict[str, Any]]]
    songs: dict[str, str]

    def values(
        self, metric: str, clips: Sequence[str], seeds: Sequence[str] | None = None
    ) -> np.ndarray:
        """Mean of a metric over seeds, ``(clips,)``; NaN where no run has it.

        Args:
            metric: Name of the metric.
            clips: Names of the clips.
            seeds: Seeds to use; all by default.
        """
        chosen = [self.runs[seed] for seed in (self.runs if seeds is None else seeds)]
        rows = [[run[clip].get(metric) for run in chosen] for clip in clips]
        table = np.array([[np.nan if v is None else v for v in row] for row in rows], float)
        known = ~np.isnan(table)
        total = np.where(known, table, 0.0).sum(1)
        return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def read_setting(paths: Mapping[str, Path]) -> Setting:
    """Read the ``all_metrics.csv`` of several runs.

    Args:
        paths: Seed to file, at least one.

    Raises:
        ValueError: If there is no file.
        DataError: If one cannot be read, or they have different clips.
    """
    if not paths:
        raise ValueError("Expected a file per seed, received none.")
    runs = {seed: {row["name"]: row for row in read_rows(path)} for seed, path in paths.items()}
    first = next(iter(runs.values()))
    for seed, path in paths.items():
        if runs[seed].keys() != first.keys():
            raise DataError(
                f"{path} has other clips than the runs beside it: evaluate all on the same set."
            )
    return Setting(runs, {clip: row["song"] for clip, row in first.items()})


def difference(first: Setting, second: Setting, metric: str, clips: Sequence[str]) -> Difference:
    """``first - second`` over the seeds that both have, tested over songs.

    Seeds differ, too, so means over different seeds are not compared.

    Args:
        first, second: Settings.
        metric: Name of the metric.
        clips: Names of the clips.

    Returns:
        See :func:`~asteroid_joint.metrics.significance.paired_bootstrap`.

    Raises:
        DataError: If the two have no seed in common, or were evaluated on different clips.
    """
    seeds = [seed for seed in first.runs if seed in second.runs]
    if not seeds or first.songs.keys() != second.songs.keys():
        raise DataError(
            "The two settings have different clips or no seed in common: evaluate both on the same "
            "clips with the same seeds."
        )
    return paired_bootstrap(
        first.values(metric, clips, seeds),
        second.values(metric, clips, seeds),
        [first.songs[clip] for clip in clips],
    )


def find_settings(exp: Path, prefix: str, names: Iterable[str]) -> dict[str, Setting]:
    """Settings whose runs are in folders ``<prefix><name>_<seed>``, if there are any.

    Args:
        exp: Folder of experiments.
        prefix: Common prefix of the folders.
        names: Names of the settings.

    Raises:
        DataError: See :func:`read_setting`.
    """
    found = {}
    for name in names:
        files = sorted(exp.glob(f"{prefix}{name}_[0-9]*/all_metrics.csv"))
        if files:
            found[name] = read_setting({f.parent.name.rsplit("_", 1)[1]: f for f in files})
    return found


def means(setting: Setting, columns: Mapping[str, Column]) -> list[str]:
    """Mean over clips of each metric, as text."""
    clips = list(setting.songs)
    return [
        column.text(float(np.nanmean(setting.values(metric, clips))))
        for metric, column in columns.items()
    ]


COMPARED = ("metric", "first - second", "95 % interval", "p (bootstrap)", "p (Wilcoxon)")


def compare_text(first: Setting, second: Setting, metric: str, column: Column) -> list[str]:
    """Cells of the columns ``COMPARED``, for all clips and the seeds that both have."""
    d = difference(first, second, metric, list(first.songs))
    mean, low, high = (column.text(x, signed=True) for x in d[:3])
    tests = [f"{d.p_value:.4f}", f"{d.wilcoxon_p:.4f}"]
    return [column.title, mean, f"{low} to {high}", *tests]
