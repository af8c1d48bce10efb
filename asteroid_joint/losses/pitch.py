"""Weighted binary cross-entropy over pitch bins."""

import torch
from torch.nn import functional

from ..data.batch import Batch
from ..errors import ConfigError
from ..models.base import JointModel, JointOutput
from ..pitch import pitch_targets
from ..registry import LOSSES
from .term import Term


@LOSSES.register("pitch")
class PitchLoss:
    """Binary cross-entropy with positive entries weighted by ``alpha``, mean over bins.

    Args:
        alpha: Weight of positive entries.
        blur_cents: Standard deviation of the target around the true pitch; 0 is one-hot.
        focal_gamma: Each bin is weighted by its distance from the target to this power, so that
            correct bins count less; 0 for none.

    References:
        arXiv 2401.03856 (L_pe; alpha = 10, one-hot). T.-Y. Lin et al., "Focal Loss for Dense Object
        Detection", ICCV 2017, https://arxiv.org/abs/1708.02002, equation 4 (focal_gamma).
    """

    def __init__(
        self, alpha: float = 10.0, blur_cents: float = 0.0, focal_gamma: float = 0.0
    ) -> None:
        self.alpha = alpha
        self.blur_cents = blur_cents
        self.focal_gamma = focal_gamma

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, N)`` values."""
        if output.pitch_logits is None:
            raise ValueError("The loss has a pitch term but the model has no pitch output.")
        return self.compare(output.pitch_logits, batch, model)

    def compare(self, logits: torch.Tensor, batch: Batch, model: JointModel) -> Term:
        """The term for any logits ``(B, N, P)``."""
        f0_hz = batch["f0_hz"]
        target = pitch_targets(f0_hz, model.pitch_grid, self.blur_cents)  # (B, N, P)
        weight = logits.new_tensor(self.alpha)
        values = functional.binary_cross_entropy_with_logits(
            logits.float(), target, pos_weight=weight, reduction="none"
        )  # (B, N, P)
        if self.focal_gamma:
            values = values * (target - logits.float().sigmoid()).abs().pow(self.focal_gamma)
        values = values.mean(-1)
        weights = (~torch.isnan(f0_hz)).to(values.dtype)
        if "q_f0_hz" in batch:
            weights = weights * batch["q_f0_hz"].to(weights)
        return Term(values, weights, "f0_hz", True)


@LOSSES.register("pitch_apart")
class PitchApartLoss(PitchLoss):
    """:class:`PitchLoss` of the pitch that a cascade estimates from the **true** voice.

    In place of ``pitch`` it trains the two parts of a cascade separately, like a pipeline: the
    estimator receives no separated voice, and no pitch gradient reaches the separator. Examples
    without stems have weight 0.
    """

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, N)`` values."""
        if not hasattr(model, "listen"):
            raise ConfigError(
                "The loss pitch_apart is for models with a pitch estimator of their own "
                f"(JointCascade), not for {type(model).__name__}."
            )
        voice = batch["sources"][:, 0].nan_to_num()  # (B, C, T): missing ones are NaN
        term = self.compare(model.listen(voice), batch, model)
        known = batch["has_sources"].to(term.weights)[:, None]  # (B, 1)
        return term._replace(weights=term.weights * known)
