"""What a separated voice says of note onsets besides its pitch: level, and how like an onset it is.

A repeated note does not show in the pitch. It shows in the sound: consonants take the low harmonics
away, or add noise, for some 50 ms, and then the vowel sets in in all bands.

    voice -> mono -> frames of 46 ms every 20 ms -> power in bands, dB -> context -> log-odds
"""

from collections.abc import Callable

import numpy as np

from .onset_weights import BIAS, WEIGHTS

HOP_SEC = 0.02  # seconds
FRAME_SEC = 0.046  # seconds: harmonics blur, syllables do not
BAND_EDGES_HZ = (80, 250, 500, 1000, 1500, 2200, 3200, 4500, 7000)
CONTEXT = 6  # frames on either side
RANGE_DB = 60.0  # below the peak, where bands are cut off
FALL_DB = 0.02  # by which the remembered peak falls per frame, dB: 1 dB a second
BATCH = 256  # frames at a time
SILENCE_DB = -120.0  # of full scale: what digital silence is called


def context(features: np.ndarray, n: int) -> np.ndarray:
    """Each of ``n`` frames with those around it, the mean taken away: the gain does not matter.

    Args:
        features: ``(n + 2 * CONTEXT, D)``, dB.
        n: Number of frames.

    Returns:
        ``(n, 2 * CONTEXT + 1, D)``.
    """
    around = np.stack([features[k : k + n] for k in range(2 * CONTEXT + 1)], 1)  # (N, 13, D)
    return around - around.mean(1, keepdims=True)


def onset_log_odds(around: np.ndarray) -> np.ndarray:
    """Logistic regression over :func:`context`: ``(n, frames, D)`` to ``(n,)``."""
    return np.tensordot(around, np.array(WEIGHTS), 2) + BIAS


class VoiceCues:
    """Cues of a voice that comes in blocks; holds a fraction of a second of it.

    Frame ``n`` has its centre at ``n * HOP_SEC`` seconds.

    Args:
        sample_rate: Hz; bands above half of it do not count.
        score: From :func:`context` to the log-odds of an onset, ``(n, frames, D)`` to ``(n,)``.

    References:
        J. P. Bello et al., "A tutorial on onset detection in music signals", IEEE Trans. Speech and
        Audio Processing 13(5), 2005, section III (energy in bands, rather than of the whole).
    """

    def __init__(
        self, sample_rate: int, score: Callable[[np.ndarray], np.ndarray] = onset_log_odds
    ) -> None:
        self._score = score
        self._rate = sample_rate
        self._n_fft = 2 * round(FRAME_SEC * sample_rate / 2)
        self._window = np.hanning(self._n_fft + 1)[:-1]
        self._window /= np.sqrt(self._n_fft * np.sum(self._window**2))
        bins = np.fft.rfftfreq(self._n_fft, 1 / sample_rate)
        edges = np.searchsorted(bins, BAND_EDGES_HZ)
        self._bands = [slice(*edge) for edge in zip(edges[:-1], edges[1:], strict=True)]
        self._samples = np.zeros(self._n_fft // 2)  # the first frame is centred on sample 0
        self._first = -(self._n_fft // 2)  # sample that they begin with
        self._n_received = 0
        self._n_framed = 0
        self._n_given = 0
        self._peak_db = SILENCE_DB
        self._features = np.zeros((0, len(self._bands) + 1))  # (N, D), with context before
        self._level_db = np.zeros(0)  # of the frames that are not given yet

    def push(self, voice: np.ndarray) -> np.ndarray:
        """Add ``(n_channels, n_samples)``; returns rows ``(N, 3)`` of the frames that are known.

        A row is time in seconds, level in dB re full scale, log-odds of an onset.
        """
        mono = np.asarray(voice, float).mean(0) if len(voice) else np.zeros(0)
        self._n_received += len(mono)
        self._samples = np.concatenate([self._samples, mono])
        self._frame()
        return self._rows(last=False)

    def finish(self) -> np.ndarray:
        """The rest, up to the last frame whose centre lies in the recording."""
        self._samples = np.concatenate([self._samples, np.zeros(self._n_fft)])
        self._frame()
        return self._rows(last=True)

    def _frame(self) -> None:
        """Levels of all frames that are complete and have their centre in the recording."""
        after = self._n_framed + int(len(self._samples) / (HOP_SEC * self._rate)) + 2
        centres = np.rint(np.arange(self._n_framed, after) * (HOP_SEC * self._rate)).astype(int)
        starts = centres - self._n_fft // 2 - self._first
        ready = (centres < self._n_received) & (starts + self._n_fft <= len(self._samples))
        for some in np.array_split(starts[ready], ready.sum() // BATCH + 1):
            frames = self._samples[some[:, None] + np.arange(self._n_fft)]  # (N, T)
            power = np.abs(np.fft.rfft(frames * self._window)) ** 2  # (N, F)
            banded = np.stack([2 * power[:, band].sum(1) for band in self._bands], 1)
            banded = np.concatenate([banded, banded.sum(1, keepdims=True)], 1)  # (N, D)
            db = 10 * np.log10(np.maximum(banded, 10 ** (SILENCE_DB / 10)))
            # the highest level so far, which falls as time goes by
            fallen = FALL_DB * np.arange(1, len(db) + 1)
            peak_db = np.maximum.accumulate([self._peak_db, *(db[:, -1] + fallen)])[1:] - fallen
            self._level_db = np.concatenate([self._level_db, db[:, -1]])
            db = np.maximum(db, peak_db[:, None] - RANGE_DB)  # below there is only noise
            self._peak_db = float(peak_db[-1]) if len(db) else self._peak_db
            self._features = np.concatenate([self._features, db])
        self._n_framed += int(ready.sum())
        keep = round(self._n_framed * HOP_SEC * self._rate) - self._n_fft // 2
        drop = min(max(keep - self._first, 0), len(self._samples))
        self._samples, self._first = self._samples[drop:].copy(), self._first + drop

    def _rows(self, last: bool) -> np.ndarray:
        """Rows of the frames whose context is there; beyond the ends the outermost frame stays."""
        held = self._features  # (N, D), CONTEXT of them given before once there were so many
        before = min(self._n_given, CONTEXT)
        n = len(held) - before - (0 if last else CONTEXT)
        if n <= 0:
            return np.zeros((0, 3))
        padded = np.pad(held, ((CONTEXT - before, CONTEXT if last else 0), (0, 0)), mode="edge")
        logit = self._score(context(padded, n))
        frames = np.arange(self._n_given, self._n_given + n)
        rows = np.stack([frames * HOP_SEC, self._level_db[:n], logit], 1)
        self._level_db = self._level_db[n:]
        self._n_given += n
        self._features = held[max(before + n - CONTEXT, 0) :].copy()
        return rows
