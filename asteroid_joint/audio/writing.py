"""Stems as audio files, written as they come.

In WAV, integer inputs of up to 24 bits give 24-bit PCM whose stems add up to the input bit for bit;
everything else (float, 32-bit, lossy formats, whose decoded samples are not integers and may exceed
full scale) gives 32-bit float. FLAC has integers only, 24 bits of any input; MP3 and Ogg are lossy.
All of them keep the number of samples.

libsndfile writes all formats. What it answers to a rate or a number of channels that a format does
not have ranges from a sentence to a crash, hence the limits are known here.
"""

import contextlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import AudioError, OutputError
from ..registry import Registry
from .reading import BLOCK, native_path

AUDIO_FORMATS = Registry("audio format")
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
PCM_SCALE = 1 << 23  # full scale of 24-bit PCM
WAV_LIMIT = 4_000_000_000  # bytes; the size field of a WAV file has 32 bits
LOUDEST = 128.0  # times full scale: what rounding to integers still computes with


@dataclass(frozen=True)
class AudioFormat:
    """A format of stems.

    Attributes:
        name: What ``--format`` calls it; also the extension.
        rates: Sample rates that it has, Hz; ``None`` for any.
        most_channels: That it holds.
        subtype: libsndfile's name of the coding; ``None`` where it follows the input.
        compression: libsndfile's level, from 0 (best) to 1 (smallest); ``None`` for its default.
    """

    name: str
    rates: Collection[int] | None
    most_channels: int
    subtype: str | None = None
    compression: float | None = None

    def sample_type(self, of_input: str) -> str:
        """How samples are handed over: ``"PCM_24"`` (integers) or ``"FLOAT"``.

        Args:
            of_input: That of the input: :attr:`AudioReader.subtype`.
        """
        if self.subtype is None:
            return of_input
        return "PCM_24" if self.subtype == "PCM_24" else "FLOAT"

    def check(self, sample_rate: int, n_channels: int, of: object) -> None:
        """Refuse what the format cannot hold.

        Args:
            sample_rate: Hz.
            n_channels: Number of channels.
            of: What has them, for the message.

        Raises:
            AudioError: One sentence that says what it holds.
        """
        if self.rates is not None and sample_rate not in self.rates:
            raise AudioError(
                f"{self.name} cannot hold the {sample_rate} Hz of {of} (it has "
                f"{_said(self.rates)}): choose --format wav."
            )
        if n_channels > self.most_channels:
            raise AudioError(
                f"{self.name} cannot hold the {n_channels} channels of {of} (it has up to "
                f"{self.most_channels}): choose --format wav."
            )


def channels_text(n_channels: int) -> str:
    """What a number of channels is called.

    Example:
        >>> channels_text(2), channels_text(6)
        ('stereo', '6 channels')
    """
    return {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")


def _said(rates: Collection[int]) -> str:
    if isinstance(rates, range):
        return f"rates up to {rates[-1]} Hz"
    *first, last = sorted(rates)
    return f"{', '.join(map(str, first))} and {last} Hz"


for _format in (
    AudioFormat("wav", None, 1024),
    AudioFormat("flac", range(1, 655351), 8, "PCM_24"),
    AudioFormat("mp3", MP3_RATES, 2, "MPEG_LAYER_III", 0.1),  # about 220 kbit/s
    AudioFormat("ogg", range(1, 200001), 255, "VORBIS", 0.2),  # about 260 kbit/s
):
    AUDIO_FORMATS[_format.name] = _format
del _format


class StemWriter:
    """An audio file that is written block by block.

    Args:
        path: File to create.
        sample_rate: Hz.
        n_channels: Number of channels.
        subtype: Of the input: ``"PCM_24"`` or ``"FLOAT"``.
        expected: Samples per channel to be expected; decides about WAV's 64-bit header (RF64).
        audio_format: Name in ``AUDIO_FORMATS``.

    Attributes:
        sample_type: What ``write`` takes: ``"PCM_24"``, integers, or ``"FLOAT"``.

    Raises:
        AudioError: If the format has no such rate or so many channels.
        OutputError: If the file cannot be created or written.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        n_channels: int,
        subtype: str,
        expected: int | None,
        audio_format: str = "wav",
    ) -> None:
        import soundfile

        form = AUDIO_FORMATS[audio_format]
        form.check(sample_rate, n_channels, path.name)
        self._error = soundfile.LibsndfileError
        self._n_frames = lambda: soundfile.info(native_path(path)).frames
        self.path = path
        self.sample_type = form.sample_type(subtype)
        self._plain = form.subtype is None  # samples as they are: the size of the file is known
        self._frame_bytes = n_channels * (3 if self.sample_type == "PCM_24" else 4)
        self._n_written = 0
        large = self._plain and (expected or 0) * self._frame_bytes > WAV_LIMIT
        try:
            self._file = soundfile.SoundFile(
                native_path(path),
                "w",
                samplerate=sample_rate,
                channels=n_channels,
                subtype=form.subtype or subtype,
                format="RF64" if large else form.name.upper(),
                compression_level=form.compression,
            )
        except self._error as err:
            raise self._failure() from err

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n_channels, n_samples)``: float32, or for PCM_24 int32 as ``to_pcm24`` gives.

        Raises:
            OutputError: If the disk is full or the file system refuses.
        """
        try:  # Vorbis puts what it is given on the stack: pieces, however much comes
            for at in range(0, samples.shape[-1], BLOCK):
                self._file.write(np.ascontiguousarray(samples[:, at : at + BLOCK].T))
        except (self._error, AssertionError) as err:
            raise self._failure() from err
        self._n_written += samples.shape[-1]

    def close(self) -> None:
        """Finish the file: everything handed to ``write`` must be in it.

        Raises:
            OutputError: If it is not.
        """
        try:
            self._file.close()
            if self.sample_type == "FLOAT" and self._plain:
                _forget_time(self.path)
            if self._plain:
                complete = os.path.getsize(self.path) >= self._n_written * self._frame_bytes
            else:
                complete = self._n_frames() == self._n_written
        except self._error as err:
            raise self._failure() from err
        if not complete:
            raise self._failure()

    def _failure(self) -> OutputError:
        folder = self.path.parent
        if folder.is_dir() and shutil.disk_usage(folder).free < self._frame_bytes * BLOCK:
            return OutputError(f"The disk that holds {folder} is full: free some space.")
        return OutputError(f"{self.path} cannot be written: check disk and permissions.")

    def __enter__(self) -> "StemWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(self._error):  # the first error is the one to be told
                self._file.close()


def to_pcm24(mixture: np.ndarray, stems: np.ndarray, complement: int | None) -> np.ndarray:
    """Round stems to 24 bits so that they still add up to the mixture.

    The complement becomes the mixture minus the other *rounded* stems. Where a stem or its
    complement would leave the range, the stem is moved just so far that neither clips.

    Args:
        mixture: ``(n_channels, n_samples)``; within [-1, 1] for the sum to be exact.
        stems: ``(n_src, n_channels, n_samples)``.
        complement: Index of the stem that is what the others leave over, ``None`` for none.

    Returns:
        int32 of the shape of ``stems``, the 24 bits uppermost.
    """
    low, high = -PCM_SCALE, PCM_SCALE - 1
    rest = np.clip(mixture, -LOUDEST, LOUDEST) * np.float32(PCM_SCALE)
    rest = np.rint(rest).astype(np.int32)  # exact up to 24 bits
    out = np.empty(stems.shape, dtype=np.int32)
    others = [s for s in range(len(stems)) if s != complement]
    for s in others:
        scaled = np.clip(stems[s] * np.float32(PCM_SCALE), low, high)
        out[s] = np.rint(scaled).clip(low, high)
        if complement is not None and s == others[-1]:
            out[s] = np.clip(out[s], np.maximum(rest - high, low), np.minimum(rest - low, high))
        rest -= out[s]
    if complement is not None:
        out[complement] = rest.clip(low, high)
    return out << 8


def _forget_time(path: Path) -> None:
    """Take the time of day from a WAV's PEAK chunk: the same samples are the same bytes then.

    libsndfile writes it into every WAV of floats.
    """
    with open(path, "r+b") as file:
        at = 12  # after "RIFF", size, "WAVE"
        while True:
            file.seek(at)
            name, size = file.read(4), file.read(4)
            if len(size) < 4 or name == b"data":
                return
            if name == b"PEAK":
                file.seek(at + 8 + 4)  # after the chunk's version
                file.write(bytes(4))
                return
            length = int.from_bytes(size, "little")
            at += 8 + length + length % 2
