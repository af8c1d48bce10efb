"""Streaming decoding of audio files.

libsndfile decodes what it can (WAV, FLAC, OGG, AIFF, ...), FFmpeg (through PyAV) the rest, and what
libsndfile leaves out: see :mod:`~asteroid_joint.audio.chain`.
"""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError
from ..files import native_path
from .arrays import HIGHEST_RATE, LOWEST_RATE
from .chain import ChainedSource, decode_rest
from .ffmpeg import FFmpegSource
from .links import JOINED, FileSlice, Link, find_links
from .mp3_header import FRAME, ID3
from .source import TOLERANCE_SEC, CannotDecode, Source

BLOCK = 1 << 16  # samples per returned block, at least
SHORTFALL = 0.02  # tolerated fraction of the length, which containers round

# libsndfile
READ_SAMPLES = 1 << 12  # per call; lost at an error in a damaged file
INTEGER_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "ALAC_16", "ALAC_20", "ALAC_24"}
SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}
SAMPLE_BYTES |= {"FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}
LONGEST = 1 << 48  # samples; it announces 2**63 - 1 where it does not know


class AudioReader:
    """An open audio file, read once from beginning to end.

    Attributes:
        path: The file.
        sample_rate: Hz.
        n_channels: Number of channels.
        announced: Samples per channel according to the header, ``None`` if it does not say.
        subtype: Subtype for writing its stems with :class:`StemWriter`, ``"PCM_24"`` or
            ``"FLOAT"``.
        n_read: Samples per channel that ``blocks`` has returned.
        damaged: Whether parts of the file could not be decoded.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self.sample_rate = source.sample_rate
        self.n_channels = source.n_channels
        self.announced = source.announced
        self.subtype = source.subtype
        self.n_read = 0
        self.damaged = False
        self._source = source

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode to float32 arrays ``(n_channels, n_samples)`` with full scale 1.0.

        Raises:
            AudioError: If a sample is NaN or infinite (with its position), or there are none.
        """
        for block in _gather(self._source.decode()):  # (T, C)
            if not np.isfinite(block).all():
                bad = self.n_read + int(np.argmin(np.isfinite(block).all(1)))
                raise AudioError(
                    f"{self.path} contains NaN or infinite samples, the first at "
                    f"{bad / self.sample_rate:.3f} s: repair the file first."
                )
            self.n_read += len(block)
            yield np.ascontiguousarray(block.T)
        self.damaged = self._source.damaged
        if self.n_read == 0:
            raise AudioError(f"{self.path} contains no samples.")

    def warning(self) -> str | None:
        """After reading, one sentence if the file is cut off or damaged, otherwise ``None``."""
        source, rate = self._source, self.sample_rate
        seconds = self.n_read / rate
        missing = 0 if source.estimated else (self.announced or 0) - self.n_read
        if missing > max(SHORTFALL * self.n_read, TOLERANCE_SEC * rate):
            promised = (self.announced or 0) / rate
            in_the_middle = source.goes_on or source.n_silenced > 0
            kind = "damaged" if in_the_middle else "cut off"
            present = "can be decoded" if in_the_middle else "are present"
            return (
                f"{self.path} is {kind}: its header announces {promised:.2f} s, "
                f"the {seconds:.2f} s that {present} were used."
            )
        if source.n_silenced:
            return (
                f"{self.path} is damaged: {source.n_silenced / rate:.2f} s of it cannot be decoded "
                f"and are silent, the first at {source.first_silenced / rate:.2f} s."
            )
        if self.damaged:
            return f"{self.path} is damaged: the {seconds:.2f} s that can be decoded were used."
        return None

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_audio(path: str | os.PathLike) -> AudioReader:
    """Open an audio file for reading.

    Args:
        path: Any file that libsndfile or FFmpeg decodes; of a video, the audio is read.

    Raises:
        AudioError: If it is missing, a folder, a pipe, empty, unreadable, not audio, or of an
            impossible rate.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise AudioError(f"{path} is a folder: give audio files, for example {path}/*.wav.")
    if not os.path.exists(path):
        raise AudioError(f"There is no file {path}.")
    if not os.path.isfile(path):  # opening a pipe would wait, or take what no decoder then sees
        raise AudioError(
            f"{path} is a pipe or a device, which is read only once: save the sound to a file, or "
            "pipe it into asteroid-joint stream."
        )
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except PermissionError as err:
        raise AudioError(f"{path} is not readable: change its permissions.") from err
    except OSError as err:
        raise AudioError(f"{path} cannot be read: {err.strerror}.") from err
    if not head:
        raise AudioError(f"{path} is empty (0 bytes).")
    try:
        reader = AudioReader(path, open_source(path, head))
    except CannotDecode:
        message = f"{path} contains no audio that libsndfile or FFmpeg can decode."
        raise AudioError(message) from None
    if not LOWEST_RATE <= reader.sample_rate <= HIGHEST_RATE:
        reader.close()
        raise AudioError(
            f"{path} states a sample rate of {reader.sample_rate} Hz, and only {LOWEST_RATE} to "
            f"{HIGHEST_RATE} Hz are usable: correct its header."
        )
    return reader


def open_source(path: Path, head: bytes) -> Source:
    """The decoder, or decoders, that read a file to its end.

    Args:
        path: A file.
        head: Its first bytes, at least four if it is that long.

    Raises:
        CannotDecode: If no decoder knows the format.
    """
    if head.startswith(ID3) or FRAME.match(head):  # libsndfile prints warnings on damaged MP3
        return FFmpegSource(path)
    links = find_links(path) if head in JOINED else []
    if len(links) > 1:
        return ChainedSource([partial(_open_recording, path, link) for link in links])
    return _open_recording(path)


def _open_recording(path: Path, link: Link | None = None) -> Source:
    """A decoder for a file or a part of it; rather one that finds samples."""
    empty: Source | None = None
    for kind in (SndfileSource, FFmpegSource):
        try:
            source: Source = kind(path if link is None else FileSlice(path, link))
        except CannotDecode:
            continue
        if source.announced != 0:
            return source
        empty = source
    if empty is None:
        raise CannotDecode
    return empty


class SndfileSource(Source):
    """A file that libsndfile decodes; FFmpeg goes on where libsndfile ends before the file does.

    Args:
        file: Its path, or a part of a file.

    Raises:
        CannotDecode: If libsndfile does not know the format.
    """

    def __init__(self, file: Path | FileSlice) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self._where = file
        try:
            self._file = soundfile.SoundFile(native_path(file) if isinstance(file, Path) else file)
        except soundfile.LibsndfileError as err:
            raise CannotDecode from err
        self.sample_rate = self._file.samplerate
        self.n_channels = self._file.channels
        self.subtype = "PCM_24" if self._file.subtype in INTEGER_SUBTYPES else "FLOAT"
        announced = max(self._file.frames, self._in_header())
        self.announced = announced if announced < LONGEST else None

    def _in_header(self) -> int:
        """Samples according to the header of a truncated WAV file, otherwise 0.

        libsndfile corrects the count silently but logs the original. Sizes near the end of the
        32-bit range come from programs that did not know the length yet.
        """
        found = re.search(r"^data\s*: (\d+) \(should be (\d+)\)", self._file.extra_info, re.M)
        if found is None or int(found[1]) >= 0x7FFF0000 or int(found[2]) == 0:
            return 0
        return self._file.frames * int(found[1]) // int(found[2])

    def decode(self) -> Iterator[np.ndarray]:
        n_given = 0
        try:
            while len(part := self._file.read(READ_SAMPLES, "float32", always_2d=True)):
                n_given += len(part)
                yield part  # (T, C)
        except self._error:
            self.damaged = True
        incomplete = self.damaged or n_given < (self.announced or 0)
        if incomplete or self._is_larger(n_given):
            yield from decode_rest(self, self._where, n_given, self._file.format == "FLAC")

    def _is_larger(self, n_given: int) -> bool:
        """Whether the size of the file leaves room for more samples."""
        if self._file.format == "OGG" or not isinstance(self._where, Path):
            return False
        frame_bytes = SAMPLE_BYTES.get(self._file.subtype, 0) * self.n_channels
        n_most = n_given + TOLERANCE_SEC * self.sample_rate
        return self._where.stat().st_size > n_most * frame_bytes

    def close(self) -> None:
        self._file.close()
        if not isinstance(self._where, Path):
            self._where.close()


def _gather(parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Join short ``(T, C)`` arrays to blocks of at least ``BLOCK`` samples."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= BLOCK:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)
