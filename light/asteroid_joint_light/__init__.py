"""Joint singing-voice separation and pitch estimation without PyTorch.

Example:
    >>> import asteroid_joint_light as aj
    >>> song = aj.load("pop").transcribe("song.wav")  # doctest: +SKIP
"""

import os
from typing import TYPE_CHECKING

from asteroid_joint.version import __version__ as __version__

if TYPE_CHECKING:
    from asteroid_joint.inference.fast.runner import Runner

__all__ = ["available_graphs", "load"]


def load(name: str | os.PathLike = "pop") -> "Runner":
    """Load a model, whose ``transcribe`` gives stems, pitch and notes of a song.

    Args:
        name: A shipped graph by its full or short name, ``"djcm_pop"`` or ``"pop"``; or a file that
            ``asteroid-joint export`` wrote.

    Raises:
        CheckpointError: If there is no such graph, or it cannot be used.
    """
    from asteroid_joint.inference.load import ready_runner

    return ready_runner(name, "cpu")


def available_graphs() -> list[str]:
    """Names of the shipped graphs."""
    from asteroid_joint.inference import load as loading

    return loading.available_graphs()
