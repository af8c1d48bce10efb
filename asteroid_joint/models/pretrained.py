"""Weights that ship with the package: ``weights/<entry>_<name>.pth``, one file each.

``djcm("pop")`` in torch.hub and ``--model djcm_pop`` on the command line look in that folder first.
"""

import os
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, ConfigError
from ..registry import MODELS
from ..version import DEFAULT_MODEL
from .base import JointModel

HUB_FILE = "pytorch_model.bin"  # what Asteroid looks for in a repository of the hub
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
        CheckpointError: If it cannot be used.

    Example:
        >>> from asteroid_joint import load_model
        >>> load_model("djcm_mir1k").sources
        ('vocals', 'accompaniment')
    """
    return JointModel.from_pretrained(model_path(os.fspath(name_or_path)), **overrides)


def load(name: str | os.PathLike = DEFAULT_MODEL, **overrides: Any) -> JointModel:
    """Load a model for use, by its full or short name.

    Args:
        name: One of

            * shipped weights, ``"djcm_pop"``, as ``asteroid-joint list`` names them; without the
              model's name, ``"pop"``, preferably those of DJCM;
            * a model file, or a folder that contains ``pytorch_model.bin``;
            * the id of a model on the Hugging Face hub, ``"user/name"`` (or ``@revision``),
              or an address.
        **overrides: Constructor arguments over the stored ones.

    Returns:
        The model in ``.eval()``, on the CPU.

    Raises:
        CheckpointError: If it cannot be used; lists the available names.

    Example:
        >>> from asteroid_joint import load
        >>> load("mir1k").sources
        ('vocals', 'accompaniment')
    """
    return load_model(full_name(os.fspath(name)), **overrides)


def full_name(name: str) -> str:
    """Full name of shipped weights; any other name is returned unchanged.

    Raises:
        CheckpointError: If the short name is ambiguous.
    """
    known = available_weights()
    if name in known or not name or os.sep in name or _is_model(Path(name)):
        return name
    preferred = f"{DEFAULT_MODEL.partition('_')[0]}_{name}"
    found = [preferred] if preferred in known else [x for x in known if x.endswith(f"_{name}")]
    if len(found) > 1:
        raise CheckpointError(f"Several weights are called {name}: choose {' or '.join(found)}.")
    return found[0] if found else name


def hub_model(
    entry: str, model_name: str, name_url_or_file: str | None = None, **kwargs: Any
) -> JointModel:
    """Entry point of ``hubconf.py``, with the signature of Asteroid's.

    Args:
        entry: Name of the entry point, e.g. ``"djcm"``.
        model_name: Registered name of the class.
        name_url_or_file: Name of shipped weights without the entry's (``"mir1k"``), a file, or
            anything Asteroid can download; ``None`` for a fresh model.
        **kwargs: Constructor arguments; for a fresh model also ``preset``.

    Raises:
        CheckpointError: If the weights cannot be used.
    """
    model_class = MODELS[model_name]
    if name_url_or_file is not None:
        if "preset" in kwargs:
            raise ConfigError(
                "preset only applies to a fresh model, as weights come with one: leave it out."
            )
        name = os.fspath(name_url_or_file)
        shipped = f"{entry}_{name}"
        path = model_path(shipped if shipped in available_weights() else name)
        return model_class.from_pretrained(path, **kwargs)
    preset = kwargs.pop("preset", None)
    return model_class(**kwargs) if preset is None else model_class.from_preset(preset, **kwargs)


def model_path(name: str) -> str:
    """Path of shipped weights; any other name is returned for the loader."""
    if name in available_weights():
        return str(WEIGHTS / f"{name}.pth")
    if (Path(name) / HUB_FILE).is_file():
        return str(Path(name) / HUB_FILE)
    if "/" not in name and not Path(name).exists():
        raise CheckpointError(
            f"There is no model {name!r}: give a file, or one of "
            f"{', '.join(available_weights()) or '(none shipped)'}."
        )
    return name


def _is_model(path: Path) -> bool:
    """Whether it is a file, or a folder as ``asteroid-joint share --folder`` writes it."""
    return path.is_file() or (path / HUB_FILE).is_file()
