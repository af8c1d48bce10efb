"""Who runs a model: PyTorch, or onnxruntime where there is a graph of it and no GPU.

A graph lies beside the weights that it is made of and is called like them, ``djcm_pop.onnx``. It
names those weights, so that one of older weights is not taken.
"""

import ctypes
import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, ConfigError
from ..version import DEFAULT_MODEL
from .options import BATCH, RUNTIMES
from .runner import Runner

if TYPE_CHECKING:
    from ..models.base import JointModel

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
GRAPH_SUFFIX = ".onnx"


def as_runner(model: "Runner | JointModel") -> Runner:
    """A runner as it is, or what runs a joint model in PyTorch, on the device of its weights."""
    if isinstance(model, Runner):
        return model
    from .torch_runner import TorchRunner

    return TorchRunner(model)


def ready_runner(
    name: str | os.PathLike = DEFAULT_MODEL,
    device: str = "auto",
    batch_size: int = BATCH,
    runtime: str = "auto",
) -> Runner:
    """Load a model for inference.

    Args:
        name: Shipped weights, a graph, a model file, or anything else ``load_model`` accepts.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where available.
        batch_size: Windows per batch.
        runtime: ``"torch"``; ``"onnx"``; or ``"auto"`` for the latter on a CPU where it is
            installed and there is a graph of the very weights.

    Raises:
        UserError: If there is no such model, graph, runtime or device.
    """
    name = os.fspath(name)
    if runtime not in RUNTIMES:
        raise ConfigError(f"Unknown runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}.")
    path = graph_path(name)
    if path is not None and (runtime == "onnx" or name.endswith(GRAPH_SUFFIX)):
        return _load_graph(path, device, runtime)
    if runtime == "onnx":
        raise CheckpointError(
            f"There is no graph of {name}: make one with asteroid-joint export, or leave "
            "--runtime out."
        )
    if path is not None and runtime == "auto" and device in ("auto", "cpu"):
        if _installed("onnxruntime") and (device == "cpu" or not _may_have_gpu()):
            from .graph_runner import GraphRunner

            runner = GraphRunner(path)
            if _is_of(runner.facts, path):
                return runner
    if not _installed("torch"):
        raise CheckpointError(
            f"There is no graph of {name}, and no torch to run other files: choose one of "
            f"{', '.join(available_graphs()) or '(none shipped)'}, or install asteroid-joint."
        )
    from .load import ready_model

    return as_runner(ready_model(name, device, batch_size))


def _load_graph(path: Path, device: str, runtime: str) -> Runner:
    from .graph_runner import GraphRunner

    if runtime == "torch" or device not in ("auto", "cpu"):
        raise ConfigError("A graph runs in onnxruntime on a CPU: leave --runtime and --device out.")
    runner = GraphRunner(path)
    if not _is_of(runner.facts, path):
        raise CheckpointError(
            f"{path} is not a graph of the weights beside it: replace it with asteroid-joint "
            "export --overwrite."
        )
    return runner


def graph_path(name: str) -> Path | None:
    """Graph of a model by name or file, if there is one."""
    path = Path(name)
    if path.suffix == GRAPH_SUFFIX:
        return path
    beside = path.with_suffix(GRAPH_SUFFIX) if path.is_file() else _shipped(name)
    return beside if beside is not None and beside.is_file() else None


def _shipped(name: str) -> Path | None:
    """Shipped graph by its full or short name, preferably DJCM's."""
    if not name or Path(name).name != name:
        return None
    found = [WEIGHTS / f"{full}{GRAPH_SUFFIX}" for full in (name, f"djcm_{name}")]
    found += sorted(WEIGHTS.glob(f"*_{name}{GRAPH_SUFFIX}"))
    return next((path for path in found if path.is_file()), None)


def available_graphs() -> list[str]:
    """Names of the shipped graphs."""
    return sorted(path.stem for path in WEIGHTS.glob(f"*{GRAPH_SUFFIX}"))


def weights_digest(path: Path) -> str:
    """What a graph knows its weights by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_of(facts: dict[str, str], graph: Path) -> bool:
    """Whether a graph is of the weights beside it, where there are some."""
    weights = graph.with_suffix(".pth")
    digest = facts.get("weights_sha256")
    return digest is None or not weights.is_file() or digest == weights_digest(weights)


def _installed(module: str) -> bool:
    return sys.modules.get(module) is not None or (
        module not in sys.modules and importlib.util.find_spec(module) is not None
    )


def _may_have_gpu() -> bool:
    """Whether NVIDIA's driver is installed; torch, which takes seconds, is asked only then."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return _installed("torch")
