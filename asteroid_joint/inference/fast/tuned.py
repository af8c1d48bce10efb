"""A runner with a narrower range of pitch, or another voicing threshold."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...errors import ConfigError
from ...pitch.grid import PitchGrid
from ...registry import DECODERS
from .runner import Runner, RunnerOutput


class TunedRunner(Runner):
    """Another runner whose pitch is looked for in some of its bins only.

    Bins out of range are taken away before anything is decoded, so that a decoder finds the best
    pitch in range instead of an octave error out of it. Stems and activity are those of the other
    runner.

    Args:
        inner: What runs the model.
        fmin_hz: Lowest frequency in Hz; ``None`` for the model's.
        fmax_hz: Highest frequency in Hz; ``None`` for the model's.
        voicing_threshold: Confidence above which a frame is voiced; ``None`` for the model's.

    Raises:
        ConfigError: If no bin of the model is in range.
    """

    def __init__(
        self,
        inner: Runner,
        fmin_hz: float | None = None,
        fmax_hz: float | None = None,
        voicing_threshold: float | None = None,
    ) -> None:
        self._inner = inner
        for name in ("name", "sources", "sample_rate", "in_channels", "has_pitch", "library"):
            setattr(self, name, getattr(inner, name))
        self.context_samples = inner.context_samples
        self.window_multiple = inner.window_multiple
        self.window_samples = inner.window_samples
        self.voicing_threshold = inner.voicing_threshold
        if voicing_threshold is not None:
            self.voicing_threshold = voicing_threshold
        self._bins = bins_between(inner.pitch_grid, fmin_hz, fmax_hz)
        self._narrower = len(self._bins) < inner.pitch_grid.n_bins
        self.pitch_grid = replace(
            inner.pitch_grid,
            n_bins=len(self._bins),
            bin_0_cents=inner.pitch_grid.bin_to_cents(self._bins.start),
        )

    def run(self, wav: np.ndarray) -> RunnerOutput:
        out = self._inner.run(wav)
        if not self._narrower:
            return out
        logits = out.pitch_logits[..., self._bins.start : self._bins.stop]  # (B, N, P')
        return out._replace(pitch_logits=logits.copy())  # not a view of what is three times larger

    def decode_pitch(
        self, pitch_logits: np.ndarray, decoder: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._narrower:
            activations = self.library.asarray(self.activations(pitch_logits))
            hz, confidence = map(np.asarray, DECODERS[decoder](activations, self.pitch_grid))
        else:
            hz, confidence, _ = self._inner.decode_pitch(pitch_logits, decoder)
        return hz, confidence, confidence > self.voicing_threshold

    def activations(self, pitch_logits: np.ndarray) -> np.ndarray:
        return self._inner.activations(pitch_logits)

    def check_activity(self) -> None:
        self._inner.check_activity()

    def identity(self) -> Iterator[bytes]:
        return self._inner.identity()


def bins_between(grid: PitchGrid, fmin_hz: float | None, fmax_hz: float | None) -> range:
    """Bins whose centres lie in a range.

    Args:
        grid: Pitch grid of the model.
        fmin_hz: Lowest frequency in Hz; ``None`` for the grid's.
        fmax_hz: Highest frequency in Hz; ``None`` for the grid's.

    Raises:
        ConfigError: If there are none.

    Example:
        >>> bins_between(PitchGrid(320, 16000), 100.0, 1000.0)
        range(100, 299)
    """
    hz = grid.bin_to_hz(np.arange(grid.n_bins))
    low, high = (fmin_hz or 0.0), (np.inf if fmax_hz is None else fmax_hz)
    inside = np.flatnonzero((hz >= low) & (hz <= high))
    if not len(inside):
        asked = f"{low:g} Hz and above" if fmax_hz is None else f"{low:g} to {high:g} Hz"
        raise ConfigError(
            f"This model finds no pitch at {asked}: it knows {hz[0]:.0f} to {hz[-1]:.0f} Hz."
        )
    return range(int(inside[0]), int(inside[-1]) + 1)
