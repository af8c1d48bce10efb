"""A stranger's loss term: the energy of the estimated stems."""

from asteroid_joint.data.batch import has_label
from asteroid_joint.losses import Term
from asteroid_joint.registry import LOSSES


@LOSSES.register("stranger_energy")
class StrangerEnergy:
    """Absolute difference of the stems' levels.

    Args:
        power: Exponent of the samples.
    """

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def __call__(self, output, batch, model) -> Term:
        """``(B, S)`` values."""
        target = batch["sources"].nan_to_num()  # (B, S, C, T)
        estimate = output.stems()
        levels = [wav.abs().pow(self.power).mean((2, 3)) for wav in (estimate, target)]
        values = (levels[0] - levels[1]).abs()
        return Term(values, has_label(batch, "sources", values))
