"""Squared error of magnitudes after normalisation by log(1 + x)."""

from typing import NamedTuple

import numpy as np
import torch

from ..dsp.stft import STFT
from ..models.base import JointModel


class Transform(NamedTuple):
    """STFT for the error: ``n_fft`` and ``hop_length`` in samples, the paper's (22 050 Hz)."""

    n_fft: int = 512
    hop_length: int = 256

    @classmethod
    def of(cls, model: JointModel | None, sample_rate: int) -> "Transform":
        """A model's, with the same durations at ``sample_rate``; the default if it has none."""
        parts = () if model is None else model.modules()
        stft = next((part for part in parts if isinstance(part, STFT)), None)
        if model is None or stft is None:
            return cls()
        ratio = sample_rate / float(model.sample_rate)
        return cls(round(stft.n_fft * ratio), round(stft.hop_length * ratio))


def log_mse(
    reference: np.ndarray, estimate: np.ndarray, transform: Transform | None = None
) -> float:
    """Mean squared difference of ``log(1 + magnitude)`` over sources, channels, frames and bins.

    It uses the spectrogram of the estimated waveform, not the output of a network before the
    inverse transform. It depends on the level and on the transform, so only figures for the same
    transform can be compared.

    Args:
        reference, estimate: ``(n_src, n_channels, time)``, full scale 1.0.
        transform: Hann window without normalisation; the paper's by default.

    Raises:
        ValueError: If shapes differ.

    References:
        D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice",
        LVA/ICA 2018, https://arxiv.org/abs/1804.01650 (MSE).
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"Expected equal shapes, received {reference.shape}, {estimate.shape}.")
    stft = STFT(*(transform or Transform()))
    # one source after the other: spectrograms of whole songs are large
    errors = [
        float((_normalised(stft, s) - _normalised(stft, e)).square().mean())
        for s, e in zip(reference, estimate, strict=True)
    ]
    return float(np.mean(errors))


def _normalised(stft: STFT, wav: np.ndarray) -> torch.Tensor:
    """``(C, T)`` to log(1 + magnitude), ``(C, N, F)``."""
    missing = max(stft.n_fft - wav.shape[-1], 0)
    return stft(torch.from_numpy(np.pad(wav, ((0, 0), (0, missing)))).float()).abs().log1p()
