"""Datasets, one per file, and how training examples are drawn from them."""

from .activity_folder import ActivityFolder
from .base import Clip, JointDataset
from .batch import Batch, Collate, JointExample
from .blend import Blend
from .drawing import DrawnExamples, DrawSampler, WholeClips
from .hiding import Hidden
from .jamendo import Jamendo
from .medleydb import MedleyDB
from .mir1k import MIR1K
from .mir_st500 import MIRST500
from .multitrack import Multitrack
from .musdb18 import MUSDB18
from .nonvocal import ExtraNonVocal
from .pseudo import PseudoLabelled
from .solo import SoloVoice

__all__ = [
    "MIR1K",
    "MIRST500",
    "MUSDB18",
    "ActivityFolder",
    "Batch",
    "Blend",
    "Clip",
    "Collate",
    "DrawSampler",
    "DrawnExamples",
    "ExtraNonVocal",
    "Hidden",
    "Jamendo",
    "JointDataset",
    "JointExample",
    "MedleyDB",
    "Multitrack",
    "PseudoLabelled",
    "SoloVoice",
    "WholeClips",
]
