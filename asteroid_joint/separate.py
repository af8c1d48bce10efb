"""Separate recordings of any length, in memory or file to file.

The work is done by :class:`~asteroid_joint.streaming.StreamSeparator`; here are the functions for
users and the rules for files: everything for one input is written into a hidden folder beside its
destination and moved when it is complete, so no half-written file ever has its final name.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .activity import SegmentRules, SegmentTracker, check_activity
from .audio import AudioReader, StemWriter, open_audio, to_pcm24
from .audio.reading import BLOCK
from .errors import AudioError, UserError
from .models.base import JointModel
from .streaming import BATCH, WINDOW_SEC, Chunk, StreamSeparator

F0_FILE = "f0.csv"
F0_HEADER = "time,frequency,confidence,voiced"
ACTIVITY_FILE = "activity.csv"
ACTIVITY_HEADER = "start,end"

Progress = Callable[[float, "float | None"], None]


class Separated(NamedTuple):
    """What ``separate_file`` has done.

    Attributes:
        folder: Where the files are.
        warning: One sentence if the input was cut off or damaged, else ``None``.
    """

    folder: Path
    warning: str | None


def separate_array(
    model: JointModel,
    wav: np.ndarray,
    sample_rate: int,
    *,
    decoder: str = "argmax",
    batch_size: int = BATCH,
    window_sec: float = WINDOW_SEC,
) -> Chunk:
    """Separate a recording that is in memory.

    Args:
        model: Any joint model.
        wav: ``(n_channels, n_samples)`` or ``(n_samples,)``; 1.0 is full scale.
        sample_rate: Hz.
        decoder: Name in ``DECODERS``.
        batch_size: Windows that the model gets at a time.
        window_sec: Length of a window, seconds.

    Returns:
        :class:`~asteroid_joint.streaming.Chunk` over everything: ``mixture``
        ``(n_channels, n_samples)``, ``stems`` ``(n_src, n_channels, n_samples)``, ``f0``
        ``(n_frames, 4)`` and ``activity`` ``(n_frames, 2)``, without rows where the model has no
        such output.

    Raises:
        ValueError: If ``wav`` is empty or has more than two axes.
        AudioError: If the model's output is not finite.
    """
    wav = np.asarray(wav, np.float32)
    if wav.ndim not in (1, 2) or wav.size == 0:
        raise ValueError(f"Expected (n_channels, n_samples), received {wav.shape}.")
    wav = np.atleast_2d(wav)
    options: dict[str, Any] = {
        "decoder": decoder,
        "batch_size": batch_size,
        "window_sec": window_sec,
    }
    stream = StreamSeparator(model, sample_rate, wav.shape[0], **options)
    blocks = [wav[:, at : at + BLOCK] for at in range(0, wav.shape[1], BLOCK)]
    chunks = [*map(stream.push, blocks), stream.finish()]
    mixtures, stems, *rows = zip(*chunks, strict=True)
    return Chunk(np.concatenate(mixtures, 1), np.concatenate(stems, 2), *map(np.concatenate, rows))


def separate_file(
    model: JointModel,
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    decoder: str = "argmax",
    batch_size: int = BATCH,
    window_sec: float = WINDOW_SEC,
    activity: SegmentRules | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Separated:
    """Separate an audio file of any length; memory does not grow with it.

    Writes ``out_dir/<name>/<source>.wav`` for each of ``model.sources``, with the input's sample
    rate, channels and number of samples, and ``f0.csv`` if the model estimates pitch. Integer
    inputs give 24-bit files whose stems add up to the input bit for bit, others 32-bit float.
    Asked for, ``activity.csv`` has the segments in which somebody sings, ``start,end`` in seconds.

    Args:
        model: Any joint model.
        path: Anything libsndfile or FFmpeg decodes.
        out_dir: Created if need be.
        decoder: Name in ``DECODERS``.
        batch_size: Windows that the model gets at a time.
        window_sec: Length of a window, seconds.
        activity: What counts as a segment of ``activity.csv``; ``None`` leaves the file out.
        overwrite: Replace files of an earlier run; other files in the folder stay as they are.
        progress: Called with the seconds done and the seconds in all (``None``: not known).

    Returns:
        :class:`Separated`.

    Raises:
        AudioError: One sentence on why the input cannot be separated or the stems not be written;
            nothing is left behind then.
        ConfigError: If activity is asked of a model that has neither that output nor pitch.
    """
    if activity is not None:
        check_activity(model)
    path, out_dir = Path(path), Path(out_dir)
    options: dict[str, Any] = {
        "decoder": decoder,
        "batch_size": batch_size,
        "window_sec": window_sec,
    }
    folder = out_dir / output_name(path)
    with open_audio(path) as reader:
        files = [f"{source}.wav" for source in model.sources]
        files += [F0_FILE] * model.has_pitch + [ACTIVITY_FILE] * (activity is not None)
        _check_destination(folder, files, overwrite, path)
        make_folder(out_dir)
        hidden = _hidden_folder(out_dir, folder.name)
        try:
            work = hidden / "files"  # mkdtemp's own folder is for this user's eyes only
            work.mkdir()
            stream = StreamSeparator(model, reader.sample_rate, reader.n_channels, **options)
            hop_sec = float(model.pitch_grid.hop)
            tracker = None if activity is None else SegmentTracker(activity, hop_sec)
            with _Outputs(work, model.sources, reader, stream.complement, tracker) as outputs:
                for block in reader.blocks():
                    outputs.write(stream.push(block))
                    if progress is not None:
                        progress(*outputs.seconds())
                outputs.write(stream.finish())
                outputs.finish()
            if progress is not None:
                progress(*outputs.seconds())
            _move(work, folder)
        except OSError as err:
            raise AudioError(f"Writing {folder} failed: {err.strerror or err}.") from err
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        return Separated(folder, reader.warning())


def output_name(path: str | os.PathLike) -> str:
    """Name of the folder that the results of an input go to: its name without the extension."""
    path = Path(path)
    return path.name if path.stem in ("", ".", "..") else path.stem


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where they do not exist.

    Raises:
        UserError: If that cannot be done, or nothing may be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as err:
        raise UserError(
            f"{folder} is, or lies below, a file: name a folder for the output."
        ) from err
    except OSError as err:
        raise UserError(f"The folder {folder} cannot be created: {err.strerror}.") from err
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"The folder {folder} cannot be written to: change its permissions.")


def _hidden_folder(out_dir: Path, name: str) -> Path:
    try:  # a name may take all of the 255 bytes that file systems allow
        return Path(tempfile.mkdtemp(prefix=f".{name[:40]}.part-", dir=out_dir))
    except OSError as err:
        raise AudioError(f"The folder {out_dir} cannot be written to: {err.strerror}.") from err


def _check_destination(folder: Path, names: list[str], overwrite: bool, path: Path) -> None:
    """Refuse what would destroy something."""
    if folder.exists() and not folder.is_dir():
        raise AudioError(f"{folder} is a file: the stems of {path} need a folder of this name.")
    there = [folder / name for name in names if (folder / name).exists()]
    if any(file.samefile(path) for file in there):
        raise AudioError(f"{path} would be overwritten by its own stem: choose another folder.")
    if there and not overwrite:
        raise AudioError(f"{there[0]} exists already: give --overwrite to replace it.")


def _move(work: Path, folder: Path) -> None:
    """Give the finished files their final names: at once where the folder is new."""
    if not folder.exists():
        work.rename(folder)
        return
    for file in sorted(work.iterdir()):
        file.replace(folder / file.name)


class _Outputs:
    """The files of one input while they are written."""

    def __init__(
        self,
        folder: Path,
        sources: tuple[str, ...],
        reader: AudioReader,
        complement: int | None,
        tracker: SegmentTracker | None,
    ) -> None:
        self._tracker = tracker
        self._reader = reader
        self._complement = complement
        self._folder = folder
        self._n_written = 0
        self._csv: Any = None
        self._segments: Any = None
        self._stack = ExitStack()
        rate, channels, subtype = reader.sample_rate, reader.n_channels, reader.subtype
        with self._stack:
            self._writers = [
                self._stack.enter_context(
                    StemWriter(folder / f"{name}.wav", rate, channels, subtype, reader.announced)
                )
                for name in sources
            ]
            if tracker is not None:  # a file without a segment says that nobody sings
                self._segments = self._open(ACTIVITY_FILE, ACTIVITY_HEADER)
            self._stack = self._stack.pop_all()  # all are open: keep them so

    def write(self, chunk: Chunk) -> None:
        """Append a chunk to the stems, the F0 curve and the segments."""
        stems = chunk.stems
        if self._reader.subtype == "PCM_24":
            stems = to_pcm24(chunk.mixture, stems, self._complement)
        for writer, stem in zip(self._writers, stems, strict=True):
            writer.write(stem)
        self._n_written += chunk.mixture.shape[1]
        if len(chunk.f0):
            if self._csv is None:
                self._csv = self._open(F0_FILE, F0_HEADER)
            self._csv.writelines(
                f"{time:.6f},{hz:.3f},{confidence:.6f},{voiced:.0f}\n"
                for time, hz, confidence, voiced in chunk.f0.tolist()
            )
        if self._tracker is not None:
            self._write_segments(self._tracker.push(*chunk.activity.T))

    def finish(self) -> None:
        """Write the segments that only the end decides."""
        if self._tracker is not None:
            self._write_segments(self._tracker.finish(self._n_written / self._reader.sample_rate))

    def _open(self, name: str, header: str) -> Any:
        """Open a text file for as long as the others and write its first line."""
        file = open(self._folder / name, "w", encoding="ascii", newline="\n")
        self._stack.enter_context(file).write(header + "\n")
        return file

    def _write_segments(self, rows: np.ndarray) -> None:
        self._segments.writelines(f"{start:.6f},{end:.6f}\n" for start, end in rows.tolist())

    def seconds(self) -> tuple[float, float | None]:
        """Seconds written, and in all where that is known."""
        rate, total = self._reader.sample_rate, self._reader.announced
        return self._n_written / rate, None if total is None else total / rate

    def __enter__(self) -> "_Outputs":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
