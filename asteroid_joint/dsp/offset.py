"""The constant part (DC) of a recording, which separators would share out among stems."""

import numpy as np

OBSERVED = 8  # segments that are averaged: two seconds
LEAST_OBSERVED = 4  # segments; over less, bass is taken for a constant part
ENOUGH, TOO_LITTLE = 0.02, 0.01  # in all segments, full scale is 1: where removal begins and ends


class OffsetFollower:
    """Follows the constant part of every channel; 0 where it is small or not constant.

    244 songs and other recordings have at most 0.019 of it over two seconds, which is left as it
    is. See :class:`~asteroid_joint.dsp.segments.SegmentStream`.

    Args:
        n_channels: Channels of the stream.

    Example:
        >>> follower = OffsetFollower(1)
        >>> for _ in range(4):
        ...     follower.observe(np.full((1, 4000), 0.25, np.float32))
        >>> follower.values().tolist()
        [0.25]
    """

    def __init__(self, n_channels: int) -> None:
        self._means: list[np.ndarray] = []  # (C,) of the last segments
        self._removing = np.zeros(n_channels, bool)
        self._n_samples = 0  # of a segment

    def observe(self, segment: np.ndarray) -> None:
        """Take the next ``(C, T)``; the last one of a stream, if it is shorter, does not count."""
        if segment.shape[1] >= self._n_samples:
            self._n_samples = segment.shape[1]
            self._means = [*self._means, segment.mean(1, dtype=np.float64)][-OBSERVED:]

    def values(self) -> np.ndarray:
        """Constant part to remove from each channel, ``(C,)``."""
        n = len(self._means)
        if n < LEAST_OBSERVED:
            return np.zeros(len(self._removing))
        position = np.arange(n) + 0.5
        weights = np.minimum(position, n - position)  # a triangle suppresses bass
        means = np.stack(self._means)  # (N, C)
        mean = weights @ means / weights.sum()  # (C,)
        least = (np.sign(mean) * means).min(0)  # a sound may begin, a constant part is there
        self._removing = least > np.where(self._removing, TOO_LITTLE, ENOUGH)
        return np.where(self._removing, mean, 0.0)
