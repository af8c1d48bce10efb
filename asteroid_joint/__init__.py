"""Joint singing-voice separation and pitch estimation for Asteroid.

Importing this package registers the models below with Asteroid: ``asteroid.models.get("DJCM")``,
``BaseModel.from_pretrained(path)`` and the code of ``asteroid-infer`` then find them. The names
below, and torch with them, are loaded on first use.

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
``K``   class, expert or another small enumeration, named where it is used
======  ==========================================================================
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register_with_asteroid, tell_homes
from .version import __version__ as __version__

if TYPE_CHECKING:
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
    from .models.pretrained import available_weights, load, load_model
    from .pitch import PitchGrid
    from .registry import DATASETS, DECODERS, ESTIMATORS, LOSSES, MODELS

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
    "load",
    "load_model",
    "with_pitch",
]

_ELSEWHERE = {  # public names that are not in ``models``
    **dict.fromkeys(("available_weights", "load", "load_model"), ".models.pretrained"),
    "PitchGrid": ".pitch",
    **dict.fromkeys(("DATASETS", "DECODERS", "ESTIMATORS", "LOSSES", "MODELS"), ".registry"),
}
_SUBPACKAGES = ("models", "pitch", "registry")  # available without importing them separately


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in __all__ and name not in _SUBPACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    models = importlib.import_module(".models", __name__)  # fills the registries
    if name in _SUBPACKAGES:
        return importlib.import_module(f".{name}", __name__)
    home = _ELSEWHERE.get(name)
    module = models if home is None else importlib.import_module(home, __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


tell_homes()
register_with_asteroid()
