"""Improved dual-path module: heads folded into the batch, then recurrence over time and frequency.

References:
    J. Chen, S. Vekkot, P. Shukla, "Music Source Separation Based on a Lightweight Deep Learning
    Framework (DTTNet: Dual-Path TFC-TDF UNet)", ICASSP 2024, https://arxiv.org/abs/2309.08684
"""

import torch
from torch import nn

from ..errors import ConfigError
from .dual_path import DualPath

GROUP_CHAN = 16  # features per group of the norms


class ImprovedDualPath(nn.Module):
    """Dual-path blocks in a row, on groups of channels that share all weights.

    Heads are narrower than the map, and so are the recurrent layers: half the channels make a
    quarter of the weights. Nothing is exchanged between heads in here; the next convolution does.

    Args:
        chan: Features of the map.
        n_layers: Dual-path blocks.
        n_heads: Groups of features.

    Raises:
        ConfigError: If heads, or the groups of the norms, do not divide their channels.

    Example:
        >>> ImprovedDualPath(96, n_layers=1, n_heads=2)(torch.zeros(1, 96, 4, 8)).shape
        torch.Size([1, 96, 4, 8])
    """

    def __init__(self, chan: int, n_layers: int, n_heads: int) -> None:
        super().__init__()
        if n_heads < 1 or chan % n_heads:
            raise ConfigError(
                f"n_heads {n_heads} does not divide the {chan} channels at the bottom: choose "
                "another n_heads, or other channels."
            )
        self.n_heads = n_heads
        self.head_chan = chan // n_heads
        n_groups = max(1, self.head_chan // GROUP_CHAN)
        if self.head_chan % n_groups:
            raise ConfigError(
                f"{n_groups} groups of a norm do not divide the {self.head_chan} channels of a "
                f"head: choose channels per head below {2 * GROUP_CHAN} or divisible by "
                f"{GROUP_CHAN}."
            )
        self.layers = nn.ModuleList(
            DualPath(self.head_chan, 2 * self.head_chan, n_groups) for _ in range(n_layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to the same."""
        batch, chan, frames, freqs = x.shape
        x = x.reshape(batch * self.n_heads, self.head_chan, frames, freqs)  # (B heads, D', N, F)
        for layer in self.layers:
            x = layer(x)
        return x.reshape(batch, chan, frames, freqs)
