"""Pitch estimators that a cascade can put behind any separator."""

from .base import PitchEstimator as PitchEstimator
from .base import SpectralEstimator as SpectralEstimator
from .base import make_estimator as make_estimator
from .base import register_estimator as register_estimator
from .crepe import Crepe as Crepe
from .crepe import CrepeFull as CrepeFull
from .crepe import CrepeTiny as CrepeTiny
from .djcm import DJCMPitch as DJCMPitch
from .networks import RMVPE as RMVPE
from .networks import PitchCNN as PitchCNN
