"""Files that are several recordings one after the other.

Radio stations send chained Ogg, and ``cat a.flac b.flac`` joins files. libsndfile reads the first
recording only; FFmpeg stops where the rate or the channels of an Ogg file change.
"""

import io
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OGG = b"OggS"
FLAC = b"fLaC"
JOINED = OGG, FLAC  # what begins with them may be several recordings
OGG_HEADER_BYTES = 27  # of a page, without its table of segments
OGG_BEGINS = 2  # flag of the first page of a logical stream
FLAC_HEADS = (FLAC + b"\0\0\0\x22", FLAC + b"\x80\0\0\x22")  # with the block that comes first


class Link(NamedTuple):
    """A recording in a file: bytes from ``start`` to before ``stop``."""

    start: int
    stop: int


def find_links(path: Path) -> list[Link]:
    """Recordings in a file, found by what they begin with.

    Args:
        path: Any file that is not empty.

    Returns:
        At least one link; they cover the file.

    References:
        S. Pfeiffer, "The Ogg Encapsulation Format Version 0", RFC 3533, 2003;
        M. van Beurden, A. Weaver, "Free Lossless Audio Codec", RFC 9639, 2024.
    """
    with open(path, "rb") as file:
        head = file.read(4)
        if head not in JOINED:
            return [Link(0, path.stat().st_size)]
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            starts = list(_ogg_starts(data) if head == OGG else _flac_starts(data))
            stops = [*starts[1:], len(data)]
    return [Link(*pair) for pair in zip([0, *starts[1:]], stops, strict=False)]


def _flac_starts(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at >= 0:
        if data[at : at + 8] in FLAC_HEADS:
            yield at
        at = data.find(FLAC, at + 1)


def _ogg_starts(data: mmap.mmap) -> Iterator[int]:
    before = False  # whether the page before began a stream, as those of a video and its sound do
    for at, begins in _pages(data):
        if begins and not before:
            yield at
        before = begins


def _pages(data: mmap.mmap) -> Iterator[tuple[int, bool]]:
    """Position of every page of an Ogg file, and whether it begins a stream."""
    at = 0
    while at + OGG_HEADER_BYTES <= len(data):
        if data[at : at + 4] != OGG or data[at + 4] != 0:  # damaged: look for the next
            at = data.find(OGG, at + 1)
            if at < 0:
                return
            continue
        n_segments = data[at + 26]
        yield at, bool(data[at + 5] & OGG_BEGINS)
        at += OGG_HEADER_BYTES + n_segments
        at += sum(data[at - n_segments : at])


class FileSlice(io.RawIOBase):
    """A part of a file as a file of its own, for decoders.

    Args:
        path: The file.
        link: Its part.
    """

    def __init__(self, path: Path, link: Link) -> None:
        self._path, self._link = path, link
        self._file = open(path, "rb")  # noqa: SIM115  # closed by close
        self._start, self._size = link.start, link.stop - link.start
        self._at = 0

    def again(self) -> "FileSlice":
        """The same part, opened once more."""
        return FileSlice(self._path, self._link)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position within the part."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position within the part, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return bytes up to the end of the part."""
        left = max(0, self._size - self._at)
        size = left if size is None or size < 0 else min(size, left)
        self._file.seek(self._start + self._at)
        data = self._file.read(size)
        self._at += len(data)
        return data

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill a buffer; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
