"""Phase refinement: the Griffin-Lim algorithm, starting from a given phase.

It uses Asteroid's iteration (``asteroid_filterbanks``) with this package's STFT, as other libraries
only start from a random phase.
"""

import torch
from asteroid_filterbanks.griffin_lim import griffin_lim

from .stft import STFT


def refine_phase(
    magnitude: torch.Tensor, phase: torch.Tensor, stft: STFT, length: int, n_iter: int = 10
) -> torch.Tensor:
    """Waveform whose STFT has about the given magnitudes.

    Each iteration transforms to a waveform and back, keeps the phase and restores the magnitudes.
    The distance between the magnitudes and those of the waveform never grows, apart from effects of
    reflection at the ends. There is no momentum, so that a sample depends on no frame further away
    than :func:`reach`.

    Args:
        magnitude: ``(..., N, F)``.
        phase: Initial phase in radians, of the same shape.
        stft: Analysis and synthesis.
        length: Length of the waveform in samples.
        n_iter: Number of iterations; 0 gives the inverse STFT.

    Returns:
        ``(..., length)``.

    References:
        D. W. Griffin, J. S. Lim, "Signal Estimation from Modified Short-Time Fourier Transform",
        IEEE Trans. Acoust., Speech, Signal Process. 32(2), 1984.

    Example:
        >>> stft = STFT(n_fft=64, hop_length=32)
        >>> wav = torch.randn(1, 640, generator=torch.Generator().manual_seed(0))
        >>> spec = stft(wav)
        >>> again = refine_phase(spec.abs(), spec.angle(), stft, 640)  # nothing to refine
        >>> bool((again - wav).abs().max() < 1e-4)
        True
    """

    def analyse(wav: torch.Tensor) -> torch.Tensor:
        spec = stft(wav).transpose(-1, -2)  # (..., F, N)
        return torch.cat([spec.real, spec.imag], -2)  # Asteroid's layout, (..., 2 F, N)

    def synthesise(parts: torch.Tensor) -> torch.Tensor:
        real, imag = parts.chunk(2, -2)
        return stft.inverse(torch.complex(real, imag).transpose(-1, -2), length)

    return griffin_lim(
        magnitude.transpose(-1, -2).contiguous(),
        analyse,
        angles=phase.transpose(-1, -2).contiguous(),
        istft_dec=synthesise,
        n_iter=n_iter,
        momentum=0.0,
    )


def reach(stft: STFT, n_iter: int) -> int:
    """Distance in samples, on either side, of the furthest frame a refined sample depends on."""
    return n_iter * ((stft.n_fft - 1) // stft.hop_length) * stft.hop_length + stft.n_fft // 2
