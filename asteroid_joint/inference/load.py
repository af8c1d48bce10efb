"""A model made ready for work on this machine: what commands do with the name they get."""

import os
import warnings

import torch

from ..models.base import JointModel
from ..models.pretrained import load_model
from ..optional import pick_device
from .fast.fuse import optimize_for_inference
from .fast.parallel import spread_batches
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
