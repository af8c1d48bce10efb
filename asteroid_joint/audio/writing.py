"""Stems as audio files, written block by block.

In WAV, integer inputs of up to 24 bits give 24-bit PCM whose stems add up to the input bit for bit;
everything else (float, 32-bit, lossy formats, whose decoded samples are not integers and may exceed
full scale) gives 32-bit float. FLAC stores 24-bit integers for any input; MP3 and Ogg are lossy.
All of them keep the number of samples.

libsndfile writes all formats. Its response to an unsupported rate or number of channels ranges from
an error message to a crash, so the limits are checked here.
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
from ..files import native_path
from ..registry import Registry
from .reading import BLOCK

AUDIO_FORMATS = Registry("audio format")
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz
PCM_SCALE = 1 << 23  # full scale of 24-bit PCM
WAV_LIMIT = 4_000_000_000  # bytes; the size field of a WAV file has 32 bits
LOUDEST = 128.0  # times full scale: the limit for rounding to 32-bit integers


@dataclass(frozen=True)
class AudioFormat:
    """An audio file format for stems.

    Attributes:
        name: Value of ``--format``; also the file extension.
        rates: Supported sample rates in Hz; ``None`` for any.
        most_channels: Largest supported number of channels.
        subtype: libsndfile's subtype; ``None`` if it follows the input.
        compression: libsndfile's level, from 0 (best) to 1 (smallest); ``None`` for its default.
        container: libsndfile's name of the container; ``None`` if it is the format's own.
    """

    name: str
    rates: Collection[int] | None
    most_channels: int
    subtype: str | None = None
    compression: float | None = None
    container: str | None = None

    def sample_type(self, of_input: str) -> str:
        """Type of the samples to write, ``"PCM_24"`` (integers) or ``"FLOAT"``.

        Args:
            of_input: Subtype of the input, see :attr:`AudioReader.subtype`.
        """
        if self.subtype is None:
            return of_input
        return "PCM_24" if self.subtype == "PCM_24" else "FLOAT"

    def check(self, sample_rate: int, n_channels: int, of: object) -> None:
        """Check that the format supports a file.

        Args:
            sample_rate: Sample rate in Hz.
            n_channels: Number of channels.
            of: The file, for the message.

        Raises:
            AudioError: If it does not; the message names what the format supports.
        """
        if self.rates is not None and sample_rate not in self.rates:
            raise AudioError(
                f"{self.name} cannot store the {sample_rate} Hz of {of} (it supports "
                f"{_rates_text(self.rates)}): choose --format wav."
            )
        if n_channels > self.most_channels:
            raise AudioError(
                f"{self.name} cannot store the {n_channels} channels of {of} (it supports up to "
                f"{self.most_channels}): choose --format wav."
            )


def channels_text(n_channels: int) -> str:
    """Name of a number of channels.

    Example:
        >>> channels_text(2), channels_text(6)
        ('stereo', '6 channels')
    """
    return {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")


def _rates_text(rates: Collection[int]) -> str:
    if isinstance(rates, range):
        return f"rates up to {rates[-1]} Hz"
    *first, last = sorted(rates)
    return f"{', '.join(map(str, first))} and {last} Hz"


_FORMATS = (
    AudioFormat("wav", None, 1024),
    AudioFormat("flac", range(1, 655351), 8, "PCM_24"),
    AudioFormat("mp3", MP3_RATES, 2, "MPEG_LAYER_III", 0.1),  # about 220 kbit/s
    AudioFormat("ogg", range(1, 200001), 255, "VORBIS", 0.2),  # about 260 kbit/s
)
AUDIO_FORMATS.update({form.name: form for form in _FORMATS})


class StemWriter:
    """An audio file that is written block by block.

    Args:
        path: File to create.
        sample_rate: Sample rate in Hz.
        n_channels: Number of channels.
        subtype: Subtype of the input: ``"PCM_24"`` or ``"FLOAT"``.
        expected: Expected samples per channel; large WAV files get a 64-bit header (RF64).
        audio_format: Name in ``AUDIO_FORMATS``.

    Attributes:
        sample_type: Type of the samples that ``write`` takes: ``"PCM_24"`` (integers) or
            ``"FLOAT"``.

    Raises:
        AudioError: If the format does not support the rate or the number of channels.
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
        self._plain = form.subtype is None  # uncompressed: the size of the file is known
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
                format="RF64" if large else form.container or form.name.upper(),
                compression_level=form.compression,
            )
        except self._error as err:
            raise self._failure() from err

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n_channels, n_samples)``: float32, or for PCM_24 int32 from ``to_pcm24``.

        Raises:
            OutputError: If the disk is full or the file cannot be written.
        """
        try:  # in blocks, as the Vorbis encoder copies its input to the stack
            for at in range(0, samples.shape[-1], BLOCK):
                self._file.write(np.ascontiguousarray(samples[:, at : at + BLOCK].T))
        except (self._error, AssertionError) as err:
            raise self._failure() from err
        self._n_written += samples.shape[-1]

    def close(self) -> None:
        """Finish the file.

        Raises:
            OutputError: If it does not contain everything passed to ``write``.
        """
        try:
            self._file.close()
            if self.sample_type == "FLOAT" and self._plain:
                _clear_peak_time(self.path)
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
            with contextlib.suppress(self._error):  # the first error is the one to report
                self._file.close()


def to_pcm24(mixture: np.ndarray, stems: np.ndarray, complement: int | None) -> np.ndarray:
    """Round stems to 24 bits so that they still add up to the mixture.

    The complement becomes the mixture minus the other *rounded* stems. Where a stem or its
    complement would exceed the range, the stem is shifted just enough that neither clips.

    Args:
        mixture: ``(n_channels, n_samples)``; within [-1, 1] for the sum to be exact.
        stems: ``(n_src, n_channels, n_samples)``.
        complement: Index of the stem that is the remainder of the others, ``None`` for none.

    Returns:
        int32 with the shape of ``stems``; the upper 24 bits hold the samples.
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


def _clear_peak_time(path: Path) -> None:
    """Clear the time that libsndfile writes into a float WAV's PEAK chunk.

    The same samples then always give the same bytes.
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
