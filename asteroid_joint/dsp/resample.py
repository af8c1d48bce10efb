"""Resampling as a differentiable layer."""

import math

import torch
from torch import nn

from ..errors import ConfigError

MAX_KERNEL = 1 << 22  # coefficients; rates without a common divisor would need billions


class Resample(nn.Module):
    """Band-limited resampling of ``(..., T)``; returns the input itself if the rates are equal.

    Args:
        from_rate: Sample rate of the input in Hz.
        to_rate: Sample rate of the output in Hz.

    Raises:
        ConfigError: If the rates are not positive whole numbers, or their common divisor is so
            small that the filter would not fit into memory.

    Shape:
        ``(..., T)`` to ``(..., ceil(T * to_rate / from_rate))``; sample ``t`` of the input and
        sample ``t * to_rate / from_rate`` of the output are at the same time.

    Example:
        >>> Resample(44100, 16000)(torch.zeros(2, 44100)).shape
        torch.Size([2, 16000])
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        super().__init__()
        if min(from_rate, to_rate) <= 0 or from_rate != int(from_rate) or to_rate != int(to_rate):
            raise ConfigError(
                f"Expected positive whole sample rates, received {from_rate} and {to_rate} Hz."
            )
        self.from_rate, self.to_rate = int(from_rate), int(to_rate)
        divisor = math.gcd(self.from_rate, self.to_rate)
        if self.from_rate * self.to_rate // divisor**2 > MAX_KERNEL:
            raise ConfigError(
                f"{from_rate} and {to_rate} Hz have no useful common divisor: resample the audio "
                "to a usual rate first."
            )

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See the class."""
        if self.from_rate == self.to_rate:
            return wav
        from torchaudio.functional import resample  # late: torchaudio fails to load on some systems

        return resample(wav, self.from_rate, self.to_rate)
