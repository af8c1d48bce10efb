"""TFC-TDF U-Net: small convolutions over time and frequency, dense layers along frequency.

In order: unit, dense layers, block, network. Maps are ``(B, D, N, F)``; every unit is a convolution
or linear layer followed by batch norm and ReLU.

References:
    M. Kim, J. H. Lee, S. Jung, "Sound Demixing Challenge 2023 Music Demixing Track Technical
    Report: TFC-TDF-UNet v3", 2023, https://arxiv.org/abs/2306.09382 (the block)
    J. Chen, S. Vekkot, P. Shukla, "Music Source Separation Based on a Lightweight Deep Learning
    Framework (DTTNet: Dual-Path TFC-TDF UNet)", ICASSP 2024, https://arxiv.org/abs/2309.08684
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ..errors import ConfigError
from .dual_path import ImprovedDualPath


def unit(layer: nn.Module, chan: int) -> nn.Sequential:
    """``layer``, batch norm over its ``chan`` output channels, ReLU."""
    return nn.Sequential(layer, nn.BatchNorm2d(chan), nn.ReLU())


def convolutions(chan: int, n_convs: int) -> nn.Sequential:
    """``n_convs`` units with a 3x3 convolution ("TFC")."""
    return nn.Sequential(*(unit(nn.Conv2d(chan, chan, 3, padding=1), chan) for _ in range(n_convs)))


def dense_layers(chan: int, n_freqs: int, bottleneck: int) -> nn.Sequential:
    """Two units along frequency through ``n_freqs // bottleneck`` features ("TDF").

    Weights are shared by channels and frames.
    """
    width = n_freqs // bottleneck
    return nn.Sequential(
        *unit(nn.Linear(n_freqs, width, bias=False), chan),
        *unit(nn.Linear(width, n_freqs, bias=False), chan),
    )


class TFCTDF(nn.Module):
    """Convolutions, residual dense layers along frequency, convolutions; plus a 3x3 shortcut unit.

    Args:
        chan: Features.
        n_freqs: Frequency positions.
        n_convs: Convolutions on either side of the dense layers.
        bottleneck: ``n_freqs`` divided by the width of the dense layers.

    Shapes: ``(B, chan, N, n_freqs)`` to the same shape.
    """

    def __init__(self, chan: int, n_freqs: int, n_convs: int, bottleneck: int) -> None:
        super().__init__()
        self.shortcut = convolutions(chan, 1)
        self.before = convolutions(chan, n_convs)
        self.tdf = dense_layers(chan, n_freqs, bottleneck)
        self.after = convolutions(chan, n_convs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        hidden = self.before(x)
        hidden = hidden + self.tdf(hidden)
        return self.after(hidden) + self.shortcut(x)


class Maps(NamedTuple):
    """Output of :class:`TFCTDFNet`.

    Attributes:
        output: ``(B, out_chan, N, F)``.
        latent: Map after the dual paths, ``(B, D, N', F')``; ``N'`` includes padding.
        decoded: Map before the last convolution, ``(B, D, N, F)``.
    """

    output: torch.Tensor
    latent: torch.Tensor
    decoded: torch.Tensor


class TFCTDFNet(nn.Module):
    """U-Net of :class:`TFCTDF` blocks with dual paths at the bottom; skips are multiplied.

    Each level halves time and frequency and adds ``growth`` channels. Frames are zero-padded to a
    multiple of ``factor`` and cropped again.

    Args:
        in_chan: Input maps.
        out_chan: Output maps.
        n_freqs: Frequency positions.
        first_chan: Features at full resolution.
        growth: Features that each level adds.
        depth: Levels above the bottom.
        n_convs, bottleneck: See :class:`TFCTDF`.
        n_paths: Dual-path blocks at the bottom.
        n_heads: Heads of the dual-path blocks.

    Raises:
        ConfigError: If ``n_freqs`` cannot be halved ``depth`` times, the dense layers would be
            empty, or the heads do not divide the channels.
    """

    def __init__(
        self,
        in_chan: int,
        out_chan: int,
        n_freqs: int,
        first_chan: int = 32,
        growth: int = 32,
        depth: int = 2,
        n_convs: int = 3,
        bottleneck: int = 8,
        n_paths: int = 4,
        n_heads: int = 2,
    ) -> None:
        super().__init__()
        self.factor = 2**depth
        if n_freqs % self.factor:
            raise ConfigError(
                f"{n_freqs} frequency positions are not divisible by {self.factor}, which depth "
                f"{depth} requires: change n_freqs, fold or depth."
            )
        if not 1 <= bottleneck <= n_freqs // self.factor:
            raise ConfigError(
                f"bottleneck {bottleneck} leaves nothing of the {n_freqs // self.factor} frequency "
                "positions at the bottom: choose a smaller one."
            )
        chans = [first_chan + level * growth for level in range(depth + 1)]
        freqs = [n_freqs // 2**level for level in range(depth + 1)]
        blocks = [
            TFCTDF(chan, n, n_convs, bottleneck) for chan, n in zip(chans, freqs, strict=True)
        ]
        self.first = unit(nn.Conv2d(in_chan, first_chan, 1), first_chan)
        self.encoder = nn.ModuleList(blocks[:-1])
        self.downs = nn.ModuleList(
            unit(nn.Conv2d(i, o, 2, stride=2), o)
            for i, o in zip(chans[:-1], chans[1:], strict=True)
        )
        self.bottom = blocks[-1]
        self.paths = ImprovedDualPath(chans[-1], n_paths, n_heads)
        self.ups = nn.ModuleList(
            unit(nn.ConvTranspose2d(i, o, 2, stride=2), o)
            for i, o in zip(chans[:0:-1], chans[-2::-1], strict=True)
        )
        self.decoder = nn.ModuleList(
            TFCTDF(chan, n, n_convs, bottleneck)
            for chan, n in zip(chans[-2::-1], freqs[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(first_chan, out_chan, 1)

    def forward(self, x: torch.Tensor) -> Maps:
        """``(B, in_chan, N, F)`` to :class:`Maps`."""
        frames = x.shape[2]
        x = self.first(functional.pad(x, (0, 0, 0, -frames % self.factor)))
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)  # (B, D + growth, N / 2, F / 2)
        x = latent = self.paths(self.bottom(x))
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = block(up(x) * skip)
        decoded = x[:, :, :frames]
        return Maps(self.last(decoded), latent, decoded)
