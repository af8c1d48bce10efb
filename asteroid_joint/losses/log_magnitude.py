"""Mean squared error of log-normalised magnitudes."""

import torch

from ..data.batch import Batch, has_label
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .magnitudes import SourceMagnitudes
from .term import Term


@LOSSES.register("log_magnitude")
class LogMagnitudeLoss(SourceMagnitudes):
    """Squared error between ``log(1 + x)`` of estimated and true magnitudes of all sources.

    It is the mean over frames and frequencies, per example and source, in 32 bits even under
    automatic mixed precision. Quiet bins count almost like magnitudes, loud ones like levels.

    Args:
        n_fft, hop_length: See :class:`~asteroid_joint.losses.magnitudes.SourceMagnitudes`.

    References:
        D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice",
        LVA/ICA 2018, https://arxiv.org/abs/1804.01650 (L_MSE).
    """

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, S)`` values."""
        estimate, target = self.compared(output, batch, model)  # (B, S, C, N, F)
        n_frames = min(estimate.shape[-2], target.shape[-2])
        with torch.autocast(target.device.type, enabled=False):
            a, b = (torch.log1p(x[..., :n_frames, :].float()) for x in (estimate, target))
            values = (a - b).square().mean((2, 3, 4))
        return Term(values, has_label(batch, "sources", values))
