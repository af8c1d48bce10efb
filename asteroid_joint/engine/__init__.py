"""Training inside Asteroid: :class:`JointSystem` and the one path every recipe shares."""

from .training.system import JointSystem

__all__ = ["JointSystem"]
