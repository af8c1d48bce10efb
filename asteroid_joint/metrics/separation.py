"""Separation metrics on waveforms."""

import numpy as np

FLOOR = 1e-8  # mean square, as in the DJCM code


def sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-distortion ratio in dB: plain energy ratio over the whole signal.

    Neither BSS Eval nor scale-invariant.

    Args:
        reference, estimate: Signals of the same shape, with any number of axes.

    References:
        DJCM's evaluation code: 10 log10(mean(s^2) / mean((est - s)^2)), both floored at 1e-8.
    """
    signal = float(np.mean(np.square(reference, dtype=np.float64)))
    noise = float(np.mean(np.square(np.subtract(estimate, reference, dtype=np.float64))))
    return 10 * float(np.log10(max(signal, FLOOR) / max(noise, FLOOR)))


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant SDR in dB, without mean removal.

    References:
        J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, equation 3.
    """
    reference = np.ravel(reference).astype(np.float64)
    estimate = np.ravel(estimate).astype(np.float64)
    scale = np.dot(estimate, reference) / max(np.dot(reference, reference), 1e-12)
    target = scale * reference
    noise = estimate - target
    return 10 * float(
        np.log10(max(np.dot(target, target), 1e-12) / max(np.dot(noise, noise), 1e-12))
    )


def silent_rms_db(
    reference: np.ndarray, estimate: np.ndarray, sample_rate: int, window_sec: float = 0.02
) -> float:
    """Level of the vocal estimate where the true vocals are silent, in dB re full scale.

    A window is silent if the mean absolute amplitude of the reference is at most 5e-4; NaN if no
    window is.

    References:
        Stoller, Ewert, Dixon, LVA/ICA 2018, arXiv 1804.01650 (non-vocal RMS and the threshold).
    """
    length = max(int(window_sec * sample_rate), 1)
    n = reference.shape[-1] // length
    if n == 0:
        return float("nan")
    ref = np.asarray(reference)[..., : n * length].reshape(-1, n, length)  # (C, K, T)
    est = np.asarray(estimate)[..., : n * length].reshape(-1, n, length)
    silent = np.abs(ref).mean((0, 2)) <= 5e-4
    if not silent.any():
        return float("nan")
    rms = np.sqrt(np.mean(np.square(est[:, silent], dtype=np.float64)))
    return 20 * float(np.log10(max(rms, 1e-6)))
