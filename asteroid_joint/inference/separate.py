"""Separate recordings of any length, in memory or file to file.

These are the functions for users; :class:`~asteroid_joint.inference.stream.StreamSeparator`
separates, and :class:`~asteroid_joint.inference.song_files.SongFiles` writes the files.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..audio import AudioReader, open_audio
from ..audio.reading import BLOCK
from ..dsp.gate import GateRules
from ..errors import AudioError, ModelOutputError, OutputError
from .destination import HiddenFolder, check_destination, make_folder, move, output_name
from .fast.choice import as_runner
from .fast.runner import Runner
from .knobs import PitchKnobs, knobbed_rows, tuned_runner
from .options import BATCH, DECODER, GATE, WINDOW_SEC, SeparateOptions
from .song_files import SongFiles, changes_pitch, check_options, file_names
from .stream import Chunk, StreamSeparator, WholeSongPitchTrack

if TYPE_CHECKING:
    from ..models.base import JointModel

Progress = Callable[[float, "float | None"], None]


class Separated(NamedTuple):
    """Result of ``separate_file``.

    Attributes:
        folder: Folder of the files.
        warning: One sentence if the input was truncated or damaged, or samples were clipped; else
            ``None``.
        files: Names of the files.
        seconds: Length of the recording.
        sample_rate: Hz.
        n_channels: Number of channels.
        voiced: Fraction of F0 frames that are voiced, ``None`` without pitch.
        n_notes: Number of notes, ``None`` if notes were not requested.
    """

    folder: Path
    warning: str | None
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    sample_rate: int = 0
    n_channels: int = 0
    voiced: float | None = None
    n_notes: int | None = None


def separate_array(
    model: "Runner | JointModel",
    wav: np.ndarray,
    sample_rate: int,
    *,
    decoder: str = DECODER,
    batch_size: int = BATCH,
    window_sec: float = WINDOW_SEC,
    gate: bool = GATE,
    **knobs: Any,
) -> Chunk:
    """Separate a recording in memory.

    Args:
        model: Any joint model, or a runner.
        wav: ``(n_channels, n_samples)`` or ``(n_samples,)``; 1.0 is full scale.
        sample_rate: Sample rate of ``wav`` in Hz.
        decoder: Name in ``DECODERS``.
        batch_size: Windows per batch.
        window_sec: Window length in seconds.
        gate: Whether the voice is silent where nobody sings for a while.
        **knobs: Fields of :class:`~asteroid_joint.inference.knobs.PitchKnobs` to set.

    Returns:
        One :class:`~asteroid_joint.inference.stream.Chunk` for the whole recording; its ``f0`` and
        ``activity`` are without rows where the model has no such output.

    Raises:
        ValueError: If ``wav`` is empty or has more than two axes.
        AudioError: If the model's output is not finite.
        ConfigError: If a knob is out of range.
    """
    asked = PitchKnobs(**knobs)
    wav = np.asarray(wav, np.float32)
    if wav.ndim not in (1, 2) or wav.size == 0:
        raise ValueError(f"Expected (n_channels, n_samples), received {wav.shape}.")
    wav = np.atleast_2d(wav)
    stream = StreamSeparator(
        tuned_runner(model, asked),
        sample_rate,
        len(wav),
        decoder=decoder,
        batch_size=batch_size,
        window_sec=window_sec,
        gate=GateRules() if gate else None,
    )
    chunk = separate_at_once(stream, wav)
    return chunk._replace(f0=knobbed_rows(chunk.f0, asked, wav.shape[1] / sample_rate))


def separate_at_once(stream: StreamSeparator, wav: np.ndarray) -> Chunk:
    """Push a recording ``(n_channels, n_samples)`` through a new stream; return a single chunk."""
    blocks = [wav[:, at : at + BLOCK] for at in range(0, wav.shape[1], BLOCK)]
    chunks = [*map(stream.push, blocks), stream.finish()]
    mixtures, stems, *rows = zip(*chunks, strict=True)
    return Chunk(np.concatenate(mixtures, 1), np.concatenate(stems, 2), *map(np.concatenate, rows))


def separate_file(
    model: "Runner | JointModel",
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    options: SeparateOptions | None = None,
    *,
    name: str | None = None,
    overwrite: bool = False,
    receipt: dict[str, Any] | None = None,
    progress: Progress | None = None,
    **keywords: Any,
) -> Separated:
    """Separate an audio file of any length in constant memory.

    Writes ``out_dir/<name>/<source>.wav`` for each of ``model.sources``, with the input's sample
    rate, channels and number of samples, and ``f0.csv`` if the model estimates pitch. Integer
    inputs give 24-bit files whose stems add up to the input bit for bit, others 32-bit float.
    If requested, ``activity.csv`` lists the segments in which somebody sings, ``start,end`` in
    seconds; ``notes.csv`` lists the notes, ``onset,offset,pitch_midi,note_name,confidence`` in
    seconds and semitones; ``notes.mid`` contains the same notes with pitch bend; ``picture.png``
    shows all of that. Further formats of F0 and notes have names of their own, and ``stem_name``
    gives other names to stems.

    Args:
        model: Any joint model, or a runner.
        path: Anything libsndfile or FFmpeg decodes.
        out_dir: Output folder, created if necessary.
        options: What to produce from the song.
        name: Folder of the results below ``out_dir``; the input's name by default.
        overwrite: Replace files of an earlier run; other files in the folder stay as they are.
        receipt: Facts to store with the results in a hidden file, including ``input``.
        progress: Called with the seconds done and the total seconds (``None``: not known).
        **keywords: Fields of ``SeparateOptions`` to set, for example ``notes=True``.

    Raises:
        AudioError: One sentence on why the input cannot be separated or the stems cannot be
            written; no files are left behind.
        ConfigError: If the model lacks a requested output.
        TypeError: If ``SeparateOptions`` has no field with a keyword's name.
        UserError: If a library for notes or pictures is not installed.
    """
    options = replace(options or SeparateOptions(), **keywords)
    runner = as_runner(model)
    check_options(options, runner)
    if changes_pitch(options):
        runner = tuned_runner(runner, options)
    path, out_dir = Path(path), Path(out_dir)
    folder = out_dir / (name or output_name(path))
    names = file_names(options, runner, output_name(path))
    tell = progress or (lambda *_: None)
    with open_audio(path) as reader:

        def write(work: Path) -> tuple[SongFiles, str | None]:
            return _write(runner, reader, work, options, tell), None

        return into_folder(
            reader, out_dir, folder, names, write, overwrite=overwrite, receipt=receipt
        )


def into_folder(
    reader: AudioReader,
    out_dir: Path,
    folder: Path,
    names: Sequence[str],
    write: Callable[[Path], tuple[SongFiles, str | None]],
    *,
    overwrite: bool,
    receipt: dict[str, Any] | None = None,
) -> Separated:
    """Write results to a hidden folder, and move them when they are complete.

    Args:
        reader: What is read, from its beginning.
        out_dir: Where the hidden folder is, and where leftovers of one are looked for.
        folder: Destination, anywhere in ``out_dir``.
        names: Files that are going to be there.
        write: Writes them to a folder; returns them, and a warning of its own.
        overwrite: Replace files of an earlier run.
        receipt: See :func:`separate_file`.

    Raises:
        AudioError: One sentence on what went wrong; no files are left behind.
    """
    check_destination(folder, names, overwrite, reader.path)
    make_folder(out_dir)
    with _explain_failure(reader.path, out_dir, folder):
        with HiddenFolder(out_dir, folder.name) as work:
            with _under_final_name(work, folder):
                files, said = write(work)
            move(work, folder, receipt, overwrite=overwrite)
    warnings = filter(None, (reader.warning(), files.warning(), said))
    return Separated(
        folder,
        " ".join(warnings) or None,
        tuple(names),
        files.seconds()[0],
        reader.sample_rate,
        reader.n_channels,
        files.n_voiced / files.n_frames if files.n_frames else None,
        files.n_notes,
    )


def _write(
    runner: Runner,
    reader: AudioReader,
    folder: Path,
    options: SeparateOptions,
    progress: Progress,
) -> SongFiles:
    """Run a song through the model block by block and write its files."""
    with ExitStack() as stack:
        track = None
        if options.two_pass_viterbi:
            track = stack.enter_context(contextlib.closing(WholeSongPitchTrack(runner, folder)))
        stream = StreamSeparator(
            runner,
            reader.sample_rate,
            reader.n_channels,
            decoder=options.decoder,
            batch_size=options.batch_size,
            window_sec=options.window_sec,
            pitch_track=track,
            gate=GateRules() if options.gate else None,
        )
        files = stack.enter_context(SongFiles(folder, runner, reader, options))
        for block in reader.blocks():
            files.write(stream.push(block), stream.own_activity)
            progress(*files.seconds())
        files.write(stream.finish(), stream.own_activity)
        files.finish()
        progress(*files.seconds())
    return files


@contextlib.contextmanager
def _under_final_name(work: Path, folder: Path) -> Iterator[None]:
    """Let sentences name the folder that the user knows, not the hidden one."""
    try:
        yield
    except OutputError as err:
        raise OutputError(str(err).replace(str(work), str(folder))) from err


@contextlib.contextmanager
def _explain_failure(path: Path, out_dir: Path, folder: Path) -> Iterator[None]:
    """Explain in one sentence why there are no results of a file."""
    try:
        yield
    except OSError as err:
        if err.errno == errno.ENOSPC:
            raise OutputError(f"The disk that holds {out_dir} is full: free some space.") from err
        raise OutputError(f"Writing {folder} failed: {err.strerror or err}.") from err
    except ModelOutputError as err:
        raise AudioError(f"{path}: {err}") from err
