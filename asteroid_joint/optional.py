"""What a machine may lack: optional libraries, which are imported late, and a GPU."""

import importlib
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    import torch

BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # names of torch's for processors; the last is ARM's


def optional(module: str, extra: str) -> ModuleType:
    """Import a module that an extra of this package installs.

    Args:
        module: Dotted module name.
        extra: Name of the extra in ``pyproject.toml``.

    Raises:
        UserError: If it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name != module.partition(".")[0]:
            raise  # it is installed, but one of its dependencies is not: say which
        raise UserError(
            f"{err.name} is not installed: pip install '{_distribution(extra)}[{extra}]'."
        ) from err


def _distribution(extra: str) -> str:
    """Who has an extra: the light distribution, if it is the one installed."""
    try:
        light = metadata.metadata("asteroid-joint-light").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return "asteroid-joint"
    if extra not in light or any(metadata.distributions(name="asteroid-joint")):
        return "asteroid-joint"
    return "asteroid-joint-light"


def has_bfloat16(device: "torch.device") -> bool:
    """Whether a device multiplies bfloat16 in hardware; elsewhere float32 is many times faster.

    Args:
        device: A CPU or a GPU; other kinds count as without.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BFLOAT16)


def has_mps() -> bool:
    """Whether torch finds the GPU of an Apple computer."""
    import torch

    return bool(torch.backends.mps.is_available())


def pick_device(name: str, inference: bool = False) -> "torch.device":
    """Resolve the name of a device.

    Args:
        name: ``"auto"`` for a GPU if there is one, or torch's name of a device: ``"cpu"``,
            ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        inference: Whether ``"auto"`` may be Apple's GPU, on which nothing here is trained.

    Raises:
        UserError: If a GPU is requested and there is none.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if has_gpu else "mps" if inference and has_mps() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not has_gpu:
        raise UserError("torch finds no CUDA device here: use --device cpu.")
    if device.type == "mps" and not has_mps():
        raise UserError("torch finds no Apple GPU (mps) here: use --device cpu.")
    return device
