"""Values that follow a stream slowly, decided segment by segment and ramped between."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

SEGMENT_SEC = 0.25
LOOK_AHEAD = 4  # segments: a second


class Follower(Protocol):
    """Decides values from segments of a stream."""

    def observe(self, segment: np.ndarray) -> None:
        """Take the next ``(C, T)``, shorter than the others at the end of the stream."""

    def values(self) -> np.ndarray:
        """Values ``(D,)`` for now, from what was observed so far."""


class SegmentStream:
    """Adds the values of followers to a stream, sample by sample.

    Within a segment, values move in a straight line to what was decided for it. A stream is held
    back until the segments ahead are known. What comes out does not depend on how it was divided
    for pushing.

    Args:
        n_channels: Channels of the stream.
        sample_rate: Sample rate in Hz.
        followers: What decides values.
        look_ahead: Segments that are observed before values are decided; with 0, nothing is held
            back, and what is decided comes late.
    """

    def __init__(
        self,
        n_channels: int,
        sample_rate: int,
        followers: Sequence[Follower],
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self._length = max(round(SEGMENT_SEC * sample_rate), 1)
        self._followers, self._look_ahead = followers, look_ahead
        self._held = np.zeros((n_channels, 0), np.float32)
        self._held_from = 0  # position of the first held sample
        self._n_observed = 0  # segments
        self._n_given = 0  # samples
        self._to = self._values()  # (D,) at the end of the segment
        self._from = self._to  # and at its beginning

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add ``(C, T)``; returns samples and values that are final, ``(C + D, T')``."""
        self._held = np.concatenate([self._held, samples], 1)
        return self._advance(last=False)

    def finish(self) -> np.ndarray:
        """The rest."""
        return self._advance(last=True)

    def _advance(self, last: bool) -> np.ndarray:
        end = self._held_from + self._held.shape[1]
        parts = [self._part(0)]
        while self._n_given < end:
            segment, within = divmod(self._n_given, self._length)
            if within == 0:
                if not self._observe(segment + self._look_ahead, end, last):
                    break
                self._turn()
            n = min(self._length - within, end - self._n_given)
            parts.append(self._part(n))
            self._n_given += n
        keep = min(self._n_given, self._n_observed * self._length, end)
        self._held = self._held[:, keep - self._held_from :].copy()
        self._held_from = keep
        return np.concatenate(parts, 1)

    def _observe(self, n_segments: int, end: int, last: bool) -> bool:
        """Observe up to so many segments; whether they are all there, or will never be."""
        while self._n_observed < n_segments:
            start = self._n_observed * self._length
            if start + self._length > end and not (last and start < end):
                return last
            at = start - self._held_from
            for follower in self._followers:
                follower.observe(self._held[:, at : at + self._length])
            self._n_observed += 1
        return True

    def _turn(self) -> None:
        """Make for other values from here on, or begin with them."""
        before, self._to = self._to, self._values()
        self._from = before if self._n_given else self._to

    def _values(self) -> np.ndarray:
        return np.concatenate([f.values() for f in self._followers]).astype(np.float32)

    def _part(self, n_samples: int) -> np.ndarray:
        """The next samples, within a segment, and their values."""
        at = self._n_given - self._held_from
        ramp = (self._n_given % self._length + np.arange(1, n_samples + 1)) / self._length
        values = self._from[:, None] + (self._to - self._from)[:, None] * ramp.astype(np.float32)
        return np.concatenate([self._held[:, at : at + n_samples], values])  # (C + D, T)
