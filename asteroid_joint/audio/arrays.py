"""Samples that somebody hands over: what they can be, and one sentence on what they cannot."""

from typing import Any

import numpy as np

from ..errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz
MOST_CHANNELS = 64  # more is an array the wrong way round
INTEGERS = (np.int16, np.int32)  # whose full scale is clear


def check_array(audio: Any, sample_rate: float | None) -> tuple[np.ndarray, int, str]:
    """Samples as the package wants them.

    Args:
        audio: ``(n_samples,)`` or ``(n_channels, n_samples)``: an array, a tensor on any device or
            nested lists; floats in which 1.0 is full scale, or int16 or int32.
        sample_rate: Hz.

    Returns:
        ``(n_channels, n_samples)`` float32, the rate, and how :class:`~asteroid_joint.audio.\
StemWriter` stores such samples: ``"PCM_24"`` or ``"FLOAT"``.

    Raises:
        AudioError: One sentence on what is wrong.

    Example:
        >>> wav, rate, subtype = check_array(np.array([0, 16384], np.int16), 8000)
        >>> wav.tolist(), rate, subtype
        ([[0.0, 0.5]], 8000, 'PCM_24')
    """
    rate = check_rate(sample_rate)
    if hasattr(audio, "detach"):  # a tensor
        audio = audio.detach().cpu().numpy()
    try:
        wav = np.asarray(audio)
    except (ValueError, TypeError) as err:
        raise AudioError(
            "Expected samples as an array (n_channels, n_samples), or the name of a file; "
            f"received {type(audio).__name__}."
        ) from err
    if wav.ndim not in (1, 2) or wav.size == 0:
        raise AudioError(
            f"Expected samples (n_samples,) or (n_channels, n_samples), received {wav.shape}."
        )
    wav = np.atleast_2d(wav)
    if len(wav) > MOST_CHANNELS:
        raise AudioError(
            f"Expected (n_channels, n_samples), received {wav.shape}, which would be {len(wav)} "
            "channels: give the transposed array."
        )
    if wav.dtype in INTEGERS:
        scale = -float(np.iinfo(wav.dtype).min)
        # what 24 bits hold stays exact; 32-bit files are stored as float, too
        subtype = "PCM_24" if wav.dtype == np.int16 else "FLOAT"
        return (wav / scale).astype(np.float32), rate, subtype
    if not np.issubdtype(wav.dtype, np.floating):
        raise AudioError(
            f"Expected samples as floats, int16 or int32, received {wav.dtype}: convert them so "
            "that 1.0 is full scale."
        )
    finite = np.isfinite(wav).all(0)
    if not finite.all():
        raise AudioError(
            "The samples are NaN or infinite in places, the first at "
            f"{int(np.argmin(finite)) / rate:.3f} s: repair them first."
        )
    return np.ascontiguousarray(wav, dtype=np.float32), rate, "FLOAT"


def check_rate(sample_rate: float | None) -> int:
    """A sample rate as an integer.

    Raises:
        AudioError: If it is missing, no whole number, or in other units than Hz.
    """
    if sample_rate is None:
        raise AudioError("Samples need a sample rate: give sample_rate=44100, for example.")
    try:
        rate = int(sample_rate)
        whole = rate == sample_rate
    except (TypeError, ValueError, OverflowError):
        rate, whole = 0, False
    if not whole or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"The sample rate {sample_rate!r} is none: give a whole number of Hz from "
            f"{LOWEST_RATE} to {HIGHEST_RATE}."
        )
    return rate
