"""Facts of a run to report with its figures: seed, commit, hardware, versions."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from ...version import __version__


def commit() -> str | None:
    """Short commit of the checkout this package runs from, with ``+`` if files were changed."""
    folder = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=7", "--dirty=+"]
    try:
        tracked = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", "__init__.py"],
            capture_output=True,
            timeout=10,
        )
        if tracked.returncode:  # installed inside somebody else's repository
            return None
        return subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def hardware(device: torch.device | str) -> str:
    """Name of the processor of a device."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    return f"{torch.get_num_threads()} threads of {name}"


def versions() -> dict[str, str]:
    """Versions of the software that computes the figures."""
    return {
        "asteroid_joint": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def describe_run(seed: int, device: torch.device | str) -> dict[str, Any]:
    """Facts of a run, as plain values."""
    return {
        "seed": int(seed),
        "commit": commit(),
        "hardware": hardware(device),
        "versions": versions(),
    }
