"""Mean absolute error on waveforms."""

from torch.nn import functional

from ..data.batch import Batch, has_label
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .term import Term


@LOSSES.register("waveform")
class WaveformLoss:
    """Mean absolute error per example and source, over the whole segment.

    Args:
        per_frame: Average over each frame instead, for weighting strategies that need single
            frames. The total mean is the same.

    References:
        arXiv 2401.03856 (L_svs of DJCM; its code uses only the waveform term).
    """

    def __init__(self, per_frame: bool = False) -> None:
        self.per_frame = per_frame

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, S)`` values, or ``(B, S, N)``."""
        target = batch["sources"].nan_to_num()  # (B, S, C, T)
        error = (output.stems() - target).abs().mean(2)  # (B, S, T)
        if not self.per_frame:
            error = error.mean(2)
            return Term(error, has_label(batch, "sources", error))
        n_samples, hop = error.shape[-1], model.pitch_grid.hop_length
        n_frames = model.pitch_grid.n_frames(n_samples)
        last = n_samples - (n_frames - 1) * hop  # samples of the last frame
        error = functional.pad(error, (0, hop - last)).unflatten(-1, (n_frames, hop)).sum(-1)
        lengths = error.new_full((n_frames,), hop)
        lengths[-1] = last
        weights = has_label(batch, "sources", error) * lengths / hop  # (B, S, N)
        return Term(error / lengths, weights, framewise=True)
