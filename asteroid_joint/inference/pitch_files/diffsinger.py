"""F0 curves as a DiffSinger project."""

import json
from collections.abc import Iterable

from ..curve import RestBridge
from .base import PITCH_FORMATS, PitchWriter


@PITCH_FORMATS.register("ds")
class DiffSingerPitch(PitchWriter):
    """One segment of a ``.ds`` file with ``f0_seq`` and ``f0_timestep``, at the curve's own hop.

    The curve has no gaps, as DiffSinger interpolates linearly between its entries: rests are
    bridged in log frequency. A song in which nobody sings has zeros.

    References:
        openvpi/DiffSinger, ``inference/ds_acoustic.py`` (numbers in strings, separated by spaces).
    """

    file_name = "f0.ds"

    def _begin(self) -> None:
        self._bridge, self._separator, self._first_sec = RestBridge(), "", 0.0
        self._file.write('[\n  {\n    "offset": 0.0,\n    "f0_seq": "')

    def _append(self, rows: list[list[float]]) -> None:
        if self._n_rows == 0:
            self._first_sec = rows[0][0]
        self._write(self._bridge.push((hz, voiced > 0) for _, hz, _, voiced in rows))

    def _write(self, frequencies: Iterable[float]) -> None:
        for hz in frequencies:
            self._file.write(f"{self._separator}{hz:.3f}")
            self._separator = " "

    def _finish(self, duration_sec: float) -> None:
        self._write(self._bridge.finish())
        hop_sec = (self._end_sec - self._first_sec) / max(self._n_rows - 1, 1)
        step = json.dumps(f"{hop_sec:.9g}")
        self._file.write(f'",\n    "f0_timestep": {step}\n  }}\n]\n')
