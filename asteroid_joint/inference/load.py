"""A model made ready for work on this machine: what commands do with the name they get.

On a CPU that is the fused model, with the items of a batch on several cores, one thread each.
PyTorch divides each operation among its threads and makes them wait for one another some thousand
times per second of audio. Where another program holds one of the cores, all of them wait for it,
spinning: a two-core command took 30 times as long as on one core. Items of a batch are independent,
so here each thread takes whole items and they meet once per batch.
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
    """Load a model and make it as fast as it gets on a device.

    On a CPU its forward pass is fused, and the windows of a batch are spread over the threads of
    torch, which is left with one thread per operation then.

    Args:
        name: Shipped weights, a file, or what else ``load_model`` takes.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the latter where there is one.
        batch_size: Windows that it will get at a time.

    Raises:
        UserError: If there is no such model or device.
    """
    chosen = pick_device(device)
    with warnings.catch_warnings():  # torch comments on foreign files; the error says it better
        warnings.simplefilter("ignore")
        model = load_model(name)
    if chosen.type == "cpu":
        n_threads = torch.get_num_threads()
        spread_batches(optimized := optimize_for_inference(model), min(n_threads, batch_size))
        if batch_size > 1:
            torch.set_num_threads(1)  # two threads per operation would wait for one another
        return optimized
    return model.to(chosen)


def spread_batches(model: JointModel, n_workers: int | None = None) -> JointModel:
    """Let a model on the CPU, for inference, run the items of a batch side by side.

    Args:
        model: Changed in place; each worker gets a copy, so that buffers are not shared.
        n_workers: Items at a time, best as many as a batch has; they share PyTorch's threads.
            ``None`` takes as many as there are threads.

    Returns:
        The model.
    """
    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, n_workers or n_threads)
    if n_workers > 1:
        model.estimate = _Spread(model, n_workers)  # type: ignore[method-assign]
    return model


class _Spread:
    """Stands in for ``model.estimate``."""

    def __init__(self, model: JointModel, n_workers: int) -> None:
        self.models = [copy.deepcopy(model) for _ in range(n_workers)]
        n_threads = torch.get_num_threads()
        # workers live as long as the model; threads of the pool end with the process
        started = Barrier(n_workers + 1)

        def start() -> None:
            torch.set_num_threads(n_threads // n_workers)
            started.wait()

        self.pool = ThreadPoolExecutor(n_workers, "model", start)
        for _ in self.models:
            self.pool.submit(int)
        started.wait()
        torch.set_num_threads(n_threads)  # a worker's setting is the default of later threads

    def __deepcopy__(self, memo: dict) -> "_Spread":
        return self

    def __call__(self, wav: torch.Tensor) -> JointOutput:
        """``(B, C, T)`` to what ``estimate`` gives."""
        parts = wav.tensor_split(min(len(self.models), wav.shape[0]))
        jobs = [
            self.pool.submit(_run, model, part)
            for model, part in zip(self.models, parts, strict=False)
        ]
        fields = zip(*(job.result() for job in jobs), strict=True)
        joined = [None if field[0] is None else torch.cat(field) for field in fields]
        return JointOutput(*joined)  # type: ignore[arg-type]


@torch.inference_mode()
def _run(model: JointModel, wav: torch.Tensor) -> JointOutput:
    return model.estimate(wav)
