"""All files of an F0 curve of one song, whatever their formats."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from .knobs import KnobbedRows, PitchKnobs, shift_rows
from .pitch_files import PITCH_FORMATS, PitchWriter


class F0Files:
    """Files of an F0 curve in a folder, with octave and hop as asked; ``stack`` closes them.

    Args:
        folder: Folder for the files.
        sample_rate: Sample rate of the recording in Hz.
        formats: Names in ``PITCH_FORMATS``.
        knobs: What to change of the model's frames.
        stack: Closes the files, if nobody did before.
    """

    def __init__(
        self,
        folder: Path,
        sample_rate: int,
        formats: Sequence[str],
        knobs: PitchKnobs,
        stack: ExitStack,
    ) -> None:
        self._octave = knobs.octave
        self._rows = KnobbedRows(knobs)
        self._writers: list[PitchWriter] = [
            stack.enter_context(writer(folder / writer.file_name, sample_rate))
            for writer in (PITCH_FORMATS[name] for name in formats)
        ]

    def write(self, frames: np.ndarray) -> None:
        """Append frames of the model, ``(frames, 4)``, possibly none."""
        shifted, rows = shift_rows(frames, self._octave), self._rows.push(frames)
        for writer in self._writers:
            writer.write(shifted if writer.own_hop else rows)

    def close(self, duration_sec: float) -> None:
        """Finish the files of a recording of this length."""
        rest = self._rows.finish(duration_sec)
        for writer in self._writers:
            if not writer.own_hop:
                writer.write(rest)
            writer.close(duration_sec)
