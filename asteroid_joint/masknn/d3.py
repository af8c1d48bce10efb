"""D3Net: densely connected convolutions with several dilations at once.

In order: D2 block, D3 block, U-Net of D3 blocks, the network of one source, the published
configurations. Maps are ``(B, D, N, F)``. Every convolution is preceded by batch norm and ReLU.

References:
    N. Takahashi, Y. Mitsufuji, "D3Net: Densely connected multidilated DenseNet for music source
    separation", 2020, https://arxiv.org/abs/2010.01733. Details follow the authors' code,
    sony/ai-research-code.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ..errors import ConfigError


def norm_act_conv(in_chan: int, out_chan: int, dilation: int = 1) -> nn.Sequential:
    """Batch norm, ReLU, 3x3 convolution that keeps the map's size."""
    return nn.Sequential(
        nn.BatchNorm2d(in_chan),
        nn.ReLU(),
        nn.Conv2d(in_chan, out_chan, 3, padding=dilation, dilation=dilation),
    )


class D2Block(nn.Module):
    """Densely connected layers, with less dilation for features from earlier layers.

    Features form groups of ``growth``. The first convolution contributes to every group. Group
    ``j`` is complete once all groups before it have contributed; its own contribution to all later
    groups is one convolution with dilation ``2 ** (j + 1)``. So a layer reads each group before it
    with another dilation, yet each convolution has only one.

    Args:
        in_chan: Input features.
        growth: Features per group.
        n_layers: Number of groups.

    Shapes: ``(B, in_chan, N, F)`` to the last group ``(B, growth, N, F)``.
    """

    def __init__(self, in_chan: int, growth: int, n_layers: int) -> None:
        super().__init__()
        self.growth = growth
        self.first = norm_act_conv(in_chan, growth * n_layers)
        self.layers = nn.ModuleList(
            norm_act_conv(growth, growth * later, 2 ** (n_layers - later))
            for later in range(n_layers - 1, 0, -1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return _pass_on(self.first(x), self.layers, self.growth)


class D3Block(nn.Module):
    """D2 blocks that are densely connected like the layers of one.

    Args:
        in_chan: Input features.
        growth: Output features.
        n_layers: Layers per D2 block.
        n_blocks: Number of D2 blocks.

    Shapes: ``(B, in_chan, N, F)`` to ``(B, growth, N, F)``.
    """

    def __init__(self, in_chan: int, growth: int, n_layers: int, n_blocks: int) -> None:
        super().__init__()
        self.growth = growth
        self.first = D2Block(in_chan, growth * n_blocks, n_layers)
        self.blocks = nn.ModuleList(
            D2Block(growth, growth * later, n_layers) for later in range(n_blocks - 1, 0, -1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return _pass_on(self.first(x), self.blocks, self.growth)


def _pass_on(groups: torch.Tensor, layers: nn.ModuleList, growth: int) -> torch.Tensor:
    """Apply each layer to the first remaining group and add the output to all groups after it."""
    for layer in layers:
        groups = groups[:, growth:] + layer(groups[:, :growth])
    return groups


class Band(nn.Module):
    """Convolution and U-Net of D3 blocks over one frequency band.

    It has two halves, so that the features at the bottom can be modified between them.

    Args:
        in_chan: Input features.
        first_chan: Features after the first convolution, which has neither norm nor activation.
        growth: Features of each of an odd number of D3 blocks; the middle one is the bottom.
        n_layers: Layers per D2 block, for each D3 block.
        n_blocks: D2 blocks per D3 block.
    """

    def __init__(
        self,
        in_chan: int,
        first_chan: int,
        growth: Sequence[int],
        n_layers: Sequence[int],
        n_blocks: int,
    ) -> None:
        super().__init__()
        if len(growth) != len(n_layers) or len(growth) % 2 == 0:
            raise ConfigError(
                f"Expected growth and n_layers of one odd length, received {growth} and {n_layers}."
            )
        self.depth = depth = len(growth) // 2
        self.out_chan = growth[-1]
        self.first = nn.Conv2d(in_chan, first_chan, 3, padding=1)
        below = [first_chan, *growth]  # features that each D3 block reads
        skip_chan = list(reversed(growth[:depth]))
        self.down = nn.ModuleList(
            D3Block(below[i], growth[i], n_layers[i], n_blocks) for i in range(depth + 1)
        )
        self.unpool = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(growth[i]), nn.ConvTranspose2d(growth[i], growth[i], 2, stride=2)
            )
            for i in range(depth, 2 * depth)
        )
        self.up = nn.ModuleList(
            D3Block(growth[i] + skip_chan[i - depth], growth[i + 1], n_layers[i + 1], n_blocks)
            for i in range(depth, 2 * depth)
        )

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """``(B, in_chan, N, F)`` to the bottom ``(B, D, N / 2**d, F / 2**d)`` and skips."""
        x, skips = self.first(x), []
        for block in list(self.down)[:-1]:
            skips.append(block(x))
            x = functional.avg_pool2d(skips[-1], 2)
        return self.down[-1](x), skips

    def decode(self, bottom: torch.Tensor, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """Bottom and skips to ``(B, out_chan, N, F)``."""
        x = bottom
        for unpool, block, side in zip(self.unpool, self.up, reversed(skips), strict=True):
            x = block(torch.cat([unpool(x), side], 1))
        return x


class Encoded(NamedTuple):
    """Output of the encoders of a :class:`D3Net`: the bottom and skips of each band."""

    bottoms: list[torch.Tensor]
    skips: list[list[torch.Tensor]]


class D3Net(nn.Module):
    """Magnitude of a mixture to magnitude of one source, in three steps.

    The bands below and above ``split`` have a U-Net each, and the full band has a third one. The
    output is a magnitude, not a mask; bins from ``n_freqs`` on are those of the mixture.

    Args:
        n_channels: Audio channels.
        n_bins: Bins of the spectrogram.
        n_freqs: Bins that the network processes.
        split: First bin of the high band.
        low, high, full: Arguments of each :class:`Band`.
        final: ``growth`` and ``n_layers`` of the last :class:`D2Block`.

    Raises:
        ConfigError: If there are fewer bins than ``n_freqs``, or a band cannot be halved as often
            as its U-Net requires.

    References:
        arXiv 2010.01733 and the authors' code, which is initialised with statistics of the data:
        see :meth:`set_statistics`.
    """

    BANDS = ("low", "high", "full")
    bands: Any  # a ModuleDict of Band

    def __init__(
        self,
        n_channels: int,
        n_bins: int,
        n_freqs: int,
        split: int,
        low: Mapping[str, Any],
        high: Mapping[str, Any],
        full: Mapping[str, Any],
        final: Mapping[str, int],
    ) -> None:
        super().__init__()
        if n_freqs > n_bins:
            raise ConfigError(
                f"n_freqs {n_freqs} is more than the {n_bins} bins of the spectrogram: "
                f"lower it, or raise n_fft."
            )
        self.ranges = {"low": (0, split), "high": (split, n_freqs), "full": (0, n_freqs)}
        self.n_freqs = n_freqs
        options = {"low": low, "high": high, "full": full}
        bands = {name: Band(n_channels, **options[name]) for name in self.BANDS}
        for name, (start, end) in self.ranges.items():
            factor = 2 ** bands[name].depth
            if start >= end or (end - start) % factor:
                raise ConfigError(
                    f"The {name} band has {end - start} bins: expected a multiple of {factor}."
                )
        self.time_factor = 2 ** max(band.depth for band in bands.values())
        low_chan, high_chan, full_chan = (bands[name].out_chan for name in self.BANDS)
        self.bands = nn.ModuleDict(bands)
        self.match = nn.Sequential(nn.BatchNorm2d(high_chan), nn.Conv2d(high_chan, low_chan, 1))
        self.out_chan = low_chan + full_chan  # of ``decode``
        self.final = D2Block(self.out_chan, **final)
        self.norm = nn.BatchNorm2d(final["growth"])
        self.gate = nn.Conv2d(final["growth"], n_channels, 1)
        self.value = nn.Conv2d(final["growth"], n_channels, 1)
        self.in_offset = nn.Parameter(torch.zeros(n_bins))
        self.in_scale = nn.Parameter(torch.ones(n_bins))
        self.out_scale = nn.Parameter(torch.ones(n_freqs))
        self.out_offset = nn.Parameter(torch.ones(n_freqs))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @torch.no_grad()
    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Normalise the input by mean and standard deviation per bin, ``(n_bins,)`` each.

        Standard deviations are at least 1e-4 times the largest one, as in Open-Unmix (the floor is
        our choice).
        """
        self.in_offset.copy_(mean)
        floor = max(1e-4 * float(std.max()), torch.finfo(torch.float32).tiny)
        self.in_scale.copy_(std.clamp_min(floor))

    def encode(self, mag: torch.Tensor) -> Encoded:
        """``(B, C, N, F)`` to bottoms and skips.

        Frames are zero-padded to what the U-Nets need (ours: the authors use fixed lengths).
        """
        mag = functional.pad(mag, (0, 0, 0, -mag.shape[2] % self.time_factor))  # (B, C, N', F)
        x = (mag - self.in_offset) / self.in_scale
        halves = [self.bands[b].encode(x[..., slice(*self.ranges[b])]) for b in self.BANDS]
        return Encoded([bottom for bottom, _ in halves], [skips for _, skips in halves])

    def decode(self, encoded: Encoded) -> torch.Tensor:
        """Bottoms and skips to the input of the last block, ``(B, out_chan, N', n_freqs)``."""
        low, high, full = (
            self.bands[name].decode(bottom, skips)
            for name, bottom, skips in zip(self.BANDS, *encoded, strict=True)
        )
        return torch.cat([torch.cat([low, self.match(high)], 3), full], 1)

    def output(self, maps: torch.Tensor, mag: torch.Tensor) -> torch.Tensor:
        """Map and mixture ``(B, C, N, F)`` to the source's magnitude ``(B, C, N, F)``."""
        hidden = self.norm(self.final(maps[:, :, : mag.shape[2]]))
        out = (torch.sigmoid(self.gate(hidden)) * self.value(hidden)).float()  # (B, C, N, n_freqs)
        out = functional.relu(out * self.out_scale + self.out_offset)
        return torch.cat([out, mag[..., self.n_freqs :]], 3)

    def forward(self, mag: torch.Tensor) -> torch.Tensor:
        """All three steps: ``(B, C, N, F)`` to the same."""
        return self.output(self.decode(self.encode(mag)), mag)


def _bands(split: int, low: dict[str, Any], high: int, full: dict[str, Any]) -> dict[str, Any]:
    """Common part of the published networks; ``high`` is the number of D3 blocks of that band."""
    thin = {"growth": (2,) * high, "n_layers": (1,) * high, "n_blocks": 1, "first_chan": 8}
    return {
        "split": split,
        "low": {**low, "n_blocks": 2, "first_chan": 32},
        "high": thin,
        "full": {**full, "n_blocks": 2, "first_chan": 32},
        "final": {"growth": 12, "n_layers": 3},
    }


VOCALS = _bands(
    split=256,
    low={"growth": (16, 18, 20, 22, 20, 18, 16), "n_layers": (5, 5, 5, 5, 4, 4, 4)},
    high=5,
    full={
        "growth": (13, 14, 15, 16, 17, 16, 14, 12, 11),
        "n_layers": (4, 5, 6, 7, 8, 6, 5, 4, 4),
    },
)
OTHER = VOCALS
DRUMS = _bands(
    split=128,
    low={"growth": (16, 18, 20, 22, 20, 18, 16), "n_layers": (5, 5, 5, 4, 4, 4, 4)},
    high=5,
    full={
        "growth": (13, 14, 15, 16, 16, 16, 14, 12, 11),
        "n_layers": (4, 5, 6, 7, 8, 6, 6, 4, 4),
    },
)
BASS = _bands(
    split=192,
    low={"growth": (16, 18, 18, 20, 18, 16, 16), "n_layers": (5, 5, 5, 5, 4, 4, 4)},
    high=7,
    full={
        "growth": (10, 10, 12, 14, 16, 14, 12, 8, 8),
        "n_layers": (4, 5, 6, 7, 8, 6, 6, 4, 4),
    },
)
