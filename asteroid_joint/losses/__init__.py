"""Loss terms by name, one file each, and what combines them."""

from .activity import ActivityLoss
from .combination import CombinationLoss, subsets
from .joint import JointLoss, Term, build_loss
from .log_magnitude import LogMagnitudeLoss
from .multi_domain import MultiDomainLoss, MultiDomainTerm
from .pitch import PitchLoss
from .sdr import SDRLoss
from .waveform import WaveformLoss
from .weighting import WEIGHTINGS, DynamicWeightAverage, FixedWeights

__all__ = [
    "WEIGHTINGS",
    "ActivityLoss",
    "CombinationLoss",
    "DynamicWeightAverage",
    "FixedWeights",
    "JointLoss",
    "LogMagnitudeLoss",
    "MultiDomainLoss",
    "MultiDomainTerm",
    "PitchLoss",
    "SDRLoss",
    "Term",
    "WaveformLoss",
    "build_loss",
    "subsets",
]
