"""Published systems, one per file; ``base`` holds the contract, ``pretrained`` shipped weights."""

from .base import JointModel as JointModel
from .base import JointOutput as JointOutput
from .base import register_model as register_model
from .djcm import DJCM as DJCM
from .djcm_controls import MMoE as MMoE
from .djcm_controls import SharedBottom as SharedBottom
from .joint_cascade import JointCascade as JointCascade
from .joint_cascade import with_pitch as with_pitch
from .joint_dttnet import JointDTTNet as JointDTTNet
from .joint_xconv_tasnet import JointXConvTasNet as JointXConvTasNet
from .joint_xd3net import JointXD3Net as JointXD3Net
from .joint_xumx import JointXUMX as JointXUMX
from .vocal_detection_unet import VocalDetectionUNet as VocalDetectionUNet
