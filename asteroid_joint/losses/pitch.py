"""Weighted binary cross-entropy over pitch bins."""

import torch
from torch.nn import functional

from ..data.batch import Batch
from ..models.base import JointModel, JointOutput
from ..pitch import pitch_targets
from ..registry import LOSSES
from .joint import Term


@LOSSES.register("pitch")
class PitchLoss:
    """Binary cross-entropy with positive entries weighted ``alpha``, mean over bins.

    Args:
        alpha: Weight of positive entries.
        blur_cents: Standard deviation of the target around the true pitch; 0 is one-hot.

    References:
        arXiv 2401.03856 (L_pe; alpha = 10, one-hot).
    """

    def __init__(self, alpha: float = 10.0, blur_cents: float = 0.0) -> None:
        self.alpha = alpha
        self.blur_cents = blur_cents

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, N)`` values."""
        logits, f0_hz = output.pitch_logits, batch["f0_hz"]
        if logits is None:
            raise ValueError("The loss has a pitch term but the model has no pitch output.")
        target = pitch_targets(f0_hz, model.pitch_grid, self.blur_cents)  # (B, N, P)
        weight = logits.new_tensor(self.alpha)
        values = functional.binary_cross_entropy_with_logits(
            logits.float(), target, pos_weight=weight, reduction="none"
        ).mean(-1)
        return Term(values, (~torch.isnan(f0_hz)).to(values.dtype))
