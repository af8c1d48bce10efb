"""F0 curves as a layer of Sonic Visualiser."""

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from .base import PITCH_FORMATS, PitchWriter

MODEL_WIDTH = 240  # characters reserved for <model>, which is written last


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


def _tag(name: str, attributes: dict[str, Any]) -> str:
    """An empty XML element."""
    inside = " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{name} {inside} />"
