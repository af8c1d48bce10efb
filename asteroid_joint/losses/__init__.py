"""Loss terms by name, one file each, and what combines them."""

from ..registry import WEIGHTINGS as WEIGHTINGS
from .activity import ActivityLoss as ActivityLoss
from .combination import CombinationLoss as CombinationLoss
from .combination import subsets as subsets
from .joint import JointLoss as JointLoss
from .joint import build_loss as build_loss
from .log_magnitude import LogMagnitudeLoss as LogMagnitudeLoss
from .multi_domain import MultiDomainLoss as MultiDomainLoss
from .multi_domain import MultiDomainTerm as MultiDomainTerm
from .pitch import PitchApartLoss as PitchApartLoss
from .pitch import PitchLoss as PitchLoss
from .sdr import SDRLoss as SDRLoss
from .term import Term as Term
from .waveform import WaveformLoss as WaveformLoss
from .weighting import DynamicWeightAverage as DynamicWeightAverage
from .weighting import FixedWeights as FixedWeights
from .weighting import HardSampleWeights as HardSampleWeights
from .weighting import SampleWeighting as SampleWeighting
from .weighting import Weighting as Weighting
from .weighting import hard_sample_weights as hard_sample_weights
