"""Streaming decoding of audio files.

libsndfile decodes what it can (WAV, FLAC, OGG, AIFF, ...), FFmpeg (through PyAV) the rest. MP3 goes
to FFmpeg as well, as libsndfile's decoder prints its own warnings on damaged files.
"""

import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError

BLOCK = 1 << 16  # samples per returned block, at least
READ_SAMPLES = 1 << 12  # per call of libsndfile; lost at an error in a damaged file
INTEGER_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "ALAC_16", "ALAC_20", "ALAC_24"}
INTEGER_SAMPLE_FORMATS = {"u8", "u8p", "s16", "s16p"}  # FFmpeg's names
# FFmpeg's formats that refer to other files or hosts, which must not be read
REFERRING = {"concat", "dash", "hls", "image2", "imf", "rtp", "rtsp", "sap", "sdp", "vobsub"}
SHORTFALL = 0.02  # tolerated fraction of the length, which containers round


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

    def __init__(self, path: Path, source: "_SndfileSource | _FFmpegSource") -> None:
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
        seconds = self.n_read / self.sample_rate
        missing = (self.announced or 0) - self.n_read
        if missing > max(SHORTFALL * self.n_read, 0.1 * self.sample_rate):
            promised = (self.announced or 0) / self.sample_rate
            return (
                f"{self.path} is cut off: its header announces {promised:.2f} s, "
                f"the {seconds:.2f} s that are present were used."
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
        AudioError: If it is missing, a folder, a pipe, empty, unreadable, or not audio.
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
    is_mp3 = head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    for source in (_FFmpegSource,) if is_mp3 else (_SndfileSource, _FFmpegSource):
        try:
            return AudioReader(path, source(path))
        except _CannotDecode:
            continue
    raise AudioError(f"{path} contains no audio that libsndfile or FFmpeg can decode.")


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


class _CannotDecode(Exception):
    """This decoder does not know the format; another one may."""


def native_path(path: Path) -> str | bytes:
    """Convert a path for libsndfile's wrapper: names on POSIX need not be valid UTF-8."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _is_utf8(path: Path) -> bool:
    return os.fsencode(path).decode(errors="ignore") == str(path)


class _SndfileSource:
    """Decoding by libsndfile."""

    def __init__(self, path: Path) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        try:
            self._file = soundfile.SoundFile(native_path(path))
        except soundfile.LibsndfileError as err:
            raise _CannotDecode from err
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.subtype = "PCM_24" if self._file.subtype in INTEGER_SUBTYPES else "FLOAT"
        self.announced: int | None = max(self._file.frames, self._in_header())
        self.damaged = False

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
        try:
            while len(part := self._file.read(READ_SAMPLES, "float32", always_2d=True)):
                yield part  # (T, C)
        except self._error:
            self.damaged = True

    def close(self) -> None:
        self._file.close()


class _FFmpegSource:
    """Decoding by FFmpeg's libraries (PyAV)."""

    def __init__(self, path: Path) -> None:
        import av

        self._error = av.FFmpegError
        self.damaged = False
        # "file:" keeps a colon in a name from being read as a protocol; PyAV cannot open names that
        # are not UTF-8, but it reads files opened by Python
        source = f"file:{path.absolute()}" if _is_utf8(path) else open(path, "rb")
        formats = ",".join(sorted(av.formats_available - REFERRING - {"webm_dash_manifest"}))
        try:
            self._container: Any = av.open(source, options={"format_whitelist": formats})
        except (av.FFmpegError, OSError, ValueError) as err:
            raise _CannotDecode from err
        if not self._container.streams.audio:
            self._container.close()
            raise _CannotDecode
        stream = self._container.streams.best("audio") or self._container.streams.audio[0]
        self._frames = self._decode_frames(stream)
        self._first: Any = next(self._frames, None)
        if self._first is None:
            self._container.close()
            raise _CannotDecode
        # the first frame is more reliable than the header (HE-AAC doubles its rate)
        self.sample_rate: int = self._first.sample_rate
        self.n_channels: int = self._first.layout.nb_channels
        integer = self._first.format.name in INTEGER_SAMPLE_FORMATS
        self.subtype = "PCM_24" if integer else "FLOAT"
        self.announced: int | None = None
        if stream.duration is not None and stream.time_base is not None:
            self.announced = int(stream.duration * stream.time_base * self.sample_rate)

    def _decode_frames(self, stream: Any) -> Iterator[Any]:
        """Frames of one stream, without packets that cannot be decoded."""
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
                yield from packet.decode()
            except (StopIteration, EOFError):
                return
            except self._error:
                self.damaged = True

    def decode(self) -> Iterator[np.ndarray]:
        import av

        resampler = av.AudioResampler(
            format="flt", layout=self._first.layout, rate=self.sample_rate
        )
        for frame in chain([self._first], self._frames, [None]):  # None flushes the resampler
            try:
                converted = resampler.resample(frame)
            except (ValueError, self._error):  # the format changed half-way
                self.damaged = True
                continue
            for part in converted:
                yield part.to_ndarray().reshape(-1, self.n_channels)  # (T, C) float32

    def close(self) -> None:
        self._container.close()
