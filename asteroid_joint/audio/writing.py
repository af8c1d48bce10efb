"""Stems as WAV files, written as they come.

Integer inputs of up to 24 bits give 24-bit PCM whose stems add up to the input bit for bit;
everything else (float, 32-bit, lossy formats, whose decoded samples are not integers and may exceed
full scale) gives 32-bit float.
"""

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import AudioError
from .reading import BLOCK, native_path

PCM_SCALE = 1 << 23  # full scale of 24-bit PCM
WAV_LIMIT = 4_000_000_000  # bytes; the size field of a WAV file has 32 bits


class StemWriter:
    """A WAV file that is written block by block.

    Args:
        path: File to create.
        sample_rate: Hz.
        n_channels: Number of channels.
        subtype: ``"PCM_24"`` (``write`` takes integers) or ``"FLOAT"``.
        expected: Samples per channel to be expected; decides about the 64-bit header (RF64).

    Raises:
        AudioError: If the file cannot be created or written.
    """

    def __init__(
        self, path: Path, sample_rate: int, n_channels: int, subtype: str, expected: int | None
    ) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self.path = path
        self.subtype = subtype
        self._frame_bytes = n_channels * (3 if subtype == "PCM_24" else 4)
        self._n_written = 0
        large = (expected or 0) * self._frame_bytes > WAV_LIMIT
        try:
            self._file = soundfile.SoundFile(
                native_path(path),
                "w",
                samplerate=sample_rate,
                channels=n_channels,
                subtype=subtype,
                format="RF64" if large else "WAV",
            )
        except self._error as err:
            raise self._failure() from err

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n_channels, n_samples)``: float32, or for PCM_24 int32 as ``to_pcm24`` gives.

        Raises:
            AudioError: If the disk is full or the file system refuses.
        """
        try:
            self._file.write(np.ascontiguousarray(samples.T))
        except (self._error, AssertionError) as err:
            raise self._failure() from err
        self._n_written += samples.shape[-1]

    def close(self) -> None:
        """Finish the file: everything handed to ``write`` must be in it.

        Raises:
            AudioError: If it is not.
        """
        try:
            self._file.close()
        except self._error as err:
            raise self._failure() from err
        if os.path.getsize(self.path) < self._n_written * self._frame_bytes:
            raise self._failure()

    def _failure(self) -> AudioError:
        folder = self.path.parent
        if folder.is_dir() and shutil.disk_usage(folder).free < self._frame_bytes * BLOCK:
            return AudioError(f"The disk that holds {folder} is full: free some space.")
        return AudioError(f"{self.path} cannot be written: check disk and permissions.")

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
        mixture: ``(n_channels, n_samples)`` within [-1, 1].
        stems: ``(n_src, n_channels, n_samples)``.
        complement: Index of the stem that is what the others leave over, ``None`` for none.

    Returns:
        int32 of the shape of ``stems``, the 24 bits uppermost.
    """
    low, high = -PCM_SCALE, PCM_SCALE - 1
    rest = np.rint(mixture * np.float32(PCM_SCALE)).astype(np.int32)  # exact up to 24 bits
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
