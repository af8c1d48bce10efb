"""Runs of one setting with several seeds as one: means over seeds, differences of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .report import read_rows
from .significance import Difference, paired_bootstrap


class Setting(NamedTuple):
    """Runs that differ in their seed alone.

    Attributes:
        runs: Seed to clip to the clip's row of metrics.
        songs: Song of each clip.
    """

    runs: dict[str, dict[str, dict[str, Any]]]
    songs: dict[str, str]

    def values(
        self, metric: str, clips: Sequence[str], seeds: Sequence[str] | None = None
    ) -> np.ndarray:
        """Mean over seeds, ``(clips,)``; NaN where no run has the metric.

        Args:
            metric: Name.
            clips: Those that count.
            seeds: Those that count; all by default.
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
        DataError: If one cannot be read, or they are of different clips.
    """
    if not paths:
        raise ValueError("Expected a file per seed, received none.")
    runs = {seed: {row["name"]: row for row in read_rows(path)} for seed, path in paths.items()}
    first = next(iter(runs.values()))
    for seed, path in paths.items():
        if runs[seed].keys() != first.keys():
            raise DataError(
                f"{path} is of other clips than the runs beside it: evaluate all on the same side."
            )
    return Setting(runs, {clip: row["song"] for clip, row in first.items()})


def difference(first: Setting, second: Setting, metric: str, clips: Sequence[str]) -> Difference:
    """``first - second`` over the seeds that both have, tested over songs.

    Seeds differ, too: the mean over three would stand against the luck of one.

    Args:
        first, second: Settings.
        metric: Name.
        clips: Those that count.

    Returns:
        See :func:`~asteroid_joint.metrics.significance.paired_bootstrap`.

    Raises:
        DataError: If the two have no seed in common, or were evaluated on different clips.
    """
    seeds = [seed for seed in first.runs if seed in second.runs]
    if not seeds or first.songs.keys() != second.songs.keys():
        raise DataError("Two settings are compared on the same clips, with a seed in common.")
    return paired_bootstrap(
        first.values(metric, clips, seeds),
        second.values(metric, clips, seeds),
        [first.songs[clip] for clip in clips],
    )
