"""Load a model by name and optimise it for inference on this machine.

In PyTorch on a CPU that is the fused model, with the items of a batch on several cores, one thread
each. PyTorch divides each operation among its threads and synchronises them some thousand times per
second of audio. If another program occupies one of the cores, all threads spin until it is free: a
two-core command took 30 times as long as on one core. Items of a batch are independent, so here
each thread processes whole items, and threads synchronise once per batch.

Without a GPU, onnxruntime runs a graph where there is one. It lies beside the weights that it is
made of, is called like them, ``djcm_pop.onnx``, and names them, so that one of older weights is not
taken. Torch is loaded only where it is needed.
"""

import copy
import ctypes
import hashlib
import importlib.util
import os
import platform
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

from ..errors import CheckpointError, ConfigError
from ..optional import pick_device
from ..version import DEFAULT_MODEL
from .fast.choice import as_runner
from .fast.runner import Runner
from .options import BATCH, RUNTIMES

if TYPE_CHECKING:
    import torch

    from ..models.base import JointModel, JointOutput

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
GRAPH_SUFFIX = ".onnx"
PITCH_SUFFIX = ".pitch.onnx"  # of the graph of a pitch part alone


def ready_runner(
    name: str | os.PathLike = DEFAULT_MODEL,
    device: str = "auto",
    batch_size: int = BATCH,
    runtime: str = "auto",
    bf16: bool = False,
) -> Runner:
    """Load a model for inference.

    Args:
        name: Shipped weights, a graph, a model file, or anything else ``load`` accepts.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for a GPU where available.
        batch_size: Windows per batch.
        runtime: ``"torch"``; ``"onnx"``; or ``"auto"`` for the latter on a CPU where it is
            installed and there is a graph of the very weights.
        bf16: Whether to multiply in bfloat16, in torch.

    Raises:
        UserError: If there is no such model, graph, runtime or device.
    """
    found = _ready(name, device, runtime, None, bf16)
    return found or as_runner(ready_model(name, device, batch_size, bf16))


def ready_pitch_runner(
    name: str | os.PathLike = DEFAULT_MODEL,
    device: str = "auto",
    batch_size: int = BATCH,
    runtime: str = "auto",
    bf16: bool = False,
) -> Runner:
    """Load the part of a model that estimates the pitch of a given voice.

    Its graph is called like that of the model, ``djcm_pop.pitch.onnx``. Where there is none, a
    given graph of a whole model hears the voice as if it were the song.

    Args:
        name: See :func:`ready_runner`, as for the other arguments.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for a GPU where available.
        batch_size: Windows per batch.
        runtime: ``"torch"``, ``"onnx"`` or ``"auto"``.
        bf16: Whether to multiply in bfloat16, in torch.

    Raises:
        UserError: If there is no such model, graph, runtime or device, or no pitch.
    """
    found = _ready(name, device, runtime, PITCH_SUFFIX, bf16)
    if found is None:
        from ..models.pretrained import load
        from .voice_pitch import pitch_part

        chosen = pick_device(device, inference=True)
        found = as_runner(prepare(pitch_part(load(name)), chosen, batch_size, bf16))
    if not found.has_pitch:
        raise ConfigError(f"This {found.name} estimates no pitch: choose another model.")
    return found


def _ready(
    name: str | os.PathLike, device: str, runtime: str, part: str | None, bf16: bool
) -> "Runner | None":
    """Runner of a graph, of a part if its suffix is given; ``None`` where torch runs it."""
    name = os.fspath(name)
    if runtime not in RUNTIMES:
        raise ConfigError(f"Unknown runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}.")
    if bf16 and (runtime == "onnx" or name.endswith(GRAPH_SUFFIX)):
        raise ConfigError("A graph runs in float32: leave --bf16 out, or give --runtime torch.")
    runtime = "torch" if bf16 else runtime
    path = graph_path(name, part)
    if path is not None and (runtime == "onnx" or name.endswith(GRAPH_SUFFIX)):
        return _load_graph(path, device, runtime)
    if runtime == "onnx":
        raise CheckpointError(
            f"There is no graph of {name}: make one with asteroid-joint export, or leave "
            "--runtime out."
        )
    if path is not None and runtime == "auto" and device in ("auto", "cpu"):
        if _installed("onnxruntime") and (device == "cpu" or not _may_have_gpu()):
            from .fast.graph_runner import GraphRunner

            runner = GraphRunner(path)
            if _is_of(runner.facts, path):
                return runner
    if not _installed("torch"):
        raise CheckpointError(
            f"There is no graph of {name}, and no torch to run other files: choose one of "
            f"{', '.join(available_graphs()) or '(none shipped)'}, or install asteroid-joint."
        )
    return None


def _load_graph(path: Path, device: str, runtime: str) -> Runner:
    from .fast.graph_runner import GraphRunner

    if runtime == "torch" or device not in ("auto", "cpu"):
        raise ConfigError("A graph runs in onnxruntime on a CPU: leave --runtime and --device out.")
    runner = GraphRunner(path)
    if not _is_of(runner.facts, path):
        raise CheckpointError(
            f"{path} is not a graph of the weights beside it: replace it with asteroid-joint "
            "export --overwrite."
        )
    return runner


def graph_path(name: str, part: str | None = None) -> Path | None:
    """Graph of a model by name or file, if there is one; of a part of it by its suffix."""
    whole = _whole_graph(name)
    if whole is None or part is None or whole.name.endswith(part):
        return whole
    found = whole.with_suffix(part)
    if found.is_file() or not name.endswith(GRAPH_SUFFIX):
        return found if found.is_file() else None
    return whole


def _whole_graph(name: str) -> Path | None:
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
    paths = WEIGHTS.glob(f"*{GRAPH_SUFFIX}")
    return sorted(path.stem for path in paths if not path.name.endswith(PITCH_SUFFIX))


def weights_digest(path: Path) -> str:
    """What a graph knows its weights by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_of(facts: dict[str, str], graph: Path) -> bool:
    """Whether a graph is of the weights beside it, where there are some."""
    weights = graph.with_name(
        graph.name.removesuffix(PITCH_SUFFIX).removesuffix(GRAPH_SUFFIX) + ".pth"
    )
    digest = facts.get("weights_sha256")
    return digest is None or not weights.is_file() or digest == weights_digest(weights)


def _installed(module: str) -> bool:
    return sys.modules.get(module) is not None or (
        module not in sys.modules and importlib.util.find_spec(module) is not None
    )


def _may_have_gpu() -> bool:
    """Whether there may be NVIDIA's or Apple's; torch, which takes seconds, is asked only then."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64" and _installed("torch")
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return _installed("torch")


def ready_model(
    name: str | os.PathLike, device: str = "auto", batch_size: int = BATCH, bf16: bool = False
) -> "JointModel":
    """Load a model and optimise it for a device.

    On a CPU its forward pass is fused and the windows of a batch are distributed over torch's
    threads, which leaves torch with one thread per operation.

    Args:
        name: Shipped weights, a file, or anything else ``load`` accepts.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for a GPU where available.
        batch_size: Windows per batch.
        bf16: Whether to multiply in bfloat16.

    Raises:
        UserError: If there is no such model or device, or the device has no bfloat16.
    """
    from ..models.pretrained import load

    chosen = pick_device(device, inference=True)
    with warnings.catch_warnings():  # torch warns about foreign files; our error is clearer
        warnings.simplefilter("ignore")
        model = load(name)
    return prepare(model, chosen, batch_size, bf16)


def prepare(
    model: "JointModel", chosen: "torch.device", batch_size: int = BATCH, bf16: bool = False
) -> "JointModel":
    """Optimise a model for a device, as :func:`ready_model` does, for a process of its own.

    Args:
        model: A model on the CPU.
        chosen: The device.
        batch_size: Windows per batch.
        bf16: Whether to multiply in bfloat16.

    Raises:
        ConfigError: If the device has no bfloat16.
    """
    from .fast.devices import check_bfloat16, usable
    from .fast.half import in_bfloat16, marked

    chosen = usable(model, chosen)
    if bf16:
        check_bfloat16(chosen)
    if chosen.type == "cpu":
        import torch

        from .fast.fuse import optimize_for_inference

        n_threads = torch.get_num_threads()
        optimized = optimize_for_inference(model, torch.bfloat16 if bf16 else None)
        spread_batches(optimized, min(n_threads, batch_size))
        if batch_size > 1:
            torch.set_num_threads(1)  # two threads per operation would wait for one another
        return marked(optimized) if bf16 else optimized
    return in_bfloat16(model.to(chosen)) if bf16 else model.to(chosen)


def spread_batches(model: "JointModel", n_workers: int | None = None) -> "JointModel":
    """Make a model on the CPU run the items of a batch in parallel, for inference.

    Args:
        model: Changed in place; each worker gets a copy, as buffers must not be shared.
        n_workers: Items at a time, ideally the batch size; they share PyTorch's threads. ``None``
            means one worker per thread.

    Returns:
        The model.
    """
    import torch

    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, n_workers or n_threads)
    if n_workers > 1:
        model.estimate = _Spread(model, n_workers)  # type: ignore[method-assign]
    return model


class _Spread:
    """Replaces ``model.estimate``."""

    def __init__(self, model: "JointModel", n_workers: int) -> None:
        import torch

        models = [copy.deepcopy(model) for _ in range(n_workers)]
        self.workers = [torch.inference_mode()(each.estimate) for each in models]
        n_threads = torch.get_num_threads()
        # workers live as long as the model; threads of the pool end with the process
        started = Barrier(n_workers + 1)

        def start() -> None:
            torch.set_num_threads(n_threads // n_workers)
            started.wait()

        self.pool = ThreadPoolExecutor(n_workers, "model", start)
        for _ in self.workers:
            self.pool.submit(int)
        started.wait()
        torch.set_num_threads(n_threads)  # a worker's setting is the default of later threads

    def __deepcopy__(self, memo: dict) -> "_Spread":
        return self

    def __call__(self, wav: "torch.Tensor") -> "JointOutput":
        """``(B, C, T)`` to the output of ``estimate``."""
        import torch

        from ..models.base import JointOutput

        parts = wav.tensor_split(min(len(self.workers), wav.shape[0]))
        fields = zip(*self.pool.map(lambda run, part: run(part), self.workers, parts), strict=True)
        joined = [None if field[0] is None else torch.cat(field) for field in fields]
        return JointOutput(*joined)  # type: ignore[arg-type]
