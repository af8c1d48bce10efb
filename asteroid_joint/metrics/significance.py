"""Significance of the difference between two systems, over the choice of songs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError


class Difference(NamedTuple):
    """Mean difference of a metric between two systems.

    Attributes:
        mean: First system minus second, mean over clips.
        low, high: 95 % interval.
        p_value: Two-sided p value.
        n_clips, n_songs: Numbers of clips and songs.
        wilcoxon_p: Two-sided p value of Wilcoxon's signed-rank test on the mean difference of each
            song; 1 if no song differs.
    """

    mean: float
    low: float
    high: float
    p_value: float
    n_clips: int
    n_songs: int
    wilcoxon_p: float


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    songs: Sequence[str],
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Bootstrap the mean difference over songs.

    Clips of one song share singer, key and accompaniment, so songs with all of their clips, not
    clips, are resampled with replacement. Both systems are compared on the same samples. There is
    also a rank test, on songs for the same reason.

    Args:
        first, second: ``(clips,)`` metric of either system; pairs with a NaN are left out.
        songs: Song of each clip.
        n_resamples: Number of bootstrap samples.
        seed: Seed of the sampling.

    Returns:
        :class:`Difference`; the p value is twice the smaller fraction of resampled means on one
        side of zero, never below ``2 / (n_resamples + 1)``.

    Raises:
        ValueError: If lengths differ or no pair is left.

    References:
        B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 15.
        F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945.

    Example:
        >>> paired_bootstrap(np.array([2.0, 2.0]), np.array([1.0, 1.0]), ["a", "b"]).mean
        1.0
    """
    if not len(first) == len(second) == len(songs):
        raise ValueError(
            f"Expected equal lengths, received {len(first)}, {len(second)}, {len(songs)}."
        )
    difference = np.asarray(first, float) - np.asarray(second, float)
    known = ~np.isnan(difference)
    if not known.any():
        raise ValueError("There is no clip for which both systems have this metric.")
    difference = difference[known]
    totals, counts = _by_song(difference, np.asarray(songs)[known])  # (songs,) each
    n_songs = len(counts)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_songs, np.full(n_songs, 1 / n_songs), n_resamples)
    means = (drawn @ totals) / (drawn @ counts)  # (n_resamples,)
    low, high = np.quantile(means, [0.025, 0.975])
    tail = 1 + min(int((means <= 0).sum()), int((means >= 0).sum()))
    p_value = min(2 * tail / (n_resamples + 1), 1.0)
    mean = float(difference.mean())
    wilcoxon_p = _wilcoxon(totals / counts)
    return Difference(mean, float(low), float(high), p_value, int(known.sum()), n_songs, wilcoxon_p)


def _by_song(values: np.ndarray, songs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of values of each song."""
    _, song = np.unique(songs, return_inverse=True)
    return np.bincount(song, values), np.bincount(song)


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def compare_rows(
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    seed: int = 0,
) -> dict[str, Difference]:
    """Differences of two lists of per-clip rows, matched by clip name.

    Args:
        first, second: Rows of :func:`~asteroid_joint.metrics.report.read_rows`.
        metrics: Names; metrics that either system lacks are left out.
        seed: Seed of the bootstrap.

    Raises:
        DataError: If the two were not evaluated on the same clips.
    """
    other = {row["name"]: row for row in second}
    names = [row["name"] for row in first]
    if not names or set(names) != set(other):
        raise DataError(
            f"The two systems were evaluated on different clips ({len(names)} and {len(other)}, "
            f"{len(set(names) & set(other))} in common): evaluate both on the same set."
        )
    differences = {}
    for metric in metrics:
        pairs = [(row.get(metric), other[row["name"]].get(metric)) for row in first]
        values = np.array([[np.nan if v is None else v for v in pair] for pair in pairs], float)
        if not np.isnan(values.sum(1)).all():
            songs = [row["song"] for row in first]
            differences[metric] = paired_bootstrap(values[:, 0], values[:, 1], songs, seed=seed)
    return differences
