"""Pitch of a voice that is separate already: the pitch part of a joint model alone.

The part of DJCM that reads the estimated voice reads a given one, at a fraction of the cost; of a
cascade, its estimator. Other models hear the voice as if it were the song.
"""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ..dsp.downmix import StreamDownmix
from ..dsp.overlap_add import Window
from ..errors import ConfigError
from ..models.base import VOICE, JointModel, JointOutput
from ..models.djcm import DJCM
from ..models.estimators import PitchEstimator
from ..models.estimators.djcm import DJCMPitch
from ..models.joint_cascade import JointCascade
from ..models.pretrained import load
from ..optional import pick_device
from ..version import DEFAULT_MODEL
from .curve import PitchCurve
from .fast.fuse import optimize_for_inference
from .options import BATCH, DECODER, WINDOW_SEC
from .stream import OverlapAdd, PitchTrack, Resampler, WindowRunner, plan_windows


class WholeModel(PitchEstimator):
    """A joint model as an estimator: it separates again, and only its pitch is used."""

    def __init__(self, model: JointModel) -> None:
        super().__init__(model.pitch_grid)
        self.model = model
        self.voicing_threshold = float(model.voicing_threshold)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See :class:`~asteroid_joint.models.estimators.PitchEstimator`."""
        song = wav[:, None].expand(-1, int(self.model.in_channels), -1)  # (B, C, T)
        logits = self.model.forward_joint(song).pitch_logits
        assert logits is not None, "a model with pitch"
        return logits


class VoicePitch(JointModel):
    """A joint model whose input is its only stem, the voice.

    Args:
        estimator: Estimates the pitch of that voice.
        min_samples: Shorter inputs are padded with zeros for it.

    Example:
        >>> from asteroid_joint.models.estimators import make_estimator
        >>> model = VoicePitch(make_estimator("cnn"))
        >>> out = model.forward_joint(torch.zeros(1, 16000))
        >>> out.sources.shape, out.pitch_logits.shape
        (torch.Size([1, 1, 16000]), torch.Size([1, 100, 360]))
    """

    sources = (VOICE,)

    def __init__(self, estimator: PitchEstimator, min_samples: int = 1) -> None:
        grid = estimator.pitch_grid
        super().__init__(int(grid.sample_rate), grid)
        self.min_samples = min_samples
        self.estimator = estimator
        self.voicing_threshold.fill_(estimator.voicing_threshold)

    @staticmethod
    def _plain_arguments(value: Any) -> Any:
        """None: it is not stored."""
        return {}

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        return JointOutput(wav, self.estimator(wav[:, 0]))


def pitch_part(model: JointModel) -> VoicePitch:
    """The part of a joint model that estimates the pitch of its voice.

    Args:
        model: Any joint model with pitch, trained or not.

    Raises:
        ConfigError: If it estimates no pitch.
    """
    if not model.has_pitch:
        raise ConfigError(f"This {type(model).__name__} estimates no pitch: choose another model.")
    if type(model) is DJCM:
        return VoicePitch(DJCMPitch.from_model(model), model.min_samples).eval()
    if isinstance(model, JointCascade):
        estimator = model.estimator
        estimator.voicing_threshold = float(model.voicing_threshold)
        return VoicePitch(estimator, model.min_samples).eval()
    return VoicePitch(WholeModel(model), model.min_samples).eval()


def load_pitch_part(name: str | os.PathLike = DEFAULT_MODEL, device: str = "auto") -> VoicePitch:
    """Load the pitch part of a model, optimised for a device.

    Args:
        name: What :func:`asteroid_joint.load` accepts.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where available.

    Raises:
        UserError: If there is no such model or device, or it estimates no pitch.
    """
    chosen = pick_device(device)
    part = pitch_part(load(name))
    return optimize_for_inference(part) if chosen.type == "cpu" else part.to(chosen)


class PitchStream:
    """A voice in blocks to rows of F0, in constant memory; no audio comes out.

    Args:
        model: From :func:`pitch_part`.
        sample_rate: Sample rate of the voice in Hz.
        decoder: Name in ``DECODERS``.
        batch_size: Windows per batch.
        window_sec: Window length in seconds.
        pitch_track: Decodes logits into rows; by default with ``decoder``.
    """

    def __init__(
        self,
        model: JointModel,
        sample_rate: int,
        *,
        decoder: str = DECODER,
        batch_size: int = BATCH,
        window_sec: float = WINDOW_SEC,
        pitch_track: PitchTrack | None = None,
    ) -> None:
        track = pitch_track or PitchTrack(model, decoder)
        self._windowing = OverlapAdd(model, plan_windows(model, window_sec), track)
        self._runner = WindowRunner(model, batch_size)
        self._sample_rate = sample_rate
        self._downmix: StreamDownmix | None = None  # its channels are not known before a block
        self._down = Resampler(sample_rate, int(model.sample_rate), 1)
        self._n_samples = 0  # at the model's rate

    def push(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add ``(C, T)``; returns final rows of F0 and of activity, as in ``Chunk``."""
        if self._downmix is None:
            self._downmix = StreamDownmix(len(block), self._sample_rate)
        voice, _ = self._downmix.push(block, None)  # (T',)
        return self._run(self._windowing.cut(self._resampled(voice[None])))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the remaining rows."""
        held = np.zeros(0, np.float32) if self._downmix is None else self._downmix.finish()[0]
        rest = np.concatenate([self._resampled(held[None]), self._down.finish()], 1)
        if self._n_samples + rest.shape[1] == 0:  # too short for one sample at the model's rate
            rest = np.zeros((1, 1), np.float32)
        return self._run([*self._windowing.cut(rest), self._windowing.cut_rest()])

    def _resampled(self, samples: np.ndarray) -> np.ndarray:
        samples = self._down.push(samples)
        self._n_samples += samples.shape[1]
        return samples

    def _run(self, windows: Iterable[Window]) -> tuple[np.ndarray, np.ndarray]:
        f0, activity = [np.zeros((0, 4))], [np.zeros((0, 2))]
        for window, _, logits, active in self._runner.push(windows):
            rows = self._windowing.rows(window, logits, active)
            f0.append(rows[0])
            activity.append(rows[1])
        return np.concatenate(f0), np.concatenate(activity)


def track_voice(
    model: JointModel, voice: np.ndarray, sample_rate: int, *, decoder: str = DECODER
) -> PitchCurve:
    """Pitch curve of a voice in memory.

    Args:
        model: From :func:`pitch_part`.
        voice: ``(n_samples,)`` or ``(n_channels, n_samples)``; 1.0 is full scale.
        sample_rate: Hz.
        decoder: Name in ``DECODERS``.

    Raises:
        ValueError: If the voice is empty or has more than two axes.
    """
    voice = np.asarray(voice, np.float32)
    if voice.ndim not in (1, 2) or voice.size == 0:
        raise ValueError(f"Expected (n_channels, n_samples), received {voice.shape}.")
    stream = PitchStream(model, sample_rate, decoder=decoder)
    parts = [stream.push(np.atleast_2d(voice))[0], stream.finish()[0]]
    return PitchCurve.from_rows(np.concatenate(parts))
