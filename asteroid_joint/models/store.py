"""Weights that ship with the package: ``weights/<entry>_<name>.pth``, one file each.

A file in that folder is all it takes: ``djcm("pop")`` in torch.hub and ``--model djcm_pop`` on
the command line look here first.
"""

import os
from pathlib import Path
from typing import Any

from ..defaults import DEFAULT_MODEL
from ..errors import CheckpointError, ConfigError
from ..registry import MODELS
from .base import JointModel

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def available_weights() -> list[str]:
    """Names of the shipped weights, e.g. ``["djcm_mir1k", "djcm_pop"]``."""
    return sorted(path.stem for path in WEIGHTS.glob("*.pth"))


def load_model(name_or_path: str | os.PathLike = DEFAULT_MODEL, **overrides: Any) -> JointModel:
    """Load a joint model in ``.eval()``.

    Args:
        name_or_path: Name of shipped weights, a file, or anything Asteroid can download.
        **overrides: Constructor arguments over the stored ones, e.g. ``wiener_iterations=1``.

    Raises:
        CheckpointError: One sentence on why it cannot be used.

    Example:
        >>> from asteroid_joint import load_model
        >>> load_model("djcm_mir1k").sources
        ('vocals', 'accompaniment')
    """
    return JointModel.from_pretrained(_resolve(os.fspath(name_or_path)), **overrides)


def hub_model(
    entry: str, model_name: str, name_url_or_file: str | None = None, **kwargs: Any
) -> JointModel:
    """What an entry point of ``hubconf.py`` does, with the signature of Asteroid's.

    Args:
        entry: Name of the entry point, e.g. ``"djcm"``.
        model_name: Registered name of the class.
        name_url_or_file: Name of shipped weights without the entry's (``"mir1k"``), a file, or
            anything Asteroid can download; ``None`` for a fresh model.
        **kwargs: Constructor arguments; for a fresh model also ``preset``.

    Raises:
        CheckpointError: One sentence on why the weights cannot be used.
    """
    model_class = MODELS[model_name]
    if name_url_or_file is not None:
        if "preset" in kwargs:
            raise ConfigError("preset is for a fresh model; weights bring their own.")
        name = os.fspath(name_url_or_file)
        shipped = f"{entry}_{name}"
        path = _resolve(shipped if shipped in available_weights() else name)
        return model_class.from_pretrained(path, **kwargs)
    preset = kwargs.pop("preset", None)
    return model_class(**kwargs) if preset is None else model_class.from_preset(preset, **kwargs)


def _resolve(name: str) -> str:
    """Path of shipped weights; anything else as it is, for the loader to find."""
    if name in available_weights():
        return str(WEIGHTS / f"{name}.pth")
    if "/" not in name and not Path(name).exists():
        raise CheckpointError(
            f"There is no model {name!r}: give a file, or one of "
            f"{', '.join(available_weights()) or '(none shipped)'}."
        )
    return name
