"""Streaming decoding of audio files.

libsndfile decodes what it can (WAV, FLAC, OGG, AIFF, ...), FFmpeg (through PyAV) the rest, and what
libsndfile leaves out: see :mod:`~asteroid_joint.audio.chain`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError
from .arrays import HIGHEST_RATE, LOWEST_RATE
from .chain import open_source
from .source import TOLERANCE_SEC, CannotDecode, Source

BLOCK = 1 << 16  # samples per returned block, at least
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
            kind = "damaged" if source.goes_on else "cut off"
            present = "can be decoded" if source.goes_on else "are present"
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
