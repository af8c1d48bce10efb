"""Silence where nobody sings: a gate on the voice, by what the model says of its pitch.

Where a model finds no voiced sound for a while, what is left in its voice is leakage. The gate
hands it to the accompaniment.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from .overlap_add import SampleQueue


@dataclass(frozen=True)
class GateRules:
    """When a gate is open.

    A frame is sung if its probability is at least ``off`` and, without a frame below ``off`` in
    between, one of at least ``on`` is within ``reach_sec``. The gate is open within ``margin_sec``
    of sung frames, which consonants, breath and the room's reverberation need.

    Args:
        on: Probability that opens the gate.
        off: Probability that keeps a note alive.
        reach_sec: Longest stretch between ``off`` and ``on`` that counts as sung, in seconds.
        margin_sec: Time before and after sung frames in seconds, ramps included.
        floor_db: Gain of a closed gate in dB; ``-inf`` is silence.

    Raises:
        ConfigError: If ``0 < off <= on <= 1`` does not hold, or a value is out of range.
    """

    on: float = 0.6
    off: float = 0.3
    reach_sec: float = 1.0
    margin_sec: float = 0.5
    floor_db: float = -60.0

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise ConfigError(f"Expected 0 < off <= on <= 1, received {self.off} and {self.on}.")
        if self.reach_sec < 0 or self.margin_sec < 0 or self.floor_db > 0:
            raise ConfigError(
                "reach_sec and margin_sec must be 0 or more and floor_db 0 or less, received "
                f"{self.reach_sec}, {self.margin_sec} and {self.floor_db}."
            )


class Gate:
    """Decides frame by frame, with bounded lookahead, and applies what it has decided.

    Results do not depend on how the stream is cut.

    Args:
        rules: When it is open.
        hop_length: Samples per frame.
        sample_rate: Hz.
    """

    def __init__(self, rules: GateRules, hop_length: int, sample_rate: int) -> None:
        self.rules = rules
        self.hop_length = hop_length
        frames_per_sec = sample_rate / hop_length
        self._reach = round(rules.reach_sec * frames_per_sec)
        self._margin = round(rules.margin_sec * frames_per_sec)
        self._ramp = max(min(self._margin, round(0.06 * frames_per_sec)), 1)
        self._probability = np.zeros(0)  # from frame `_first` on
        self._first = 0
        self._open = np.zeros(0, bool)  # decisions from frame 0 on

    @property
    def n_decided(self) -> int:
        """Frames whose decision is final."""
        return len(self._open)

    @property
    def n_samples(self) -> int:
        """Samples whose gain is final."""
        return max(self.n_decided - self._ramp - 1, 0) * self.hop_length

    def is_open(self, start: int, n_frames: int) -> np.ndarray:
        """Decisions of frames ``start`` on, ``(n_frames,)`` bool; the last one holds after it."""
        if not len(self._open):
            return np.zeros(n_frames, bool)
        return self._open[np.minimum(np.arange(start, start + n_frames), len(self._open) - 1)]

    def push(self, probability: np.ndarray, last: bool = False) -> None:
        """Add the probability of singing of further frames, ``(N,)``; NaN counts as 0."""
        self._probability = np.concatenate([self._probability, np.nan_to_num(probability)])
        ahead = self._reach + self._margin
        end = self._first + len(self._probability) - (0 if last else ahead)
        if end <= self.n_decided:
            return
        open_ = _spread(self._sung(), self._margin)
        new = open_[self.n_decided - self._first : end - self._first]
        self._open = np.concatenate([self._open, new])
        keep = max(self.n_decided - ahead, self._first)
        self._probability = self._probability[keep - self._first :]
        self._first = keep

    def _sung(self) -> np.ndarray:
        """Whether each stored frame is sung, ``(N,)``."""
        alive = self._probability >= self.rules.off
        sure = alive & (self._probability >= self.rules.on)
        return (
            _reached(alive, sure, self._reach)
            | _reached(alive[::-1], sure[::-1], self._reach)[::-1]
        )

    def gain(self, start: int, n_samples: int) -> np.ndarray:
        """Gain of samples ``start`` on, ``(n_samples,)`` float32; frames must be decided.

        Where the gate opens it rises within the margin, so it is fully open for every sung frame.
        Samples after the last frame are as that frame.
        """
        floor = 10 ** (self.rules.floor_db / 20)
        first = max(start // self.hop_length - self._ramp, 0)
        stop = (start + n_samples) // self.hop_length + self._ramp + 2
        open_ = self._open[first:stop]
        if not len(open_):
            return np.full(n_samples, floor, np.float32)
        pad = self._ramp
        steps = np.pad(open_.astype(float), pad, mode="edge")
        # a rise and a fall of `ramp` frames inside of what is open
        narrow = np.lib.stride_tricks.sliding_window_view(steps, 2 * pad + 1).mean(-1)
        smooth = np.clip(2 * narrow - 1, 0, 1) if pad else open_.astype(float)
        smooth = smooth * smooth * (3 - 2 * smooth)
        centre = np.arange(first, first + len(open_)) * self.hop_length
        gain = np.interp(np.arange(start, start + n_samples), centre, smooth)
        return (floor + (1 - floor) * gain).astype(np.float32)


class VoiceGate:
    """A :class:`Gate` in the chain of :mod:`asteroid_joint.inference.stream`, at the model's rate.

    Args:
        rules: When it is open.
        voice: Index of the voice among the estimated stems.
        n_stems: Number of estimated stems.
        n_channels: Channels of a stem.
        hop_length: Samples per frame.
        sample_rate: Hz.
    """

    def __init__(
        self,
        rules: GateRules,
        voice: int,
        n_stems: int,
        n_channels: int,
        hop_length: int,
        sample_rate: int,
    ) -> None:
        self._gate = Gate(rules, hop_length, sample_rate)
        self._voice, self._shape = voice, (n_stems, n_channels)
        self._samples = SampleQueue(n_stems * n_channels)
        self._rows = np.zeros((0, 4))
        self._sample = self._row = 0  # next of each

    def push(
        self, stems: np.ndarray, f0: np.ndarray, probability: np.ndarray, last: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add a span; returns what is final.

        Args:
            stems: ``(S, C, T)``.
            f0: Rows of F0, ``(N, 4)``; see :class:`~asteroid_joint.inference.stream.Chunk`.
            probability: Probability of singing per frame, ``(N',)``.
            last: Whether nothing follows.

        Returns:
            ``(S, C, T')`` with the gated voice, and rows of F0, unvoiced where the gate is closed.
        """
        self._gate.push(probability, last)
        self._samples.push(np.concatenate(stems))
        self._rows = np.concatenate([self._rows, f0])
        n_samples = len(self._samples)
        if not last:
            n_samples = max(min(self._gate.n_samples - self._sample, n_samples), 0)
        out = self._samples.take(n_samples).reshape(*self._shape, n_samples)  # (S, C, T')
        out[self._voice] *= self._gate.gain(self._sample, n_samples)
        self._sample += n_samples
        n_rows = len(self._rows) if last else self._gate.n_decided - self._row
        rows, self._rows = np.split(self._rows, [max(n_rows, 0)])
        if len(rows):
            rows[:, 3] *= self._gate.is_open(self._row, len(rows))
        self._row += len(rows)
        return out, rows


def _reached(alive: np.ndarray, sure: np.ndarray, reach: int) -> np.ndarray:
    """Frames at most ``reach`` after one that is ``sure``, without a dead frame in between."""
    index = np.arange(len(alive))
    last_sure = np.maximum.accumulate(np.where(sure, index, -1))
    last_dead = np.maximum.accumulate(np.where(alive, -1, index))
    return alive & (last_sure >= 0) & (last_sure > last_dead) & (index - last_sure <= reach)


def _spread(mask: np.ndarray, margin: int) -> np.ndarray:
    """Frames at most ``margin`` away from one of ``mask``."""
    total = np.concatenate([[0], np.cumsum(mask)])
    index = np.arange(len(mask))
    high = np.minimum(index + margin + 1, len(mask))
    return total[high] > total[np.maximum(index - margin, 0)]
