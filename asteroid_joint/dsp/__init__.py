"""Signal processing. The short-time Fourier transform, and torch, is loaded on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stft import STFT

__all__ = ["STFT"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use."""
    if name != "STFT":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .stft import STFT

    return STFT
