"""Pitch estimators that a cascade can put behind any separator."""

from .base import PitchEstimator, SpectralEstimator, make_estimator, register_estimator
from .crepe import Crepe, CrepeFull, CrepeTiny
from .djcm import DJCMPitch
from .networks import RMVPE, PitchCNN

__all__ = [
    "RMVPE",
    "Crepe",
    "CrepeFull",
    "CrepeTiny",
    "DJCMPitch",
    "PitchCNN",
    "PitchEstimator",
    "SpectralEstimator",
    "make_estimator",
    "register_estimator",
]
