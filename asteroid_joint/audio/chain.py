"""Decoding of files that no single decoder reads to their end.

libsndfile stops at the first damaged frame of a FLAC file, and where a header states fewer samples
than follow: FFmpeg decodes the rest. Where recordings were joined, every one is opened as a file of
its own.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .ffmpeg import FFmpegSource
from .links import FileSlice, Link, find_links
from .mp3_header import is_mp3
from .sndfile import SndfileSource
from .source import TOLERANCE_SEC, CannotDecode, Source
from .uniform import Uniform


def open_source(path: Path, head: bytes) -> Source:
    """The decoder, or decoders, that read a file to its end.

    Args:
        path: A file.
        head: Its first bytes, at least four if it is that long.

    Raises:
        CannotDecode: If no decoder knows the format.
    """
    if is_mp3(head):  # libsndfile's decoder prints its own warnings on damaged files
        return FFmpegSource(path)
    links = find_links(path)
    if len(links) > 1:
        return ChainedSource(path, links)
    return _open_whole(path)


def _open_whole(path: Path, link: Link | None = None) -> Source:
    """A decoder for a file or a part of it; rather one that finds samples."""
    empty: Source | None = None
    for kind in (ContinuedSource, FFmpegSource):
        try:
            source: Source = kind(_file(path, link))
        except CannotDecode:
            continue
        if source.announced != 0:
            return source
        empty = source
    if empty is None:
        raise CannotDecode
    return empty


def _file(path: Path, link: Link | None) -> Path | FileSlice:
    return path if link is None else FileSlice(path, link)


class ContinuedSource(SndfileSource):
    """libsndfile, and FFmpeg from where libsndfile ends before the file does.

    Args:
        file: A path, or a part of a file.

    Raises:
        CannotDecode: If libsndfile does not know the format.
    """

    def __init__(self, file: Path | FileSlice) -> None:
        super().__init__(file)
        self._given = file

    def decode(self) -> Iterator[np.ndarray]:
        n_given = 0
        for part in super().decode():
            n_given += len(part)
            yield part
        incomplete = self.damaged or n_given < (self.announced or 0)
        if incomplete or self._is_larger(n_given):
            yield from self._continue(n_given)

    def _is_larger(self, n_given: int) -> bool:
        """Whether the size of the file leaves room for more samples."""
        if self.container == "OGG" or not isinstance(self._given, Path):
            return False
        n_most = n_given + TOLERANCE_SEC * self.sample_rate
        return self._given.stat().st_size > n_most * self.frame_bytes

    def _continue(self, n_given: int) -> Iterator[np.ndarray]:
        """What FFmpeg decodes after the first samples, if it is more than a rounding."""
        given, n_more = self._given, 0
        for strict in (True, False):  # where every checksum is wrong, the rest may be right
            try:
                source = FFmpegSource(given if isinstance(given, Path) else given.again(), strict)
            except CannotDecode:
                continue
            with contextlib.closing(source):
                rest = _without(n_given, _converted(source, self.sample_rate, self.n_channels))
                for part in _if_longer_than(round(TOLERANCE_SEC * self.sample_rate), rest):
                    n_more += len(part)
                    yield part
            self.goes_on = source.goes_on
            if n_more:  # what was lost is for FFmpeg to say
                scale = self.sample_rate / source.sample_rate
                self.damaged = source.damaged or not strict
                self.n_silenced = round(scale * source.n_silenced)
                self.first_silenced = round(scale * source.first_silenced)
            if n_more or self.container != "FLAC":
                return


class ChainedSource(Source):
    """Recordings one after the other in one file, with the rate and channels of the first.

    Args:
        path: The file.
        links: Its recordings.

    Raises:
        CannotDecode: If no decoder knows any of them.
    """

    def __init__(self, path: Path, links: Sequence[Link]) -> None:
        self._path = path
        self._links: list[Link] = []
        sources: list[Source] = []
        for link in links:
            try:
                sources.append(_open_whole(path, link))
            except CannotDecode:
                self.damaged = True
                continue
            self._links.append(link)
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
        for link in self._links:
            with contextlib.closing(_open_whole(self._path, link)) as source:
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
