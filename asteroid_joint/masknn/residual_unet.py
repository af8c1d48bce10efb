"""The residual U-Net of DJCM, its controls and their small variants.

Maps are ``(B, D, N, F)``. The paper pools frequency only and keeps every bin up to the first block,
which is limited by memory traffic on a CPU. Four options, which are off in the paper's
configuration, move the work to where resolution is needed:

``fold``
    neighbouring bins become channels before the first block (without loss; maps shrink by that
    factor);
``pools``
    ``(time, frequency)`` per level, so deep levels may drop frames as well;
``hid_chan``
    a bidirectional LSTM over whole frames at the bottom, whose context is all frequencies and the
    whole segment at the cost of one dense layer;
``path_chan``
    a dual-path block before it.

References:
    H. Wei et al., "DJCM: A Deep Joint Cascade Model for Singing Voice Separation and Vocal Pitch
    Estimation", ICASSP 2024, https://arxiv.org/abs/2401.03856
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import nn
from torch.nn import functional

from ..errors import ConfigError
from .dual_path import DualPath

BN_MOMENTUM = 0.01
Pool = tuple[int, int]  # (time, frequency)


def make_activation(act: str) -> nn.Module:
    """``"prelu"`` (the paper; one slope per layer) or ``"relu"`` (2 x faster to train in bf16)."""
    if act == "prelu":
        return nn.PReLU()
    if act == "relu":
        return nn.ReLU()
    raise ValueError(f"Expected act 'prelu' or 'relu', received {act!r}.")


class ResidualConvBlock(nn.Module):
    """Pre-activation residual block: twice (batch norm, activation, 3x3 convolution).

    Args:
        in_chan: Input features.
        out_chan: Output features; the shortcut is a 1x1 convolution where they differ.
        act: Activation, see :func:`make_activation`.

    Shapes: ``(B, in_chan, N, F)`` to ``(B, out_chan, N, F)``.
    """

    def __init__(self, in_chan: int, out_chan: int, act: str = "prelu") -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_chan, momentum=BN_MOMENTUM)
        self.act1 = make_activation(act)
        self.conv1 = nn.Conv2d(in_chan, out_chan, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_chan, momentum=BN_MOMENTUM)
        self.act2 = make_activation(act)
        self.conv2 = nn.Conv2d(out_chan, out_chan, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(in_chan, out_chan, 1) if in_chan != out_chan else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        hidden = self.conv1(self.act1(self.norm1(x)))
        hidden = self.conv2(self.act2(self.norm2(hidden)))
        return hidden + self.shortcut(x)


class UNetEncoder(nn.Module):
    """Residual blocks with max pooling between them.

    Args:
        in_chan: Input features.
        channels: Features per level.
        pools: ``(time, frequency)`` pooling after each level.
        act: Activation.

    Returns ``(bottom, skips)``: the pooled last map and each level's map before pooling.
    """

    def __init__(
        self, in_chan: int, channels: Sequence[int], pools: Sequence[Pool], act: str = "prelu"
    ) -> None:
        super().__init__()
        chans = [in_chan, *channels]
        self.blocks = nn.ModuleList(
            ResidualConvBlock(i, o, act) for i, o in zip(chans[:-1], chans[1:], strict=True)
        )
        self.pools = [(int(time), int(freq)) for time, freq in pools]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See the class."""
        skips = []
        for block, pool in zip(self.blocks, self.pools, strict=True):
            x = block(x)  # (B, D, N, F)
            skips.append(x)
            x = functional.max_pool2d(x, pool)  # (B, D, N / time, F / frequency)
        return x, skips


class FrameLSTM(nn.Module):
    """Residual bidirectional LSTM over whole frames of a map.

    Args:
        n_features: ``D * F`` of the map.
        hid_chan: Features of the projection and of each direction.
    """

    def __init__(self, n_features: int, hid_chan: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_features, hid_chan)
        self.lstm = nn.LSTM(hid_chan, hid_chan, batch_first=True, bidirectional=True)
        self.expand = nn.Linear(2 * hid_chan, n_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to the same shape."""
        batch, chan, frames, freqs = x.shape
        frames_first = x.permute(0, 2, 3, 1).reshape(batch, frames, freqs * chan)  # (B, N, F D)
        hidden = self.expand(self.lstm(self.project(frames_first))[0])
        return x + hidden.reshape(batch, frames, freqs, chan).permute(0, 3, 1, 2)


class UNetDecoder(nn.Module):
    """Latent block, mirrored decoder, last block and 1x1 convolution to ``out_chan`` maps.

    Args:
        channels: Features per level of the encoder.
        pools: Pooling per level of the encoder.
        out_chan: Output maps.
        act: Activation.
        bottom_freqs: Frequency positions at the bottom; needed with ``hid_chan`` only.
        hid_chan: Features of the frame LSTM at the bottom, 0 for none.
        path_chan: Features of the dual-path block before it, 0 for none.
    """

    def __init__(
        self,
        channels: Sequence[int],
        pools: Sequence[Pool],
        out_chan: int,
        act: str = "prelu",
        bottom_freqs: int = 0,
        hid_chan: int = 0,
        path_chan: int = 0,
    ) -> None:
        super().__init__()
        bottom = channels[-1]
        self.latent = ResidualConvBlock(bottom, bottom, act)
        self.paths = DualPath(bottom, path_chan) if path_chan else nn.Identity()
        self.frames = FrameLSTM(bottom * bottom_freqs, hid_chan) if hid_chan else nn.Identity()
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleList()
        chan = bottom
        for out, (time, freq) in zip(reversed(channels), reversed(list(pools)), strict=True):
            pool = (int(time), int(freq))
            self.ups.append(
                nn.Sequential(
                    nn.BatchNorm2d(chan, momentum=BN_MOMENTUM),
                    nn.ReLU(),
                    nn.ConvTranspose2d(chan, out, pool, stride=pool, bias=False),
                )
            )
            self.blocks.append(ResidualConvBlock(2 * out, out, act))
            chan = out
        self.after = ResidualConvBlock(chan, chan, act)
        self.out = nn.Conv2d(chan, out_chan, 1)

    def forward(self, x: torch.Tensor, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """``(B, D, N', F')`` and the encoder's skips to ``(B, out_chan, N, F)``."""
        x = self.frames(self.paths(self.latent(x)))
        for up, block, skip in zip(self.ups, self.blocks, reversed(list(skips)), strict=True):
            x = block(torch.cat([up(x), skip], 1))
        return self.out(self.after(x))


class FrequencyFold(nn.Module):
    """Moves ``fold`` neighbouring bins to the channel axis and pads frames for time pooling.

    Args:
        fold: Bins per position.
        time_factor: Frames are zero-padded to a multiple of this.
    """

    def __init__(self, fold: int, time_factor: int = 1) -> None:
        super().__init__()
        self.fold = fold
        self.time_factor = time_factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to ``(B, D fold, N', F / fold)``, in channels-last memory."""
        missing = -x.shape[2] % self.time_factor
        if missing:
            x = functional.pad(x, (0, 0, 0, missing))
        batch, chan, frames, freqs = x.shape
        x = x.reshape(batch, chan, frames, freqs // self.fold, self.fold)
        x = x.permute(0, 1, 4, 2, 3).reshape(batch, chan * self.fold, frames, freqs // self.fold)
        return x.contiguous(memory_format=torch.channels_last)

    def inverse(self, x: torch.Tensor, n_frames: int) -> torch.Tensor:
        """``(B, D fold, N', F / fold)`` to ``(B, D, n_frames, F)``."""
        batch, chan, frames, freqs = x.shape
        x = x.reshape(batch, chan // self.fold, self.fold, frames, freqs)
        x = x.permute(0, 1, 3, 4, 2).reshape(batch, chan // self.fold, frames, freqs * self.fold)
        return x[:, :, :n_frames]


@dataclass(frozen=True)
class UNetSizes:
    """Sizes of a residual U-Net, and factories of its parts, which several U-Nets may share.

    Args:
        n_freqs: Frequency bins of the input; divisible by ``fold`` and all frequency pools.
        channels: Features per level.
        pools: ``(time, frequency)`` per level; by default the paper's (1, 2) everywhere.
        fold: Bins folded into channels.
        hid_chan: Features of the frame LSTM at the bottom, 0 for none.
        act: ``"prelu"`` or ``"relu"``.
        path_chan: Features of the dual-path block at the bottom, 0 for none.

    Raises:
        ConfigError: If ``n_freqs`` is not divisible, or the numbers of levels and pools differ.
    """

    n_freqs: int
    channels: Sequence[int] = (32, 64, 128, 256, 384, 384)
    pools: Sequence[Pool] | None = None
    fold: int = 1
    hid_chan: int = 0
    act: str = "prelu"
    path_chan: int = 0

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.channels):
            raise ConfigError(
                f"Expected as many pools as channels, received {len(self.levels)} pools for "
                f"{len(self.channels)} levels."
            )
        if self.n_freqs % self.freq_factor:
            raise ConfigError(
                f"Expected a number of bins divisible by {self.freq_factor} "
                f"(fold {self.fold} and pools {self.levels}), received {self.n_freqs}."
            )

    @property
    def levels(self) -> list[Pool]:
        """Pooling per level."""
        pools = [(1, 2)] * len(self.channels) if self.pools is None else self.pools
        return [(int(time), int(freq)) for time, freq in pools]

    @property
    def freq_factor(self) -> int:
        """Bins of the input per position at the bottom."""
        return self.fold * prod(freq for _, freq in self.levels)

    def make_fold(self) -> FrequencyFold:
        """Make the fold before the encoder, which is undone after the decoder."""
        return FrequencyFold(self.fold, prod(time for time, _ in self.levels))

    def make_encoder(self, in_chan: int) -> UNetEncoder:
        """Make an encoder of ``in_chan`` maps."""
        return UNetEncoder(in_chan * self.fold, self.channels, self.levels, self.act)

    def make_decoder(self, out_chan: int) -> UNetDecoder:
        """Make a decoder to ``out_chan`` maps."""
        return UNetDecoder(
            self.channels,
            self.levels,
            out_chan * self.fold,
            self.act,
            self.n_freqs // self.freq_factor,
            self.hid_chan,
            self.path_chan,
        )


class ResidualUNet(nn.Module):
    """Fold, encoder and decoder.

    Args:
        in_chan: Input maps.
        out_chan: Output maps.
        n_freqs, channels, pools, fold, hid_chan, act, path_chan: See :class:`UNetSizes`, also for
            errors.

    Shapes: ``(B, in_chan, N, F)`` to ``(B, out_chan, N, F)``.
    """

    def __init__(
        self,
        in_chan: int,
        out_chan: int,
        n_freqs: int,
        channels: Sequence[int] = UNetSizes.channels,
        pools: Sequence[Pool] | None = None,
        fold: int = 1,
        hid_chan: int = 0,
        act: str = "prelu",
        path_chan: int = 0,
    ) -> None:
        super().__init__()
        sizes = UNetSizes(n_freqs, channels, pools, fold, hid_chan, act, path_chan)
        self.fold = sizes.make_fold()
        self.encoder = sizes.make_encoder(in_chan)
        self.decoder = sizes.make_decoder(out_chan)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.fold.inverse(self.decoder(*self.encoder(self.fold(x))), x.shape[2])


def init_convolutions(module: nn.Module) -> None:
    """Initialise (transposed) convolutions Xavier-uniform, biases zero, as the DJCM code."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
