"""Training inside Asteroid: :class:`JointSystem` and the one path every recipe shares."""

from .system import JointSystem

__all__ = ["JointSystem"]
