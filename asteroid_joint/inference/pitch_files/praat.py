"""F0 curves as a PitchTier of Praat."""

from .base import PITCH_FORMATS, PitchWriter

END_WIDTH = 24  # characters reserved for numbers that are written last


@PITCH_FORMATS.register("praat")
class PraatPitch(PitchWriter):
    """A PitchTier in Praat's text format: a point per voiced frame, in Hz.

    Praat draws lines between points, also across rests.

    References:
        P. Boersma, D. Weenink, "Praat: doing phonetics by computer", manual pages "PitchTier" and
        "TextGrid file formats" (numbers are read, other words are comments).
    """

    file_name = "f0.PitchTier"

    def _begin(self) -> None:
        self._n_points = 0
        self._file.write('File type = "ooTextFile"\nObject class = "PitchTier"\n\nxmin = 0\n')
        self._end_at = self._reserve("xmax = ")
        self._size_at = self._reserve("points: size = ")

    def _reserve(self, text: str) -> int:
        """Begin a line whose number follows later; returns where."""
        self._file.write(text)
        at = self._file.tell()
        self._file.write(" " * END_WIDTH + "\n")
        return at

    def _append(self, rows: list[list[float]]) -> None:
        for time, hz, _, voiced in rows:
            if voiced and hz > 0:
                self._n_points += 1
                self._file.write(
                    f"points [{self._n_points}]:\n    number = {time:.6f}\n    value = {hz:.3f}\n"
                )

    def _finish(self, duration_sec: float) -> None:
        end_sec = max(duration_sec, self._end_sec)  # no point lies behind the end
        for at, number in ((self._end_at, f"{end_sec:.6f}"), (self._size_at, str(self._n_points))):
            self._file.seek(at)
            self._file.write(number)
