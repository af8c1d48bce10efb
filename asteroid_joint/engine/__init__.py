"""Training inside Asteroid: :class:`JointSystem` and the code shared by all recipes."""

from .training.system import JointSystem

__all__ = ["JointSystem"]
