"""Published systems, one per file; ``base`` holds the contract, ``pretrained`` shipped weights."""

from .base import JointModel, JointOutput, register_model
from .djcm import DJCM
from .djcm_controls import MMoE, SharedBottom
from .joint_cascade import JointCascade, with_pitch
from .joint_dttnet import JointDTTNet
from .joint_xconv_tasnet import JointXConvTasNet
from .joint_xd3net import JointXD3Net
from .joint_xumx import JointXUMX
from .vocal_detection_unet import VocalDetectionUNet

__all__ = [
    "DJCM",
    "JointCascade",
    "JointDTTNet",
    "JointModel",
    "JointOutput",
    "JointXConvTasNet",
    "JointXD3Net",
    "JointXUMX",
    "MMoE",
    "SharedBottom",
    "VocalDetectionUNet",
    "register_model",
    "with_pitch",
]
