"""The pitch module of DJCM as a separate estimator.

References:
    H. Wei et al., "DJCM: A Deep Joint Cascade Model for Singing Voice Separation and Vocal Pitch
    Estimation", ICASSP 2024, https://arxiv.org/abs/2401.03856
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...errors import ConfigError
from ...masknn.residual_unet import ResidualUNet, init_convolutions
from ..djcm import DJCM, PAPER_TRUNK, SMALL, make_pitch_head
from .base import SpectralEstimator, register_estimator

SMALL_PITCH: dict[str, Any] = {  # as in DJCM's `small`
    "pitch_head": SMALL["pitch_head"],
    "power": SMALL["power"],
    "level_norm": SMALL["level_norm"],
    "pitch": {},
}


@register_estimator("djcm")
class DJCMPitch(SpectralEstimator):
    """Linear magnitude of the voice, residual U-Net, recurrent head.

    DJCM normalises magnitudes by the level of the mixture; without a mixture, it is the voice's.

    Args:
        n_fft, hop_length, sample_rate: See :class:`SpectralEstimator`.
        n_freqs: Bins that the network sees.
        pitch, pitch_head, power: See :class:`~asteroid_joint.models.DJCM`.
        level_norm: Normalise magnitudes by their mean; off in the paper.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop_length: int = 320,
        n_freqs: int = 1024,
        pitch: Mapping[str, Any] = PAPER_TRUNK,
        pitch_head: Mapping[str, Any] | None = None,
        power: float = 1.0,
        level_norm: bool = False,
    ) -> None:
        super().__init__(n_fft, hop_length, sample_rate)
        self._args = {
            "sample_rate": sample_rate,
            "n_fft": n_fft,
            "hop_length": hop_length,
            "n_freqs": n_freqs,
            "pitch": dict(pitch),
            "pitch_head": None if pitch_head is None else dict(pitch_head),
            "power": power,
            "level_norm": level_norm,
        }
        self.n_freqs, self.power, self.level_norm = n_freqs, power, level_norm
        self.pitch_net = ResidualUNet(1, 1, n_freqs, **pitch) if pitch else nn.Identity()
        self.pitch_head = make_pitch_head(pitch_head, n_fft, n_freqs, self.pitch_grid)
        init_convolutions(self)

    @classmethod
    def from_model(cls, model: nn.Module) -> "DJCMPitch":
        """The pitch module of a DJCM, trained or not, with copies of its weights.

        Raises:
            ConfigError: If ``model`` is of another class.
        """
        if not isinstance(model, DJCM):
            raise ConfigError(
                f"Expected a DJCM, whose pitch module is used, received {type(model).__name__}."
            )
        args = model.get_model_args()
        estimator = cls(
            sample_rate=args["sample_rate"],
            n_fft=args["n_fft"],
            hop_length=args["hop_length"],
            n_freqs=args["n_freqs"],
            pitch=args["pitch"],
            pitch_head=args["pitch_head"],
            power=args["power"],
            level_norm=args["level_norm"],
        )
        parts = estimator.state_dict().keys()
        estimator.load_state_dict({k: v for k, v in model.state_dict().items() if k in parts})
        estimator.voicing_threshold = float(model.voicing_threshold)
        return estimator.train(model.training)

    def from_magnitude(self, mag: torch.Tensor) -> torch.Tensor:
        if self.power != 1.0:
            level = mag.mean((1, 2), keepdim=True) + 1e-4 if self.level_norm else 1.0
            mag = (mag / level + 1e-3).pow(self.power)
        return self.pitch_head(self.pitch_net(mag[:, None, :, : self.n_freqs]))  # (B, N, P)
