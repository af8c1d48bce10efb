"""Where a live stream goes: lines of F0, and the voice as PCM. Files, pipes, standard output."""

import errno
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import AudioError, UserError
from ...inference.pitch_files import F0_HEADER, f0_csv_line
from .pcm import PcmKind

STDOUT = "-"
F0_FORMATS = ("csv", "jsonl")


class Gone(Exception):
    """Whoever read an output has closed it; the message names the output."""


class Output:
    """A file, pipe or standard output that is written at once, without waiting for more.

    Args:
        path: ``"-"`` for standard output; a named pipe is waited for.
        overwrite: Replace a file that is there.

    Raises:
        UserError: If it cannot be opened, or would replace a file.
    """

    what = "output"

    def __init__(self, path: str, overwrite: bool = False) -> None:
        self.path = path
        if path == STDOUT:
            self._file: Any = open(1, "wb", closefd=False)  # not sys.stdout, which flushes at exit
            return
        if Path(path).is_file() and not overwrite:
            raise UserError(f"{path} exists already: give --overwrite to replace it.")
        try:
            self._file = open(path, "wb")
        except OSError as err:
            raise UserError(f"{path} cannot be written: {err.strerror}.") from err

    def send(self, data: bytes) -> None:
        """Write and flush.

        Raises:
            Gone: If the reader of a pipe has left.
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
        """Close; nothing is left to be written."""
        try:
            self._file.close()
        except OSError:  # what could not be written was said when it was sent
            pass


class F0Output(Output):
    """Lines of F0, complete as soon as a frame is known.

    ``csv`` has the columns and the first line of ``f0.csv``: ``time,frequency,confidence,voiced``.
    ``jsonl`` has an object a line with these keys; ``voiced`` is true or false there. Times are
    seconds since the first sample, of the frame's centre; frequencies are Hz and positive in
    unvoiced frames, too.

    Args:
        path: See :class:`Output`.
        form: ``"csv"`` or ``"jsonl"``.
        overwrite: Replace a file that is there.
    """

    what = "F0"

    def __init__(self, path: str = STDOUT, form: str = "csv", overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self._line = _json_line if form == "jsonl" else f0_csv_line
        if form == "csv":
            self.send(f"{F0_HEADER}\n".encode())

    def write(self, rows: np.ndarray) -> None:
        """Append ``(frames, 4)``, possibly none; see :attr:`Chunk.f0`."""
        if len(rows):
            self.send("".join(map(self._line, rows.tolist())).encode())


class VoiceOutput(Output):
    """A stem as raw PCM: interleaved samples without a header.

    Args:
        path: See :class:`Output`.
        kind: Rate, channels and format of the samples.
        overwrite: Replace a file that is there.

    Raises:
        UserError: If the name promises a header, or the file cannot be opened.
    """

    what = "voice"

    def __init__(self, path: str, kind: PcmKind, overwrite: bool = False) -> None:
        if os.path.splitext(path)[1].lower() in (".wav", ".flac", ".mp3", ".ogg"):
            raise UserError(
                f"The voice is raw PCM, which {path} would not be: call it voice.raw, or give "
                f"--voice - and pipe it on, for example to ffmpeg -f {kind.sample_format} "
                f"-ar {kind.sample_rate} -ac {kind.n_channels} -i - {path}."
            )
        super().__init__(path, overwrite)
        self._kind = kind

    def write(self, stem: np.ndarray) -> None:
        """Append ``(n_channels, n_samples)``, possibly none."""
        if stem.shape[1]:
            self.send(self._kind.encode(stem))


class Outputs(NamedTuple):
    """Where results go; ``None`` for what is not wanted."""

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
