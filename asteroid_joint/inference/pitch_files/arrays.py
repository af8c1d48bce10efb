"""F0 curves as NumPy arrays: in Hz, and the two that voice conversion (RVC) trains on."""

import io
from typing import IO

import numpy as np

from ..curve import StreamSampler
from .base import PITCH_FORMATS, PitchWriter

HEADER_BYTES = 128  # what NumPy reserves for a one-dimensional array, whatever its length
RVC_HOP_SEC = 0.01  # 160 samples at 16 kHz
RVC_BINS = 255  # coarse values are 1 to 255
RVC_RANGE_HZ = (50.0, 1100.0)


class GrowingArray:
    """A one-dimensional ``.npy`` file to which values are appended.

    Args:
        file: Binary file, open for writing.
        dtype: Type of the values, as NumPy writes it (``"<f4"``).
    """

    def __init__(self, file: IO[bytes], dtype: str) -> None:
        self._file, self._dtype, self._n = file, dtype, 0
        file.write(self._header())

    def append(self, values: np.ndarray) -> None:
        """Append ``(M,)``."""
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())
        self._n += len(values)

    def finish(self) -> None:
        """Store the length."""
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        buffer = io.BytesIO()
        form = {"descr": self._dtype, "fortran_order": False, "shape": (self._n,)}
        np.lib.format.write_array_header_1_0(buffer, form)
        header = buffer.getvalue()
        assert len(header) == HEADER_BYTES, len(header)
        return header


@PITCH_FORMATS.register("npy")
class NpyPitch(PitchWriter):
    """``numpy.load`` gives ``(frames,)`` float32: Hz per frame, 0 where unvoiced."""

    file_name = "f0.npy"
    binary = True

    def _begin(self) -> None:
        self._array = GrowingArray(self._file, "<f4")

    def _append(self, rows: list[list[float]]) -> None:
        table = np.array(rows)
        self._array.append(np.where(table[:, 3] > 0, table[:, 1], 0.0))

    def _finish(self, duration_sec: float) -> None:
        self._array.finish()


@PITCH_FORMATS.register("rvc")
class RvcPitch(PitchWriter):
    """The two arrays of RVC's training: F0 in 255 steps of the mel scale, and F0 in Hz.

    Every 10 ms, as many as its RMVPE gives: for RVC, put the first into ``2a_f0`` and the second
    into ``2b-f0nsf`` of an experiment, each named after its recording, ``song.wav.npy``.

    References:
        RVC-Project, ``infer/modules/train/extract/extract_f0_print.py`` (mel scale, 50 to 1100 Hz).
    """

    file_name = "f0_coarse.npy"
    beside = ("f0_fine.npy",)
    binary = True
    own_hop = True

    def _begin(self) -> None:
        self._coarse = GrowingArray(self._file, "<i8")
        self._fine = GrowingArray(self._open(self._path.with_name(self.beside[0])), "<f4")
        self._sampler = StreamSampler(RVC_HOP_SEC)

    def _append(self, rows: list[list[float]]) -> None:
        self._write(self._sampler.push(np.array(rows)))

    def _write(self, hz: np.ndarray) -> None:
        hz = hz.astype("f4")
        self._fine.append(hz)
        self._coarse.append(coarse_pitch(hz))

    def _finish(self, duration_sec: float) -> None:
        self._write(self._sampler.finish(int(duration_sec / RVC_HOP_SEC + 1e-6) + 1))
        self._coarse.finish()
        self._fine.finish()


def coarse_pitch(hz: np.ndarray) -> np.ndarray:
    """RVC's 255 steps between 50 and 1100 Hz, even on the mel scale; 1 is also unvoiced.

    Args:
        hz: Frequencies in Hz, 0 where unvoiced.

    Returns:
        Integers from 1 to 255, of the same shape.

    Example:
        >>> coarse_pitch(np.array([0.0, 50.0, 440.0, 1100.0, 2000.0])).tolist()
        [1, 1, 122, 255, 255]
    """
    low, high = mel(np.array(RVC_RANGE_HZ))
    steps = 1 + (mel(np.asarray(hz, float)) - low) * (RVC_BINS - 1) / (high - low)
    return np.rint(np.clip(steps, 1, RVC_BINS)).astype(np.int64)


def mel(hz: np.ndarray) -> np.ndarray:
    """Hz to mel, by O'Shaughnessy's formula with natural logarithms."""
    return 1127.0 * np.log(1.0 + hz / 700.0)
