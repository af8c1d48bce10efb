"""Error-to-signal ratio in dB, bounded for silent sources."""

import torch

from ..data.batch import Batch, has_label
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .term import Term


@LOSSES.register("sdr")
class SDRLoss:
    """``10 log10((|e|^2 + floor |x|^2) / |x|^2)`` with error ``e`` and mixture ``x``.

    Its slope is that of the SDR in dB, which the metric averages over clips, so loud and soft
    examples count equally. Relative to the mixture instead of the target, it stays finite for
    silent targets, and ``floor`` limits the reward to -10 log10(floor) dB.

    Args:
        floor: Power relative to the mixture.
    """

    def __init__(self, floor: float = 1e-3) -> None:
        self.floor = floor

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, S)`` values in dB."""
        target = batch["sources"].nan_to_num()  # (B, S, C, T)
        error = (output.stems() - target).square().mean((2, 3))
        mixture = batch["mixture"].square().mean((1, 2))[:, None] + 1e-8  # (B, 1)
        values = 10 * torch.log10((error + self.floor * mixture) / mixture)
        return Term(values, has_label(batch, "sources", values))
