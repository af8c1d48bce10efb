"""Load a model by name and optimise it for inference on this machine.

On a CPU that is the fused model, with the items of a batch on several cores, one thread each.
PyTorch divides each operation among its threads and synchronises them some thousand times per
second of audio. If another program occupies one of the cores, all threads spin until it is free: a
two-core command took 30 times as long as on one core. Items of a batch are independent, so here
each thread processes whole items, and threads synchronise once per batch.
"""

import copy
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

from ..models.base import JointModel, JointOutput
from ..models.pretrained import load_model
from ..optional import pick_device
from .fast.fuse import optimize_for_inference
from .options import BATCH


def ready_model(
    name: str | os.PathLike, device: str = "auto", batch_size: int = BATCH
) -> JointModel:
    """Load a model and optimise it for a device.

    On a CPU its forward pass is fused and the windows of a batch are distributed over torch's
    threads, which leaves torch with one thread per operation.

    Args:
        name: Shipped weights, a file, or anything else ``load_model`` accepts.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where available.
        batch_size: Windows per batch.

    Raises:
        UserError: If there is no such model or device.
    """
    chosen = pick_device(device)
    with warnings.catch_warnings():  # torch warns about foreign files; our error is clearer
        warnings.simplefilter("ignore")
        model = load_model(name)
    return prepare(model, chosen, batch_size)


def prepare(model: JointModel, chosen: torch.device, batch_size: int = BATCH) -> JointModel:
    """Optimise a model for a device, as :func:`ready_model` does, for a process of its own.

    Args:
        model: A model on the CPU.
        chosen: The device.
        batch_size: Windows per batch.
    """
    if chosen.type == "cpu":
        n_threads = torch.get_num_threads()
        spread_batches(optimized := optimize_for_inference(model), min(n_threads, batch_size))
        if batch_size > 1:
            torch.set_num_threads(1)  # two threads per operation would wait for one another
        return optimized
    return model.to(chosen)


def spread_batches(model: JointModel, n_workers: int | None = None) -> JointModel:
    """Make a model on the CPU run the items of a batch in parallel, for inference.

    Args:
        model: Changed in place; each worker gets a copy, as buffers must not be shared.
        n_workers: Items at a time, ideally the batch size; they share PyTorch's threads. ``None``
            means one worker per thread.

    Returns:
        The model.
    """
    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, n_workers or n_threads)
    if n_workers > 1:
        model.estimate = _Spread(model, n_workers)  # type: ignore[method-assign]
    return model


class _Spread:
    """Replaces ``model.estimate``."""

    def __init__(self, model: JointModel, n_workers: int) -> None:
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

    def __call__(self, wav: torch.Tensor) -> JointOutput:
        """``(B, C, T)`` to the output of ``estimate``."""
        parts = wav.tensor_split(min(len(self.workers), wav.shape[0]))
        fields = zip(*self.pool.map(lambda run, part: run(part), self.workers, parts), strict=True)
        joined = [None if field[0] is None else torch.cat(field) for field in fields]
        return JointOutput(*joined)  # type: ignore[arg-type]
