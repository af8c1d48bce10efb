"""Sound through pipes: PCM in its formats, with a WAV header or without.

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

READ_BYTES = 1 << 16  # at most at a time
QUEUED_READS = 4  # more are left in the pipe, and whoever fills it waits
WAV_FORMATS = {  # (format tag, bits) to name
    (1, 8): "u8",
    (1, 16): "s16le",
    (1, 24): "s24le",
    (1, 32): "s32le",
    (3, 32): "f32le",
}
EXTENSIBLE = 0xFFFE  # format tag: the true one is further down
HEADER_LIMIT = 1 << 20  # bytes before the samples; more is no header
UNKNOWN_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe announce 0, or about this or more


@dataclass(frozen=True)
class PcmKind:
    """What a stream of bytes means.

    Attributes:
        sample_rate: Hz.
        n_channels: Number of channels.
        sample_format: Name in ``SAMPLE_FORMATS``.
    """

    sample_rate: int
    n_channels: int
    sample_format: str

    def __post_init__(self) -> None:
        if not 1000 <= self.sample_rate <= 768000:
            raise UserError(f"A rate from 1000 to 768000 Hz is needed, not {self.sample_rate}.")
        if not 1 <= self.n_channels <= 64:
            raise UserError(f"From 1 to 64 channels are possible, not {self.n_channels}.")

    def __str__(self) -> str:
        channels = f"{self.n_channels} channel{'s' * (self.n_channels > 1)}"
        return f"{self.sample_rate} Hz, {channels}, {self.sample_format}"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return SAMPLE_FORMATS[self.sample_format].n_bytes * self.n_channels

    def decode(self, data: bytes) -> np.ndarray:
        """Whole samples to float32 ``(n_channels, n_samples)``; 1.0 is full scale."""
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
        """``(n_channels, n_samples)`` to bytes; integers are clipped at full scale."""
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
    """PCM from a file descriptor; a thread reads it, at the pace of who takes it.

    Args:
        fd: Open file descriptor, usually a pipe.
        kind: What the bytes mean; ``None`` where they begin with a WAV header.

    Attributes:
        kind: What the bytes mean.
        feed: Where the sound arrives.
        warning: After the end, a sentence if the last sample was cut off, else ``None``.

    Raises:
        UserError: If there is no WAV header, or one where none should be.
    """

    name = "the input"
    hint = "check --sample-format"

    def __init__(self, fd: int, kind: PcmKind | None) -> None:
        self._fd = fd
        self._rest = b""
        self._left: int | None = None  # bytes; metadata may follow
        if kind is None:
            self.kind, self._left = read_wav_header(self._read_up_to)
        else:
            self.kind = kind
            self._rest = self._read_up_to(12)
            if self._rest[:4] in (b"RIFF", b"RF64") and self._rest[8:12] == b"WAVE":
                raise UserError("The input begins with a WAV header: leave --sample-format out.")
        self.feed = Feed(QUEUED_READS)
        self.warning: str | None = None

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="pcm", daemon=True).start()

    def close(self) -> None:
        """Read no more."""
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
            self.feed.fail(AudioError(f"The input cannot be read any more: {err.strerror}."))
        else:
            if rest:
                self.warning = (
                    f"The input ended within a sample ({len(rest)} bytes too many for "
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
        read: Gives so many bytes, fewer only at the end.

    Returns:
        What the samples are, and their size in bytes; ``None`` where the header does not say it.

    Raises:
        UserError: If it is none, or of a format that is not PCM.
    """
    head = read(12)
    if not head:
        raise UserError("The input is empty: nothing was piped in.")
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        raise UserError(
            "The input has no WAV header: say what it is, for example "
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
    raise UserError("The WAV header of the input is damaged or cut off.")


def _kind_of(body: bytes) -> PcmKind:
    """The chunk ``fmt`` of a WAV file."""
    tag, n_channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    if (tag, bits) not in WAV_FORMATS:
        raise UserError(
            f"The WAV stream has samples of format {tag} with {bits} bits: convert it to one of "
            f"{', '.join(SAMPLE_FORMATS)}."
        )
    return PcmKind(rate, n_channels, WAV_FORMATS[tag, bits])
