"""Loss terms by name, one file each, and their combination."""

from ..registry import WEIGHTINGS
from .activity import ActivityLoss
from .combination import CombinationLoss, subsets
from .joint import JointLoss, build_loss
from .log_magnitude import LogMagnitudeLoss
from .multi_domain import MultiDomainLoss, MultiDomainTerm
from .pitch import PitchApartLoss, PitchLoss
from .sdr import SDRLoss
from .term import Term
from .waveform import WaveformLoss
from .weighting import (
    DynamicWeightAverage,
    FixedWeights,
    HardSampleWeights,
    SampleWeighting,
    Weighting,
    hard_sample_weights,
)

__all__ = [
    "WEIGHTINGS",
    "ActivityLoss",
    "CombinationLoss",
    "DynamicWeightAverage",
    "FixedWeights",
    "HardSampleWeights",
    "JointLoss",
    "LogMagnitudeLoss",
    "MultiDomainLoss",
    "MultiDomainTerm",
    "PitchApartLoss",
    "PitchLoss",
    "SDRLoss",
    "SampleWeighting",
    "Term",
    "WaveformLoss",
    "Weighting",
    "build_loss",
    "hard_sample_weights",
    "subsets",
]
