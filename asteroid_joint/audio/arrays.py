"""Validation of samples that are passed in memory, with one sentence for each fault."""

from typing import Any

import numpy as np

from ..errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz
MOST_CHANNELS = 64  # more means a transposed array
INTEGERS = (np.int16, np.int32)  # types with an unambiguous full scale


def check_array(audio: Any, sample_rate: float | None) -> tuple[np.ndarray, int, str]:
    """Check samples and convert them to the package's layout and type.

    Args:
        audio: ``(n_samples,)`` or ``(n_channels, n_samples)``: an array, a tensor on any device or
            nested lists; floats with full scale 1.0, or int16 or int32.
        sample_rate: Sample rate in Hz.

    Returns:
        ``(n_channels, n_samples)`` float32, the rate, and the subtype for writing such samples with
        :class:`~asteroid_joint.audio.StemWriter`: ``"PCM_24"`` or ``"FLOAT"``.

    Raises:
        AudioError: If samples or rate are not usable.

    Example:
        >>> wav, rate, subtype = check_array(np.array([0, 16384], np.int16), 8000)
        >>> wav.tolist(), rate, subtype
        ([[0.0, 0.5]], 8000, 'PCM_24')
    """
    rate = check_rate(sample_rate)
    if hasattr(audio, "detach"):  # a tensor
        audio = audio.detach().cpu()
        if str(audio.dtype) == "torch.bfloat16":  # which NumPy lacks
            audio = audio.float()
        audio = audio.numpy()
    try:
        wav = np.asarray(audio)
    except (ValueError, TypeError) as err:
        raise AudioError(
            "Expected samples as an array (n_channels, n_samples), or a file name; "
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
            "channels: transpose the array."
        )
    if wav.dtype in INTEGERS:
        scale = -float(np.iinfo(wav.dtype).min)
        # 24 bits hold int16 exactly; 32-bit integers become float, as those of files do
        subtype = "PCM_24" if wav.dtype == np.int16 else "FLOAT"
        return (wav / scale).astype(np.float32), rate, subtype
    if not np.issubdtype(wav.dtype, np.floating):
        raise AudioError(
            f"Expected samples as floats, int16 or int32, received {wav.dtype}: convert them to "
            "floats with full scale 1.0."
        )
    with np.errstate(over="ignore"):  # float64 beyond float32 is infinite
        wav = np.ascontiguousarray(wav, dtype=np.float32)
    finite = np.isfinite(wav).all(0)
    if not finite.all():
        raise AudioError(
            "The audio contains NaN or infinite samples, the first at "
            f"{int(np.argmin(finite)) / rate:.3f} s: repair it first."
        )
    return wav, rate, "FLOAT"


def check_rate(sample_rate: float | None) -> int:
    """Convert a sample rate in Hz to an integer.

    Raises:
        AudioError: If it is missing, not a whole number, or apparently not in Hz.
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
            f"{sample_rate!r} is not a usable sample rate: give a whole number of Hz from "
            f"{LOWEST_RATE} to {HIGHEST_RATE}."
        )
    return rate
