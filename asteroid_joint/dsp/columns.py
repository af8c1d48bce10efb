"""Pictures of recordings of any length: series of columns of bounded length, spectrograms."""

from collections.abc import Callable

import numpy as np

MOST_COLUMNS = 8192  # more than six rows of 1200 pixels can show
COLUMN_SEC = 0.02  # before columns are merged
FRAME_SEC = 0.093  # window length that resolves harmonics
FRAMES_AT_A_TIME = 256  # bounds memory
ROWS_PER_OCTAVE = 24
RANGE_DB = 55.0  # between black and the brightest
FLOOR_DB = 60.0  # a stem that is so far below the mixture is black
Merge = Callable[[np.ndarray], np.ndarray]


class Columns:
    """A series of at most ``most`` columns; when there are more, neighbours are merged.

    Args:
        merge: ``(n, k, D)`` to ``(n, D)``: one column from ``k`` neighbours.
        most: Number of columns above which pairs are merged.

    Example:
        >>> columns = Columns(lambda block: block.max(1), most=4)
        >>> columns.push(np.arange(12.0)[:, None])
        >>> columns.width, columns.values()[:, 0].tolist()
        (4, [3.0, 7.0, 11.0])
    """

    def __init__(self, merge: Merge, most: int = MOST_COLUMNS) -> None:
        self.width = 1  # original columns per column
        self._merge = merge
        self._most = most
        self._held: np.ndarray | None = None  # (n, D)
        self._rest: np.ndarray | None = None  # (fewer than width, D)

    def push(self, columns: np.ndarray) -> None:
        """Append ``(n, D)``."""
        if self._rest is not None:
            columns = np.concatenate([self._rest, columns])
        whole = len(columns) // self.width * self.width
        merged = self._merged(columns[:whole], self.width)
        self._rest = columns[whole:].copy()
        self._held = merged if self._held is None else np.concatenate([self._held, merged])
        while len(self._held) > self._most:
            even = len(self._held) // 2 * 2
            self._rest = np.concatenate([np.repeat(self._held[even:], self.width, 0), self._rest])
            self._held = self._merged(self._held[:even], 2)
            self.width *= 2

    def values(self) -> np.ndarray:
        """All columns, ``(n, D)``; the last may cover fewer original columns than the others."""
        if self._held is None or self._rest is None:
            return np.zeros((0, 0))
        last = [self._merge(self._rest[None])] if len(self._rest) else []
        return np.concatenate([self._held, *last])

    def _merged(self, columns: np.ndarray, by: int) -> np.ndarray:
        if by == 1 or not len(columns):
            return columns
        return self._merge(columns.reshape(-1, by, columns.shape[1]))  # (n, by, D)


def surest(block: np.ndarray) -> np.ndarray:
    """The most confident of ``(n, k, 2)`` pairs of frequency and confidence, ``(n, 2)``."""
    return np.take_along_axis(block, block[..., 1:].argmax(1)[:, None], 1)[:, 0]


def log_rows(
    sample_rate: int, n_fft: int, low_hz: float, high_hz: float
) -> tuple[np.ndarray, Merge]:
    """Rows of a spectrogram with a logarithmic axis.

    Args:
        sample_rate: Sample rate in Hz; no row is above 0.45 times it.
        n_fft: Length of the transform in samples.
        low_hz: Frequency of the first row in Hz.
        high_hz: Upper limit of the rows in Hz.

    Returns:
        Frequencies of the rows in Hz, and a function from powers ``(N, n_fft // 2 + 1)`` to rows
        ``(N, F)``.
    """
    top_hz = min(high_hz, 0.45 * sample_rate)
    n_rows = int(np.log2(top_hz / low_hz) * ROWS_PER_OCTAVE)
    hz = low_hz * 2 ** (np.arange(n_rows) / ROWS_PER_OCTAVE)
    bins = hz * n_fft / sample_rate
    below = bins.astype(int)
    part = (bins - below).astype(np.float32)
    reach = np.maximum(np.rint(bins * (2 ** (0.5 / ROWS_PER_OCTAVE) - 1)).astype(int), 0)

    def pick(power: np.ndarray) -> np.ndarray:
        rows = power[:, below] * (1 - part) + power[:, below + 1] * part  # (N, F)
        for k in range(1, int(reach.max(initial=0)) + 1):  # wide rows show their loudest bin
            wide = np.flatnonzero(reach >= k)
            around = np.maximum(power[:, below[wide] - k], power[:, below[wide] + k])
            rows[:, wide] = np.maximum(rows[:, wide], around)
        return rows.astype(np.float32)

    return hz, pick


def shades_db(highest_db: float, below_db: float) -> tuple[float, float]:
    """Levels that a picture of a stem's spectrogram shows as black and as its brightest.

    A stem near the level of the mixture fills the range; one that is hardly there, and cannot be
    heard, is dark.

    Args:
        highest_db: Highest level of the stem's spectrogram, dB.
        below_db: Level of the mixture at its loudest, relative to that of the stem at its loudest.

    Example:
        >>> shades_db(-20.0, 3.0), shades_db(-20.0, 56.0)
        ((-75.0, -20.0), (-24.0, 31.0))
    """
    black_db = highest_db + max(below_db - FLOOR_DB, -RANGE_DB)
    return black_db, black_db + RANGE_DB


class LogSpectrogram:
    """Spectrogram with a logarithmic frequency axis of a recording that arrives in blocks.

    Args:
        sample_rate, low_hz, high_hz: See :func:`log_rows`.

    Attributes:
        hop: Samples between the centres of columns; the first is centred at sample 0.
        hz: Frequencies of the rows in Hz, ``(F,)``.
        unit_power: Power of a constant 1.0 at 0 Hz.

    Example:
        >>> spectrogram = LogSpectrogram(8000, 50.0, 2000.0)
        >>> spectrogram.push(np.zeros(8000, np.float32)).shape, spectrogram.finish().shape
        ((48, 127), (5, 127))
    """

    def __init__(self, sample_rate: int, low_hz: float, high_hz: float) -> None:
        self.hop = max(1, round(COLUMN_SEC * sample_rate))
        n_frame = max(3, round(FRAME_SEC * sample_rate))
        self._n_fft = 2 << int(np.log2(n_frame))
        self._window = np.hanning(n_frame).astype(np.float32)
        self.unit_power = self._window.sum() ** 2
        self.hz, self._pick = log_rows(sample_rate, self._n_fft, low_hz, high_hz)
        self._samples = np.zeros(n_frame // 2, np.float32)

    def push(self, mono: np.ndarray) -> np.ndarray:
        """Add float32 ``(n_samples,)``; returns the powers of complete columns, ``(N, F)``."""
        self._samples = np.concatenate([self._samples, mono])
        n = max((len(self._samples) - len(self._window)) // self.hop + 1, 0)
        columns = [np.zeros((0, len(self.hz)), np.float32)]
        for at in range(0, n, FRAMES_AT_A_TIME):
            starts = self.hop * np.arange(at, min(at + FRAMES_AT_A_TIME, n))
            frames = self._samples[starts[:, None] + np.arange(len(self._window))]  # (N, T)
            spectra = np.fft.rfft(frames * self._window, self._n_fft)
            columns.append(self._pick(np.abs(spectra) ** 2))
        self._samples = self._samples[n * self.hop :].copy()
        return np.concatenate(columns)

    def finish(self) -> np.ndarray:
        """Powers of the remaining columns, which extend beyond the end, ``(N, F)``."""
        return self.push(np.zeros(len(self._window), np.float32))
