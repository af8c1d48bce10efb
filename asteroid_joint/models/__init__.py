"""Published systems, one per file; ``base`` holds the contract, ``store`` the shipped weights."""

from .base import JointModel, JointOutput, register_model
from .djcm import DJCM
from .djcm_controls import MMoE, SharedBottom
from .joint_xconv_tasnet import JointXConvTasNet
from .joint_xd3net import JointXD3Net
from .joint_xumx import JointXUMX

__all__ = [
    "DJCM",
    "JointModel",
    "JointOutput",
    "JointXConvTasNet",
    "JointXD3Net",
    "JointXUMX",
    "MMoE",
    "SharedBottom",
    "register_model",
]
