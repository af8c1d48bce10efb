"""Sound through pipes: PCM with or without a WAV header.

Samples are interleaved, channel by channel, as ``arecord``, ``ffmpeg`` and ``sox`` write them.
"""

import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import AudioError, UserError
from .feed import Feed
from .formats import SAMPLE_FORMATS

READ_BYTES = 1 << 16  # largest read
QUEUED_READS = 4  # more stay in the pipe, whose writer waits
WAV_FORMATS = {  # (format tag, bits) to sample format
    (1, 8): "u8",
    (1, 16): "s16le",
    (1, 24): "s24le",
    (1, 32): "s32le",
    (3, 32): "f32le",
}
EXTENSIBLE = 0xFFFE  # format tag: the actual one follows in an extension
HEADER_LIMIT = 1 << 20  # largest header, bytes
UNKNOWN_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe state 0, or about this or more


@dataclass(frozen=True)
class PcmKind:
    """Format of a PCM stream."""

    sample_rate: int  # Hz
    n_channels: int
    sample_format: str  # name in SAMPLE_FORMATS

    def __post_init__(self) -> None:
        if not 1000 <= self.sample_rate <= 768000:
            raise UserError(f"The sample rate must be 1000 to 768000 Hz, not {self.sample_rate}.")
        if not 1 <= self.n_channels <= 64:
            raise UserError(f"The number of channels must be 1 to 64, not {self.n_channels}.")

    def __str__(self) -> str:
        channels = f"{self.n_channels} channel{'s' * (self.n_channels > 1)}"
        return f"{self.sample_rate} Hz, {channels}, {self.sample_format}"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return SAMPLE_FORMATS[self.sample_format].n_bytes * self.n_channels

    def decode(self, data: bytes) -> np.ndarray:
        """Decode whole samples to float32 ``(n_channels, n_samples)``; 1.0 is full scale."""
        form = SAMPLE_FORMATS[self.sample_format]
        if form.n_bytes == 3:  # to the upper bytes of 32 bits
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = wide.view("<i4")[:, 0] / np.float32(1 << 8)
        else:
            values = np.frombuffer(data, form.dtype)
        wav = (values - np.float32(form.zero)) / np.float32(form.full_scale)
        return np.ascontiguousarray(wav.reshape(-1, self.n_channels).T, np.float32)

    def encode(self, wav: np.ndarray) -> bytes:
        """Encode samples ``(n_channels, n_samples)``; integer formats clip at full scale."""
        form = SAMPLE_FORMATS[self.sample_format]
        flat = np.asarray(wav, np.float64).T.reshape(-1)  # (T C,)
        if form.full_scale == 1:
            return flat.astype(form.dtype).tobytes()
        values = np.rint(flat * form.full_scale).clip(-form.full_scale, form.full_scale - 1)
        whole = (values + form.zero).astype(np.int64)
        if form.n_bytes == 3:
            return whole.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        return whole.astype(form.dtype).tobytes()


class PcmInput:
    """PCM from a file descriptor, read by a thread at the pace of the consumer.

    Args:
        fd: Open file descriptor, usually a pipe.
        kind: Format of the samples; ``None`` if the input begins with a WAV header.

    Attributes:
        kind: Format of the samples.
        feed: Queue of the sound.
        warning: After the end, a sentence if the last sample was cut off, else ``None``.

    Raises:
        UserError: If a WAV header is missing, or present although ``kind`` was given.
    """

    name = "the input"
    hint = "check --sample-format"

    def __init__(self, fd: int, kind: PcmKind | None) -> None:
        self._fd = fd
        self._rest = b""
        self._left: int | None = None  # bytes of sound; metadata may follow
        if kind is None:
            self.kind, self._left = read_wav_header(self._read_up_to)
        else:
            self.kind = kind
            self._rest = self._read_up_to(12)
            if self._rest[:4] in (b"RIFF", b"RF64") and self._rest[8:12] == b"WAVE":
                raise UserError("The input begins with a WAV header: omit --sample-format.")
        self.feed = Feed(QUEUED_READS)
        self.warning: str | None = None

    def start(self) -> None:
        """Start the reading thread."""
        threading.Thread(target=self._read, name="pcm", daemon=True).start()

    def close(self) -> None:
        """Stop reading."""
        self.feed.close()

    def _read(self) -> None:
        rest, self._rest = self._rest, b""
        data = b" "
        try:
            while data and not self.feed.closed:
                data = os.read(self._fd, READ_BYTES)
                if self._left is not None:
                    data = data[: self._left]
                    self._left -= len(data)
                rest += data
                whole = len(rest) // self.kind.frame_bytes * self.kind.frame_bytes
                if whole:
                    self.feed.put(self.kind.decode(rest[:whole]))
                    rest = rest[whole:]
        except OSError as err:
            self.feed.end(AudioError(f"Reading the input failed: {err.strerror}."))
        else:
            if rest:
                self.warning = (
                    f"The input ended in the middle of a sample ({len(rest)} bytes too many for "
                    f"{self.kind.n_channels} channels of {self.kind.sample_format}): check "
                    "--sample-format and --channels."
                )
            self.feed.end()

    def _read_up_to(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes and (more := os.read(self._fd, n_bytes - len(data))):
            data += more
        return data


def read_wav_header(read: Callable[[int], bytes]) -> tuple[PcmKind, int | None]:
    """Read a WAV header up to the first sample.

    Args:
        read: Returns the given number of bytes, fewer only at the end.

    Returns:
        Format of the samples, and their size in bytes; ``None`` if the header does not state it.

    Raises:
        UserError: If there is no complete WAV header, or the format is not supported.
    """
    head = read(12)
    if not head:
        raise UserError("The input is empty: pipe a sound in.")
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        raise UserError(
            "The input has no WAV header: describe its samples, for example with "
            "--sample-format s16le --rate 44100 --channels 2."
        )
    kind, n_read = None, 0
    while n_read < HEADER_LIMIT:
        chunk = read(8)
        if len(chunk) < 8:
            break
        size = struct.unpack("<I", chunk[4:])[0]
        if chunk[:4] == b"data":
            if kind is None:
                break
            return kind, size if 0 < size < UNKNOWN_SIZE else None
        n_read += size
        if n_read < HEADER_LIMIT:
            body = read(size + size % 2)
            if chunk[:4] == b"fmt " and len(body) >= 16:
                kind = _kind_of(body)
    raise UserError("The WAV header of the input is damaged or cut off: check its source.")


def _kind_of(body: bytes) -> PcmKind:
    """Parse the ``fmt`` chunk of a WAV file."""
    tag, n_channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    if (tag, bits) not in WAV_FORMATS:
        raise UserError(
            f"The WAV stream has samples of format {tag} with {bits} bits: convert it to one of "
            f"{', '.join(SAMPLE_FORMATS)}."
        )
    return PcmKind(rate, n_channels, WAV_FORMATS[tag, bits])
