"""``SwiftF0().detect*``, in both forms of its interface.

References:
    L. Nieradzik, swift-f0, ``swift_f0/core.py``: versions 0.1 (``detect_from_array``,
    ``detect_from_file``, ``voicing``) and later (``detect``, ``detect_file``); frames of 16 ms.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from .pitch import rescaled, track, within

HOP_SEC = 256 / 16000
RANGE_HZ = (46.875, 2093.75)


@dataclass
class PitchResult:
    """Frames of a voice.

    Attributes:
        pitch_hz: Hz, also where unvoiced.
        confidence: In [0, 1].
        timestamps: Seconds.
        voicing: Whether a frame is voiced.
    """

    pitch_hz: np.ndarray
    confidence: np.ndarray
    timestamps: np.ndarray
    voicing: np.ndarray


class SwiftF0:
    """SwiftF0's detector with another model.

    Args:
        confidence_threshold: Confidence of a voiced frame, which the model's own threshold is
            mapped to: 0.9 for ``detect_from_array`` and ``detect_from_file``, 0.5 for ``detect``
            and ``detect_file``, as there.
        fmin: Lowest pitch in Hz.
        fmax: Highest pitch in Hz.
        **kwargs: Accepted and without effect.
    """

    def __init__(
        self,
        confidence_threshold: float | None = None,
        fmin: float | None = None,
        fmax: float | None = None,
        **kwargs: Any,
    ) -> None:
        if confidence_threshold is not None and not 0 < confidence_threshold < 1:
            raise ConfigError(
                f"confidence_threshold is {confidence_threshold}: give one between 0 and 1."
            )
        self._threshold = confidence_threshold
        self._range = (fmin, fmax)

    def detect_from_array(self, audio_array: Any, sample_rate: float) -> PitchResult:
        """Pitch of samples ``(n_samples,)`` or ``(n_samples, n_channels)``."""
        return self._detect(audio_array, sample_rate, 0.9, *self._range)

    def detect_from_file(self, audio_path: str | os.PathLike) -> PitchResult:
        """Pitch of a file."""
        return self.detect_from_array(*_read(audio_path))

    def detect(
        self,
        audio: Any,
        sample_rate: float,
        fmin: float | None = None,
        fmax: float | None = None,
    ) -> PitchResult:
        """Pitch of samples ``(n_samples,)`` or ``(n_samples, n_channels)``."""
        low, high = self._range
        wanted = (low if fmin is None else fmin, high if fmax is None else fmax)
        return self._detect(audio, sample_rate, 0.5, *wanted)

    def detect_file(
        self, path: str | os.PathLike, fmin: float | None = None, fmax: float | None = None
    ) -> PitchResult:
        """Pitch of a file."""
        return self.detect(*_read(path), fmin, fmax)

    def _detect(
        self,
        audio: Any,
        sample_rate: float,
        usual: float,
        fmin: float | None,
        fmax: float | None,
    ) -> PitchResult:
        theirs = usual if self._threshold is None else self._threshold
        samples = np.asarray(audio)
        if samples.ndim == 2:  # channels last
            from ..dsp.downmix import audible_channel  # with torch, when it is needed

            dtype = samples.dtype
            samples = audible_channel(samples.T).astype(dtype)
        curve, threshold = track(samples, sample_rate)
        low, high = RANGE_HZ[0] if fmin is None else fmin, RANGE_HZ[1] if fmax is None else fmax
        curve = within(curve, low, high)
        n_frames = max(int(len(samples) / sample_rate / HOP_SEC + 1e-6), 1)
        sure = rescaled(curve.confidence_at(HOP_SEC, n_frames), threshold, theirs)
        voiced = curve.at(HOP_SEC, n_frames) > 0
        # an interpolated confidence may lie on the other side of the threshold than its frame
        sure = np.where(voiced, np.maximum(sure, theirs + 1e-6), np.minimum(sure, theirs - 1e-6))
        bridged = curve.at(HOP_SEC, n_frames, "interpolate")
        hz = np.where(bridged > 0, bridged, low)
        return PitchResult(hz, sure, np.arange(n_frames) * HOP_SEC, voiced)


def _read(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Samples ``(T, C)`` of a file and their rate."""
    from ..audio import open_audio

    with open_audio(path) as reader:
        return np.concatenate(list(reader.blocks()), 1).T, reader.sample_rate
