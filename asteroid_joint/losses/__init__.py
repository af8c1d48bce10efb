"""Loss terms by name, one file each, and what combines them."""

from .activity import ActivityLoss
from .joint import JointLoss, Term, build_loss
from .pitch import PitchLoss
from .sdr import SDRLoss
from .waveform import WaveformLoss
from .weighting import WEIGHTINGS, DynamicWeightAverage, FixedWeights

__all__ = [
    "WEIGHTINGS",
    "ActivityLoss",
    "DynamicWeightAverage",
    "FixedWeights",
    "JointLoss",
    "PitchLoss",
    "SDRLoss",
    "Term",
    "WaveformLoss",
    "build_loss",
]
