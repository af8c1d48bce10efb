"""The result of a loss term: unreduced values with weights."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from ..data.batch import Batch
from ..models.base import JointModel, JointOutput


class Term(NamedTuple):
    """Unreduced loss.

    Attributes:
        values: ``(batch, ...)``.
        weights: Weights of the same shape; 0 where a label is missing.
        label: Label that the values depend on: ``"sources"``, ``"f0_hz"`` or ``"activity"``.
        framewise: Whether the last axis contains the frames of the model's pitch grid.
    """

    values: torch.Tensor
    weights: torch.Tensor
    label: str = "sources"
    framewise: bool = False

    def mean(self) -> torch.Tensor:
        """Weighted mean; 0 (with a gradient of 0) if nothing is labelled."""
        values = torch.where(self.weights > 0, self.values, torch.zeros_like(self.values))
        return (values * self.weights).sum() / self.weights.sum().clamp_min(1e-8)


LossTerm = Callable[[JointOutput, Batch, JointModel], Term]
