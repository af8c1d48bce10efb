"""What every F0 format has in common, the table of formats, and those that are lines of text.

Every writer takes rows ``(frames, 4)``: time of the frame's centre in seconds, frequency in Hz
(positive in unvoiced frames, too), confidence, voiced (0 or 1), as in
:attr:`~asteroid_joint.inference.stream.Chunk.f0`. Memory use is constant.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

import numpy as np

from ...registry import Registry

PITCH_FORMATS = Registry("F0 format")
F0_FILE = "f0.csv"
F0_HEADER = "time,frequency,confidence,voiced"


class RowChange(Protocol):
    """Changes rows of F0 on their way to files; see :mod:`asteroid_joint.inference.knobs`."""

    def shifted(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the model's own frames, at the pitch that is asked for."""

    def push(self, rows: np.ndarray) -> np.ndarray:
        """Add the model's rows; returns those at the hop that is asked for."""

    def finish(self, duration_sec: float) -> np.ndarray:
        """The rows that remain of a recording of this length."""


class PitchWriter(ABC):
    """A file to which an F0 curve is appended.

    Args:
        path: File to create.
        sample_rate: Sample rate of the recording in Hz, for formats that count in samples.

    Raises:
        OSError: If the file cannot be created or written.

    Class attributes:
        file_name: Name of the file, as written by ``separate``.
        beside: Names of further files that the format consists of, in the same folder.
        binary: Whether the files are not text.
        own_hop: Whether the format has a hop of its own, and takes the frames of the model.

    Example:
        >>> import tempfile
        >>> from asteroid_joint.inference.pitch_files import PITCH_FORMATS
        >>> path = os.path.join(tempfile.mkdtemp(), "f0.txt")
        >>> with PITCH_FORMATS["mir_eval"](path, 44100) as writer:
        ...     writer.write(np.array([[0.0, 220.0, 0.9, 1.0], [0.02, 110.0, 0.1, 0.0]]))
        >>> open(path).read().split()
        ['0.000000', '220.000', '0.020000', '-110.000']
    """

    file_name: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()
    binary: ClassVar[bool] = False
    own_hop: ClassVar[bool] = False

    def __init__(self, path: str | os.PathLike, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._end_sec = 0.0  # of what is written
        self._n_rows = 0
        self._path = Path(path)
        with ExitStack() as files:
            self._files = files
            self._file: IO[Any] = self._open(self._path)
            self._begin()
            self._files = files.pop_all()  # all went well: keep them open

    def _open(self, path: Path) -> IO[Any]:
        """Create a file of this format, which is closed with the others."""
        if self.binary:
            return self._files.enter_context(open(path, "wb"))
        return self._files.enter_context(open(path, "w", encoding="utf-8", newline="\n"))

    @classmethod
    def file_names(cls) -> tuple[str, ...]:
        """Names of all files of the format."""
        return (cls.file_name, *cls.beside)

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
                self._files.close()

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
            self._files.close()  # nobody will use them


class PitchFiles:
    """All files of an F0 curve of one song, whatever their formats.

    Args:
        writers: One per format.
        change: What changes the rows, ``None`` for nothing.
    """

    def __init__(self, writers: Sequence[PitchWriter], change: RowChange | None = None) -> None:
        self._writers, self._change = writers, change

    def write(self, frames: np.ndarray) -> None:
        """Append frames of the model, ``(frames, 4)``, possibly none."""
        shifted = rows = frames
        if self._change is not None:
            shifted, rows = self._change.shifted(frames), self._change.push(frames)
        for writer in self._writers:
            writer.write(shifted if writer.own_hop else rows)

    def close(self, duration_sec: float) -> None:
        """Finish the files of a recording of this length."""
        rest = None if self._change is None else self._change.finish(duration_sec)
        for writer in self._writers:
            if rest is not None and not writer.own_hop:
                writer.write(rest)
            writer.close(duration_sec)


def f0_csv_line(row: Sequence[float]) -> str:
    r"""A line of ``f0.csv`` with its line end: time, frequency, confidence, voiced.

    Example:
        >>> f0_csv_line([0.02, 220.0, 0.9, 1.0])
        '0.020000,220.000,0.900000,1\n'
    """
    time, hz, confidence, voiced = row
    return f"{time:.6f},{hz:.3f},{confidence:.6f},{voiced:.0f}\n"


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
