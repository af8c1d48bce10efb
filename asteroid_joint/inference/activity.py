"""Vocal activity: from a probability per frame to segments, online.

Frame ``n`` covers the time from half a hop before its centre to half a hop after it.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError

EPSILON = 1e-9  # seconds: sums of half hops are rounded


@dataclass(frozen=True)
class SegmentRules:
    """How probabilities become segments.

    Hysteresis comes first and is symmetric in time: a run of frames at ``off`` or above counts as
    a whole if one of them reaches ``on``. Then gaps are filled, and only then are short segments
    dropped, which keeps phrases of short syllables.

    Args:
        on: Probability that a segment must reach.
        off: Probability below which it must not fall.
        min_sec: Shortest segment in seconds; shorter ones are dropped.
        gap_sec: Segments closer than this, in seconds, are joined: consonants and breath belong to
            the phrase.

    Raises:
        ConfigError: If ``0 < off <= on <= 1`` does not hold, or a length is negative.
    """

    on: float = 0.5
    off: float = 0.35
    min_sec: float = 0.2
    gap_sec: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise ConfigError(f"Expected 0 < off <= on <= 1, received {self.off} and {self.on}.")
        if not (self.min_sec >= 0 and self.gap_sec >= 0):
            raise ConfigError(
                f"min_sec and gap_sec are {self.min_sec} and {self.gap_sec}: give 0 or more."
            )


class SegmentTracker:
    """Segments of a stream of frames, found in constant memory.

    Args:
        rules: What counts as a segment.
        hop_sec: Hop between frames in seconds.
    """

    def __init__(self, rules: SegmentRules, hop_sec: float) -> None:
        self.rules = rules
        self._half_sec = hop_sec / 2
        self._stretch: float | None = None  # start of the frames at `off` or above, now running
        self._reached = False  # whether one of them is at `on`
        self._held: tuple[float, float] | None = None  # segment that may still grow
        self._end = 0.0  # of the latest frame

    def push(self, times: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """Add frames.

        Args:
            times: ``(frames,)`` centres in seconds, in even steps; after those pushed before.
            probability: ``(frames,)``; NaN counts as 0.

        Returns:
            ``(n, 2)`` start and end in seconds of the segments that are final.
        """
        final: list[tuple[float, float]] = []
        rules = self.rules
        for time, high, above in zip(
            np.asarray(times, float).tolist(),
            np.greater_equal(probability, rules.on).tolist(),
            np.greater_equal(probability, rules.off).tolist(),
            strict=True,
        ):
            start, self._end = max(time - self._half_sec, 0.0), time + self._half_sec
            if above:
                self._stretch = start if self._stretch is None else self._stretch
                self._reached |= high
            else:
                self._close(start, final)
            # a stretch that has not reached `on` yet may still do so, and then joins from its start
            since = start if self._stretch is None else self._stretch
            if self._held and since - self._held[1] >= rules.gap_sec - EPSILON:
                self._release(final)
        return _rows(final)

    def finish(self, end_sec: float = np.inf) -> np.ndarray:
        """Return the remaining segments, ``(n, 2)``, cut at the end of the recording.

        Args:
            end_sec: Length of the recording; the last frame may extend beyond it.
        """
        final: list[tuple[float, float]] = []
        self._close(self._end, final)
        self._release(final)
        rows = _rows(final)
        rows = np.minimum(rows[rows[:, 0] < end_sec], end_sec)
        return rows[rows[:, 1] - rows[:, 0] >= self.rules.min_sec - EPSILON]

    def _close(self, end: float, final: list[tuple[float, float]]) -> None:
        """End the running stretch at ``end``."""
        if self._stretch is not None and self._reached:
            start = self._stretch
            if self._held and start - self._held[1] < self.rules.gap_sec - EPSILON:
                start = self._held[0]
            else:
                self._release(final)
            self._held = start, end
        self._stretch, self._reached = None, False

    def _release(self, final: list[tuple[float, float]]) -> None:
        """Output the segment that can no longer grow, if it is long enough."""
        if self._held:
            start, end = self._held
            if end - start >= self.rules.min_sec - EPSILON:
                final.append((start, end))
        self._held = None


def segments(
    probability: np.ndarray,
    times: np.ndarray,
    rules: SegmentRules | None = None,
    end_sec: float = np.inf,
) -> np.ndarray:
    """Segments in which somebody sings.

    Args:
        probability: ``(frames,)`` in [0, 1].
        times: ``(frames,)`` centres of the frames in seconds, evenly spaced.
        rules: What counts as a segment; ``SegmentRules()`` by default.
        end_sec: Length of the recording; no segment ends later.

    Returns:
        ``(n, 2)`` start and end in seconds, in order and without overlap.

    Raises:
        ValueError: If lengths differ, or there are fewer than two frames.

    Example:
        >>> probability = np.repeat([0.1, 0.9, 0.4, 0.1], 50)
        >>> segments(probability, 0.02 * np.arange(200)).round(2).tolist()
        [[0.99, 2.99]]
    """
    if len(probability) != len(times) or len(times) < 2:
        raise ValueError(
            f"Expected as many times as probabilities, at least two; received {len(times)} and "
            f"{len(probability)}."
        )
    hop_sec = (times[-1] - times[0]) / (len(times) - 1)
    tracker = SegmentTracker(rules or SegmentRules(), float(hop_sec))
    return np.concatenate([tracker.push(times, probability), tracker.finish(end_sec)])


def _rows(found: list[tuple[float, float]]) -> np.ndarray:
    return np.array(found, float).reshape(-1, 2)
