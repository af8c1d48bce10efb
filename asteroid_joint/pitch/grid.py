"""The pitch grid: the only place that converts between bins, cents, Hz, frames and seconds."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import torch

CENTS_REFERENCE_HZ = 10.0  # Hz; cents are counted from here, as CREPE and DJCM do
BIN_0_CENTS = 1997.3794084376191  # cents above 10 Hz of bin 0, i.e. 31.70 Hz
N_BINS = 360  # pitch bins
CENTS_PER_BIN = 20.0  # cents

Array = TypeVar("Array", np.ndarray, torch.Tensor, float)


@dataclass(frozen=True)
class PitchGrid:
    """Pitch bins and frame times of a model.

    Args:
        hop_length: Distance of two frames in samples.
        sample_rate: Samples per second, Hz.
        n_bins: Number of pitch bins.
        cents_per_bin: Width of a bin, cents.
        bin_0_cents: Centre of bin 0 in cents above 10 Hz.

    References:
        J. W. Kim et al., "CREPE: A convolutional representation for pitch estimation",
        ICASSP 2018, section 2.1 (the 360 bins of 20 cents).

    Example:
        >>> grid = PitchGrid(hop_length=320, sample_rate=16000)
        >>> round(grid.bin_to_hz(0.0), 2), round(grid.bin_to_hz(359.0), 1)
        (31.7, 2005.5)
        >>> grid.n_frames(40960)
        128
    """

    hop_length: int
    sample_rate: int
    n_bins: int = N_BINS
    cents_per_bin: float = CENTS_PER_BIN
    bin_0_cents: float = BIN_0_CENTS

    @property
    def hop(self) -> Fraction:
        """Distance of two frames in seconds, exactly."""
        return Fraction(self.hop_length, self.sample_rate)

    def n_frames(self, n_samples: int) -> int:
        """Number of frames whose centre lies inside ``n_samples`` samples.

        Raises:
            ValueError: If ``n_samples`` is not positive.
        """
        if n_samples <= 0:
            raise ValueError(f"Expected at least one sample, received {n_samples}.")
        return (n_samples - 1) // self.hop_length + 1

    def times(self, n_frames: int) -> np.ndarray:
        """Centres of the first ``n_frames`` frames in seconds, ``(n_frames,)`` float64."""
        return np.arange(n_frames) * self.hop_length / self.sample_rate

    def frame_to_sec(self, frame: Array) -> Array:
        """Frame index to seconds."""
        return frame * self.hop_length / self.sample_rate

    def sec_to_frame(self, sec: Array) -> Array:
        """Seconds to a (fractional) frame index."""
        return sec * self.sample_rate / self.hop_length

    def bin_to_cents(self, bins: Array) -> Array:
        """(Fractional) pitch bin to cents above 10 Hz."""
        return bins * self.cents_per_bin + self.bin_0_cents

    def cents_to_bin(self, cents: Array) -> Array:
        """Cents above 10 Hz to a (fractional) pitch bin."""
        return (cents - self.bin_0_cents) / self.cents_per_bin

    def bin_to_hz(self, bins: Array) -> Array:
        """(Fractional) pitch bin to Hz."""
        return cents_to_hz(self.bin_to_cents(bins))

    def hz_to_bin(self, hz: Array) -> Array:
        """Positive frequency in Hz to a (fractional) pitch bin."""
        return self.cents_to_bin(hz_to_cents(hz))

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values that describe the grid, stored beside the weights."""
        return {
            "hop_length": int(self.hop_length),
            "sample_rate": int(self.sample_rate),
            "n_bins": int(self.n_bins),
            "cents_per_bin": float(self.cents_per_bin),
            "bin_0_cents": float(self.bin_0_cents),
        }


def cents_to_hz(cents: Array) -> Array:
    """Cents above 10 Hz to Hz."""
    return CENTS_REFERENCE_HZ * 2 ** (cents / 1200)  # type: ignore[operator, return-value]


def hz_to_cents(hz: Array) -> Array:
    """Positive frequency in Hz to cents above 10 Hz."""
    if isinstance(hz, torch.Tensor):
        return 1200 * torch.log2(hz / CENTS_REFERENCE_HZ)
    return 1200 * np.log2(hz / CENTS_REFERENCE_HZ)


def midi_to_hz(semitone: np.ndarray) -> np.ndarray:
    """MIDI semitone numbers to Hz; 0 (unvoiced in many label files) stays 0."""
    return np.where(semitone > 0, 440.0 * 2.0 ** ((semitone - 69.0) / 12.0), 0.0)
