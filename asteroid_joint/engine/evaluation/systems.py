"""Systems to evaluate: joint models, and controls to compare them with.

An estimator is a callable from a clip to an :class:`Estimate`; it has a ``grid`` and a
``threshold`` (``None`` if it must be chosen on validation data).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from ...data.batch import JointExample
from ...dsp.downmix import audible_channel
from ...errors import DataError
from ...inference.separate import separate_array
from ...models.base import JointModel
from ...optional import optional
from ...pitch import PitchGrid, decode_argmax
from ...registry import Registry

CREPE_RATE = 16000  # Hz
CREPE_FMIN = 50.0  # Hz, torchcrepe's default


class Estimate(NamedTuple):
    """Estimates for a clip; ``None`` for outputs that a system lacks.

    Attributes:
        sources: ``(n_src, n_channels, time)``.
        f0_hz: ``(frames,)``, always positive.
        confidence: ``(frames,)`` in [0, 1].
        activity: ``(frames,)`` in [0, 1].
    """

    sources: np.ndarray | None = None
    f0_hz: np.ndarray | None = None
    confidence: np.ndarray | None = None
    activity: np.ndarray | None = None


class Estimator(Protocol):
    """See the module's docstring."""

    grid: PitchGrid
    threshold: float | None

    def __call__(self, example: JointExample) -> Estimate:
        """Estimate for a whole clip."""


CONTROLS: Registry = Registry("control")


class ModelEstimator:
    """A joint model that processes whole clips on a device."""

    def __init__(self, model: JointModel, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device
        self.grid = model.pitch_grid
        self.threshold: float | None = float(model.voicing_threshold)

    @torch.inference_mode()
    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        wav = torch.from_numpy(example.mixture)[None].to(self.device)  # (1, C, T)
        out = self.model.forward_joint(wav)
        sources = out.stems()[0].float().cpu().numpy()  # (S, C, T)
        f0_hz = confidence = None
        if out.pitch_logits is not None:
            f0_hz, confidence, _ = (
                x.cpu().numpy() for x in self.model.decode_pitch(out.pitch_logits[0])
            )
        probability = self.model.sung_probability(out)
        activity = None if probability is None else probability[0].cpu().numpy()
        return Estimate(sources, f0_hz, confidence, activity)


class NativeEstimator:
    """A joint model on recordings of any sample rate and channels, processed as by ``separate``.

    The recording is resampled and mixed down for the model and processed in windows, and the stems
    have the recording's bandwidth and channels.

    Args:
        model: Any joint model.
        device: Device to run it on.
        sample_rate: Sample rate of the recordings in Hz.

    Raises:
        DataError: If the hop of the model's frames is not a whole number of samples.
    """

    def __init__(self, model: JointModel, device: torch.device, sample_rate: int) -> None:
        self.model = model.to(device).eval()
        self.threshold: float | None = float(model.voicing_threshold)
        hop = model.pitch_grid.hop * sample_rate  # samples
        if hop.denominator != 1:
            raise DataError(
                f"The model's frames are {float(hop):.2f} samples apart at {sample_rate} Hz: "
                "resample the recordings to a rate at which this is a whole number."
            )
        self.grid = replace(model.pitch_grid, hop_length=int(hop), sample_rate=sample_rate)

    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        chunk = separate_array(self.model, example.mixture, self.grid.sample_rate)
        n_frames = self.grid.n_frames(example.mixture.shape[-1])
        f0_hz = confidence = activity = None
        if len(chunk.f0):
            f0_hz = _fit(chunk.f0[:, 1], n_frames, mode="edge")
            confidence = _fit(chunk.f0[:, 2], n_frames)
        if len(chunk.activity):
            activity = _fit(chunk.activity[:, 1], n_frames)
        return Estimate(chunk.stems, f0_hz, confidence, activity)


def _fit(values: np.ndarray, n_frames: int, **padding: Any) -> np.ndarray:
    """Trim or pad ``(frames,)``: resamplers round the length and may lose or add a frame."""
    return np.pad(values[:n_frames], (0, max(n_frames - len(values), 0)), **padding)


class MixtureEstimator:
    """The mixture as estimate of every source: the score of doing nothing."""

    threshold: float | None = None

    def __init__(self, grid: PitchGrid, n_src: int) -> None:
        self.grid = grid
        self.n_src = n_src

    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        return Estimate(np.repeat(example.mixture[None], self.n_src, 0))


class CrepeEstimator:
    """Pitch by torchcrepe.

    The network is torchcrepe's, the decoder is ours: that of torchcrepe dithers the bin centres
    with unseeded noise.

    Args:
        grid: Frames to report; CREPE's bins.
        select: From a clip to the input of CREPE ``(C, T)`` and the sources to report, if any.
        capacity: ``"tiny"`` or ``"full"``.
        device: Device to run it on.

    References:
        J. W. Kim et al., "CREPE", ICASSP 2018, https://arxiv.org/abs/1802.06182
    """

    threshold: float | None = None

    def __init__(
        self,
        grid: PitchGrid,
        select: Callable[[JointExample], tuple[np.ndarray, np.ndarray | None]],
        capacity: str = "tiny",
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid = grid
        self.select = select
        self.capacity = capacity
        self.device = device

    @torch.inference_mode()
    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        import soxr

        crepe = optional("torchcrepe", "eval")
        channels, sources = self.select(example)  # (C, T)
        n_frames = self.grid.n_frames(channels.shape[-1])
        wav = audible_channel(channels)
        if self.grid.sample_rate != CREPE_RATE:
            wav = soxr.resample(wav, self.grid.sample_rate, CREPE_RATE)
        hop = round(CREPE_RATE * self.grid.hop)
        bins = PitchGrid(hop, CREPE_RATE)
        frames = torch.cat(list(crepe.preprocess(torch.from_numpy(wav)[None], CREPE_RATE, hop)))
        probabilities = torch.cat(
            [crepe.infer(x.to(self.device), self.capacity, self.device) for x in frames.split(512)]
        ).cpu()  # (N, P)
        probabilities[:, : int(np.ceil(bins.hz_to_bin(CREPE_FMIN)))] = 0.0
        f0 = decode_argmax(probabilities, bins)
        times = self.grid.times(n_frames)  # the hop of another rate may not divide evenly
        nearest = np.rint(times * CREPE_RATE / hop).astype(int).clip(0, len(f0.hz) - 1)
        return Estimate(sources, f0.hz.numpy()[nearest], f0.confidence.numpy()[nearest])


@CONTROLS.register("mixture")
def mixture_control(grid: PitchGrid, dataset: Any, **_: Any) -> Estimator:
    """The mixture as estimate of the voice."""
    return MixtureEstimator(grid, len(dataset.sources))


@CONTROLS.register("torchcrepe_mixture")
def crepe_on_mixture(grid: PitchGrid, crepe_model: str, device: Any, **_: Any) -> Estimator:
    """Pitch straight from the mixture."""
    return CrepeEstimator(grid, lambda example: (example.mixture, None), crepe_model, device)


@CONTROLS.register("torchcrepe_separated")
def crepe_on_separated(
    grid: PitchGrid, crepe_model: str, device: Any, model: Callable[[], Estimator], **_: Any
) -> Estimator:
    """The pipeline: our model separates, torchcrepe estimates the pitch of its voice."""
    separator = model()

    def select(example: JointExample) -> tuple[np.ndarray, np.ndarray | None]:
        sources = separator(example).sources
        assert sources is not None
        return sources[0], sources

    return CrepeEstimator(grid, select, crepe_model, device)


@CONTROLS.register("torchcrepe_clean")
def crepe_on_clean(grid: PitchGrid, crepe_model: str, device: Any, **_: Any) -> Estimator:
    """The upper bound: pitch from the true voice."""

    def select(example: JointExample) -> tuple[np.ndarray, np.ndarray | None]:
        if example.sources is None:
            raise ValueError(f"{example.name} has no separate voice: choose another control.")
        return example.sources[0], None

    return CrepeEstimator(grid, select, crepe_model, device)
