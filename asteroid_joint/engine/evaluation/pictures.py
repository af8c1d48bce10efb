"""A picture of a clip: mixture, estimated stem, and both pitch curves."""

from pathlib import Path

import numpy as np

from ...data.batch import JointExample
from ...dsp.stft import STFT
from ...inference.lettering import lettering
from ...optional import optional
from ...pitch import PitchGrid
from .systems import Estimate

TOP_HZ = 4000.0  # a voice has little energy above
RANGE_DB = 70.0  # below the loudest bin of the mixture


def draw_clip(
    path: Path,
    example: JointExample,
    estimate: Estimate,
    grid: PitchGrid,
    threshold: float | None,
    stem: str = "vocals",
) -> None:
    """Write a PNG: spectrograms of mixture and estimated stem with true and estimated F0.

    Args:
        path: File to write.
        example: Clip with its labels.
        estimate: Output of the system.
        grid: Frames of the curves.
        threshold: Voicing threshold; frames below it are not drawn.
        stem: Name of the first stem, the one drawn.
    """
    optional("matplotlib", "eval")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("mixture", example.mixture)]
    if estimate.sources is not None:
        panels.append((f"estimated {stem}", estimate.sources[0]))
    figure = Figure(figsize=(10, 3.2 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)  # draws into a file with any user backend
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    peak_db = _spectrogram_db(example.mixture, grid).max()
    for axes, (title, wav) in zip(rows, panels, strict=True):
        level_db = _spectrogram_db(wav, grid) - peak_db  # (F, N)
        image = axes.pcolormesh(
            grid.times(level_db.shape[1]),
            np.linspace(0, grid.sample_rate / 2, level_db.shape[0]),
            level_db,
            shading="nearest",
            vmin=-RANGE_DB,
            vmax=0.0,
            cmap="magma",
        )
        figure.colorbar(image, ax=axes, label="level / dB re mixture's peak")
        _draw_curves(axes, example, estimate, grid, threshold)
        name = lettering(f"{example.name}: {title}")
        axes.set_title(name.text, **name.style)
        axes.set_ylabel("frequency / Hz")
        axes.set_yscale("symlog", linthresh=500)  # enlarges the pitch, still shows harmonics
        axes.set_ylim(50, min(TOP_HZ, grid.sample_rate / 2))
        axes.set_yticks([100, 200, 300, 400, 500, 1000, 2000, 4000])
        axes.yaxis.set_major_formatter("{x:.0f}")
    rows[-1].set_xlabel("time / s")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, format="png")


def _draw_curves(
    axes: object,
    example: JointExample,
    estimate: Estimate,
    grid: PitchGrid,
    threshold: float | None,
) -> None:
    curves = []
    if example.f0_hz is not None:
        curves.append((example.f0_hz, "true F0", {"color": "lime", "linewidth": 3.0}))
    if estimate.f0_hz is not None and estimate.confidence is not None:
        voiced = estimate.confidence > (0.0 if threshold is None else threshold)
        est_hz = np.where(voiced, estimate.f0_hz, 0.0)
        curves.append((est_hz, "estimated F0", {"color": "deepskyblue", "linewidth": 1.5}))
    for f0_hz, label, style in curves:
        gaps = np.where(f0_hz > 0, f0_hz, np.nan)  # no line across unvoiced frames
        axes.plot(grid.times(len(gaps)), gaps, label=label, **style)  # type: ignore[attr-defined]
    if curves:
        axes.legend(loc="upper right", fontsize="small")  # type: ignore[attr-defined]


def _spectrogram_db(wav: np.ndarray, grid: PitchGrid) -> np.ndarray:
    """Level of ``(C, T)`` in dB, ``(F, N)``."""
    import torch

    n_fft = 1 << int(np.log2(0.128 * grid.sample_rate))  # 64 to 128 ms resolve harmonics
    mono = wav.mean(0, dtype=np.float32)
    mono = np.pad(mono, (0, max(n_fft - len(mono), 0)))
    spec = STFT(n_fft, grid.hop_length)(torch.from_numpy(mono)[None])  # (1, N, F)
    return (20 * torch.log10(spec.abs()[0] + 1e-6)).T.numpy()
