"""Separate recordings of any length, in memory or file to file.

The work is done by :class:`~asteroid_joint.inference.stream.StreamSeparator`, the files are written
by :class:`~asteroid_joint.inference.song_files.SongFiles`; here are the functions for users.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..audio import AudioReader, open_audio
from ..audio.reading import BLOCK
from ..errors import OutputError
from ..models.base import JointModel
from .destination import HiddenFolder, check_destination, make_folder, move, output_name
from .options import BATCH, DECODER, WINDOW_SEC, SeparateOptions
from .song_files import SongFiles, check_options, file_names
from .stream import Chunk, StreamSeparator
from .two_pass_viterbi import WholeSongPitchTrack

Progress = Callable[[float, "float | None"], None]


class Separated(NamedTuple):
    """What ``separate_file`` has done.

    Attributes:
        folder: Where the files are.
        warning: One sentence if the input was cut off or damaged, or samples did not fit into the
            format; else ``None``.
        files: Names of the files.
        seconds: Length of the recording.
        sample_rate: Hz.
        n_channels: Number of channels.
        voiced: Share of voiced F0 frames, ``None`` without pitch.
        n_notes: Number of notes, ``None`` if none were asked for.
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
    model: JointModel,
    wav: np.ndarray,
    sample_rate: int,
    *,
    decoder: str = DECODER,
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
        :class:`~asteroid_joint.inference.stream.Chunk` over everything: ``mixture``
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
    stream = StreamSeparator(
        model, sample_rate, len(wav), decoder=decoder, batch_size=batch_size, window_sec=window_sec
    )
    return separate_at_once(stream, wav)


def separate_at_once(stream: StreamSeparator, wav: np.ndarray) -> Chunk:
    """Everything that a stream makes of a recording, in one chunk.

    Args:
        stream: A fresh one.
        wav: ``(n_channels, n_samples)``.
    """
    blocks = [wav[:, at : at + BLOCK] for at in range(0, wav.shape[1], BLOCK)]
    chunks = [*map(stream.push, blocks), stream.finish()]
    mixtures, stems, *rows = zip(*chunks, strict=True)
    return Chunk(np.concatenate(mixtures, 1), np.concatenate(stems, 2), *map(np.concatenate, rows))


def separate_file(
    model: JointModel,
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
    """Separate an audio file of any length; memory does not grow with it.

    Writes ``out_dir/<name>/<source>.wav`` for each of ``model.sources``, with the input's sample
    rate, channels and number of samples, and ``f0.csv`` if the model estimates pitch. Integer
    inputs give 24-bit files whose stems add up to the input bit for bit, others 32-bit float.
    Asked for, ``activity.csv`` has the segments in which somebody sings, ``start,end`` in seconds;
    ``notes.csv`` has the notes, ``onset,offset,pitch_midi,note_name,confidence`` in seconds and
    semitones, and ``notes.mid`` the same with pitch bend; ``picture.png`` shows all of that.

    Args:
        model: Any joint model.
        path: Anything libsndfile or FFmpeg decodes.
        out_dir: Created if need be.
        options: What is made of the song; see
            :class:`~asteroid_joint.inference.options.SeparateOptions`.
        name: Folder of the results below ``out_dir``; the input's name by default.
        overwrite: Replace files of an earlier run; other files in the folder stay as they are.
        receipt: Facts that appear with the results, as a hidden file; ``input`` is one of them.
        progress: Called with the seconds done and the seconds in all (``None``: not known).
        **keywords: Fields of ``SeparateOptions`` to set, for example ``notes=True``.

    Returns:
        :class:`Separated`.

    Raises:
        AudioError: One sentence on why the input cannot be separated or the stems not be written;
            nothing is left behind then.
        ConfigError: If something is asked of a model that it does not have.
        TypeError: If ``SeparateOptions`` has no field of a keyword's name.
        UserError: If a library for notes or pictures is not installed.
    """
    options = replace(options or SeparateOptions(), **keywords)
    check_options(options, model)
    path, out_dir = Path(path), Path(out_dir)
    folder = out_dir / (name or output_name(path))
    names = file_names(options, model)
    with open_audio(path) as reader:
        check_destination(folder, names, overwrite, path)
        make_folder(out_dir)
        with _failure_said(out_dir, folder), HiddenFolder(out_dir, folder.name) as work:
            files = _write(model, reader, work, options, progress)
            move(work, folder, receipt)
    warnings = filter(None, (reader.warning(), files.warning()))
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
    model: JointModel,
    reader: AudioReader,
    folder: Path,
    options: SeparateOptions,
    progress: Progress | None,
) -> SongFiles:
    """Take a song through the model block by block and into its files."""
    with ExitStack() as stack:
        track = None
        if options.two_pass_viterbi:
            track = stack.enter_context(WholeSongPitchTrack(model, folder))
        stream = StreamSeparator(
            model,
            reader.sample_rate,
            reader.n_channels,
            decoder=options.decoder,
            batch_size=options.batch_size,
            window_sec=options.window_sec,
            pitch_track=track,
        )
        files = stack.enter_context(SongFiles(folder, model, reader, options))
        for block in reader.blocks():
            files.write(stream.push(block), stream.own_activity)
            if progress is not None:
                progress(*files.seconds())
        files.write(stream.finish(), stream.own_activity)
        files.finish()
        if progress is not None:
            progress(*files.seconds())
    return files


@contextlib.contextmanager
def _failure_said(out_dir: Path, folder: Path) -> Iterator[None]:
    """Say in one sentence why results cannot be written."""
    try:
        yield
    except OSError as err:
        if err.errno == errno.ENOSPC:
            raise OutputError(f"The disk that holds {out_dir} is full: free some space.") from err
        raise OutputError(f"Writing {folder} failed: {err.strerror or err}.") from err
