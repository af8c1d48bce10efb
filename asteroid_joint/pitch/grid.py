"""The pitch grid: the only place that converts between bins, cents, Hz, frames and seconds."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

CENTS_REFERENCE_HZ = 10.0  # 0 cents, as in CREPE and DJCM
BIN_0_CENTS = 1997.3794084376191  # above 10 Hz, i.e. 31.70 Hz
N_BINS = 360
CENTS_PER_BIN = 20.0

Array = TypeVar("Array", np.ndarray, "torch.Tensor", float)


@dataclass(frozen=True)
class PitchGrid:
    """Pitch bins and frame times of a model.

    Args:
        hop_length: Distance of two frames in samples.
        sample_rate: Sample rate in Hz.
        n_bins: Number of pitch bins.
        cents_per_bin: Width of a bin in cents.
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
        """The grid as plain Python values, which are stored beside the weights."""
        return {
            "hop_length": int(self.hop_length),
            "sample_rate": int(self.sample_rate),
            "n_bins": int(self.n_bins),
            "cents_per_bin": float(self.cents_per_bin),
            "bin_0_cents": float(self.bin_0_cents),
        }


def cents_to_hz(cents: Array, reference_hz: Array | float = CENTS_REFERENCE_HZ) -> Array:
    """Cents above a reference frequency to Hz.

    Args:
        cents: Number, array or tensor.
        reference_hz: Reference frequency in Hz; with 1, the result is a ratio.
    """
    return reference_hz * 2 ** (cents / 1200)  # type: ignore[operator, return-value]


def hz_to_cents(hz: Array, reference_hz: Array | float = CENTS_REFERENCE_HZ) -> Array:
    """Positive frequency in Hz to cents above a reference frequency.

    Args:
        hz: Number, array or tensor.
        reference_hz: Reference frequency in Hz: one, or one for each of ``hz``.

    Example:
        >>> round(hz_to_cents(660.0, 440.0))  # a fifth
        702
    """
    return 1200 * _log2(hz / reference_hz)  # type: ignore[return-value]


def midi_to_hz(midi: Array) -> Array:
    """MIDI note, a number or an array, to Hz; 0 (unvoiced in many label files) stays 0."""
    hz = np.where(midi > 0, 440.0 * 2.0 ** ((midi - 69.0) / 12.0), 0.0)
    return hz[()]  # type: ignore[return-value]


def hz_to_midi(hz: Array) -> Array:
    """Positive frequency in Hz, a number, array or tensor, to a fractional MIDI note.

    Example:
        >>> round(float(hz_to_midi(450.0)), 3)
        69.389
    """
    return 69 + 12 * _log2(hz / 440)  # type: ignore[return-value]


def _log2(ratio: Array) -> Array:
    # tensors have a method, numbers and arrays have not
    return ratio.log2() if hasattr(ratio, "log2") else np.log2(ratio)  # type: ignore[return-value]
