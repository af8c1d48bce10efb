"""Training inside Asteroid: :class:`JointSystem` and the code shared by all recipes."""

import warnings

# of torchmetrics, which Lightning imports; filters of the user come first
warnings.filterwarnings("ignore", "pkg_resources is deprecated", append=True)

from .training.system import JointSystem  # noqa: E402

__all__ = ["JointSystem"]
