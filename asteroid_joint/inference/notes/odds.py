"""The trained network of :mod:`.network`, computed by NumPy: it is too small to load torch for."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ...errors import CheckpointError

WEIGHTS = Path(__file__).with_name("note_cues.npz")  # benchmarks/notes.py fit writes it
DILATIONS = (1, 2, 4, 8, 16)  # frames
REACH = 1 + sum(DILATIONS)  # frames on either side that an output depends on
LEAST_VARIANCE = 1e-5  # that of torch.nn.BatchNorm1d


class CueOdds:
    """Log-odds that a note begins with a frame, and that the frame is sung.

    Args:
        state: The ``state_dict`` of a :class:`~asteroid_joint.inference.notes.network.CueNet`.
    """

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self._state = {name: value.astype(np.float32) for name, value in state.items()}

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """``(D, N + 2 REACH)`` float32 to ``(2, N)``."""
        x = self._conv("enter.1", self._norm("enter.0", features))
        x = np.maximum(x, 0)  # (D, N + 2 (REACH - 1))
        for k, dilation in enumerate(DILATIONS):
            hidden = self._conv(f"blocks.{k}.1", self._norm(f"blocks.{k}.0", x), dilation)
            hidden = self._conv(f"blocks.{k}.4", np.maximum(hidden, 0))
            x = x[:, dilation:-dilation] + hidden
        return self._conv("leave", x)

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """Batch norm of ``(D, N)`` by stored statistics."""
        weight, bias, mean, variance = (
            self._state[f"{name}.{part}"][:, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) * (weight / np.sqrt(variance + np.float32(LEAST_VARIANCE))) + bias

    def _conv(self, name: str, x: np.ndarray, dilation: int = 1) -> np.ndarray:
        """Convolution over time without padding, ``(D, N)`` to ``(D', N')``."""
        weight = self._state[f"{name}.weight"]  # (D', D, kernel)
        n = x.shape[1] - dilation * (weight.shape[2] - 1)
        parts = [
            weight[:, :, k] @ x[:, k * dilation : k * dilation + n] for k in range(weight.shape[2])
        ]
        return sum(parts[1:], parts[0]) + self._state[f"{name}.bias"][:, None]


def read_state(path: Path) -> dict[str, np.ndarray]:
    """Weights by name as they are stored, in half precision, and what else the file contains.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: stored[name] for name in stored.files}
        state["leave.weight"]
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as err:
        raise CheckpointError(
            f"The weights {path}, which detect notes, cannot be read: install the package again."
        ) from err
    return state


@cache
def load_cue_odds(path: Path = WEIGHTS) -> CueOdds:
    """The trained network, read once.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    state = read_state(path)
    return CueOdds({name: value for name, value in state.items() if value.dtype.kind == "f"})
