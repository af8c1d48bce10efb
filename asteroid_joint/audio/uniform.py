"""One sample rate and one number of channels for recordings that change theirs half-way."""

from collections.abc import Iterator

import numpy as np


class Uniform:
    """Converts parts of any rate and channels to those of the first.

    Parts that have them already pass through untouched.

    Args:
        sample_rate: Rate to convert to, in Hz.
        n_channels: Channels to convert to.
    """

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        self._rate, self._n_channels = sample_rate, n_channels
        self._from_rate = sample_rate
        self._resampler = None

    def push(self, part: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
        """Add ``(T, C')`` float32 at ``sample_rate``; yields what is final, ``(T', C)``."""
        import soxr

        if sample_rate != self._from_rate:
            yield from self.finish()
            self._from_rate = sample_rate
            if sample_rate != self._rate:
                self._resampler = soxr.ResampleStream(
                    sample_rate, self._rate, self._n_channels, dtype="float32"
                )
        part = to_channels(part, self._n_channels)
        yield part if self._resampler is None else self._resampler.resample_chunk(part)

    def finish(self) -> Iterator[np.ndarray]:
        """Yield the rest."""
        if self._resampler is not None:
            nothing = np.zeros((0, self._n_channels), np.float32)
            yield self._resampler.resample_chunk(nothing, last=True)
            self._resampler = None
        self._from_rate = self._rate


def to_channels(samples: np.ndarray, n_channels: int) -> np.ndarray:
    """``(T, C')`` to ``(T, n_channels)``: mono goes to all, surplus channels are shared by all.

    Example:
        >>> to_channels(np.array([[1.0], [2.0]]), 2).tolist()
        [[1.0, 1.0], [2.0, 2.0]]
        >>> to_channels(np.array([[1.0, 2.0]]), 1).tolist()
        [[1.5]]
    """
    given = samples.shape[1]
    if given == n_channels:
        return samples
    if n_channels == 1:
        return samples.mean(1, keepdims=True, dtype=samples.dtype)
    if given == 1:
        return np.repeat(samples, n_channels, 1)
    if given < n_channels:
        return np.pad(samples, ((0, 0), (0, n_channels - given)))
    return samples[:, :n_channels] + samples[:, n_channels:].mean(1, keepdims=True)
