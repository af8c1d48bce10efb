"""Weights that ship with the package: ``weights/<entry>_<name>.pth``, one file each.

A file in that folder is all it takes: ``djcm("mir1k")`` in torch.hub and ``--model djcm_mir1k`` on
the command line look here first.
"""

import os
from pathlib import Path

from ..errors import CheckpointError
from .base import JointModel

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
DEFAULT_MODEL = "djcm_mir1k"


def available_weights() -> list[str]:
    """Names of the shipped weights, e.g. ``["djcm_mir1k"]``."""
    return sorted(path.stem for path in WEIGHTS.glob("*.pth"))


def load_model(name_or_path: str | os.PathLike = DEFAULT_MODEL) -> JointModel:
    """Load a joint model in ``.eval()``.

    Args:
        name_or_path: Name of shipped weights, a file, or anything Asteroid can download.

    Raises:
        CheckpointError: One sentence on why it cannot be used.

    Example:
        >>> from asteroid_joint import load_model
        >>> load_model("djcm_mir1k").sources
        ('vocals', 'accompaniment')
    """
    shipped = WEIGHTS / f"{os.fspath(name_or_path)}.pth"
    if os.path.basename(name_or_path) == os.fspath(name_or_path) and shipped.is_file():
        return JointModel.from_pretrained(shipped)
    if "/" not in str(name_or_path) and not Path(name_or_path).exists():
        raise CheckpointError(
            f"There is no model {str(name_or_path)!r}: give a file, or one of "
            f"{', '.join(available_weights()) or '(none shipped)'}."
        )
    return JointModel.from_pretrained(name_or_path)
