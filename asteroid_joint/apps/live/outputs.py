"""Outputs of a live stream: F0 lines and the voice as PCM, to files, pipes or standard output."""

import errno
import json
import os
from typing import Any, NamedTuple

import numpy as np

from ...errors import AudioError, UserError
from ...inference.pitch_files import F0_HEADER, f0_csv_line
from .pcm import PcmKind

STDOUT = "-"


class Gone(Exception):
    """The reader of an output has closed it; the message names the output."""


class Output:
    """A file, pipe or standard output that is flushed after each write.

    Args:
        path: ``"-"`` for standard output; opening a named pipe waits for its reader.
        overwrite: Replace an existing file.

    Raises:
        UserError: If it cannot be opened, or the file exists and ``overwrite`` is false.
    """

    what = "output"

    def __init__(self, path: str, overwrite: bool = False) -> None:
        self.path = path
        to_stdout = path == STDOUT
        if not to_stdout and os.path.isfile(path) and not overwrite:
            raise UserError(f"{path} exists already: give --overwrite to replace it.")
        try:  # not sys.stdout, which flushes at exit
            self._file: Any = open(1 if to_stdout else path, "wb", closefd=not to_stdout)
        except OSError as err:
            where = "Standard output" if to_stdout else path
            raise UserError(f"{where} cannot be written: {err.strerror}.") from err

    def send(self, data: bytes) -> None:
        """Write and flush.

        Raises:
            Gone: If the reader of a pipe has closed it.
            AudioError: If the disk is full or the file system refuses.
        """
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as err:
            if err.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
                raise Gone(f"the reader of the {self.what} has closed it") from err
            where = "standard output" if self.path == STDOUT else self.path
            raise AudioError(f"Writing {where} failed: {err.strerror}.") from err

    def close(self) -> None:
        """Close the output; everything has been written already."""
        try:
            self._file.close()
        except OSError:  # already reported by send()
            pass


class F0Output(Output):
    """F0 lines, each written as soon as its frame is known.

    Times are those of frame centres, in seconds since the first sample; frequencies are in Hz and
    positive in unvoiced frames, too.

    Args:
        path: See :class:`Output`.
        form: ``"csv"``, the header and columns of ``f0.csv``: ``time,frequency,confidence,voiced``;
            or ``"jsonl"``, one object per line with these keys and a boolean ``voiced``.
        overwrite: Replace an existing file.
    """

    what = "F0"

    def __init__(self, path: str = STDOUT, form: str = "csv", overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self._line = _json_line if form == "jsonl" else f0_csv_line
        if form == "csv":
            self.send(f"{F0_HEADER}\n".encode())

    def write(self, rows: np.ndarray) -> None:
        """Append rows ``(n_frames, 4)``, possibly none; see :attr:`Chunk.f0`."""
        if len(rows):
            self.send("".join(map(self._line, rows.tolist())).encode())


class VoiceOutput(Output):
    """A stem as raw PCM: interleaved samples without a header.

    Args:
        path: See :class:`Output`.
        kind: Rate, channels and format of the samples.
        overwrite: Replace an existing file.

    Raises:
        UserError: If the suffix is that of a format with a header, or the file cannot be opened.
    """

    what = "voice"

    def __init__(self, path: str, kind: PcmKind, overwrite: bool = False) -> None:
        if os.path.splitext(path)[1].lower() in (".wav", ".flac", ".mp3", ".ogg"):
            raise UserError(
                f"The voice is written as raw PCM, which {path} does not suit: name it voice.raw, "
                f"or pipe it on with --voice -, for example to ffmpeg -f {kind.sample_format} "
                f"-ar {kind.sample_rate} -ac {kind.n_channels} -i - {path}."
            )
        super().__init__(path, overwrite)
        self._kind = kind

    def write(self, stem: np.ndarray) -> None:
        """Append samples ``(n_channels, n_samples)``, possibly none."""
        if stem.shape[1]:
            self.send(self._kind.encode(stem))


class Outputs(NamedTuple):
    """Outputs of a session; ``None`` for what was not requested."""

    f0: F0Output | None
    voice: VoiceOutput | None


def _json_line(row: list[float]) -> str:
    time, hz, confidence, voiced = row
    values = {
        "time": round(time, 6),
        "frequency": round(hz, 3),
        "confidence": round(confidence, 6),
        "voiced": bool(voiced),
    }
    return json.dumps(values) + "\n"
