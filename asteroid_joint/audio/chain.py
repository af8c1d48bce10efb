"""Decoding of files that no single decoder reads to their end.

libsndfile stops at the first damaged frame of a FLAC file, and where a header states fewer samples
than follow: FFmpeg decodes the rest. Where recordings were joined, every one is opened as a file of
its own.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .ffmpeg import FFmpegSource
from .links import FileSlice
from .source import TOLERANCE_SEC, CannotDecode, Source
from .uniform import Uniform


def decode_rest(
    source: Source, file: Path | FileSlice, n_given: int, checksums: bool
) -> Iterator[np.ndarray]:
    """Decode with FFmpeg what another decoder has left, if it is more than a rounding.

    Args:
        source: The other decoder, which has ended; it is told what is damaged and what is lost.
        file: What it reads.
        n_given: Samples per channel that it has given.
        checksums: Whether frames have checksums, as those of FLAC.

    Yields:
        float32 ``(T, C)`` with the rate and channels of ``source``.
    """
    n_more = 0
    for strict in (True, False) if checksums else (True,):  # all may be wrong, and the rest right
        try:
            rest = FFmpegSource(file if isinstance(file, Path) else file.again(), strict)
        except CannotDecode:
            continue
        with contextlib.closing(rest):
            more = _without(n_given, _converted(rest, source.sample_rate, source.n_channels))
            for part in _if_longer_than(round(TOLERANCE_SEC * source.sample_rate), more):
                n_more += len(part)
                yield part
        source.goes_on = rest.goes_on
        if n_more:  # what was lost is for FFmpeg to say
            scale = source.sample_rate / rest.sample_rate
            source.damaged = rest.damaged or not strict
            source.n_silenced = round(scale * rest.n_silenced)
            source.first_silenced = round(scale * rest.first_silenced)
            return


class ChainedSource(Source):
    """Recordings one after the other in one file, with the rate and channels of the first.

    Args:
        recordings: Opens each of them, more than once.

    Raises:
        CannotDecode: If no decoder knows any of them.
    """

    def __init__(self, recordings: Sequence[Callable[[], Source]]) -> None:
        self._recordings: list[Callable[[], Source]] = []
        sources: list[Source] = []
        for recording in recordings:
            try:
                sources.append(recording())
            except CannotDecode:
                self.damaged = True
                continue
            self._recordings.append(recording)
            sources[-1].close()
        if not sources:
            raise CannotDecode
        self.sample_rate, self.n_channels = sources[0].sample_rate, sources[0].n_channels
        alike = {(s.sample_rate, s.n_channels, s.subtype) for s in sources}
        self.subtype = sources[0].subtype if len(alike) == 1 else "FLOAT"
        self.announced = 0
        for source in sources:
            if source.announced is None or self.announced is None:
                self.announced = None
            else:
                self.announced += source.announced * self.sample_rate // source.sample_rate

    def decode(self) -> Iterator[np.ndarray]:
        for recording in self._recordings:
            with contextlib.closing(recording()) as source:
                yield from _converted(source, self.sample_rate, self.n_channels)
            self.damaged |= source.damaged

    def close(self) -> None:
        """Nothing is open here but while decoding."""


def _converted(source: Source, sample_rate: int, n_channels: int) -> Iterator[np.ndarray]:
    """The samples of a source with another rate and other channels, ``(T, C)``."""
    uniform = Uniform(sample_rate, n_channels)
    for part in source.decode():
        yield from uniform.push(part, source.sample_rate)
    yield from uniform.finish()


def _without(n_first: int, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Parts ``(T, C)`` without their first samples."""
    for part in parts:
        yield part[n_first:]
        n_first = max(n_first - len(part), 0)


def _if_longer_than(n_samples: int, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Parts ``(T, C)`` if they are longer than that together, otherwise nothing."""
    held: list[np.ndarray] = []
    n_held = 0
    for part in parts:
        held.append(part)
        n_held += len(part)
        if n_held > n_samples:
            yield from held
            held = []
