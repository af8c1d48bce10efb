"""Datasets, one per file, and how training examples are drawn from them."""

from .base import Clip, JointDataset
from .batch import Batch, Collate, JointExample
from .drawing import DrawnExamples, DrawSampler, WholeClips
from .mir1k import MIR1K

__all__ = [
    "MIR1K",
    "Batch",
    "Clip",
    "Collate",
    "DrawSampler",
    "DrawnExamples",
    "JointDataset",
    "JointExample",
    "WholeClips",
]
