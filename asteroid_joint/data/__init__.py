"""Datasets, one per file, and how training examples are drawn from them."""

from .base import Clip, JointDataset
from .batch import Batch, Collate, JointExample
from .blend import Blend
from .drawing import DrawnExamples, DrawSampler, WholeClips
from .mir1k import MIR1K
from .multitrack import Multitrack
from .solo import SoloVoice

__all__ = [
    "MIR1K",
    "Batch",
    "Blend",
    "Clip",
    "Collate",
    "DrawSampler",
    "DrawnExamples",
    "JointDataset",
    "JointExample",
    "Multitrack",
    "SoloVoice",
    "WholeClips",
]
