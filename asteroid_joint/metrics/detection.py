"""Detection metrics: how well scores separate vocal from non-vocal frames, and a test of two."""

import math
from typing import NamedTuple

import numpy as np


class AreaDifference(NamedTuple):
    """Two areas under the ROC curve and the test of their difference.

    Attributes:
        first, second: Areas, in [0, 1].
        difference: First minus second.
        low, high: 95 % interval of the difference.
        p_value: Two-sided p value.
        n_frames: Number of frames.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    n_frames: int


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; ties count half.

    Args:
        labels: ``(frames,)`` 0 or 1, NaN = unknown (left out).
        scores: ``(frames,)``, on any monotonic scale.

    Returns:
        In [0, 1]; NaN where only one class occurs.

    Raises:
        ValueError: If lengths differ.

    References:
        J. A. Hanley, B. J. McNeil, Radiology 143, 1982 (the area is the Mann-Whitney statistic).

    Example:
        >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
        0.75
    """
    positive, (scores,) = _known(labels, scores)
    if positive.all() or not positive.any():
        return float("nan")
    return float(_placements(positive, scores)[0].mean())


def delong_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> AreaDifference:
    """Test whether two scores of the same frames have different areas under the ROC curve.

    The test assumes independent frames. Those of a song are not, so the p value is too small; the
    bootstrap over songs of the metric ``auc`` is the more careful test.

    Args:
        labels: ``(frames,)`` 0 or 1, NaN = unknown (left out).
        first, second: ``(frames,)`` scores of either system; each has its own scale.

    Returns:
        :class:`AreaDifference`; everything about the difference is NaN where a class has fewer
        than two frames.

    Raises:
        ValueError: If lengths differ.

    References:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more
        correlated receiver operating characteristic curves", Biometrics 44, 1988; placements by
        ranks as in X. Sun, W. Xu, IEEE Signal Processing Letters 21(11), 2014.

    Example:
        >>> labels = np.array([0, 0, 0, 1, 1, 1])
        >>> delong_test(labels, np.array([1, 2, 4, 3, 5, 6]), np.array([1, 2, 3, 4, 5, 6])).first
        0.8888888888888888
    """
    positive, (first, second) = _known(labels, first, second)
    n_positive = int(positive.sum())
    if min(n_positive, len(positive) - n_positive) < 2:
        nan, n_frames = float("nan"), len(positive)
        undefined = AreaDifference(nan, nan, nan, nan, nan, nan, n_frames)
        return undefined._replace(first=auc(labels, first), second=auc(labels, second))
    above, below = _placements(positive, first), _placements(positive, second)
    areas = float(above[0].mean()), float(below[0].mean())
    # the variance of a difference needs no covariances if the difference is taken first
    variance = sum(float(np.var(a - b, ddof=1)) / len(a) for a, b in zip(above, below, strict=True))
    difference, error = areas[0] - areas[1], math.sqrt(variance)
    if error > 0:
        p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    else:
        p_value = float(difference == 0)
    low, high = difference - 1.959964 * error, difference + 1.959964 * error
    return AreaDifference(*areas, difference, low, high, p_value, len(positive))


def _known(labels: np.ndarray, *scores: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Whether frames are positive, and the scores, of frames with a known label."""
    if any(len(labels) != len(values) for values in scores):
        lengths = ", ".join(str(len(x)) for x in (labels, *scores))
        raise ValueError(f"Expected equal lengths, received {lengths}.")
    known = ~np.isnan(np.asarray(labels, float))
    return np.asarray(labels)[known] > 0.5, [np.asarray(values)[known] for values in scores]


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of negatives below each positive, and of positives above each negative.

    Ties count half. The rank among all minus that in the own class counts the other class below.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    above = (ranks[positive] - rankdata(scores[positive])) / n_negative
    below = 1 - (ranks[~positive] - rankdata(scores[~positive])) / n_positive
    return above, below
