"""Phase refinement: Griffin and Lim's algorithm from a given phase on.

The iteration is Asteroid's (``asteroid_filterbanks``), which other libraries' start from a random
phase; here it gets the package's STFT.
"""

import torch
from asteroid_filterbanks.griffin_lim import griffin_lim

from .stft import STFT


def refine_phase(
    magnitude: torch.Tensor, phase: torch.Tensor, stft: STFT, length: int, n_iter: int = 10
) -> torch.Tensor:
    """Waveform whose STFT has about the given magnitudes, starting from a phase.

    Each iteration goes to the waveform and back, keeps the phase and restores the magnitudes. The
    distance between the magnitudes and those of the waveform never grows (but for what reflection
    at the two ends does). Without momentum, so that a sample depends on no frame
    that is further away than :func:`reach`.

    Args:
        magnitude: ``(..., frames, freqs)``.
        phase: Radians, the same shape.
        stft: Analysis and synthesis.
        length: Of the waveform, samples.
        n_iter: Iterations; 0 is the inverse STFT.

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
    """Distance in samples, either way, of the frames that a refined sample depends on.

    An iteration goes as far as to the furthest frame that shares a sample.
    """
    return n_iter * ((stft.n_fft - 1) // stft.hop_length) * stft.hop_length + stft.n_fft // 2
