"""Pitch of a voice that is separate already: the pitch part of a joint model alone.

The part of DJCM that reads the estimated voice reads a given one, at a fraction of the cost; of a
cascade, its estimator. Other models hear the voice as if it were the song.
"""

import os
from typing import Any

import torch

from ..errors import ConfigError
from ..models.base import VOICE, JointModel, JointOutput
from ..models.djcm import DJCM
from ..models.estimators import PitchEstimator
from ..models.estimators.djcm import DJCMPitch
from ..models.joint_cascade import JointCascade
from ..models.pretrained import load
from ..optional import pick_device
from ..version import DEFAULT_MODEL
from .fast.devices import usable
from .fast.fuse import optimize_for_inference
from .voice_stream import PitchStream as PitchStream
from .voice_stream import track_voice as track_voice


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
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for a GPU where available.

    Raises:
        UserError: If there is no such model or device, or it estimates no pitch.
    """
    chosen = pick_device(device, inference=True)
    part = pitch_part(load(name))
    chosen = usable(part, chosen)
    return optimize_for_inference(part) if chosen.type == "cpu" else part.to(chosen)
