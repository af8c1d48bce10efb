"""BSS Eval v3 in long windows, by ``museval``: SDR, SIR and SAR of sources per track.

``mir_eval.separation`` gives the same figures, but is deprecated in favour of museval.
"""

from collections.abc import Sequence

import numpy as np

from ..optional import optional
from .museval_bss import ensure_ffmpeg

NAMES = ("bss_sdr", "bss_sir", "bss_sar")
COUNTS = ("bss_windows", "bss_windows_silent", "bss_windows_silent_estimate")
WINDOW_SEC = 30.0
HOP_SEC = 15.0


def windowed_bss(
    references: np.ndarray,
    estimates: np.ndarray,
    sample_rate: int,
    sources: Sequence[str] = ("vocals", "accompaniment"),
) -> dict[str, float]:
    """SDR, SIR and SAR in dB: mean over windows of 30 s, 15 s apart, of the mono signals.

    A track that is shorter than a window is one window. Otherwise only whole windows count, as in
    ``bss_eval_sources_framewise``, without up to a hop (15 s) at the end. Windows in which a true
    source or an estimate is digitally silent have no ratios. They are left out and counted, as
    this hides errors there: see :func:`~.separation.silent_rms_db`.

    Args:
        references, estimates: ``(n_src, n_channels, time)``, at least two sources.
        sample_rate: Sample rate in Hz.
        sources: Names of the sources, in order.

    Returns:
        ``bss_sdr``, ``bss_sir``, ``bss_sar`` of the voice, ``bss_sdr_drums``, ... of others, NaN
        if undefined in all windows; and the numbers of windows: ``bss_windows`` that count,
        ``bss_windows_silent`` and ``bss_windows_silent_estimate`` that do not.

    References:
        E. Vincent, R. Gribonval, C. Fevotte, "Performance measurement in blind audio source
        separation", IEEE TASLP 14(4), 2006. Windows: D. Stoller, S. Ewert, S. Dixon, LVA/ICA 2018,
        https://arxiv.org/abs/1804.01650, section 4.
    """
    ensure_ffmpeg()
    optional("museval", "eval")
    from museval.metrics import bss_eval

    true, estimated = (np.asarray(x, np.float64).mean(1) for x in (references, estimates))  # (S, T)
    length, hop = int(WINDOW_SEC * sample_rate), int(HOP_SEC * sample_rate)
    ratios: list[np.ndarray] = []
    counts = dict.fromkeys(COUNTS, 0.0)
    for start in range(0, max(true.shape[1] - length, 0) + 1, hop):
        window = slice(start, start + length)
        if not true[:, window].any(1).all():
            counts["bss_windows_silent"] += 1
        elif not estimated[:, window].any(1).all():
            counts["bss_windows_silent_estimate"] += 1
        else:
            sdr, _, sir, sar, _ = bss_eval(
                true[:, window, None],  # (S, T, C)
                estimated[:, window, None],
                window=np.inf,
                hop=np.inf,
                bsseval_sources_version=True,
            )
            ratios.append(np.concatenate([sdr, sir, sar], 1))  # (S, 3)
            counts["bss_windows"] += 1
    means = np.mean(ratios, 0) if ratios else np.full((len(sources), 3), np.nan)
    named = {
        name: float(value)
        for source, values in zip(sources, means, strict=True)
        for name, value in zip(column_names(source), values, strict=True)
    }
    return {**named, **counts}


def column_names(source: str) -> tuple[str, ...]:
    """Names of the three ratios of a source; those of the voice are the plain ones."""
    return NAMES if source == "vocals" else tuple(f"{name}_{source}" for name in NAMES)
