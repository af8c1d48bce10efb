"""``get_pitch`` of DiffSinger's pitch extractors.

References:
    openvpi/DiffSinger, ``basics/base_pe.py``, ``modules/pe`` and ``preprocessing`` (the call, its
    two results, interpolation of unvoiced frames).
"""

from typing import Any

import numpy as np

from ..errors import ConfigError
from .pitch import track, within

RANGE_HZ = (65.0, 1100.0)


class PitchExtractor:
    """What DiffSinger's ``initialize_pe`` returns.

    Args:
        device: Where to compute.
    """

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def get_pitch(
        self,
        waveform: Any,
        samplerate: Any,
        length: Any = None,
        *,
        hop_size: int | None = None,
        f0_min: float = RANGE_HZ[0],
        f0_max: float = RANGE_HZ[1],
        speed: float = 1,
        interp_uv: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pitch of a voice at the frames of a mel spectrogram.

        Also callable as older versions were, ``get_pitch(waveform, length, hparams, ...)``.

        Args:
            waveform: ``(n_samples,)``.
            samplerate: Hz.
            length: Number of frames.
            hop_size: Samples between frames.
            f0_min: Lowest pitch in Hz.
            f0_max: Highest pitch in Hz.
            speed: Factor of the hop.
            interp_uv: Whether unvoiced frames get interpolated frequencies instead of 0.

        Returns:
            ``(length,)`` Hz float32, and ``(length,)`` whether a frame is unvoiced.

        Raises:
            ConfigError: If the audio or a number cannot be used.
        """
        if isinstance(length, dict):  # (waveform, length, hparams)
            hparams, length = length, samplerate
            samplerate, hop_size = hparams["audio_sample_rate"], hparams["hop_size"]
        if hop_size is None or length is None:
            raise ConfigError("get_pitch needs length and hop_size: give both.")
        curve, _ = track(waveform, samplerate, self.device)
        curve = within(curve, f0_min, f0_max)
        hop_sec = int(np.round(hop_size * speed)) / samplerate
        unvoiced = curve.at(hop_sec, length) == 0
        hz = curve.at(hop_sec, length, "interpolate" if interp_uv else "zero")
        return hz.astype(np.float32), unvoiced


def initialize_pe(device: Any = None) -> PitchExtractor:
    """DiffSinger's ``modules.pe.initialize_pe``."""
    return PitchExtractor(device)


def get_pitch(
    wav_data: Any,
    samplerate: int,
    length: int,
    hop_size: int,
    interp_uv: bool = False,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """The call as a function; see :meth:`PitchExtractor.get_pitch`."""
    return PitchExtractor().get_pitch(
        wav_data, samplerate, length, hop_size=hop_size, interp_uv=interp_uv, **options
    )
