"""X-D3Net: one D3Net per source, bridged at two points, with a pitch head.

Read downhill: pitch head, small configurations, the model.

References:
    R. Sawata et al., "The Whole Is Greater than the Sum of Its Parts: Improving Music Source
    Separation by Bridging Networks", EURASIP J. Audio Speech Music Process. 2024:39,
    https://arxiv.org/abs/2305.07855 (X-D3Net; no code is published)
    N. Takahashi, Y. Mitsufuji, "D3Net: Densely connected multidilated DenseNet for music source
    separation", 2020, https://arxiv.org/abs/2010.01733
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..data.base import JointDataset
from ..dsp.stft import STFT, apply_gains, magnitude
from ..errors import ConfigError, DataError
from ..masknn.bridge import Bridge
from ..masknn.d3 import BASS, DRUMS, VOCALS, D3Net
from ..masknn.heads import FrameHead
from ..pitch import PitchGrid
from .base import SOURCES, JointModel, JointOutput, check_sources, register_model

PITCH_MAX_HZ = 3000.0  # higher partials add little information on F0
BLOCK_SEC = 30  # part of a clip in memory at a time


class MapPitchHead(nn.Module):
    """Low bins of a map to pitch logits: 1x1 convolution to few features, then a frame head. OURS.

    Args:
        in_chan: Features of the map.
        n_freqs: Number of lowest bins to read.
        n_bins: Pitch bins.
        hid_chan: Features per bin after the 1x1 convolution.
    """

    def __init__(self, in_chan: int, n_freqs: int, n_bins: int, hid_chan: int) -> None:
        super().__init__()
        self.n_freqs = n_freqs
        self.reduce = nn.Sequential(
            nn.BatchNorm2d(in_chan), nn.ReLU(), nn.Conv2d(in_chan, hid_chan, 1)
        )
        self.head = FrameHead(hid_chan * n_freqs, n_bins)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``(B, in_chan, N, F)`` to logits ``(B, N, n_bins)``."""
        x = self.reduce(maps[..., : self.n_freqs])  # (B, D, N, n_freqs)
        return self.head(x.transpose(2, 3).flatten(1, 2)).float()


SMALL: dict[str, Any] = {
    "sample_rate": 16000,
    "n_fft": 1536,  # as long as the paper's, in seconds
    "hop_length": 320,
    "n_freqs": 768,
    "in_channels": 1,
    "sources": ("vocals", "accompaniment"),
    "network": {
        "split": 192,
        "low": {
            "growth": (6, 12, 20, 22, 20, 12, 6),
            "n_layers": (2, 3, 4, 4, 4, 3, 2),
            "n_blocks": 2,
            "first_chan": 12,
        },
        "high": {
            "growth": (2, 2, 2, 2, 2),
            "n_layers": (1, 1, 1, 1, 1),
            "n_blocks": 1,
            "first_chan": 4,
        },
        "full": {
            "growth": (3, 8, 14, 20, 24, 20, 14, 8, 4),
            "n_layers": (2, 3, 4, 4, 4, 4, 4, 3, 2),
            "n_blocks": 2,
            "first_chan": 6,
        },
        "final": {"growth": 6, "n_layers": 2},
    },
    "pitch_chan": 3,
    "power": 0.5,
    "level_norm": True,
}
TINY: dict[str, Any] = {
    **SMALL,
    "n_fft": 768,
    "n_freqs": 384,
    "network": {
        "split": 64,
        "low": {"growth": (3, 4, 3), "n_layers": (2, 2, 2), "n_blocks": 2, "first_chan": 4},
        "high": {"growth": (2,), "n_layers": (1,), "n_blocks": 1, "first_chan": 2},
        "full": {
            "growth": (2, 3, 4, 3, 2),
            "n_layers": (1, 2, 3, 2, 1),
            "n_blocks": 2,
            "first_chan": 3,
        },
        "final": {"growth": 4, "n_layers": 2},
    },
    "pitch_chan": 2,
    "level_norm": False,
}


@register_model
class JointXD3Net(JointModel):
    """A :class:`~asteroid_joint.masknn.d3.D3Net` per source; pitch from the vocals' last map.

    Magnitudes go back to audio with the phase of the mixture.

    OURS, as the paper's body and code are not public: where the networks are bridged (at the
    bottoms of the three U-shapes, and at the map that the last block reads), and one
    configuration, that of vocals, for all sources, since a mean needs equal shapes. So is all of
    pitch.

    Args:
        sample_rate: Hz.
        n_fft: STFT window, samples.
        hop_length: Samples; one pitch frame each.
        n_freqs: Bins the networks see and estimate; the rest passes with the mixture's magnitude.
        in_channels: Audio channels.
        sources: Stem names, vocals first.
        network: Bands and last block of each source's network, see
            :class:`~asteroid_joint.masknn.d3.D3Net`.
        own_networks: Source name to the same, for sources that differ; requires ``bridges=()``.
        bridges: Active bridges out of ``POINTS``; ``()`` is one D3Net per source.
        pitch: Whether to estimate pitch.
        pitch_chan: Features per bin that the pitch head reads.
        power: Exponent that compresses magnitudes for the networks, undone behind them; 1 in the
            paper.
        level_norm: Normalise magnitudes by the mixture's mean, for invariance to the input level;
            off in the paper.
        mixture_scale: Sum of the sources over the mixture.

    Raises:
        ConfigError: If ``own_networks`` has bridges, or names other than sources.
    """

    POINTS = ("bottom", "output")
    sources: tuple[str, ...] = SOURCES
    nets: Any  # of type D3Net, which a ModuleList does not say
    presets = {
        "paper": {},
        "d3net": {"own_networks": {"drums": DRUMS, "bass": BASS}, "bridges": ()},
        "small": SMALL,
        "tiny": TINY,
    }

    def __init__(
        self,
        sample_rate: int = 44100,
        n_fft: int = 4096,
        hop_length: int = 1024,
        n_freqs: int = 1600,
        in_channels: int = 2,
        sources: Sequence[str] = SOURCES,
        network: Mapping[str, Any] = VOCALS,
        own_networks: Mapping[str, Mapping[str, Any]] | None = None,
        bridges: Sequence[str] = POINTS,
        pitch: bool = True,
        pitch_chan: int = 8,
        power: float = 1.0,
        level_norm: bool = False,
        mixture_scale: float = 1.0,
    ) -> None:
        check_sources(sources)
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid, in_channels, has_pitch=pitch)
        self.sources = tuple(sources)
        self.min_samples = n_fft
        self.mixture_scale = mixture_scale
        self.power = power
        self.level_norm = level_norm
        own = own_networks or {}
        if not set(own) <= set(sources) or own and bridges:
            raise ConfigError(
                f"own_networks for {sorted(own)} must name sources (out of {', '.join(sources)}), "
                "and require bridges=()."
            )
        self.stft = STFT(n_fft, hop_length)
        nets = [
            D3Net(in_channels, n_fft // 2 + 1, n_freqs, **own.get(source, network))
            for source in sources
        ]
        self.nets = nn.ModuleList(nets)
        self.bridge = Bridge(self.POINTS, bridges)
        voiced = min(n_freqs, math.ceil(PITCH_MAX_HZ * n_fft / sample_rate) + 1)  # bins
        self.pitch_head = (
            MapPitchHead(nets[0].out_chan, voiced, grid.n_bins, pitch_chan) if pitch else None
        )

    def analyse(self, wav: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``(B, C, T)`` to what the networks read, the phase and the level of magnitudes.

        Returns:
            ``(B, C, N, F)`` twice, the second of modulus 1 (0 in silence), and ``(B, 1, 1, 1)``.
        """
        spec = self.stft(wav)  # (B, C, N, F)
        mag = magnitude(spec)
        level = torch.ones_like(mag[:, :1, :1, :1])
        if self.level_norm:
            level = mag.mean((1, 2, 3), keepdim=True) + 1e-4
        return (mag / level).pow(self.power), spec / mag, level

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])  # the STFT may have one more
        x, phase, level = self.analyse(wav)
        encoded = [net.encode(x) for net in self.nets]
        per_band = zip(*(bottoms for bottoms, _ in encoded), strict=True)
        bottoms = zip(*(self.bridge("bottom", band) for band in per_band), strict=True)
        maps = [
            net.decode(part._replace(bottoms=list(bottom)))[:, :, : x.shape[2]]
            for net, part, bottom in zip(self.nets, encoded, bottoms, strict=True)
        ]  # (B, D, N, n_freqs) each
        maps = self.bridge("output", maps)
        logits = None
        if self.pitch_head is not None:
            logits = self.pitch_head(maps[0])[:, :n_frames]  # (B, N, P)
        out = [net.output(m, x) for net, m in zip(self.nets, maps, strict=True)]
        mags = torch.stack(out, 1)  # (B, S, C, N, F)
        mags = level[:, None] * mags.pow(1 / self.power)
        stems = self.stft.inverse(apply_gains(mags, phase), wav.shape[-1])  # (B, S, C, T)
        if self.in_channels == 1:
            stems, mags = stems[:, :, 0], mags[:, :, 0]
        return JointOutput(stems, logits, None, mags[..., :n_frames, :])

    @torch.no_grad()
    def prepare_training(self, dataset: JointDataset) -> None:
        """Initialise every network from mean and standard deviation per bin of the mixtures.

        Raises:
            DataError: If no clip is as long as a window.
        """
        n_block = max(BLOCK_SEC * dataset.sample_rate, self.min_samples)
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for index, clip in enumerate(dataset.clips):
            for start in range(0, clip.n_samples, n_block):
                mixture = torch.from_numpy(dataset.read(index, start, n_block)[0])  # (C, T)
                if mixture.shape[-1] < self.min_samples:
                    continue
                x = self.analyse(mixture[None].to(self.voicing_threshold.device))[0]
                x = x.flatten(0, 2).double().cpu()  # (C N, F)
                count += len(x)
                total, squares = total + x.sum(0), squares + x.square().sum(0)
        if not count:
            raise DataError(
                f"{type(dataset).__name__} has no clip of at least {self.min_samples} samples: "
                "choose a smaller n_fft."
            )
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(0).sqrt()
        for net in self.nets:
            net.set_statistics(mean, std)
