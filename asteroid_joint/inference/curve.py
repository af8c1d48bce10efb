"""The pitch curve of a voice, and the same curve at any other hop: without torch.

Frequencies are interpolated linearly in log frequency, and only between frames that are voiced:
never from a voiced frame towards the guess of an unvoiced one, or across a rest. What other
programs call F0 (10 ms for RVC and RMVPE, 512 samples for DiffSinger, ...) is read from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError

UNVOICED = ("zero", "interpolate", "nan")
DECIMALS = 7  # of positions in frames: ties are ties, however a curve came in parts


@dataclass(frozen=True, eq=False)
class PitchCurve:
    """F0 of the voice, one entry per frame.

    Attributes:
        times: Centres of the frames, seconds.
        hz: Frequency, positive in unvoiced frames, too.
        confidence: In [0, 1].
        voiced: Whether the confidence is above the model's threshold.
    """

    times: np.ndarray
    hz: np.ndarray
    confidence: np.ndarray
    voiced: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def from_rows(cls, rows: np.ndarray) -> "PitchCurve":
        """A curve from the columns of ``f0.csv``, ``(frames, 4)``."""
        times, hz, confidence, voiced = np.asarray(rows, float).reshape(-1, 4).T
        return cls(times, hz, confidence, voiced > 0)

    def rows(self) -> np.ndarray:
        """``(frames, 4)``, the columns of ``f0.csv``."""
        return np.stack([self.times, self.hz, self.confidence, self.voiced], 1).astype(float)

    def at(self, hop_sec: float, n_frames: int, unvoiced: str = "zero") -> np.ndarray:
        """Frequency at the times ``0, hop_sec, 2 hop_sec, ...``.

        Between two voiced frames it is interpolated linearly in log frequency. Between a voiced
        and an unvoiced frame, and beyond the ends, a time is voiced up to half a frame from the
        voiced one, and has its frequency.

        Args:
            hop_sec: Hop in seconds.
            n_frames: Number of times.
            unvoiced: What stands at unvoiced times: ``"zero"``; ``"nan"``; or ``"interpolate"``
                for a line in log frequency from the voiced frame before to the one after, held
                beyond the first and the last (0 if there is none at all).

        Returns:
            ``(n_frames,)`` Hz.

        Raises:
            ConfigError: If the hop is not positive, ``n_frames`` negative, or ``unvoiced`` unknown.

        Example:
            >>> voiced = np.array([True, True, False, False])
            >>> hz = np.array([220.0, 440.0, 55.0, 55.0])
            >>> curve = PitchCurve(0.02 * np.arange(4), hz, voiced * 1.0, voiced)
            >>> curve.at(0.01, 6).round(1).tolist()
            [220.0, 311.1, 440.0, 440.0, 0.0, 0.0]
        """
        at = np.arange(check_grid(hop_sec, n_frames, unvoiced)) * hop_sec
        hz, voiced = sample_pitch(self.times, self.hz, self.voiced, at)
        if unvoiced == "interpolate":
            return bridge_rests(at, self.times, self.hz, self.voiced, hz, voiced)
        return np.where(voiced, hz, 0.0 if unvoiced == "zero" else np.nan)

    def confidence_at(self, hop_sec: float, n_frames: int) -> np.ndarray:
        """Confidence at the times of :meth:`at`, linear between frames and held beyond them.

        Raises:
            ConfigError: As for :meth:`at`.
        """
        at = np.arange(check_grid(hop_sec, n_frames, "zero")) * hop_sec
        return np.interp(at, self.times, self.confidence) if len(self) else np.zeros(n_frames)


def check_grid(hop_sec: float, n_frames: int, unvoiced: str) -> int:
    """Refuse times that are none; returns ``n_frames``.

    Raises:
        ConfigError: One sentence on what is wrong.
    """
    if not 0 < hop_sec < np.inf or n_frames < 0:
        raise ConfigError(
            f"Expected a positive hop and 0 or more frames, received {hop_sec} s and {n_frames}."
        )
    if unvoiced not in UNVOICED:
        raise ConfigError(f"Expected unvoiced in {', '.join(UNVOICED)}, received {unvoiced!r}.")
    return n_frames


def sample_pitch(
    times: np.ndarray, hz: np.ndarray, voiced: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read a curve at given times, inside its voiced runs.

    Args:
        times: ``(N,)`` centres of the frames in seconds, evenly spaced.
        hz: ``(N,)`` frequency in Hz.
        voiced: ``(N,)`` whether a frame is voiced; one without a positive frequency never is.
        at: ``(M,)`` times to read at, in seconds.

    Returns:
        ``(M,)`` Hz, 0 where unvoiced, and ``(M,)`` whether voiced.
    """
    n = len(times)
    if n == 0:
        return np.zeros(len(at)), np.zeros(len(at), bool)
    voiced = np.asarray(voiced, bool) & (np.asarray(hz) > 0)
    frame = _position(times, at)
    left = np.clip(np.floor(frame), 0, n - 1).astype(int)
    right = np.minimum(left + 1, n - 1)
    share = np.clip(np.round(frame - left, DECIMALS), 0.0, 1.0)  # of the way from left to right
    nearest = np.where((share < 0.5) | ((share == 0.5) & voiced[left]), left, right)
    sung = (frame >= -0.5) & (frame <= n - 0.5) & voiced[nearest]
    known = np.where(voiced, hz, 1.0)
    line = known[left] * (known[right] / known[left]) ** share
    found = np.where(voiced[left] & voiced[right], line, known[nearest])
    return np.where(sung, found, 0.0), sung


def _position(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Times in frames of a curve with at least one, ``(M,)``, fractional."""
    n = len(times)
    if n == 1:
        return np.zeros(len(at))
    hop_sec = (times[-1] - times[0]) / (n - 1)
    return np.round((np.asarray(at, float) - times[0]) / hop_sec, DECIMALS)


def sample_rows(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Read rows of F0 at given times.

    Args:
        rows: ``(N, 4)``, the columns of ``f0.csv``, at least one.
        at: ``(M,)`` times in seconds.

    Returns:
        ``(M, 4)``: frequency and voicing are those of :func:`sample_pitch`, with the guess of the
        nearest frame where unvoiced; the confidence is linear between frames.
    """
    times, hz, confidence, voiced = rows.T
    found, sung = sample_pitch(times, hz, voiced > 0, at)
    nearest = np.floor(_position(times, at) + 0.5).astype(int).clip(0, len(rows) - 1)
    frequency = np.where(sung, found, hz[nearest])
    return np.stack([at, frequency, np.interp(at, times, confidence), sung], 1)


def frames_until(duration_sec: float, hop_sec: float) -> int:
    """Number of the times ``0, hop_sec, 2 hop_sec, ...`` before the end of a recording."""
    return max(int(np.ceil(np.round(duration_sec / hop_sec, DECIMALS))), 1)


def bridge_rests(
    at: np.ndarray,
    times: np.ndarray,
    hz: np.ndarray,
    voiced: np.ndarray,
    found_hz: np.ndarray,
    found: np.ndarray,
) -> np.ndarray:
    """Fill unvoiced times by lines in log frequency between the voiced frames about them.

    Args:
        at: ``(M,)`` times in seconds.
        times: ``(N,)`` centres of the curve's frames.
        hz: ``(N,)`` their frequency.
        voiced: ``(N,)`` whether they are voiced.
        found_hz: ``(M,)`` Hz at the times that are voiced.
        found: ``(M,)`` which are.

    Returns:
        ``(M,)`` Hz; zeros if no frame is voiced.
    """
    known = np.asarray(voiced, bool) & (np.asarray(hz) > 0)
    if not known.any():
        return np.zeros(len(at))
    bridge = np.exp2(np.interp(at, times[known], np.log2(hz[known])))
    return np.where(found, found_hz, bridge)


class RowSampler:
    """:func:`sample_rows` at the times ``0, hop_sec, ...`` of a curve that arrives in parts.

    Args:
        hop_sec: Hop of the result in seconds.
    """

    def __init__(self, hop_sec: float) -> None:
        self.hop_sec = hop_sec
        self._tail = np.zeros((0, 4))  # the last two rows: their distance is the curve's hop
        self._next = 0  # entry of the result

    def push(self, rows: np.ndarray) -> np.ndarray:
        """Add rows ``(frames, 4)``; returns what they decide, ``(M, 4)``."""
        if not len(rows):
            return np.zeros((0, 4))
        rows = np.concatenate([self._tail, rows])
        self._tail = rows[-2:].copy()
        if len(rows) < 2:
            return np.zeros((0, 4))  # the curve's hop is not known yet
        return self._read(rows, int(np.ceil(np.round(rows[-1, 0] / self.hop_sec, DECIMALS))))

    def finish(self, n_frames: int) -> np.ndarray:
        """Return the rest, so that there are ``n_frames`` in all; nothing of no curve."""
        return self._read(self._tail, n_frames)

    def _read(self, rows: np.ndarray, stop: int) -> np.ndarray:
        at = np.arange(self._next, stop) * self.hop_sec
        self._next = max(self._next, stop)
        return sample_rows(rows, at) if len(rows) else np.zeros((0, 4))


class StreamSampler:
    """:meth:`PitchCurve.at` with ``unvoiced="zero"`` for a curve that arrives in parts.

    Args:
        hop_sec: Hop of the result in seconds.

    Example:
        >>> sampler = StreamSampler(0.01)
        >>> rows = np.array([[0.0, 220.0, 1.0, 1.0], [0.02, 220.0, 1.0, 1.0]])
        >>> [sampler.push(rows[:1]).tolist(), sampler.push(rows[1:]).tolist()]
        [[], [220.0, 220.0]]
        >>> sampler.finish(4).tolist()
        [220.0, 220.0]
    """

    def __init__(self, hop_sec: float) -> None:
        self._rows = RowSampler(hop_sec)
        self._n_given = 0

    def push(self, rows: np.ndarray) -> np.ndarray:
        """Add rows ``(frames, 4)``; returns what they decide, ``(M,)`` Hz, 0 where unvoiced."""
        return self._sung(self._rows.push(rows))

    def finish(self, n_frames: int) -> np.ndarray:
        """Return the rest, so that there are ``n_frames`` in all."""
        rest = self._sung(self._rows.finish(n_frames))
        return np.pad(rest, (0, max(n_frames - self._n_given, 0)))  # zeros of no curve

    def _sung(self, rows: np.ndarray) -> np.ndarray:
        self._n_given += len(rows)
        return np.where(rows[:, 3] > 0, rows[:, 1], 0.0)


class RestBridge:
    """Fills unvoiced frames of a curve that arrives in parts, as ``unvoiced="interpolate"`` does.

    Frames of a rest come out once the next voiced frame is there; only their number is kept.
    """

    def __init__(self) -> None:
        self._last_hz = 0.0  # of the last voiced frame
        self._waiting = 0  # unvoiced frames since

    def push(self, frames: Iterable[tuple[float, bool]]) -> Iterator[float]:
        """Add frequencies in Hz and whether they are voiced; yields what is decided, in Hz."""
        for hz, voiced in frames:
            if not (voiced and hz > 0):
                self._waiting += 1
                continue
            start, n = self._last_hz or hz, self._waiting
            for k in range(1, n + 1):
                yield start * (hz / start) ** (k / (n + 1))
            yield hz
            self._last_hz, self._waiting = hz, 0

    def finish(self) -> Iterator[float]:
        """Yield the rest: the last frequency held, 0 if there was none."""
        for _ in range(self._waiting):
            yield self._last_hz
        self._waiting = 0
