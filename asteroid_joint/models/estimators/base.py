"""What a pitch estimator is: a network from a waveform to logits on a pitch grid of its own.

A new one subclasses :class:`PitchEstimator` (or :class:`SpectralEstimator`) and is made known by
one line, ``@register_estimator("name")``; :class:`~asteroid_joint.models.JointCascade` finds it
by that name and bridges its rate and its frames to those of any separator.
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
        name: Under which the estimator is registered.
        voicing_threshold: To begin with; better chosen on validation data.

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
        """Constructor arguments, plain values, of an estimator of this shape.

        Weights are not among them: they are in the state dictionary, so what is built from these
        arguments fetches none.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement get_args().")

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See the class."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward(wav).")


class SpectralEstimator(PitchEstimator):
    """Base of the estimators that read a linear magnitude.

    Args:
        n_fft: STFT window, samples.
        hop_length: Samples; one pitch frame each.
        sample_rate: Hz.
    """

    def __init__(self, n_fft: int, hop_length: int, sample_rate: int) -> None:
        super().__init__(PitchGrid(hop_length, sample_rate))
        self.stft = STFT(n_fft, hop_length)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See :class:`PitchEstimator`."""
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        missing = max(self.stft.n_fft - wav.shape[-1], 0)  # reflect padding needs half a window
        mag = magnitude(self.stft(functional.pad(wav, (0, missing))))  # (B, N', F)
        return self.from_magnitude(mag[:, :n_frames])

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
