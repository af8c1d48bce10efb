"""Whether a model runs on a device, and with half the precision: tried, not assumed."""

import copy
import logging

import numpy as np
import torch

from ...errors import ConfigError
from ...models.base import JointModel
from ...optional import has_bfloat16
from .torch_runner import TorchRunner

logger = logging.getLogger(__name__)

TRIAL_SEC = 0.5  # of noise
TOLERANCE = 1e-3  # of full scale, between a device and the CPU


def usable(model: JointModel, chosen: torch.device) -> torch.device:
    """The device itself, or the CPU with one sentence where the model fails there.

    Only devices are tried that lack operations, or compute some of them wrongly: Apple's (``mps``)
    of the Fourier transform and of complex numbers, depending on the version of torch.

    Args:
        model: A model on the CPU.
        chosen: The device to run it on.
    """
    if chosen.type != "mps":
        return chosen
    why = fault(model, chosen)
    if why is None:
        return chosen
    sentence = f"This {type(model).__name__} does not run on {chosen} ({why}): the CPU runs it."
    logger.warning("%s", sentence)
    return torch.device("cpu")


def fault(model: JointModel, device: torch.device) -> str | None:
    """What goes wrong with a model on a device, ``None`` for nothing.

    Args:
        model: A model on the CPU, which is left as it is.
        device: Where to try a copy of it.
    """
    n_samples = max(int(TRIAL_SEC * float(model.sample_rate)), model.min_samples)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, int(model.in_channels), n_samples))
    wav = noise.astype(np.float32)
    expected = TorchRunner(model).run(wav)
    try:
        runner = TorchRunner(copy.deepcopy(model).to(device))
        found = runner.run(wav)
        if runner.has_pitch:
            runner.decode_pitch(found.pitch_logits[0], "argmax")
    except (RuntimeError, NotImplementedError, TypeError, AssertionError) as err:
        return (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
    same = np.allclose(found.sources, expected.sources, atol=TOLERANCE)  # False for NaN
    return None if same else "its results differ from the CPU's"


def check_bfloat16(device: torch.device) -> None:
    """Refuse bfloat16 where it would be many times slower.

    Raises:
        ConfigError: If the device does not multiply it in hardware.
    """
    if not has_bfloat16(device):
        kind = "processor" if device.type == "cpu" else f"device ({device.type})"
        raise ConfigError(
            f"This {kind} does not multiply bfloat16 in hardware, where it saves time: leave "
            "--bf16 out."
        )
