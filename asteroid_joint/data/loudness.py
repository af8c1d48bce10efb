"""When a stem is audible: windows of 10 ms whose mean absolute amplitude is above a threshold.

References:
    D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice", LVA/ICA 2018,
    https://arxiv.org/abs/1804.01650 (section 2.2: the window and the threshold).
"""

from functools import lru_cache

import numpy as np

from .files import AudioFile, read_stretch

WINDOWS_PER_SEC = 100
THRESHOLD = 5e-4  # of full scale
BLOCK_SEC = 30  # in memory at a time


def loud_windows(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Which windows of a signal are audible.

    Args:
        wav: ``(..., time)``; all axes but time are averaged.
        sample_rate: Hz.

    Returns:
        ``(windows,)`` bool; the last window may be shorter.

    Example:
        >>> loud_windows(np.repeat([0.0, 0.1], 80), 8000)
        array([False,  True])
    """
    level = np.abs(wav).mean(tuple(range(wav.ndim - 1)))  # (T,)
    n_windows = -(-len(level) * WINDOWS_PER_SEC // sample_rate)
    if not n_windows:
        return np.zeros(0, bool)
    starts = np.arange(n_windows) * sample_rate // WINDOWS_PER_SEC
    return np.add.reduceat(level, starts) / np.diff(np.append(starts, len(level))) > THRESHOLD


@lru_cache(maxsize=1024)
def loud_file(audio: AudioFile) -> np.ndarray:
    """:func:`loud_windows` of a file, read in blocks; channels are mixed down."""
    rate = audio.sample_rate
    parts = [
        loud_windows(read_stretch([audio], rate, 1, start, BLOCK_SEC * rate), rate)
        for start in range(0, audio.n_samples, BLOCK_SEC * rate)
    ]
    return np.concatenate(parts)


def loud_at(audio: AudioFile, times: np.ndarray) -> np.ndarray:
    """Whether a file is audible at ``times`` (seconds): 1, 0, or NaN past its end, float32."""
    loud = loud_file(audio)
    # the sum keeps a time that is a multiple of the window in the window that it begins
    place = np.floor(times * WINDOWS_PER_SEC + 1e-6).astype(int)
    active = loud[place.clip(0, len(loud) - 1)].astype(np.float32)
    active[(times < 0) | (times > audio.length_sec)] = np.nan
    return active
