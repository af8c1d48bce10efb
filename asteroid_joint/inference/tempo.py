"""Tempo of a song: the period at which its onsets repeat.

References:
    D. P. W. Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36(1),
    2007, section 3.2 (onset strength, its autocorrelation, a preference for usual tempi; the
    refinement over several beats is ours).
"""

import os

import numpy as np

from ..audio import open_audio

HEARD_SEC = 120.0  # seconds of the song that are listened to
WINDOW_SEC, HOP_SEC = 0.04, 0.01  # of onset strength
RANGE_BPM = (50.0, 220.0)
USUAL_BPM, OCTAVES = 120.0, 0.9  # mean and standard deviation of the preference
LONGEST_BEATS = 16  # over how many the period is refined
LEAST_SHARE = 0.1  # of the autocorrelation at 0: a song with less has no beat to speak of
LEAST_STRENGTH = 0.01  # standard deviation of onset strength that is heard at all
COMPRESSION = 1e3  # of magnitudes, before the logarithm


def estimate_tempo(path: str | os.PathLike) -> float | None:
    """Tempo of a song from its first two minutes.

    Args:
        path: Anything that libsndfile or FFmpeg decodes.

    Returns:
        Beats per minute, to about 0.5 %, perhaps an octave off; ``None`` without a steady beat.

    Raises:
        AudioError: If it cannot be read.
    """
    with open_audio(path) as reader:
        rate, parts, n = reader.sample_rate, [], 0
        for block in reader.blocks():
            parts.append(block.mean(0))
            n += block.shape[1]
            if n >= HEARD_SEC * rate:
                break
    return tempo_of(np.concatenate(parts), rate)


def tempo_of(wav: np.ndarray, sample_rate: int) -> float | None:
    """Tempo of samples ``(n_samples,)``; see :func:`estimate_tempo`.

    Example:
        >>> clicks = np.zeros(160000)
        >>> clicks[::8000] = 1.0  # two a second
        >>> round(tempo_of(clicks, 16000))
        120
    """
    strength = onset_strength(wav, sample_rate)
    longest = int(60 / RANGE_BPM[0] / HOP_SEC) + 1
    if len(strength) < 4 * longest or strength.std() < LEAST_STRENGTH:
        return None
    likeness = autocorrelation(strength)
    lags = np.arange(int(60 / RANGE_BPM[1] / HOP_SEC), longest + 1)
    usual = np.log2(60 / (lags * HOP_SEC) / USUAL_BPM) / OCTAVES
    lag = int(lags[np.argmax(likeness[lags] * np.exp(-0.5 * usual**2))])
    if not likeness[lag] > LEAST_SHARE:
        return None
    return 60 / (refine(likeness, lag) * HOP_SEC)


def onset_strength(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """How much louder the bands of each frame are than before, ``(N,)`` without its mean."""
    size, hop = (max(round(sec * sample_rate), 1) for sec in (WINDOW_SEC, HOP_SEC))
    # frames start at exact multiples of the hop, whatever the rate
    n = max(int((len(wav) - size) / (HOP_SEC * sample_rate)), 0)
    starts = np.rint(np.arange(n) * HOP_SEC * sample_rate).astype(int)
    window, before, strength = np.hanning(size + 2)[1:-1], None, np.zeros(n)
    for k, start in enumerate(starts.tolist()):
        power = np.abs(np.fft.rfft(wav[start : start + size] * window))
        level = np.log1p(COMPRESSION * power / hop)
        if before is not None:
            strength[k] = np.maximum(level - before, 0).mean()
        before = level
    return strength - strength.mean() if n else strength


def autocorrelation(strength: np.ndarray) -> np.ndarray:
    """Likeness to itself a number of frames later, ``(N,)``, 1 at 0 (0 for silence)."""
    n = len(strength)
    spectrum = np.abs(np.fft.rfft(strength, 2 * n)) ** 2
    likeness = np.fft.irfft(spectrum)[:n] / np.maximum(n - np.arange(n), n / 4) * n
    return likeness / likeness[0] if likeness[0] > 0 else np.zeros(n)


def refine(likeness: np.ndarray, lag: int) -> float:
    """Period in frames, with decimals: of more and more beats, each near the guess before it."""
    period, beats = float(lag), 1
    while beats <= LONGEST_BEATS and period * beats + 3 < len(likeness) / 2:
        near = round(period * beats)
        found = near - 2 + int(np.argmax(likeness[near - 2 : near + 3]))
        left, peak, right = likeness[found - 1 : found + 2]
        bend = left - 2 * peak + right
        period = (found + (0.5 * (left - right) / bend if bend < 0 else 0.0)) / beats
        beats *= 2
    return period
