"""DTTNet with a pitch head: the complex spectrogram of one source, regressed by a small U-Net.

Read downhill: pitch head, small configurations, the model.

References:
    J. Chen, S. Vekkot, P. Shukla, "Music Source Separation Based on a Lightweight Deep Learning
    Framework (DTTNet: Dual-Path TFC-TDF UNet)", ICASSP 2024, https://arxiv.org/abs/2309.08684
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..dsp.chunks import Chunks
from ..dsp.stft import STFT, magnitude
from ..errors import CheckpointError, ConfigError
from ..masknn.harmonic import HarmonicPitchHead
from ..masknn.residual_unet import FrequencyFold
from ..masknn.tfc_tdf import Maps, TFCTDFNet
from ..pitch import PitchGrid
from .base import JointModel, JointOutput, register_model
from .dttnet_weights import read_dttnet

PITCH_MAX_HZ = 5000.0  # higher partials add little information on F0
PITCH_POWER = 0.3  # compresses what the pitch head reads
PITCH_FROM = ("latent", "decoder", "magnitude")
WINDOW_CONTEXTS = 10  # with 4, discarded ends would add half of the computation


class SpectralPitchHead(nn.Module):
    """Pitch of the voice, from a map of the separator and the spectrogram. OURS.

    A harmonic head learns fast, but needs a spectrum, unlike the separator's maps. So a linear
    layer turns the map into a mask for the mixture's magnitude, like the separator's multiplied
    skips, trained by the pitch loss alone. With ``source="magnitude"`` there is no mask: the head
    reads the estimated magnitude, a cascade.

    Args:
        source: One of ``PITCH_FROM``.
        chan: Features of the map.
        stride: Frames, and frequency positions, per entry of the map.
        fold: Bins per frequency position.
        n_positions: Positions of the spectrogram; those above ``PITCH_MAX_HZ`` are not read.
        n_fft: Window of the spectrogram in samples.
        grid: Pitch grid of the output.
        options: Further arguments of :class:`~asteroid_joint.masknn.harmonic.HarmonicPitchHead`.
    """

    def __init__(
        self,
        source: str,
        chan: int,
        stride: int,
        fold: int,
        n_positions: int,
        n_fft: int,
        grid: PitchGrid,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        voiced = math.ceil(PITCH_MAX_HZ * n_fft / grid.sample_rate / (fold * stride))
        self.n_entries = min(voiced, n_positions // stride)
        self.n_freqs = self.n_entries * stride * fold
        self.source = source
        self.fold = FrequencyFold(fold)
        if source != "magnitude":
            self.mask = nn.ConvTranspose2d(chan, fold, stride, stride=stride)
        self.head = HarmonicPitchHead(n_fft, self.n_freqs, grid, **options)

    def forward(self, maps: Maps, mixture: torch.Tensor, voice: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, N, P)``.

        Args:
            maps: Maps of the separator.
            mixture: Magnitude of the mixture ``(B, N, F)``, normalised by its mean.
            voice: Likewise of the estimate.
        """
        spectrum = voice if self.source == "magnitude" else mixture
        x = (spectrum[..., : self.n_freqs] + 1e-3).pow(PITCH_POWER)[:, None]  # (B, 1, N, n_freqs)
        if self.source != "magnitude":
            entries = maps.latent if self.source == "latent" else maps.decoded
            mask = self.mask(entries[..., : self.n_entries])
            mask = self.fold.inverse(mask.float(), x.shape[2])
            x = x * torch.sigmoid(mask)
        return self.head(x)


PAPER_BASS: dict[str, Any] = {"n_freqs": 864, "bottleneck": 2}
SMALL: dict[str, Any] = {
    "sample_rate": 16000,
    "n_fft": 2048,
    "hop_length": 320,
    "n_freqs": 1024,
    "in_channels": 1,
    "fold": 16,
    "first_chan": 32,
    "growth": 32,
    "n_convs": 1,
    "bottleneck": 2,
    "n_paths": 2,
    "n_heads": 2,
    "mask": True,
    "power": 0.3,
    "level_norm": True,
    "chunk_frames": None,
    "pitch_head": {"channels": (16, 24, 32), "hid_chan": 96, "context_chan": 96},
}
FAST: dict[str, Any] = {  # a third of the cost of SMALL
    **SMALL,
    "fold": 32,
    "first_chan": 16,
    "growth": 16,
    "n_paths": 1,
    "pitch_head": {
        "harmonics": (0.5, 1, 2, 3, 4),
        "channels": (8, 12, 16),
        "fold": 5,
        "hid_chan": 64,
        "context_chan": 64,
    },
}
TINY: dict[str, Any] = {
    **SMALL,
    "n_fft": 1280,
    "n_freqs": 512,
    "first_chan": 4,
    "growth": 4,
    "n_paths": 1,
    "chunk_frames": 16,
    "pitch_head": {
        "harmonics": (1, 2, 3),
        "channels": (4, 6),
        "pools": ((1, 2), (2, 3)),
        "fold": 2,
        "hid_chan": 8,
        "context_chan": 8,
    },
}


@register_model
class JointDTTNet(JointModel):
    """Dual-path TFC-TDF U-Net from complex spectrogram to complex spectrogram, and a pitch head.

    One network separates one source; the accompaniment is the rest of the mixture.

    Inputs longer than a chunk are processed in overlapping chunks with a linear cross-fade, the
    authors' better inference. OURS: chunks begin at frames, so their pitch frames coincide (shifts
    of 128 instead of 127.5 of 256 frames), the last one is shorter instead of zero-padded, and
    everything stays in floating point.

    Args:
        sample_rate: Hz.
        n_fft: STFT window, samples.
        hop_length: Samples; one pitch frame each.
        n_freqs: Lowest bins, which the network sees and estimates; the estimate is silent above.
        in_channels: Audio channels.
        target: Stem that the network estimates.
        fold: Neighbouring bins that become channels before the network; 1 in the paper.
        first_chan, growth, depth, n_convs, bottleneck, n_paths, n_heads: See
            :class:`~asteroid_joint.masknn.tfc_tdf.TFCTDFNet`.
        mask: Use the output as a complex mask of the mixture instead of a spectrogram; off in the
            paper. It learns faster from little data.
        power: Exponent that compresses the magnitudes the network reads; 1 in the paper.
        level_norm: Normalise spectrograms by the mixture's mean magnitude, for invariance to the
            input level; off in the paper.
        chunk_frames: Frames of a chunk; ``None`` processes inputs of any length at once.
        overlap: Share of a chunk that the next one covers: 0 is fastest, 0.5 the authors' choice.
        pitch: Whether to estimate pitch, for vocals only.
        pitch_from: What the pitch head reads: ``"latent"``, the map behind the dual paths;
            ``"decoder"``, the last map; ``"magnitude"``, the estimated magnitude.
        pitch_head: See :class:`SpectralPitchHead`.
        mixture_scale: Sum of the sources over the mixture.

    Raises:
        ConfigError: If sizes do not fit each other, or the pitch head is unknown.

    References:
        arXiv 2309.08684; details follow the authors' code.
    """

    presets = {
        "paper": {},
        "paper_drums": {"target": "drums", "pitch": False},
        "paper_other": {"target": "other", "pitch": False},
        "paper_bass": {**PAPER_BASS, "target": "bass", "pitch": False},
        "small": SMALL,
        "fast": FAST,
        "tiny": TINY,
    }

    def __init__(
        self,
        sample_rate: int = 44100,
        n_fft: int = 6144,
        hop_length: int = 1024,
        n_freqs: int = 2048,
        in_channels: int = 2,
        target: str = "vocals",
        fold: int = 1,
        first_chan: int = 32,
        growth: int = 32,
        depth: int = 2,
        n_convs: int = 3,
        bottleneck: int = 8,
        n_paths: int = 4,
        n_heads: int = 2,
        mask: bool = False,
        power: float = 1.0,
        level_norm: bool = False,
        chunk_frames: int | None = 256,
        overlap: float = 0.5,
        pitch: bool = True,
        pitch_from: str = "latent",
        pitch_head: Mapping[str, Any] | None = None,
        mixture_scale: float = 1.0,
    ) -> None:
        _check_target(target, pitch, pitch_from)
        _check_sizes(n_fft, n_freqs, fold, depth, chunk_frames)
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid, in_channels, has_pitch=pitch)
        self.sources = (target, "accompaniment")
        self.min_samples = n_fft
        self.mixture_scale = mixture_scale
        self.n_freqs = n_freqs
        self.mask, self.power, self.level_norm = mask, power, level_norm
        self.chunks = None
        if chunk_frames is not None:
            self.chunks = Chunks(chunk_frames, overlap, hop_length, shortest=n_fft)
            self.context_samples, self.window_multiple = self.chunks.context, self.chunks.step
            self.window_samples = WINDOW_CONTEXTS * self.chunks.context
        self.stft = STFT(n_fft, hop_length)
        self.fold = FrequencyFold(fold)
        n_maps = 2 * in_channels * fold
        self.net = TFCTDFNet(
            n_maps,
            n_maps,
            n_freqs // fold,
            first_chan,
            growth,
            depth,
            n_convs,
            bottleneck,
            n_paths,
            n_heads,
        )
        self.pitch_head = None
        if pitch:
            latent = pitch_from == "latent"
            self.pitch_head = SpectralPitchHead(
                pitch_from,
                first_chan + latent * depth * growth,
                2**depth if latent else 1,
                fold,
                n_freqs // fold,
                n_fft,
                grid,
                pitch_head or {},
            )

    @classmethod
    def from_separator(cls, separator: Any, source: int = 0, **overrides: Any) -> "JointDTTNet":
        """Take over a separator trained with the authors' code or with MSST.

        Args:
            separator: Checkpoint file, or its content: a dictionary with ``state_dict``, or the
                state itself. Sizes are derived from the weights.
            source: Which of several targets to take, in the order of MSST's ``instruments``.
            **overrides: Constructor arguments not in the weights, e.g. ``target="drums",
                pitch=False``. Without ``pitch=False`` the model gets a fresh pitch head. MSST's
                checkpoints need ``n_fft``, and ``hop_length`` if it is not 1024: see the
                ``audio`` of its configuration.

        Returns:
            The model in ``.eval()``.

        Raises:
            CheckpointError: If it cannot be used.
        """
        weights = read_dttnet(separator, source)
        if "n_fft" not in weights.model_args and "n_fft" not in overrides:
            raise CheckpointError(
                "These DTTNet weights do not say their window: give n_fft, which is in the "
                "configuration that they were trained with."
            )
        model = cls(**{**weights.model_args, **overrides})
        weights.load_into(model.net)
        return model.eval()

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_samples, hop = wav.shape[-1], self.pitch_grid.hop_length
        if self.chunks is None or n_samples <= self.chunks.length:
            voice, mag, logits = self._at_once(wav)
        else:
            starts, length = self.chunks.starts(n_samples), self.chunks.length
            parts = [self._at_once(wav[..., start : start + length]) for start in starts]
            voices, mags, pitches = zip(*parts, strict=True)
            n_frames = self.pitch_grid.n_frames(n_samples)
            voice = self.chunks.join(voices, n_samples, -1, 1)
            mag = self.chunks.join(mags, n_frames, -2, hop)
            logits = None
            if self.pitch_head is not None:
                logits = self.chunks.join(pitches, n_frames, 1, hop)
        sources = torch.stack([voice, self.mixture_scale * wav - voice], 1)  # (B, S, C, T)
        mag = mag[:, None]  # (B, 1, C, N, F)
        if self.in_channels == 1:
            sources, mag = sources[:, :, 0], mag[:, :, 0]
        return JointOutput(sources, logits, None, mag)

    def _at_once(self, wav: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Voice ``(B, C, T)``, its magnitude ``(B, C, N, F)`` and logits ``(B, N, P)``."""
        n_samples, n_frames = wav.shape[-1], self.pitch_grid.n_frames(wav.shape[-1])
        mixture = self.stft(wav)  # (B, C, N, F)
        if n_frames < mixture.shape[2] and n_frames % self.net.factor == 0:
            mixture = mixture[:, :, :n_frames]  # the frame at the very end would need padding
        mixture_mag = magnitude(mixture)
        level = mixture_mag.mean((1, 2, 3), keepdim=True) + 1e-4  # (B, 1, 1, 1)
        scale = level if self.level_norm else torch.ones_like(level)
        low = mixture[..., : self.n_freqs]
        x = low / scale
        if self.power != 1.0:
            x = x * (mixture_mag[..., : self.n_freqs] / scale).pow(self.power - 1)
        maps = self.net(self._to_maps(x))
        voice = self._to_spectrum(maps.output.float(), mixture.shape[2])  # (B, C, N, n_freqs)
        voice = voice * (low if self.mask else scale)
        above = (0, mixture.shape[3] - self.n_freqs)
        parts = (functional.pad(part, above) for part in (voice.real, voice.imag))
        voice = torch.complex(*parts)  # (B, C, N, F); ONNX has no padding of complex numbers
        voice_mag = magnitude(voice)
        logits = None
        if self.pitch_head is not None:
            level = level[:, 0]
            logits = self.pitch_head(maps, mixture_mag.mean(1) / level, voice_mag.mean(1) / level)
            logits = logits[:, :n_frames]
        return self.stft.inverse(voice, n_samples), voice_mag[:, :, :n_frames], logits

    def _to_maps(self, spec: torch.Tensor) -> torch.Tensor:
        """Complex ``(B, C, N, n_freqs)`` to ``(B, 2 C fold, N, n_freqs / fold)``."""
        maps = torch.view_as_real(spec).permute(0, 1, 4, 2, 3).flatten(1, 2)  # (B, 2 C, N, F)
        return maps if self.fold.fold == 1 else self.fold(maps)

    def _to_spectrum(self, maps: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Inverse of :meth:`_to_maps`."""
        maps = self.fold.inverse(maps, n_frames)  # (B, 2 C, N, n_freqs)
        parts = maps.unflatten(1, (-1, 2))  # (B, C, 2, N, n_freqs)
        return torch.complex(parts[:, :, 0], parts[:, :, 1])


def _check_target(target: str, pitch: bool, pitch_from: str) -> None:
    """Refuse an invalid stem name, a stem without pitch, or an unknown pitch head."""
    if not re.fullmatch(r"\w[\w-]*", target) or target == "accompaniment":
        raise ConfigError(
            f"Expected a plain stem name other than accompaniment as target, received {target!r}."
        )
    if pitch and target != "vocals":
        raise ConfigError(
            f"Only vocals have a pitch output: give pitch=False with the target {target}."
        )
    if pitch_from not in PITCH_FROM:
        raise ConfigError(f"Expected pitch_from in {PITCH_FROM}, received {pitch_from!r}.")


def _check_sizes(n_fft: int, n_freqs: int, fold: int, depth: int, chunk_frames: int | None) -> None:
    """Refuse sizes of spectrogram, network and chunks that do not fit each other."""
    if not 0 < n_freqs <= n_fft // 2 + 1 or n_freqs % fold:
        raise ConfigError(
            f"n_freqs {n_freqs} must be divisible by fold {fold} and at most {n_fft // 2 + 1}, "
            f"the bins of n_fft {n_fft}."
        )
    if chunk_frames is not None and chunk_frames % 2**depth:
        raise ConfigError(
            f"chunk_frames {chunk_frames} must be divisible by {2**depth}, as depth is {depth}."
        )
