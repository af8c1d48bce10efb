"""Pitch logits from what is near in time: a harmonic head without recurrence.

It can stand behind any network whose context is bounded without taking that property away.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from ..pitch import PitchGrid
from .harmonic import HarmonicStack
from .heads import RARE

KERNEL = (3, 9)  # frames, pitch bins
CONTEXT_KERNEL, DILATION = 5, 4  # frames; the second layer of the correction is dilated


class LocalPitchHead(nn.Module):
    """Harmonic stack, convolutions over (frame, pitch bin), a correction from the frames around.

    The convolutions' map is the logits already; the correction sees whole frames and adds what
    needs context: octave decisions and voicing.

    Args:
        n_fft, n_freqs, grid, harmonics: See :class:`~asteroid_joint.masknn.harmonic.HarmonicStack`.
        channels: Of the convolutions.
        context_chan: Width of the correction.

    Attributes:
        reach: Frames that an output depends on, on either side.
    """

    def __init__(
        self,
        n_fft: int,
        n_freqs: int,
        grid: PitchGrid,
        harmonics: Sequence[float] = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10),
        channels: Sequence[int] = (12, 12),
        context_chan: int = 128,
    ) -> None:
        super().__init__()
        self.stack = HarmonicStack(n_fft, n_freqs, grid, harmonics)
        self.norm = nn.BatchNorm2d(len(harmonics))
        padding = (KERNEL[0] // 2, KERNEL[1] // 2)
        layers: list[nn.Module] = []
        for below, chan in zip((len(harmonics), *channels), channels, strict=False):
            layers += [nn.Conv2d(below, chan, KERNEL, padding=padding), nn.ReLU()]
        self.convs = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 1))
        side = CONTEXT_KERNEL // 2
        self.correct = nn.Sequential(
            nn.Conv1d(grid.n_bins, context_chan, CONTEXT_KERNEL, padding=side),
            nn.ReLU(),
            nn.Conv1d(
                context_chan,
                context_chan,
                CONTEXT_KERNEL,
                padding=side * DILATION,
                dilation=DILATION,
            ),
            nn.ReLU(),
            nn.Conv1d(context_chan, grid.n_bins, 1),
        )
        # most bins are empty: a head that begins at one half unlearns that first
        nn.init.constant_(self.correct[-1].bias, math.log(RARE / (1 - RARE)))  # type: ignore
        self.reach = len(channels) * padding[0] + side * (1 + DILATION)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Non-negative map ``(B, 1, N, F)`` to logits ``(B, N, P)``."""
        logits = self.convs(self.norm(self.stack(x)))[:, 0]  # (B, N, P)
        return (logits + self.correct(logits.transpose(1, 2)).transpose(1, 2)).float()
