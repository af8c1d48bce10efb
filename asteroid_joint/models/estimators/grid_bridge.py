"""From one pitch grid to another, inside the graph."""

from dataclasses import replace
from fractions import Fraction

import torch
from torch import nn

from ...errors import ConfigError
from ...pitch.grid import PitchGrid

BELOW = -12.0  # logit of a bin that the source does not cover


class GridBridge(nn.Module):
    """Logits on one grid to logits on another: linear interpolation over time, then over bins.

    Frames and bins that both grids share come out as they are.

    Args:
        source: Grid of the input.
        target: Grid of the output; rates and hops may differ.

    Raises:
        ConfigError: If the pitch ranges do not overlap.

    Example:
        >>> bridge = GridBridge(PitchGrid(160, 16000), PitchGrid(882, 44100))
        >>> bridge(torch.zeros(1, 100, 360), n_frames=50).shape  # 10 to 20 ms
        torch.Size([1, 50, 360])
    """

    bins: torch.Tensor
    outside: torch.Tensor

    def __init__(self, source: PitchGrid, target: PitchGrid) -> None:
        super().__init__()
        ratio: Fraction = target.hop / source.hop  # source frames per target frame
        self.step, self.parts = ratio.numerator, ratio.denominator
        hops = {"hop_length": target.hop_length, "sample_rate": target.sample_rate}
        self.same_bins = replace(source, **hops) == target
        if not self.same_bins:
            bins = torch.arange(target.n_bins, dtype=torch.float64, device="cpu")
            wanted = source.cents_to_bin(target.bin_to_cents(bins))
            outside = (wanted < 0) | (wanted > source.n_bins - 1)  # (P,)
            if bool(outside.all()):
                low, high = source.bin_to_hz(0.0), source.bin_to_hz(float(source.n_bins - 1))
                raise ConfigError(
                    f"The estimator's pitch range, {low:.0f} to {high:.0f} Hz, does not overlap "
                    f"{target.bin_to_hz(0.0):.0f} to "
                    f"{target.bin_to_hz(float(target.n_bins - 1)):.0f} Hz: choose another one."
                )
            distance = (wanted - torch.arange(source.n_bins, device="cpu")[:, None]).abs()
            weights = (1 - distance).clamp_min(0.0) * ~outside  # (source bins, P)
            self.register_buffer("bins", weights.float(), persistent=False)
            self.register_buffer("outside", BELOW * outside.float(), persistent=False)

    def forward(self, logits: torch.Tensor, n_frames: int) -> torch.Tensor:
        """``(B, N', P')`` to ``(B, n_frames, P)``; beyond the last frame, the last frame."""
        if not (self.step == self.parts and logits.shape[1] >= n_frames):
            position = torch.arange(n_frames, device=logits.device) * self.step
            left = position // self.parts
            weight = ((position % self.parts) / self.parts).to(logits.dtype)[:, None]  # (N, 1)
            last = logits.shape[1] - 1
            before = logits[:, left.clamp(max=last)]
            logits = before + weight * (logits[:, (left + 1).clamp(max=last)] - before)
        logits = logits[:, :n_frames]
        return logits if self.same_bins else logits @ self.bins + self.outside
