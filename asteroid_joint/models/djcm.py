"""DJCM: separation and pitch in a cascade, trained together.

Read downhill: polar front end, pitch head, the model.

References:
    H. Wei, X. Cao, W. Xu, T. Dan, Y. Chen, "DJCM: A Deep Joint Cascade Model for Singing Voice
    Separation and Vocal Pitch Estimation", ICASSP 2024, https://arxiv.org/abs/2401.03856
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ..dsp.stft import STFT, magnitude
from ..errors import ConfigError
from ..masknn.harmonic import HarmonicPitchHead
from ..masknn.residual_unet import ResidualUNet, init_convolutions
from ..pitch import PitchGrid
from .base import JointModel, JointOutput, register_model

N_MAPS = 4  # mask, cosine and sine of the phase rotation, additive magnitude


class Polar(NamedTuple):
    """A spectrogram in polar form.

    Attributes:
        magnitude: ``(B, N, F)``.
        cos, sin: Phase, ``(B, N, F)`` each.
        level: ``(B, 1, 1)``, reference of the magnitudes; 1 in the paper.
    """

    magnitude: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    level: torch.Tensor


class PolarFrontEnd(nn.Module):
    """STFT, features for the separator, and the way back through the four maps.

    Args:
        n_fft: Window and transform in samples.
        hop_length: Hop in samples.
        n_freqs: Bins the networks see; the rest (the paper: Nyquist only) is silent in the output.
        power: Exponent that compresses magnitudes for the network; 1 in the paper.
        level_norm: Normalise magnitudes by the segment's mean, for invariance to the input level;
            off in the paper.

    Raises:
        ConfigError: If ``n_freqs`` exceeds the number of bins.
    """

    def __init__(
        self, n_fft: int, hop_length: int, n_freqs: int, power: float, level_norm: bool
    ) -> None:
        super().__init__()
        if not 0 < n_freqs <= n_fft // 2 + 1:
            raise ConfigError(
                f"n_freqs {n_freqs} must be from 1 to {n_fft // 2 + 1}, the bins of n_fft {n_fft}."
            )
        self.stft = STFT(n_fft, hop_length)
        self.n_freqs = n_freqs
        self.power = power
        self.level_norm = level_norm
        self.norm = nn.BatchNorm1d(n_fft // 2 + 1, momentum=0.01)

    def analyse(self, wav: torch.Tensor) -> Polar:
        """``(B, T)`` to :class:`Polar`. The last sample is left out, so 40960 give 128 frames."""
        spec = self.stft(wav[..., :-1])  # (B, N, F)
        mag = magnitude(spec)
        level = (
            mag.mean((1, 2), keepdim=True) + 1e-4
            if self.level_norm
            else torch.ones_like(mag[:, :1, :1])
        )
        return Polar(mag, spec.real / mag, spec.imag / mag, level)

    def compress(self, mag: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """``(B, N, F)`` magnitudes to network input of the same shape."""
        return mag if self.power == 1.0 else (mag / level + 1e-3).pow(self.power)

    def features(self, mixture: Polar) -> torch.Tensor:
        """Batch-normalised mixture magnitude without the top bins, ``(B, 1, N, n_freqs)``."""
        x = self.compress(mixture.magnitude, mixture.level)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)  # statistics per frequency bin
        return x[:, None, :, : self.n_freqs]

    def voice(self, mixture: Polar, maps: torch.Tensor) -> Polar:
        """Apply the four maps ``(B, 4, N, n_freqs)``: ``V = ReLU(m |X| + r)``, phase rotated."""
        n_bins = mixture.magnitude.shape[-1]
        maps = functional.pad(maps.float(), (0, n_bins - self.n_freqs))  # (B, 4, N, F)
        inside = torch.arange(n_bins, device=maps.device) < self.n_freqs
        mask, rest = torch.sigmoid(maps[:, 0]) * inside, maps[:, 3] * mixture.level
        mag = functional.relu(mask * mixture.magnitude.detach() + rest)
        cos, sin = torch.tanh(maps[:, 1]), torch.tanh(maps[:, 2])
        norm = torch.rsqrt(cos.square() + sin.square() + 1e-12)
        cos, sin = cos * norm, sin * norm  # (0, 0) in the padded bins: silent
        return Polar(
            mag,
            mixture.cos * cos - mixture.sin * sin,
            mixture.sin * cos + mixture.cos * sin,
            mixture.level,
        )

    def synthesise(self, voice: Polar, length: int) -> torch.Tensor:
        """:class:`Polar` to ``(B, length)``."""
        spec = torch.complex(voice.magnitude * voice.cos, voice.magnitude * voice.sin)
        return self.stft.inverse(spec, length)


class PitchHead(nn.Module):
    """One frame of a map is one vector: bidirectional GRU, linear layer, logits.

    Args:
        n_freqs: Length of the vector.
        n_bins: Pitch bins.
        hid_chan: Recurrent features per direction.
    """

    def __init__(self, n_freqs: int, n_bins: int, hid_chan: int = 512) -> None:
        super().__init__()
        self.recurrent = nn.GRU(n_freqs, hid_chan, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * hid_chan, n_bins)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 1, N, n_freqs)`` to logits ``(B, N, n_bins)``."""
        return self.linear(self.recurrent(x[:, 0])[0]).float()


PAPER_TRUNK: dict[str, Any] = {"channels": (32, 64, 128, 256, 384, 384)}
SMALL: dict[str, Any] = {
    "separator": {
        "channels": (48, 64, 96),
        "pools": ((1, 2), (2, 2), (1, 2)),
        "fold": 16,
        "hid_chan": 256,
        "path_chan": 96,
        "act": "relu",
    },
    "pitch_head": {
        "harmonics": (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10),
        "channels": (24, 32, 48),
        "pools": ((1, 2), (2, 2), (1, 2)),
        "fold": 3,
        "hid_chan": 128,
        "context_chan": 128,
    },
    "power": 0.3,
    "level_norm": True,
    "phase_init": 1.0,
}
TINY: dict[str, Any] = {
    **SMALL,
    "separator": {
        "channels": (4, 6),
        "pools": ((1, 2), (2, 2)),
        "fold": 16,
        "hid_chan": 16,
        "act": "relu",
    },
    "pitch_head": {
        "harmonics": (1, 2, 3),
        "channels": (4, 6),
        "pools": ((1, 2), (2, 3)),
        "fold": 2,
        "hid_chan": 8,
        "context_chan": 8,
    },
}


def make_pitch_head(
    options: Mapping[str, Any] | None, n_fft: int, n_freqs: int, grid: PitchGrid
) -> nn.Module:
    """The paper's recurrent head, or a harmonic one if ``options`` are given.

    Either maps ``(B, 1, N, n_freqs)`` to logits ``(B, N, n_bins)``.
    """
    if options is None:
        return PitchHead(n_freqs, grid.n_bins)
    return HarmonicPitchHead(n_fft, n_freqs, grid, **options)


@register_model
class DJCM(JointModel):
    """Mixture -> separator -> estimated vocal magnitude -> pitch network.

    The pitch loss reaches the separator through the vocal magnitude, not through the phase.

    Args:
        sample_rate: Hz.
        n_fft: STFT window in samples.
        hop_length: Samples per pitch frame.
        n_freqs: Bins the separator sees.
        separator: Arguments of the separator's
            :class:`~asteroid_joint.masknn.residual_unet.ResidualUNet`.
        pitch: Same for the pitch network; if empty, the head reads the magnitude.
        pitch_head: Arguments of a
            :class:`~asteroid_joint.masknn.harmonic.HarmonicPitchHead`; ``None`` is the paper's
            recurrent head.
        power: Compression of magnitudes at both networks' inputs; 1 is the paper's.
        level_norm: See :class:`PolarFrontEnd`.
        phase_init: Initial bias of the cosine map; 1 starts near "phase of the mixture".
        mixture_scale: Sum of the sources over the mixture: 1 where they add up, 2 under the
            official preparation of MIR-1K, which averages the channels.
        detach_cascade: Cut the gradient between the two networks (the control experiment).

    References:
        arXiv 2401.03856, section 2; details follow the authors' code.
    """

    presets = {
        "paper": {},
        "small": {**SMALL, "pitch": {}},
        "tiny": {**TINY, "pitch": {}},
    }

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop_length: int = 320,
        n_freqs: int = 1024,
        separator: Mapping[str, Any] = PAPER_TRUNK,
        pitch: Mapping[str, Any] = PAPER_TRUNK,
        pitch_head: Mapping[str, Any] | None = None,
        power: float = 1.0,
        level_norm: bool = False,
        phase_init: float = 0.0,
        mixture_scale: float = 1.0,
        detach_cascade: bool = False,
    ) -> None:
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid)
        self.min_samples = n_fft
        self.mixture_scale = mixture_scale
        self.detach_cascade = detach_cascade
        self.front_end = PolarFrontEnd(n_fft, hop_length, n_freqs, power, level_norm)
        self.separator = ResidualUNet(1, N_MAPS, n_freqs, **separator)
        self.pitch_net = ResidualUNet(1, 1, n_freqs, **pitch) if pitch else nn.Identity()
        self.pitch_head = make_pitch_head(pitch_head, n_fft, n_freqs, grid)
        init_convolutions(self)
        start_phase_at(self.separator.decoder.out, phase_init)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        wav = wav[:, 0]  # (B, T)
        mixture = self.front_end.analyse(wav)
        maps = self.separator(self.front_end.features(mixture))  # (B, 4, N, n_freqs)
        voice = self.front_end.voice(mixture, maps)
        vocals = self.front_end.synthesise(voice, wav.shape[-1])
        cascade = voice.magnitude[..., : self.front_end.n_freqs]  # (B, N, n_freqs)
        if self.detach_cascade:
            cascade = cascade.detach()
        cascade = self.front_end.compress(cascade, voice.level)
        logits = self.pitch_head(self.pitch_net(cascade[:, None]))  # (B, N, P)
        sources = torch.stack([vocals, self.mixture_scale * wav - vocals], 1)  # (B, S, T)
        return JointOutput(sources, logits, None, voice.magnitude[:, None])


def start_phase_at(out: nn.Conv2d, cos_bias: float) -> None:
    """Set the initial bias of the cosine map in a separator's last convolution."""
    fold = out.out_channels // N_MAPS
    with torch.no_grad():
        out.bias[fold : 2 * fold] = cos_bias  # type: ignore[index]
