"""Resampling as a layer: gradients flow through, the first sample stays where it is."""

import math

import torch
from torch import nn

from ..errors import ConfigError

MAX_KERNEL = 1 << 22  # numbers; the filter of two rates without a common divisor has billions


class Resample(nn.Module):
    """Band-limited resampling of ``(..., T)``; hands the input through where the rates are equal.

    Args:
        from_rate: Of the input, Hz.
        to_rate: Of the output, Hz.

    Raises:
        ConfigError: If the rates are no positive whole numbers, or have so small a common divisor
            that the filter would not fit into memory.

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
                f"Sample rates are positive whole numbers, received {from_rate} and {to_rate} Hz."
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
        from torchaudio.functional import resample  # late: torchaudio has been seen not to load

        return resample(wav, self.from_rate, self.to_rate)
