"""``F0_Extractor`` of DDSP-SVC.

References:
    yxlllc/DDSP-SVC, ``ddsp/vocoder.py`` (arguments, number of frames, interpolation).
"""

from typing import Any

import numpy as np

from .pitch import mono, track, within


class F0_Extractor:  # noqa: N801, its name there
    """Frames of the pitch of a voice.

    Args:
        f0_extractor: Accepted and without effect.
        sample_rate: Hz.
        hop_size: Samples between frames; may have decimals.
        f0_min: Lowest pitch in Hz.
        f0_max: Highest pitch in Hz.
    """

    def __init__(
        self,
        f0_extractor: str = "asteroid_joint",
        sample_rate: int = 44100,
        hop_size: float = 512,
        f0_min: float = 65,
        f0_max: float = 800,
    ) -> None:
        self.f0_extractor = f0_extractor
        self.sample_rate, self.hop_size = sample_rate, hop_size
        self.f0_min, self.f0_max = f0_min, f0_max

    def extract(
        self, audio: Any, uv_interp: bool = False, device: Any = None, silence_front: float = 0
    ) -> np.ndarray:
        """Pitch of a voice.

        Args:
            audio: ``(n_samples,)``.
            uv_interp: Whether unvoiced frames get interpolated frequencies, ``f0_min`` at least,
                instead of 0.
            device: Where to compute.
            silence_front: Seconds at the beginning that are unvoiced.

        Returns:
            ``(1 + n_samples // hop_size,)`` Hz.

        Raises:
            ConfigError: If the audio cannot be used.
        """
        samples = mono(audio)
        curve = within(track(samples, self.sample_rate, device)[0], self.f0_min, self.f0_max)
        silent = curve.times < silence_front
        curve = type(curve)(curve.times, curve.hz, curve.confidence, curve.voiced & ~silent)
        n_frames = int(len(samples) // self.hop_size) + 1
        unvoiced = "interpolate" if uv_interp else "zero"
        hz = curve.at(self.hop_size / self.sample_rate, n_frames, unvoiced)
        return np.maximum(hz, self.f0_min) if uv_interp else hz
