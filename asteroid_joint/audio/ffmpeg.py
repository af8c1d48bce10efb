"""Decoding by FFmpeg's libraries (PyAV): MP3, M4A, videos and whatever libsndfile does not know."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .links import FileSlice
from .mp3_header import stated_length
from .source import CannotDecode, Source
from .uniform import Uniform

INTEGER_SAMPLE_FORMATS = {"u8", "u8p", "s16", "s16p"}  # FFmpeg's names
# FFmpeg's formats that refer to other files or hosts, which must not be read
REFERRING = {"concat", "dash", "hls", "image2", "imf", "rtp", "rtsp", "sap", "sdp", "vobsub"}
TAGS = (b"ID3", b"TAG", b"APETAGEX")  # between joined MP3 files; no sound is lost with them


class FFmpegSource(Source):
    """A file that FFmpeg decodes; of a video, its best audio stream.

    Args:
        file: Its path, or a part of a file.

    Raises:
        CannotDecode: If it does not know the format, or finds no audio.
    """

    def __init__(self, file: Path | FileSlice) -> None:
        import av

        self._error = av.FFmpegError
        self._file = file
        self._end = 0  # byte after the last packet that could be decoded
        self._largest = 0  # bytes of a packet
        self._container = _open(file)
        if not self._container.streams.audio:
            self._container.close()
            raise CannotDecode
        self._stream = self._container.streams.best("audio") or self._container.streams.audio[0]
        # only FLAC's packets know their positions, and whether they are damaged
        self._positioned = self._stream.codec_context.name == "flac"
        if self._positioned:
            self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._frames = self._decode_frames()
        self._first: Any = next(self._frames, None)
        if self._first is None:
            self._container.close()
            raise CannotDecode
        frame = self._first[1]
        # the first frame is more reliable than the header (HE-AAC doubles its rate)
        self.sample_rate = frame.sample_rate
        self.n_channels = frame.layout.nb_channels
        self.subtype = "PCM_24" if frame.format.name in INTEGER_SAMPLE_FORMATS else "FLOAT"
        self.announced, self.estimated = self._length(file)

    def _length(self, file: Path | FileSlice) -> tuple[int | None, bool]:
        """Length that the container announces, in samples, and whether it is FFmpeg's guess."""
        stream = self._stream
        if stream.duration is None or stream.time_base is None:
            return None, True
        announced = int(stream.duration * stream.time_base * self.sample_rate)
        if self._container.format.name != "mp3":
            return announced, False
        stated = stated_length(file) if isinstance(file, Path) else None
        return (announced, True) if stated is None else (min(announced, stated), False)

    def _decode_frames(self) -> Iterator[tuple[int | None, Any]]:
        """Frames and the positions of their packets in samples, without damaged packets."""
        stream = self._stream
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, EOFError):
                return
            except self._error:
                self.damaged = True
                continue
            try:
                frames = packet.decode()
            except EOFError:
                return
            except self._error:
                self.damaged |= not bytes(packet).startswith(TAGS)
                continue
            if frames and packet.pos is not None:
                self._end = max(self._end, packet.pos + packet.size)
                self._largest = max(self._largest, packet.size)
            at = None
            if self._positioned and packet.pts is not None:
                at = round(packet.pts * stream.time_base * stream.codec_context.sample_rate)
            for frame in frames:
                yield at, frame
                at = None

    def decode(self) -> Iterator[np.ndarray]:
        """See :class:`Source`; what changes its rate or channels is converted to the first's."""
        uniform = Uniform(self.sample_rate, self.n_channels)
        n_given = 0
        for at, samples, rate in self._samples():
            gap = (at or 0) - n_given
            if 0 < gap <= (self.announced or 0) - n_given:
                self.first_silenced = self.first_silenced or n_given
                self.n_silenced += gap
                yield from _silence(gap, self.n_channels)
                n_given += gap
            for part in uniform.push(samples, rate):
                n_given += len(part)
                yield part
        yield from uniform.finish()
        # a file that was cut off ends with an incomplete packet
        self.goes_on = self._container.size > self._end + 2 * self._largest + 1024

    def _samples(self) -> Iterator[tuple[int | None, np.ndarray, int]]:
        """Positions, samples ``(T, C)`` and rates of all frames."""
        import av

        first, self._first = self._first, None
        resampler: Any = None
        form = None
        for at, frame in _with_first(first, self._frames):
            if form != (frame.format.name, frame.layout.name, frame.sample_rate):
                form = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = av.AudioResampler("flt", frame.layout, frame.sample_rate)
            try:
                parts = [part.to_ndarray() for part in resampler.resample(frame)]
            except (ValueError, self._error):
                self.damaged = True
                continue
            for part in parts:
                yield at, part.reshape(-1, frame.layout.nb_channels), frame.sample_rate
                at = None

    def close(self) -> None:
        self._container.close()
        if not isinstance(self._file, Path):
            self._file.close()


def _open(file: Path | FileSlice) -> Any:
    """A container."""
    import av

    source: Any = file
    if isinstance(file, Path):
        # "file:" keeps a colon in a name from being read as a protocol; PyAV cannot open names that
        # are not UTF-8, but it reads files opened by Python
        source = f"file:{file.absolute()}" if _is_utf8(file) else open(file, "rb")
    formats = ",".join(sorted(av.formats_available - REFERRING - {"webm_dash_manifest"}))
    try:
        return av.open(source, options={"format_whitelist": formats})
    except (av.FFmpegError, OSError, ValueError) as err:
        raise CannotDecode from err


def _is_utf8(path: Path) -> bool:
    return os.fsencode(path).decode(errors="ignore") == str(path)


def _with_first(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest


def _silence(n_samples: int, n_channels: int) -> Iterator[np.ndarray]:
    """Zeros ``(T, C)`` in parts of bounded length."""
    block = 1 << 16
    for at in range(0, n_samples, block):
        yield np.zeros((min(block, n_samples - at), n_channels), np.float32)
