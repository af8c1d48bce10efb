"""Short-time Fourier transform with the conventions of the published systems."""

import torch
from torch import nn

POWER_FLOOR = 1e-10  # power; magnitudes are at least 1e-5


class STFT(nn.Module):
    """Centred STFT with a periodic Hann window, no normalisation.

    Args:
        n_fft: Length of window and transform in samples.
        hop_length: Distance of two frames in samples.

    Note:
        Reflect padding needs more than ``n_fft // 2`` input samples.
    """

    window: torch.Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """``(..., T)`` to a complex spectrogram ``(..., N, F)``, ``N = T // hop + 1``."""
        spec = torch.stft(
            wav.reshape(-1, wav.shape[-1]),  # (B, T)
            self.n_fft,
            self.hop_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )  # (B, F, N)
        # reshape before transposing: otherwise export searches for a view for minutes
        return spec.reshape(*wav.shape[:-1], *spec.shape[1:]).transpose(-1, -2)

    def inverse(self, spec: torch.Tensor, length: int) -> torch.Tensor:
        """Complex ``(..., N, F)`` to ``(..., length)``: overlap-add over the squared window sum."""
        flat = spec.transpose(-1, -2).reshape(-1, spec.shape[-1], spec.shape[-2])  # (B, F, N)
        wav = torch.istft(
            flat, self.n_fft, self.hop_length, window=self.window, center=True, length=length
        )
        return wav.reshape(*spec.shape[:-2], length)


def apply_gains(gains: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:
    """Apply real gains of several sources to a complex spectrogram.

    Two real products halve the work, and ONNX cannot add axes to complex numbers.

    Args:
        gains: ``(B, S, ..., N, F)``.
        spec: ``(B, ..., N, F)``, complex.

    Returns:
        Complex ``(B, S, ..., N, F)``.
    """
    return torch.complex(gains * spec.real[:, None], gains * spec.imag[:, None])


def magnitude(spec: torch.Tensor) -> torch.Tensor:
    """Linear magnitude with the power floored at 1e-10 (DJCM code: no zero-gradient roots)."""
    return (spec.real.square() + spec.imag.square()).clamp_min(POWER_FLOOR).sqrt()
