"""X-UMX with a pitch output: an Open-Unmix per source, bridged by the mean of their features.

Read downhill: encoder and decoder of one source, the model. Modules are named as in Asteroid's.

References:
    R. Sawata, S. Uhlich, S. Takahashi, Y. Mitsufuji, "All for One and One for All: Improving Music
    Separation by Bridging Networks", ICASSP 2021, https://arxiv.org/abs/2010.04228.
    R. Sawata et al., "The Whole Is Greater than the Sum of Its Parts: Improving Music Source
    Separation by Bridging Networks", EURASIP J. Audio Speech Music Process. 2024:39,
    https://arxiv.org/abs/2305.07855.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..data.base import JointDataset
from ..data.statistics import input_statistics
from ..dsp.stft import STFT, apply_gains
from ..errors import CheckpointError
from ..masknn.bridge import Bridge
from ..masknn.heads import FrameHead
from ..optional import optional
from ..pitch import PitchGrid
from .base import SOURCES, JointModel, JointOutput, check_sources, register_model
from .xumx_weights import read_xumx

BRIDGES = ("encoder", "decoder")  # before the recurrent layers, before the decoders
STD_FLOOR = 1e-4  # relative to the greatest standard deviation of all bins
FRESH = ("pitch_head.", "activity_head.", "voicing_threshold")  # not in files of Asteroid


class SourceEncoder(nn.Module):
    """Spectrum of all channels to features in [-1, 1], ``(B, N, C * F)`` to ``(B, N, D)``."""

    def __init__(self, n_in: int, hidden_size: int) -> None:
        super().__init__()
        self.enc = nn.Sequential(
            nn.Linear(n_in, hidden_size, bias=False), nn.BatchNorm1d(hidden_size)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.enc(x.flatten(0, 1))).unflatten(0, x.shape[:2])


class SourceDecoder(nn.Module):
    """Features to a spectrum of all channels, ``(B, N, 2 D)`` to ``(B, N, C * F)``."""

    def __init__(self, n_out: int, hidden_size: int) -> None:
        super().__init__()
        self.dec = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size, bias=False),
            nn.BatchNorm1d(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, n_out, bias=False),
            nn.BatchNorm1d(n_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dec(x.flatten(0, 1)).unflatten(0, x.shape[:2])


@register_model
class JointXUMX(JointModel):
    """A masking network per source; pitch is read off what the decoder of the voice sees.

    Args:
        sources: Names of the stems in output order, vocals first.
        sample_rate: Hz.
        in_channels: 1 or 2.
        n_fft: STFT window in samples.
        hop_length: Samples per pitch frame.
        bandwidth_hz: Upper limit of the bins that the encoders see; masks cover all.
        hidden_size: Features per source; the recurrent layers have half of it per direction.
        nb_layers: Number of recurrent layers.
        bidirectional: Whether they also run backwards.
        dropout: Dropout between recurrent layers.
        bridges: Where the networks share the mean of their features, out of ``"encoder"`` and
            ``"decoder"``; ``()`` makes them independent (Open-Unmix).
        pitch: Whether there is a pitch head.
        activity: Whether there is a head for vocal activity.
        wiener_iterations: Iterations of the multichannel Wiener filter in evaluation mode; 0 for
            none, 1 in the paper's inference. Needs ``norbert``.

    The masks multiply the mixture's magnitude; its phase is kept. Call
    :meth:`prepare_training` before training from scratch.

    References:
        arXiv 2010.04228; details follow the authors' and Asteroid's code.
    """

    sources: tuple[str, ...] = SOURCES
    presets = {
        "paper": {},
        "small": {
            "sources": ("vocals", "accompaniment"),
            "sample_rate": 16000,
            "in_channels": 1,
            "n_fft": 2048,
            "hop_length": 320,
            "hidden_size": 256,
        },
        "tiny": {
            "sources": ("vocals", "accompaniment"),
            "sample_rate": 16000,
            "in_channels": 1,
            "n_fft": 1024,
            "hop_length": 320,
            "hidden_size": 16,
            "nb_layers": 1,
        },
    }

    def __init__(
        self,
        sources: Sequence[str] = SOURCES,
        sample_rate: int = 44100,
        in_channels: int = 2,
        n_fft: int = 4096,
        hop_length: int = 1024,
        bandwidth_hz: float = 16000.0,
        hidden_size: int = 512,
        nb_layers: int = 3,
        bidirectional: bool = True,
        dropout: float = 0.4,
        bridges: Sequence[str] = BRIDGES,
        pitch: bool = True,
        activity: bool = False,
        wiener_iterations: int = 0,
    ) -> None:
        check_sources(sources)
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid, in_channels, has_pitch=pitch)
        self.sources = tuple(sources)
        self.min_samples = n_fft // 2 + 1  # reflect padding
        self.wiener_iterations = wiener_iterations
        self.n_bins = n_fft // 2 + 1
        self.max_bin = min(int(bandwidth_hz * n_fft / sample_rate) + 1, self.n_bins)
        self.stft = STFT(n_fft, hop_length)
        self.bridge = Bridge(BRIDGES, bridges)
        self.layer_enc, self.layer_lstm = nn.ModuleDict(), nn.ModuleDict()
        self.layer_dec, self.mean_scale = nn.ModuleDict(), nn.ParameterDict()
        for name in self.sources:
            self.layer_enc[name] = SourceEncoder(in_channels * self.max_bin, hidden_size)
            self.layer_lstm[name] = nn.LSTM(
                hidden_size,
                hidden_size // 2 if bidirectional else hidden_size,
                nb_layers,
                batch_first=True,
                bidirectional=bidirectional,
                dropout=dropout if nb_layers > 1 else 0.0,
            )
            self.layer_dec[name] = SourceDecoder(in_channels * self.n_bins, hidden_size)
            for what, value in (
                ("input_mean", torch.zeros(self.max_bin)),
                ("input_scale", torch.ones(self.max_bin)),
                ("output_mean", torch.ones(self.n_bins)),
                ("output_scale", torch.ones(self.n_bins)),
            ):
                self.mean_scale[f"{what}_{name}"] = nn.Parameter(value)
        self.pitch_head = FrameHead(2 * hidden_size, grid.n_bins) if pitch else None
        self.activity_head = FrameHead(2 * hidden_size, 1, 32) if activity else None

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        """See :meth:`JointModel.forward_joint`; ``magnitudes`` are those of all sources."""
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])  # the STFT may have one more
        spec = self.stft(wav.float())  # (B, C, N, F)
        mixture = spec.abs()
        voice, masks = self.masks(mixture)
        masked = masks * mixture[:, None]  # (B, S, C, N, F)
        if self.wiener_iterations and not self.training:
            estimate = self._wiener(masked, spec)
        else:
            estimate = apply_gains(masks, spec)
        sources = self.stft.inverse(estimate, wav.shape[-1])  # (B, S, C, T)
        logits = activity = None
        if self.pitch_head is not None:
            logits = self.pitch_head(voice).float()[:, :n_frames]  # (B, N, P)
        if self.activity_head is not None:
            activity = self.activity_head(voice).float()[:, :n_frames, 0]  # (B, N)
        magnitudes = masked[..., :n_frames, :]
        if self.in_channels == 1:
            sources, magnitudes = sources[:, :, 0], magnitudes[:, :, 0]
        return JointOutput(sources, logits, activity, magnitudes)

    def masks(self, mixture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The networks: magnitudes ``(B, C, N, F)`` to features and masks.

        Returns:
            Features that the decoder of the voice sees, ``(B, 2 D, N)``, and masks of all sources,
            ``(B, S, C, N, F)``, without an upper bound.
        """
        x = mixture[..., : self.max_bin].transpose(1, 2)  # (B, N, C, F)
        scale = self.mean_scale
        encoded = [
            self.layer_enc[s](
                ((x + scale[f"input_mean_{s}"]) * scale[f"input_scale_{s}"]).flatten(2)
            )
            for s in self.sources
        ]  # S times (B, N, D)
        bridged = self.bridge("encoder", encoded)
        features = [
            torch.cat([skip, self.layer_lstm[s](inner)[0]], -1)
            for s, skip, inner in zip(self.sources, encoded, bridged, strict=True)
        ]  # S times (B, N, 2 D)
        features = self.bridge("decoder", features)
        masks = []
        for s, y in zip(self.sources, features, strict=True):
            y = self.layer_dec[s](y).float().unflatten(2, (self.in_channels, self.n_bins))
            y = y * scale[f"output_scale_{s}"] + scale[f"output_mean_{s}"]
            masks.append(functional.relu(y).transpose(1, 2))  # (B, C, N, F)
        return features[0].transpose(1, 2), torch.stack(masks, 1)

    @torch.no_grad()
    def _wiener(self, masked: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:
        """Magnitudes ``(B, S, C, N, F)`` and the mixture ``(B, C, N, F)`` to complex sources."""
        norbert = optional("norbert", "eval")
        refined = [
            norbert.wiener(  # overwrites its second argument: the conversion makes a copy
                v.permute(2, 3, 1, 0).double().cpu().numpy(),  # (N, F, C, S)
                x.permute(1, 2, 0).to(torch.complex128).cpu().numpy(),  # (N, F, C)
                self.wiener_iterations,
                use_softmask=False,
            )
            for v, x in zip(masked, spec, strict=True)
        ]
        return torch.from_numpy(np.stack(refined)).permute(0, 4, 3, 1, 2).to(spec)

    @torch.no_grad()
    def set_input_statistics(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Standardise the input of every encoder.

        Args:
            mean: Mean of the mixture's magnitude per bin, ``(max_bin,)``.
            std: Standard deviation, ``(max_bin,)``, floored at 1e-4 of its maximum.

        Raises:
            ValueError: If shapes differ.
        """
        if np.shape(mean) != (self.max_bin,) or np.shape(std) != (self.max_bin,):
            raise ValueError(
                f"Expected ({self.max_bin},), received {np.shape(mean)}, {np.shape(std)}."
            )
        std = np.maximum(std, max(STD_FLOOR * np.max(std), np.finfo(np.float32).tiny))
        for name in self.sources:
            self.mean_scale[f"input_mean_{name}"].copy_(torch.as_tensor(-np.asarray(mean)))
            self.mean_scale[f"input_scale_{name}"].copy_(torch.as_tensor(1 / std))

    def prepare_training(self, dataset: JointDataset) -> None:
        """Initialise the input's mean and scale from the training mixtures."""
        stft = self.stft
        self.set_input_statistics(
            *input_statistics(dataset, stft.n_fft, stft.hop_length, self.max_bin)
        )

    @classmethod
    def from_separator(cls, separator: Any, **overrides: Any) -> "JointXUMX":
        """Take over a separator trained with Asteroid's ``XUMX``; heads are fresh.

        Args:
            separator: File, hub id or URL, a model dictionary, or the model itself.
            **overrides: Constructor arguments, e.g. ``pitch=False``.

        Returns:
            The model in ``.eval()``: vocals come first, stems keep their names.

        Raises:
            CheckpointError: If it cannot be used.
        """
        conf = read_xumx(separator)
        try:
            model = cls(**{**conf.model_args, "sources": _voice_first(conf.sources), **overrides})
            missing, unexpected = model.load_state_dict(conf.state_dict, strict=False)
            wrong = [name for name in missing if not name.startswith(FRESH)] + unexpected
            if wrong:
                raise KeyError(f"{wrong[0]} is missing or unknown")
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as err:
            reason = " ".join(str(err).split())[:200]
            raise CheckpointError(f"The weights do not fit {cls.__name__}: {reason}") from err
        return model.eval()


def _voice_first(names: Sequence[str]) -> list[str]:
    """Names in the order of ``SOURCES``, others at the end in their order."""
    return sorted(names, key=lambda n: SOURCES.index(n) if n in SOURCES else len(SOURCES))
