"""Signal processing: the short-time Fourier transform."""

from .stft import STFT

__all__ = ["STFT"]
