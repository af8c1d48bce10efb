"""Mean absolute error on waveforms."""

from ..data.batch import Batch, has_label
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .joint import Term


@LOSSES.register("waveform")
class WaveformLoss:
    """Mean absolute error per example and source, over the whole segment.

    References:
        arXiv 2401.03856 (L_svs of DJCM; its code uses the waveform term alone).
    """

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, S)`` values."""
        target = batch["sources"].nan_to_num()  # (B, S, C, T)
        error = (output.stems() - target).abs().mean((2, 3))
        return Term(error, has_label(batch, "sources", error))
