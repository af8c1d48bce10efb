"""F0 curves as files, written incrementally: one class per format, one line to register it.

Every writer takes rows ``(frames, 4)``: time of the frame's centre in seconds, frequency in Hz
(positive in unvoiced frames, too), confidence, voiced (0 or 1), as in
:attr:`~asteroid_joint.inference.stream.Chunk.f0`. Memory use is constant.
"""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

import numpy as np

from ..registry import Registry

PITCH_FORMATS = Registry("F0 format")
F0_FILE = "f0.csv"
F0_HEADER = "time,frequency,confidence,voiced"
MODEL_WIDTH = 240  # characters reserved for svl's <model>, which is written last


def f0_csv_line(row: Sequence[float]) -> str:
    r"""A line of ``f0.csv`` with its line end: time, frequency, confidence, voiced.

    Example:
        >>> f0_csv_line([0.02, 220.0, 0.9, 1.0])
        '0.020000,220.000,0.900000,1\n'
    """
    time, hz, confidence, voiced = row
    return f"{time:.6f},{hz:.3f},{confidence:.6f},{voiced:.0f}\n"


class PitchWriter(ABC):
    """A file to which an F0 curve is appended.

    Args:
        path: File to create.
        sample_rate: Sample rate of the recording in Hz, for formats that count in samples.

    Raises:
        OSError: If the file cannot be created or written.

    Example:
        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "f0.txt")
        >>> with PITCH_FORMATS["mir_eval"](path, 44100) as writer:
        ...     writer.write(np.array([[0.0, 220.0, 0.9, 1.0], [0.02, 110.0, 0.1, 0.0]]))
        >>> open(path).read().split()
        ['0.000000', '220.000', '0.020000', '-110.000']
    """

    file_name: ClassVar[str]  # as written by separate

    def __init__(self, path: str | os.PathLike, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._end_sec = 0.0  # of what is written
        self._n_rows = 0
        self._file = open(path, "w", encoding="utf-8", newline="\n")
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def write(self, rows: np.ndarray) -> None:
        """Append rows ``(frames, 4)``, possibly none."""
        if len(rows):
            self._append(rows.tolist())
            self._n_rows += len(rows)
            self._end_sec = float(rows[-1, 0])

    def close(self, duration_sec: float | None = None) -> None:
        """Finish the file.

        Args:
            duration_sec: Length of the recording in seconds; that of the curve by default.
        """
        if not self._file.closed:
            try:
                self._finish(self._end_sec if duration_sec is None else duration_sec)
            finally:
                self._file.close()

    def _begin(self) -> None:  # noqa: B027, most formats have no header
        """Write what comes before the rows."""

    @abstractmethod
    def _append(self, rows: list[list[float]]) -> None:
        """Write rows."""

    def _finish(self, duration_sec: float) -> None:  # noqa: B027
        """Write what comes after the rows."""

    def __enter__(self) -> "PitchWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()  # nobody will use it


@PITCH_FORMATS.register("csv")
class CsvPitch(PitchWriter):
    """CREPE's columns and a fourth: ``time,frequency,confidence,voiced``."""

    file_name = F0_FILE

    def _begin(self) -> None:
        self._file.write(F0_HEADER + "\n")

    def _append(self, rows: list[list[float]]) -> None:
        self._file.writelines(map(f0_csv_line, rows))


@PITCH_FORMATS.register("mir_eval")
class MirEvalPitch(PitchWriter):
    """Time and frequency for ``mir_eval.io.load_time_series``; negative means unvoiced.

    This keeps the estimate of unvoiced frames: ``mir_eval.melody`` uses it for raw pitch accuracy.
    """

    file_name = "f0.txt"

    def _append(self, rows: list[list[float]]) -> None:
        self._file.writelines(
            f"{time:.6f}\t{hz if voiced or hz == 0 else -hz:.3f}\n" for time, hz, _, voiced in rows
        )


@PITCH_FORMATS.register("svl")
class SvlPitch(PitchWriter):
    """A Sonic Visualiser layer: points in voiced frames, drawn as curves with gaps."""

    file_name = "f0.svl"

    def _begin(self) -> None:
        self._range_hz = (np.inf, -np.inf)
        self._first_sec = 0.0
        self._file.write('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE sonic-visualiser>\n')
        self._file.write("<sv>\n  <data>\n    ")
        self._model_at = self._file.tell()
        self._file.write(" " * MODEL_WIDTH + '\n    <dataset id="0" dimensions="2">\n')

    def _append(self, rows: list[list[float]]) -> None:
        if self._n_rows == 0:
            self._first_sec = rows[0][0]
        low, high = self._range_hz
        for time, hz, _, voiced in rows:
            if voiced and hz > 0:
                frame = round(time * self._sample_rate)
                self._file.write(f'      <point frame="{frame}" value="{hz:.3f}" label="" />\n')
                low, high = min(low, hz), max(high, hz)
        self._range_hz = low, high

    def _finish(self, duration_sec: float) -> None:
        layer = {
            "id": 2,
            "type": "timevalues",
            "name": "F0",
            "model": 1,
            "plotStyle": 6,  # discrete curves, whose gaps are those of the points
            "verticalScale": 2,  # logarithmic
            "colourName": "Orange",
            "colour": "#ff9632",
        }
        self._file.write(f"    </dataset>\n  </data>\n  <display>\n    {_tag('layer', layer)}\n")
        self._file.write("  </display>\n</sv>\n")
        hop_sec = (self._end_sec - self._first_sec) / max(self._n_rows - 1, 1)
        low, high = self._range_hz if self._range_hz[0] <= self._range_hz[1] else (0.0, 0.0)
        model = {
            "id": 1,
            "name": "F0",
            "sampleRate": self._sample_rate,
            "start": 0,
            "end": round(duration_sec * self._sample_rate),
            "type": "sparse",
            "dimensions": 2,
            "resolution": max(round(hop_sec * self._sample_rate), 1),
            "notifyOnAdd": "true",
            "dataset": 0,
            "minimum": f"{low:.3f}",
            "maximum": f"{high:.3f}",
            "units": "Hz",
        }
        tag = _tag("model", model)
        assert len(tag) <= MODEL_WIDTH, tag
        self._file.seek(self._model_at)
        self._file.write(tag)


@PITCH_FORMATS.register("jams")
class JamsPitch(PitchWriter):
    """JAMS, namespace ``pitch_contour``: one observation per frame, with its confidence.

    References:
        E. J. Humphrey et al., "JAMS: A JSON Annotated Music Specification for reproducible MIR
        research", ISMIR 2014.
    """

    file_name = "f0.jams"

    def _begin(self) -> None:
        self._file.write('{"annotations": [{"namespace": "pitch_contour", "data": [')

    def _append(self, rows: list[list[float]]) -> None:
        for n, (time, hz, confidence, voiced) in enumerate(rows):
            observation = {
                "time": round(time, 6),
                "duration": 0.0,
                "value": {"index": 0, "frequency": round(hz, 3), "voiced": bool(voiced)},
                "confidence": round(confidence, 6),
            }
            self._file.write(",\n" if self._n_rows + n else "\n")
            json.dump(observation, self._file)

    def _finish(self, duration_sec: float) -> None:
        from ..version import __version__

        metadata = {"annotation_tools": f"asteroid-joint {__version__}", "data_source": "program"}
        span = {"time": 0.0, "duration": duration_sec, "sandbox": {}}
        file = {"duration": duration_sec, "jams_version": "0.3.5"}
        self._file.write(f'\n], "annotation_metadata": {json.dumps(metadata)}, ')
        self._file.write(f'{json.dumps(span)[1:-1]}}}], "file_metadata": {json.dumps(file)}, ')
        self._file.write('"sandbox": {}}\n')


def _tag(name: str, attributes: dict[str, Any]) -> str:
    """An empty XML element."""
    inside = " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{name} {inside} />"
