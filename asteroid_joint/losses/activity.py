"""Binary cross-entropy of vocal activity."""

import torch
from torch.nn import functional

from ..data.batch import Batch
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .term import Term


@LOSSES.register("activity")
class ActivityLoss:
    """Binary cross-entropy per frame.

    References:
        D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice",
        LVA/ICA 2018, https://arxiv.org/abs/1804.01650 (L_CE).
    """

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, N)`` values."""
        if output.activity_logits is None:
            raise ValueError("The loss has an activity term but the model has no activity output.")
        activity = batch["activity"]  # (B, N), NaN = unknown
        values = functional.binary_cross_entropy_with_logits(
            output.activity_logits.float(), activity.nan_to_num(), reduction="none"
        )
        return Term(values, (~torch.isnan(activity)).to(values.dtype), "activity", True)
