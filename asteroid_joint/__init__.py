"""Joint singing-voice separation and pitch estimation for Asteroid.

Importing this package makes Asteroid know the models below: ``asteroid.models.get("DJCM")``,
``BaseModel.from_pretrained(path)`` and ``asteroid-infer``'s code find them from then on.

Axis letters, used in every shape comment of this package:

======  ==========================================================================
``B``   batch
``S``   source (stem), in the fixed order of ``model.sources``
``C``   audio channel
``T``   audio sample
``F``   frequency bin of a spectrogram
``N``   time frame; frame ``n`` is centred at sample ``n * hop_length``
``P``   pitch bin of a :class:`~asteroid_joint.pitch.PitchGrid`
``D``   feature (channel of a hidden layer)
``K``   class, expert or other small enumeration; the text says which
======  ==========================================================================
"""

from .compat import register_once
from .models import (
    DJCM,
    JointCascade,
    JointDTTNet,
    JointModel,
    JointOutput,
    JointXConvTasNet,
    JointXD3Net,
    JointXUMX,
    MMoE,
    SharedBottom,
    VocalDetectionUNet,
    with_pitch,
)
from .models.store import available_weights, load_model
from .pitch import PitchGrid
from .registry import DATASETS, DECODERS, ESTIMATORS, LOSSES, MODELS

__version__ = "0.1.0"

__all__ = [
    "DATASETS",
    "DECODERS",
    "DJCM",
    "ESTIMATORS",
    "LOSSES",
    "MODELS",
    "JointCascade",
    "JointDTTNet",
    "JointModel",
    "JointOutput",
    "JointXConvTasNet",
    "JointXD3Net",
    "JointXUMX",
    "MMoE",
    "PitchGrid",
    "SharedBottom",
    "VocalDetectionUNet",
    "available_weights",
    "load_model",
    "with_pitch",
]

for _model in MODELS.values():  # again, for a process that cleared Asteroid's table
    register_once(_model)
del _model
