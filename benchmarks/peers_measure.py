"""One process from start to end: wall time, processor time, peak memory, and when to stop it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

POLL_SEC = 0.02  # between two looks at a running process


class Limits(NamedTuple):
    """A run that goes over one of these is ended."""

    wall_sec: float
    peak_mb: float


class Run(NamedTuple):
    """What a run took; ``steps`` is what the process itself says, seconds of processor time."""

    wall_sec: float
    cpu_sec: float
    peak_mb: float
    steps: dict[str, float]


def measure(command: list[object], threads: int, limits: Limits, out: Path) -> Run | str:
    """Run a command on its own processors.

    Args:
        command: Program and arguments.
        threads: Processors that it may use, and threads of its libraries.
        limits: When it is ended.
        out: Folder that it writes to; it has to hold an F0 curve at the end, and is removed.

    Returns:
        What it took, or one line that says why it gave nothing.
    """
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")
    env = {**os.environ, **{f"{name}_NUM_THREADS": str(threads) for name in names}}
    processors = None
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))[-threads:]  # not the first: the system's

    def pin() -> None:
        if processors is not None:
            os.sched_setaffinity(0, processors)

    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complained,
            preexec_fn=pin,
        )
        peak_mb, too_much = 0.0, ""
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            wall_sec = time.perf_counter() - start
            if pid:
                break
            now_mb, high_mb = _memory_mb(process.pid)
            peak_mb = max(peak_mb, high_mb)
            if not too_much and wall_sec > limits.wall_sec:
                too_much = f"over {limits.wall_sec:g} s"
            if not too_much and now_mb > limits.peak_mb:
                too_much = f"over {limits.peak_mb / 1000:.0f} GB"
            if too_much:
                process.send_signal(signal.SIGKILL)
            time.sleep(POLL_SEC)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        lines, errors = said.read().splitlines(), complained.read().strip().splitlines()
    complete = any(out.rglob("f0.csv"))
    shutil.rmtree(out, ignore_errors=True)
    if too_much:
        return too_much
    if process.returncode or not complete:
        reason = errors[-1] if errors else f"ended with code {process.returncode}, without F0"
        return f"failed: {reason[:200]}"
    if not peak_mb:  # no /proc; here a small process would show the memory of this one
        unit = 1024 if sys.platform != "darwin" else 1
        peak_mb = usage.ru_maxrss * unit / 1e6
    steps = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Run(wall_sec, usage.ru_utime + usage.ru_stime, peak_mb, steps)


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process now and at its highest; zeros where nothing says."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        now, high = (int(text.split(f"{key}:")[1].split()[0]) for key in ("VmRSS", "VmHWM"))
    except (OSError, IndexError):  # ended, or not Linux
        return 0.0, 0.0
    return now * 1024 / 1e6, high * 1024 / 1e6
