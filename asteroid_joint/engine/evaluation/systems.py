"""What can be evaluated: a joint model, and the controls that stand beside it.

An estimator is a callable from a clip to an :class:`Estimate`; it has a ``grid`` and a
``threshold`` (``None`` where it is to be chosen on validation data).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from ...data.batch import JointExample
from ...errors import DataError
from ...inference.separate import separate_array
from ...models.base import JointModel
from ...optional import optional
from ...pitch import PitchGrid, decode_argmax
from ...registry import Registry

CREPE_RATE = 16000  # Hz
CREPE_FMIN = 50.0  # Hz, torchcrepe's default


class Estimate(NamedTuple):
    """What a system says of a clip; ``None`` where it says nothing.

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
    """A joint model; clips go through it whole.

    Args:
        model: Loaded, with its voicing threshold.
        device: Where it runs.
    """

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
    """A joint model on recordings of any rate and channels, on the path of ``separate``.

    The recording is resampled and mixed down for the model, goes through it in windows, and the
    stems come back with the recording's band and channels.

    Args:
        model: Loaded, with its voicing threshold.
        device: Where it runs.
        sample_rate: Of the recordings, Hz.

    Raises:
        DataError: If the model's frames do not fall on samples of the recordings.
    """

    def __init__(self, model: JointModel, device: torch.device, sample_rate: int) -> None:
        self.model = model.to(device).eval()
        self.threshold: float | None = float(model.voicing_threshold)
        hop = model.pitch_grid.hop * sample_rate  # samples
        if hop.denominator != 1:
            raise DataError(
                f"The model's frames are {float(hop):.2f} samples apart at {sample_rate} Hz: "
                "resample the recordings to a rate at which that is a whole number."
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
    """Cut or pad ``(frames,)``: resamplers round the length, and may thus lose or add a frame."""
    return np.pad(values[:n_frames], (0, max(n_frames - len(values), 0)), **padding)


class MixtureEstimator:
    """The mixture in place of every source: what doing nothing scores."""

    threshold: float | None = None

    def __init__(self, grid: PitchGrid, n_src: int) -> None:
        self.grid = grid
        self.n_src = n_src

    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        return Estimate(np.repeat(example.mixture[None], self.n_src, 0))


class CrepeEstimator:
    """Pitch by torchcrepe on what ``listen`` gives it.

    The network is torchcrepe's, the decoder is ours: that of torchcrepe dithers the bin centres
    with unseeded noise.

    Args:
        grid: Frames to report; CREPE's bins.
        listen: From a clip to what CREPE hears ``(C, T)`` and the sources to report, if any.
        capacity: ``"tiny"`` or ``"full"``.
        device: Where it runs.

    References:
        J. W. Kim et al., "CREPE", ICASSP 2018, https://arxiv.org/abs/1802.06182
    """

    threshold: float | None = None

    def __init__(
        self,
        grid: PitchGrid,
        listen: Callable[[JointExample], tuple[np.ndarray, np.ndarray | None]],
        capacity: str = "tiny",
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid = grid
        self.listen = listen
        self.capacity = capacity
        self.device = device

    @torch.inference_mode()
    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`Estimator`."""
        import soxr

        crepe = optional("torchcrepe", "eval")
        heard, sources = self.listen(example)
        n_frames = self.grid.n_frames(heard.shape[-1])
        wav = heard.mean(0)
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
    """The mixture as voice."""
    return MixtureEstimator(grid, len(dataset.sources))


@CONTROLS.register("torchcrepe_mixture")
def crepe_on_mixture(grid: PitchGrid, crepe_model: str, device: Any, **_: Any) -> Estimator:
    """Pitch straight from the mixture."""
    return CrepeEstimator(grid, lambda example: (example.mixture, None), crepe_model, device)


@CONTROLS.register("torchcrepe_separated")
def crepe_on_separated(
    grid: PitchGrid, crepe_model: str, device: Any, model: Callable[[], Estimator], **_: Any
) -> Estimator:
    """The pipeline: our model separates, torchcrepe listens to its voice."""
    separator = model()

    def listen(example: JointExample) -> tuple[np.ndarray, np.ndarray | None]:
        sources = separator(example).sources
        assert sources is not None
        return sources[0], sources

    return CrepeEstimator(grid, listen, crepe_model, device)


@CONTROLS.register("torchcrepe_clean")
def crepe_on_clean(grid: PitchGrid, crepe_model: str, device: Any, **_: Any) -> Estimator:
    """The ceiling: pitch from the true voice."""

    def listen(example: JointExample) -> tuple[np.ndarray, np.ndarray | None]:
        if example.sources is None:
            raise ValueError(f"{example.name} has no separate voice to listen to.")
        return example.sources[0], None

    return CrepeEstimator(grid, listen, crepe_model, device)
