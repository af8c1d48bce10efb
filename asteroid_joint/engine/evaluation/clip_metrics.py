"""Metrics of one clip."""

from collections.abc import Sequence

import numpy as np

from ...data.batch import JointExample
from ...metrics.detection import auc
from ...metrics.log_magnitude import Transform, log_mse
from ...metrics.melody import melody_metrics
from ...metrics.museval_bss import museval_metrics
from ...metrics.report import Row
from ...metrics.separation import sdr, si_sdr, silent_rms_db
from ...metrics.windowed_bss import windowed_bss
from ...pitch import PitchGrid
from .systems import Estimate


def clip_row(
    example: JointExample,
    estimate: Estimate,
    threshold: float | None,
    grid: PitchGrid,
    museval: Sequence[str] = (),
    sources: Sequence[str] = (),
    bss: bool = False,
    transform: Transform | None = None,
) -> Row:
    """All metrics that a clip's labels and a system's outputs allow.

    Args:
        example: Whole clip.
        estimate: Output of the system.
        threshold: Voicing threshold.
        grid: Frames of the pitch curves.
        museval: Sources to compute BSS Eval v4 for, in order.
        sources: Names of the stems, in order; if there are more than two, NSDR is given for each.
        bss: Whether to compute BSS Eval v3 in long windows for all ``sources``.
        transform: Transform for ``log_mse``; the paper's by default.
    """
    row: Row = {
        "name": example.name,
        "song": example.song,
        "duration_sec": example.mixture.shape[-1] / grid.sample_rate,
    }
    if example.sources is not None and estimate.sources is not None:
        true, estimated = example.sources[0], estimate.sources[0]  # (C, T) each
        row["silent_rms_db"] = silent_rms_db(true, estimated, grid.sample_rate)
        row["log_mse"] = log_mse(example.sources, estimate.sources, transform)
        if np.any(true):  # ratios to silence are meaningless
            row["sdr"] = sdr(true, estimated)
            row["nsdr"] = row["sdr"] - sdr(true, example.mixture)
            row["si_sdr"] = si_sdr(true, estimated)
        row.update(_other_stems(example, estimate, sources))
        rate = grid.sample_rate
        if museval:
            row.update(museval_metrics(example.sources, estimate.sources, rate, museval))
        if bss:
            row.update(windowed_bss(example.sources, estimate.sources, rate, sources))
    if example.f0_hz is not None and estimate.f0_hz is not None and threshold is not None:
        assert estimate.confidence is not None
        voiced, all_voiced = estimate.confidence > threshold, np.ones(len(estimate.f0_hz), bool)
        row.update(melody_metrics(example.f0_hz, estimate.f0_hz, voiced))
        row["rpa_t0"] = melody_metrics(example.f0_hz, estimate.f0_hz, all_voiced)["rpa"]
        if not np.any(example.f0_hz > 0):  # no voiced frames: their metrics are undefined
            for metric in ("rpa", "rca", "vr", "rpa_t0"):
                row.pop(metric)
    if example.activity is not None and estimate.activity is not None:
        row["auc"] = auc(example.activity, estimate.activity)
    return row


def _other_stems(example: JointExample, estimate: Estimate, names: Sequence[str]) -> Row:
    """NSDR of each stem and the mean over all, if there are more than two."""
    if len(names) < 3:
        return {}
    assert example.sources is not None and estimate.sources is not None
    pairs = zip(names, example.sources, estimate.sources, strict=True)
    row: Row = {
        f"nsdr_{name}": sdr(true, estimated) - sdr(true, example.mixture)
        for name, true, estimated in pairs
        if np.any(true)
    }
    return {**row, "nsdr_mean": float(np.mean(list(row.values())))} if row else {}
