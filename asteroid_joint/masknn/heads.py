"""Small heads that predict something per frame from the features of a separator."""

import math

import torch
from torch import nn

RARE_LOGIT = math.log(0.01 / 0.99)  # initial bias: expect 1 % active pitch bins, not one half


class FrameHead(nn.Module):
    """Features to logits per frame: two convolutions over time, then one per frame.

    Args:
        in_chan: Features per frame.
        n_out: Outputs per frame, e.g. the bins of a pitch grid.
        hid_chan: Hidden features per frame.

    Shape:
        ``(B, D, N)`` to ``(B, N, n_out)``.
    """

    def __init__(self, in_chan: int, n_out: int, hid_chan: int = 128) -> None:
        super().__init__()
        out = nn.Conv1d(hid_chan, n_out, 1)
        nn.init.constant_(out.bias, RARE_LOGIT)  # type: ignore[arg-type]
        self.layers = nn.Sequential(
            nn.GroupNorm(1, in_chan),
            nn.Conv1d(in_chan, hid_chan, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(hid_chan, hid_chan, 3, padding=2, dilation=2),
            nn.ReLU(),
            out,
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``(B, D, N)`` to ``(B, N, n_out)``."""
        return self.layers(features).transpose(1, 2)
