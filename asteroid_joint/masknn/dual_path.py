"""Dual-path blocks: recurrence over time at each frequency position, then over frequency.

References:
    Y. Luo, Z. Chen, T. Yoshioka, "Dual-path RNN", ICASSP 2020, https://arxiv.org/abs/1910.06379
    J. Chen, S. Vekkot, P. Shukla, "Music Source Separation Based on a Lightweight Deep Learning
    Framework (DTTNet: Dual-Path TFC-TDF UNet)", ICASSP 2024, https://arxiv.org/abs/2309.08684
    (over time and frequency; :class:`ImprovedDualPath`)
"""

import torch
from torch import nn

from ..errors import ConfigError

GROUP_CHAN = 16  # features per group of the norms of an improved dual path


class ResidualLSTM(nn.Module):
    """Group norm, bidirectional LSTM and linear layer, with a residual connection.

    Args:
        chan: Features.
        hid_chan: Recurrent features per direction.
        n_groups: Groups of the norm; statistics are over (features of the group, sequence).
    """

    def __init__(self, chan: int, hid_chan: int, n_groups: int = 1) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(n_groups, chan)
        self.lstm = nn.LSTM(chan, hid_chan, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * hid_chan, chan)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, L, D)`` sequences of length L to the same shape."""
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.linear(self.lstm(hidden)[0])


class DualPath(nn.Module):
    """Recurrence over frames with the same weights at all positions, then over positions.

    Args:
        chan, hid_chan, n_groups: See :class:`ResidualLSTM`.
    """

    def __init__(self, chan: int, hid_chan: int, n_groups: int = 1) -> None:
        super().__init__()
        self.over_time = ResidualLSTM(chan, hid_chan, n_groups)
        self.over_freq = ResidualLSTM(chan, hid_chan, n_groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to the same shape."""
        batch, chan, frames, freqs = x.shape
        x = x.permute(0, 3, 2, 1).reshape(batch * freqs, frames, chan)  # (B F, N, D)
        x = self.over_time(x).reshape(batch, freqs, frames, chan)
        x = x.transpose(1, 2).reshape(batch * frames, freqs, chan)  # (B N, F, D)
        x = self.over_freq(x).reshape(batch, frames, freqs, chan)
        return x.permute(0, 3, 1, 2)  # (B, D, N, F)


class ImprovedDualPath(nn.Module):
    """Consecutive dual-path blocks on groups of channels (heads) that share all weights.

    Recurrent layers are as narrow as the heads: half the channels need a quarter of the weights.
    Heads do not exchange anything here, but in the next convolution.

    Args:
        chan: Features of the map.
        n_layers: Dual-path blocks.
        n_heads: Groups of features.

    Raises:
        ConfigError: If the heads, or the groups of the norms, do not divide their channels.

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
        """``(B, D, N, F)`` to the same shape."""
        batch, chan, frames, freqs = x.shape
        x = x.reshape(batch * self.n_heads, self.head_chan, frames, freqs)  # (B heads, D', N, F)
        for layer in self.layers:
            x = layer(x)
        return x.reshape(batch, chan, frames, freqs)
