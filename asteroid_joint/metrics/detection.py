"""Detection metric: how well a score tells vocal from non-vocal frames."""

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; ties count half.

    Args:
        labels: ``(frames,)`` 0 or 1, NaN = unknown (left out).
        scores: ``(frames,)``, any monotonous scale.

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
    from scipy.stats import rankdata

    if len(labels) != len(scores):
        raise ValueError(f"Expected equal lengths, received {len(labels)} and {len(scores)}.")
    known = ~np.isnan(labels)
    positive = np.asarray(labels)[known] > 0.5
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    rank_sum = rankdata(np.asarray(scores)[known])[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
