"""Viterbi through pitch bins, one curve at a time.

The cost of a jump is proportional to its size, so the maximum over the previous bin takes two
running maxima, one from either side, instead of a bins x bins table.
"""

import numpy as np

COST_PER_OCTAVE = 2.0  # nepers: the penalty for a jump
FLOOR = 1e-3  # added to activations before taking logarithms


class Viterbi:
    """Scores of paths frame by frame, and the way back.

    Args:
        n_bins: Pitch bins.
        cost: Nepers per bin of a jump.
    """

    def __init__(self, n_bins: int, cost: float) -> None:
        self._cost = cost
        self._bins = np.arange(n_bins)
        self._ramp = cost * self._bins

    def step(self, before: np.ndarray | None, row: np.ndarray) -> np.ndarray:
        """Scores after one more frame; the best is 0, so that sums stay exact.

        Args:
            before: Scores ``(P,)`` of the best paths that end in each bin; ``None`` at first.
            row: Log-likelihoods of the frame, ``(P,)``.
        """
        if before is None:
            return row - row.max()
        upwards = np.maximum.accumulate(before + self._ramp) - self._ramp
        downwards = np.maximum.accumulate((before - self._ramp)[::-1])[::-1] + self._ramp
        score = np.maximum(upwards, downwards) + row
        return score - score.max()

    def back(self, score: np.ndarray, following: int | None) -> int:
        """Bin of the best path, given the bin of the following frame; ``None`` at the end."""
        jump = 0.0 if following is None else self._cost * np.abs(self._bins - following)
        return int(np.argmax(score - jump))


def log_likelihoods(activations: np.ndarray) -> np.ndarray:
    """Of activations in [0, 1], float64."""
    return np.log(activations + np.float32(FLOOR)).astype(np.float64)


def best_path(activations: np.ndarray, cost: float) -> np.ndarray:
    """Bins ``(N,)`` of the most likely path through ``(N, P)``.

    Args:
        activations: ``(N, P)`` in [0, 1].
        cost: Nepers per bin of a jump.
    """
    viterbi = Viterbi(activations.shape[1], cost)
    scores: list[np.ndarray] = []
    for row in log_likelihoods(activations):
        scores.append(viterbi.step(scores[-1] if scores else None, row))
    path = np.zeros(len(scores), np.int64)
    following = None
    for n in reversed(range(len(scores))):
        path[n] = following = viterbi.back(scores[n], following)
    return path
