"""Dual-path block: recurrence over time at each frequency position, then over frequency.

References:
    Y. Luo, Z. Chen, T. Yoshioka, "Dual-path RNN", ICASSP 2020, https://arxiv.org/abs/1910.06379;
    over time and frequency as in J. Chen et al., "Music Source Separation Based on a Lightweight
    Deep Learning Framework (DTTNet)", ICASSP 2024, https://arxiv.org/abs/2309.08684
"""

import torch
from torch import nn


class ResidualLSTM(nn.Module):
    """Group norm, bidirectional LSTM, linear layer back, plus the input.

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
        """``(B, L, D)`` sequences of length L to the same."""
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.linear(self.lstm(hidden)[0])


class DualPath(nn.Module):
    """Recurrence over frames, weights shared by positions; then over positions, shared by frames.

    Args:
        chan: Features.
        hid_chan: Recurrent features per direction.
        n_groups: See :class:`ResidualLSTM`.
    """

    def __init__(self, chan: int, hid_chan: int, n_groups: int = 1) -> None:
        super().__init__()
        self.over_time = ResidualLSTM(chan, hid_chan, n_groups)
        self.over_freq = ResidualLSTM(chan, hid_chan, n_groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to the same."""
        batch, chan, frames, freqs = x.shape
        x = x.permute(0, 3, 2, 1).reshape(batch * freqs, frames, chan)  # (B F, N, D)
        x = self.over_time(x).reshape(batch, freqs, frames, chan)
        x = x.transpose(1, 2).reshape(batch * frames, freqs, chan)  # (B N, F, D)
        x = self.over_freq(x).reshape(batch, frames, freqs, chan)
        return x.permute(0, 3, 1, 2)  # (B, D, N, F)
