"""Runs of one setting with several seeds as one: means over seeds, differences of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .report import read_rows
from .significance import Difference, paired_bootstrap


class Setting(NamedTuple):
    """Mean over the seeds of a setting.

    Attributes:
        clips: Clip to metric to value; NaN where no seed has it.
        songs: Song of each clip.
        seeds: Number of runs.
    """

    clips: dict[str, dict[str, float]]
    songs: dict[str, str]
    seeds: int

    def values(self, metric: str, clips: Sequence[str]) -> np.ndarray:
        """``(clips,)``."""
        return np.array([self.clips[clip][metric] for clip in clips])


def read_setting(paths: Sequence[Path], metrics: Sequence[str]) -> Setting:
    """Average the ``all_metrics.csv`` of several runs, clip by clip.

    Args:
        paths: A file per seed, at least one.
        metrics: Names.

    Raises:
        ValueError: If there is no file.
        DataError: If one cannot be read.
    """
    if not paths:
        raise ValueError("Expected a file per seed, received none.")
    runs: list[Mapping[str, Mapping[str, Any]]] = [
        {row["name"]: row for row in read_rows(path)} for path in paths
    ]

    def mean(clip: str, metric: str) -> float:
        values = [run[clip][metric] for run in runs if run[clip].get(metric) is not None]
        return float(np.mean(values)) if values else np.nan

    clips = {clip: {metric: mean(clip, metric) for metric in metrics} for clip in runs[0]}
    return Setting(clips, {c: row["song"] for c, row in runs[0].items()}, len(runs))


def difference(first: Setting, second: Setting, metric: str, clips: Sequence[str]) -> Difference:
    """``first - second`` over clips, tested over songs.

    Args:
        first, second: Settings evaluated on the same clips.
        metric: Name.
        clips: Those that count.

    Returns:
        See :func:`~asteroid_joint.metrics.significance.paired_bootstrap`.
    """
    songs = [first.songs[clip] for clip in clips]
    return paired_bootstrap(first.values(metric, clips), second.values(metric, clips), songs)
