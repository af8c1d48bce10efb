"""Base of pitch estimators: networks from a waveform to logits on their own pitch grid.

A new one subclasses :class:`PitchEstimator` (or :class:`SpectralEstimator`) and is registered by
``@register_estimator("name")``; :class:`~asteroid_joint.models.JointCascade` finds it by that name
and bridges its rate and frames to those of any separator.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn
from torch.nn import functional

from ...dsp.stft import STFT, magnitude
from ...errors import ConfigError
from ...pitch.grid import PitchGrid
from ...registry import ESTIMATORS

Estimator = TypeVar("Estimator", bound="PitchEstimator")


class PitchEstimator(nn.Module):
    """Base of the pitch estimators.

    Args:
        pitch_grid: Frames and bins of the output; its ``sample_rate`` is that of the input.

    Class attributes:
        name: Registered name of the estimator.
        voicing_threshold: Initial value; better chosen on validation data.

    Shape:
        ``(B, T)`` at ``pitch_grid.sample_rate`` to logits ``(B, N, P)``, with
        ``N = pitch_grid.n_frames(T)``.
    """

    name: ClassVar[str] = ""
    voicing_threshold: float = 0.5

    def __init__(self, pitch_grid: PitchGrid) -> None:
        super().__init__()
        self.pitch_grid = pitch_grid

    def get_args(self) -> dict[str, Any]:
        """Constructor arguments, plain values, of an estimator of this shape, without weights."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_args().")

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See the class."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward(wav).")


class SpectralEstimator(PitchEstimator):
    """Base of the estimators that read a linear magnitude.

    Args:
        n_fft: STFT window in samples.
        hop_length: Samples per pitch frame.
        sample_rate: Hz.
    """

    _args: dict[str, Any]  # of the constructor; set by subclasses

    def __init__(self, n_fft: int, hop_length: int, sample_rate: int) -> None:
        super().__init__(PitchGrid(hop_length, sample_rate))
        self.stft = STFT(n_fft, hop_length)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        missing = max(self.stft.n_fft - wav.shape[-1], 0)  # reflect padding needs half a window
        mag = magnitude(self.stft(functional.pad(wav, (0, missing))))  # (B, N', F)
        return self.from_magnitude(mag[:, :n_frames])

    def get_args(self) -> dict[str, Any]:
        return dict(self._args)

    def from_magnitude(self, mag: torch.Tensor) -> torch.Tensor:
        """Linear magnitude ``(B, N, n_fft / 2 + 1)`` to logits ``(B, N, P)``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement from_magnitude(mag).")


def register_estimator(name: str) -> Callable[[type[Estimator]], type[Estimator]]:
    """Class decorator: make a pitch estimator known under ``name``."""

    def decorator(cls: type[Estimator]) -> type[Estimator]:
        cls.name = name
        return ESTIMATORS.register(name)(cls)

    return decorator


def make_estimator(name: str, **kwargs: Any) -> PitchEstimator:
    """Build an estimator by name.

    Args:
        name: In ``ESTIMATORS``, e.g. ``"crepe-tiny"``; or the name of shipped weights of DJCM,
            ``"djcm_pop"``, whose pitch module is taken.
        **kwargs: Constructor arguments.

    Raises:
        ConfigError: If there is no such estimator, or it does not take these arguments.

    Example:
        >>> from asteroid_joint.models.estimators import make_estimator
        >>> make_estimator("cnn")(torch.zeros(1, 16000)).shape  # every 10 ms
        torch.Size([1, 100, 360])
    """
    from ..pretrained import available_weights, load_model

    if name not in ESTIMATORS and name in available_weights():
        return ESTIMATORS["djcm"].from_model(load_model(name, **kwargs))
    try:
        return ESTIMATORS[name](**kwargs)
    except TypeError as err:
        raise ConfigError(f"The pitch estimator {name} cannot be constructed: {err}.") from err
