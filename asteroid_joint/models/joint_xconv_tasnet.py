"""X-Conv-TasNet: one Conv-TasNet per source, bridged at two points, with a pitch head.

Read downhill: a block, the network in four steps, the pitch head, the model.

References:
    R. Sawata et al., "The Whole Is Greater than the Sum of Its Parts: Improving Music Source
    Separation by Bridging Networks", EURASIP J. Audio Speech Music Process. 2024:39,
    https://arxiv.org/abs/2305.07855 (X-Conv-TasNet; no code is published)
    Y. Luo, N. Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for
    Speech Separation", IEEE/ACM TASLP 2019, https://arxiv.org/abs/1809.07454; sizes for music as
    in facebookresearch/demucs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import ConfigError
from ..masknn.bridge import Bridge
from ..masknn.heads import FrameHead
from ..pitch import PitchGrid
from .base import SOURCES, JointModel, JointOutput, check_sources, register_model

EPS = 1e-8  # of all norms, the authors'


class TemporalBlock(nn.Module):
    """Residual block: to ``hid_chan``, dilated depthwise convolution, and back.

    Args:
        bn_chan: Features in and out.
        hid_chan: Features between.
        kernel_size: Kernel of the depthwise convolution, odd.
        dilation: Dilation of the same.

    References:
        arXiv 1809.07454, figure 1 (C), without the path of skips.
    """

    def __init__(self, bn_chan: int, hid_chan: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(bn_chan, hid_chan, 1, bias=False),
            nn.PReLU(),
            nn.GroupNorm(1, hid_chan, eps=EPS),  # the paper's gLN
            nn.Conv1d(
                hid_chan,
                hid_chan,
                kernel_size,
                padding=(kernel_size - 1) // 2 * dilation,
                dilation=dilation,
                groups=hid_chan,
                bias=False,
            ),
            nn.PReLU(),
            nn.GroupNorm(1, hid_chan, eps=EPS),
            nn.Conv1d(hid_chan, bn_chan, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, bn_chan, K)`` to the same."""
        return x + self.layers(x)


class ConvTasNet(nn.Module):
    """Conv-TasNet in four steps: ``encode``, ``narrow``, ``blocks``, ``decode``.

    Encoder frames overlap by half: frame ``k`` is centred at sample ``k * stride``. The input is
    padded so that all samples lie in two frames (OURS; in the published code the first and last
    half frame lie in one).

    Args:
        n_channels: Audio channels.
        n_src: Number of sources.
        n_filters: Features of the encoder.
        stride: Samples; filters are twice as long.
        bn_chan, hid_chan, kernel_size: See :class:`TemporalBlock`.
        n_blocks: Blocks per repeat; dilation doubles from one to the next.
        n_repeats: Repeats.
    """

    def __init__(
        self,
        n_channels: int,
        n_src: int,
        n_filters: int = 256,
        stride: int = 10,
        bn_chan: int = 256,
        hid_chan: int = 512,
        kernel_size: int = 3,
        n_blocks: int = 8,
        n_repeats: int = 4,
    ) -> None:
        super().__init__()
        self.n_src = n_src
        self.stride = stride
        self.encoder = nn.Conv1d(n_channels, n_filters, 2 * stride, stride=stride, bias=False)
        self.norm = nn.LayerNorm(n_filters, eps=EPS)  # the paper's cLN
        self.bottleneck = nn.Conv1d(n_filters, bn_chan, 1, bias=False)
        self.blocks = nn.Sequential(
            *(
                TemporalBlock(bn_chan, hid_chan, kernel_size, 2**x)
                for _ in range(n_repeats)
                for x in range(n_blocks)
            )
        )
        self.mask = nn.Conv1d(bn_chan, n_src * n_filters, 1, bias=False)
        self.decoder = nn.ConvTranspose1d(
            n_filters, n_channels, 2 * stride, stride=stride, bias=False
        )
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.xavier_normal_(p)

    def encode(self, wav: torch.Tensor) -> torch.Tensor:
        """``(B, C, T)`` to ``(B, n_filters, K)``, ``K = ceil(T / stride) + 1``; in 32 bits."""
        missing = -wav.shape[-1] % self.stride
        with torch.autocast(wav.device.type, enabled=False):
            padded = functional.pad(wav.float(), (self.stride, missing + self.stride))
            return functional.relu(self.encoder(padded))

    def narrow(self, encoded: torch.Tensor) -> torch.Tensor:
        """``(B, n_filters, K)`` to ``(B, bn_chan, K)``."""
        return self.bottleneck(self.norm(encoded.transpose(1, 2)).transpose(1, 2))

    def decode(self, encoded: torch.Tensor, hidden: torch.Tensor, length: int) -> torch.Tensor:
        """Mask ``(B, n_filters, K)`` by ``(B, bn_chan, K)``: ``(B, n_src, C, length)``."""
        mask = functional.relu(self.mask(hidden)).float().unflatten(1, (self.n_src, -1))
        masked = (mask * encoded[:, None]).flatten(0, 1)  # (B S, n_filters, K)
        with torch.autocast(encoded.device.type, enabled=False):
            wav = self.decoder(masked)[..., self.stride : self.stride + length]
        return wav.unflatten(0, (-1, self.n_src))

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """All four steps: ``(B, C, T)`` to ``(B, n_src, C, T)``."""
        encoded = self.encode(wav)
        return self.decode(encoded, self.blocks(self.narrow(encoded)), wav.shape[-1])


class PooledPitchHead(nn.Module):
    """Features of encoder frames to pitch logits. OURS.

    They are rectified, as means of oscillations carry no information, and averaged over one pitch
    frame around its centre.

    Args:
        in_chan: Input features.
        ratio: Encoder frames per pitch frame.
        n_bins: Pitch bins.
        hid_chan: Averaged features.
    """

    def __init__(self, in_chan: int, ratio: int, n_bins: int, hid_chan: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.reduce = nn.Conv1d(in_chan, hid_chan, 1)
        self.head = FrameHead(hid_chan, n_bins)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, K)`` to ``(B, D, N)``: frame ``n`` is centred at encoder frame ``n * ratio``."""
        side = self.ratio // 2
        return functional.avg_pool1d(
            x, 2 * side + 1, self.ratio, padding=side, count_include_pad=False
        )

    def forward(self, x: torch.Tensor, n_frames: int) -> torch.Tensor:
        """``(B, in_chan, K)`` to logits ``(B, n_frames, n_bins)``."""
        x = self.pool(functional.relu(self.reduce(x)))[..., :n_frames]
        return self.head(x).float()


PAPER_NETWORK: dict[str, Any] = {
    "n_filters": 256,
    "stride": 10,
    "bn_chan": 256,
    "hid_chan": 512,
    "n_blocks": 8,
    "n_repeats": 4,
}
SMALL: dict[str, Any] = {
    "sample_rate": 16000,
    "pitch_hop": 320,
    "in_channels": 1,
    "sources": ("vocals", "accompaniment"),
    "network": {
        "n_filters": 256,
        "stride": 20,
        "bn_chan": 128,
        "hid_chan": 256,
        "n_blocks": 8,
        "n_repeats": 2,
    },
    "pitch_chan": 128,
}
TINY: dict[str, Any] = {
    **SMALL,
    "network": {
        "n_filters": 16,
        "stride": 16,
        "bn_chan": 8,
        "hid_chan": 12,
        "n_blocks": 3,
        "n_repeats": 1,
    },
    "pitch_chan": 8,
}


@register_model
class JointXConvTasNet(JointModel):
    """A :class:`ConvTasNet` per source; pitch from what the mask of the vocals is made of.

    OURS, as the paper's body and code are not public: one network per source, where they are
    bridged (behind the bottleneck, and before the convolution that makes the masks), and all of
    pitch.

    Args:
        sample_rate: Hz.
        pitch_hop: Samples per pitch frame, a multiple of the encoder's stride.
        in_channels: Audio channels.
        sources: Stem names, vocals first.
        network: Arguments of :class:`ConvTasNet` besides channels and sources.
        bridges: Active bridges out of ``POINTS``; ``()`` is one Conv-TasNet per source.
        joint: One network for all sources, the original Conv-TasNet; requires ``bridges=()``.
        pitch: Whether to estimate pitch.
        pitch_chan: Features that the pitch head reads.
        mixture_scale: Sum of the sources over the mixture.

    Raises:
        ConfigError: If ``joint`` has bridges, or ``pitch_hop`` is not a multiple of the stride.
    """

    POINTS = ("bottleneck", "mask")
    sources: tuple[str, ...] = SOURCES
    nets: Any  # of type ConvTasNet, which a ModuleList does not say
    presets = {
        "paper": {},
        "joint": {"joint": True, "bridges": ()},
        "small": SMALL,
        "tiny": TINY,
    }

    def __init__(
        self,
        sample_rate: int = 44100,
        pitch_hop: int = 440,
        in_channels: int = 2,
        sources: Sequence[str] = SOURCES,
        network: Mapping[str, Any] = PAPER_NETWORK,
        bridges: Sequence[str] = POINTS,
        joint: bool = False,
        pitch: bool = True,
        pitch_chan: int = 128,
        mixture_scale: float = 1.0,
    ) -> None:
        check_sources(sources)
        if joint and bridges:
            raise ConfigError("A joint network for all sources has no bridges: give bridges=().")
        grid = PitchGrid(pitch_hop, sample_rate)
        super().__init__(sample_rate, grid, in_channels, has_pitch=pitch)
        self.sources = tuple(sources)
        self.mixture_scale = mixture_scale
        per_net = [len(sources)] if joint else [1] * len(sources)
        nets = [ConvTasNet(in_channels, n_src, **network) for n_src in per_net]
        self.nets = nn.ModuleList(nets)
        self.bridge = Bridge(self.POINTS, bridges)
        ratio, rest = divmod(pitch_hop, nets[0].stride)
        if rest:
            raise ConfigError(
                f"pitch_hop {pitch_hop} must be a multiple of stride {nets[0].stride}."
            )
        bn_chan = nets[0].bottleneck.out_channels
        self.pitch_head = (
            PooledPitchHead(bn_chan, ratio, grid.n_bins, pitch_chan) if pitch else None
        )

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_samples = wav.shape[-1]
        encoded = [net.encode(wav) for net in self.nets]  # (B, n_filters, K) each
        hidden = [net.narrow(x) for net, x in zip(self.nets, encoded, strict=True)]
        hidden = self.bridge("bottleneck", hidden)  # (B, D, K) each
        hidden = [net.blocks(x) for net, x in zip(self.nets, hidden, strict=True)]
        hidden = self.bridge("mask", hidden)
        logits = None
        if self.pitch_head is not None:
            logits = self.pitch_head(hidden[0], self.pitch_grid.n_frames(n_samples))  # (B, N, P)
        stems = [
            net.decode(x, h, n_samples)
            for net, x, h in zip(self.nets, encoded, hidden, strict=True)
        ]
        out = torch.cat(stems, 1)  # (B, S, C, T)
        return JointOutput(out[:, :, 0] if self.in_channels == 1 else out, logits)
