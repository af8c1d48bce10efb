"""F0 curves as lines of text: CREPE's table, and mir_eval's."""

from collections.abc import Sequence

from .base import PITCH_FORMATS, PitchWriter

F0_FILE = "f0.csv"
F0_HEADER = "time,frequency,confidence,voiced"


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
