"""F0 curves as JAMS."""

import json

from .base import PITCH_FORMATS, PitchWriter


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
        from ...version import __version__

        metadata = {"annotation_tools": f"asteroid-joint {__version__}", "data_source": "program"}
        span = {"time": 0.0, "duration": duration_sec, "sandbox": {}}
        file = {"duration": duration_sec, "jams_version": "0.3.5"}
        self._file.write(f'\n], "annotation_metadata": {json.dumps(metadata)}, ')
        self._file.write(f'{json.dumps(span)[1:-1]}}}], "file_metadata": {json.dumps(file)}, ')
        self._file.write('"sandbox": {}}\n')
