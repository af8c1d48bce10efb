"""The two naive joint baselines of DJCM: shared bottom and mixture of experts.

Both tasks read the mixture; there is no cascade.

References:
    arXiv 2401.03856, figure 3 (a) and (b); details follow the authors' code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..masknn.residual_unet import UNetSizes, init_convolutions
from ..pitch import PitchGrid
from .base import JointModel, JointOutput, register_model
from .djcm import N_MAPS, PAPER_TRUNK, SMALL, TINY, PolarFrontEnd, make_pitch_head, start_phase_at


class _TwoHeads(JointModel):
    """Common part of both: front end, a decoder per task and pitch head, without encoders.

    Args:
        sample_rate: Hz.
        front_end: Transform from waveform to features and back.
        sizes: Sizes of the trunk; both decoders are built alike.
        pitch_head, mixture_scale: See :class:`~asteroid_joint.models.DJCM`.
    """

    def __init__(
        self,
        sample_rate: int,
        front_end: PolarFrontEnd,
        sizes: UNetSizes,
        pitch_head: Mapping[str, Any] | None,
        mixture_scale: float,
    ) -> None:
        n_fft, hop_length = front_end.stft.n_fft, front_end.stft.hop_length
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid)
        self.min_samples = n_fft
        self.mixture_scale = mixture_scale
        self.front_end = front_end
        self.fold = sizes.make_fold()
        self.vocal_decoder = sizes.make_decoder(N_MAPS)
        self.pitch_decoder = sizes.make_decoder(1)
        self.pitch_head = make_pitch_head(pitch_head, n_fft, sizes.n_freqs, grid)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        wav = wav[:, 0]  # (B, T)
        mixture = self.front_end.analyse(wav)
        x = self.front_end.features(mixture)  # (B, 1, N, n_freqs)
        n_frames = x.shape[2]
        bottoms = self._encode_all(x)
        maps, pitch_map = (
            self.fold.inverse(decoder(*bottom), n_frames)
            for decoder, bottom in zip(
                (self.vocal_decoder, self.pitch_decoder), bottoms, strict=True
            )
        )
        voice = self.front_end.voice(mixture, maps)
        vocals = self.front_end.synthesise(voice, wav.shape[-1])
        sources = torch.stack([vocals, self.mixture_scale * wav - vocals], 1)  # (B, S, T)
        return JointOutput(sources, self.pitch_head(pitch_map), None, voice.magnitude[:, None])

    def _encode_all(self, x: torch.Tensor) -> list[tuple[torch.Tensor, Sequence[torch.Tensor]]]:
        """Network input ``(B, 1, N, F)`` to (bottom, skips) of each of the two tasks."""
        raise NotImplementedError(f"{type(self).__name__} lacks _encode_all.")


@register_model
class SharedBottom(_TwoHeads):
    """One encoder, two decoders.

    Args:
        sample_rate, n_fft, hop_length, n_freqs: As in :class:`~asteroid_joint.models.DJCM`.
        pitch_head, power, level_norm, phase_init, mixture_scale: As there.
        separator: Trunk arguments; both decoders are built alike.
    """

    presets = {"paper": {}, "small": SMALL, "tiny": TINY}

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop_length: int = 320,
        n_freqs: int = 1024,
        separator: Mapping[str, Any] = PAPER_TRUNK,
        pitch_head: Mapping[str, Any] | None = None,
        power: float = 1.0,
        level_norm: bool = False,
        phase_init: float = 0.0,
        mixture_scale: float = 1.0,
    ) -> None:
        front_end = PolarFrontEnd(n_fft, hop_length, n_freqs, power, level_norm)
        sizes = UNetSizes(n_freqs, **separator)
        super().__init__(sample_rate, front_end, sizes, pitch_head, mixture_scale)
        self.encoder = sizes.make_encoder(1)
        init_convolutions(self)
        start_phase_at(self.vocal_decoder.out, phase_init)

    def _encode_all(self, x: torch.Tensor) -> list[tuple[torch.Tensor, Sequence[torch.Tensor]]]:
        shared = self.encoder(self.fold(x))
        return [shared, shared]


class Gate(nn.Module):
    """One weight per expert and frame, from the frame's spectrum.

    Args:
        n_freqs: Bins of a frame.
        n_experts: Experts.
    """

    def __init__(self, n_freqs: int, n_experts: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_freqs, 512), nn.PReLU(), nn.Linear(512, n_experts), nn.Softmax(-1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 1, N, F)`` to ``(B, N, K)``, K experts, summing to 1."""
        return self.layers(x[:, 0])


def mix_experts(maps: Sequence[torch.Tensor], gate: torch.Tensor) -> torch.Tensor:
    """Weighted sum of K maps ``(B, D, N', F)`` with a gate ``(B, N, K)``.

    Where the maps have fewer frames than the gate (time pooling) the gate is averaged down.
    """
    frames = maps[0].shape[2]
    factor = -(-gate.shape[1] // frames)
    weights = gate.transpose(1, 2)  # (B, K, N)
    missing = frames * factor - weights.shape[2]
    if missing > 0:
        weights = functional.pad(weights, (0, missing), mode="replicate")
    if factor > 1:
        weights = functional.avg_pool1d(weights, factor)  # (B, K, N')
    return sum(  # type: ignore[return-value]
        m * weights[:, k, None, :, None] for k, m in enumerate(maps)
    )


@register_model
class MMoE(_TwoHeads):
    """Parallel encoders ("experts"), mixed per task and frame by a gate; two decoders.

    Args:
        n_experts: Parallel encoders; 2 and 3 in the paper.
        sample_rate, n_fft, hop_length, n_freqs: As in :class:`~asteroid_joint.models.DJCM`.
        pitch_head, power, level_norm, phase_init, mixture_scale: As there.
        separator: Trunk arguments; encoders and decoders are built alike.
    """

    presets = {"paper": {}, "paper_3": {"n_experts": 3}, "small": SMALL, "tiny": TINY}

    def __init__(
        self,
        n_experts: int = 2,
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop_length: int = 320,
        n_freqs: int = 1024,
        separator: Mapping[str, Any] = PAPER_TRUNK,
        pitch_head: Mapping[str, Any] | None = None,
        power: float = 1.0,
        level_norm: bool = False,
        phase_init: float = 0.0,
        mixture_scale: float = 1.0,
    ) -> None:
        front_end = PolarFrontEnd(n_fft, hop_length, n_freqs, power, level_norm)
        sizes = UNetSizes(n_freqs, **separator)
        super().__init__(sample_rate, front_end, sizes, pitch_head, mixture_scale)
        self.experts = nn.ModuleList(sizes.make_encoder(1) for _ in range(n_experts))
        self.gates = nn.ModuleList(Gate(n_freqs, n_experts) for _ in range(2))
        init_convolutions(self)
        start_phase_at(self.vocal_decoder.out, phase_init)

    def _encode_all(self, x: torch.Tensor) -> list[tuple[torch.Tensor, Sequence[torch.Tensor]]]:
        folded = self.fold(x)
        encoded = [expert(folded) for expert in self.experts]  # K times (bottom, skips)
        per_task: list[tuple[torch.Tensor, Sequence[torch.Tensor]]] = []
        for gate in self.gates:
            weights = gate(x)  # (B, N, K)
            bottom = mix_experts([e[0] for e in encoded], weights)
            levels = zip(*(e[1] for e in encoded), strict=True)
            per_task.append((bottom, [mix_experts(level, weights) for level in levels]))
        return per_task
