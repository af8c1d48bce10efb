"""Published systems, one per file; ``base`` holds the contract, ``store`` the shipped weights."""

from .base import JointModel, JointOutput, register_model
from .djcm import DJCM
from .djcm_controls import MMoE, SharedBottom

__all__ = ["DJCM", "JointModel", "JointOutput", "MMoE", "SharedBottom", "register_model"]
