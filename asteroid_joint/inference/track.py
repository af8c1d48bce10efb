"""Pitch, notes, activity and picture of a voice that another program separated, file to file."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import AudioReader, open_audio
from ..dsp.overlap_add import SampleQueue
from .destination import output_name
from .fast.choice import as_runner
from .fast.runner import Runner
from .knobs import tuned_runner
from .options import SeparateOptions
from .separate import Progress, Separated, into_folder
from .song_files import SongFiles, check_options, file_names
from .stream import Chunk, Resampler, WholeSongPitchTrack
from .voice_stream import PitchStream

if TYPE_CHECKING:
    from ..models.base import JointModel

APART_SEC = 0.5  # by which lengths of a voice and its song may differ without a word


class MixtureFeed:
    """The song that a voice was separated from, at the rate of the voice, from its beginning.

    Args:
        reader: The open song.
        sample_rate: Rate of the voice in Hz.
    """

    def __init__(self, reader: AudioReader, sample_rate: int) -> None:
        self._blocks: Iterator[np.ndarray] = iter(reader.blocks())
        self._resampler = Resampler(reader.sample_rate, sample_rate, reader.n_channels)
        self._queue = SampleQueue(reader.n_channels)
        self._ended = False
        self._rate = sample_rate
        self.n_samples = 0  # received, at the voice's rate
        self.n_taken = 0

    def take(self, n_samples: int) -> np.ndarray:
        """The next ``(C, n_samples)``; silence beyond the end of the song."""
        while len(self._queue) < n_samples and not self._ended:
            self._receive()
        if len(self._queue) < n_samples:
            self._queue.pad(n_samples)
        self.n_taken += n_samples
        return self._queue.take(n_samples)

    def _receive(self) -> None:
        block = next(self._blocks, None)
        self._ended = block is None
        samples = self._resampler.finish() if block is None else self._resampler.push(block)
        self._queue.push(samples)
        self.n_samples += samples.shape[1]

    def longer_sec(self) -> float:
        """By how many seconds the song is longer than the voice, negative if shorter."""
        while not self._ended:
            self._queue.take(len(self._queue))  # nobody needs it
            self._receive()
        return (self.n_samples - self.n_taken) / self._rate


def track_file(
    model: "Runner | JointModel",
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    options: SeparateOptions | None = None,
    *,
    mixture: str | os.PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **keywords: Any,
) -> Separated:
    """Write what ``separate`` writes of a song except its stems, for a voice.

    Args:
        model: From :func:`~asteroid_joint.inference.voice_pitch.pitch_part`.
        path: The voice; anything that libsndfile or FFmpeg decodes, of any length.
        out_dir: Output folder, created if necessary; results are in ``out_dir/<name>``.
        options: What to produce; stems are not.
        mixture: The song that the voice was separated from, from the same time on. It helps to
            find notes; lyrics and tempo are its.
        overwrite: Replace files of an earlier run.
        progress: Called with the seconds done and the total seconds (``None``: not known).
        **keywords: Fields of ``SeparateOptions`` to set.

    Raises:
        AudioError: One sentence on why a file cannot be read or written; nothing is left behind.
        ConfigError: If an option is wrong.
    """
    options = replace(options or SeparateOptions(), **{**keywords, "stems": ()})
    runner = as_runner(model)
    check_options(options, runner)
    runner = tuned_runner(runner, options)
    path, out_dir = Path(path), Path(out_dir)
    folder = out_dir / output_name(path)
    names = file_names(options, runner, output_name(path))
    tell = progress or (lambda *_: None)
    with ExitStack() as stack:
        voice = stack.enter_context(open_audio(path))
        song = None if mixture is None else stack.enter_context(open_audio(mixture))

        def write(work: Path) -> tuple[SongFiles, str | None]:
            return _track(runner, voice, song, work, options, tell)

        return into_folder(voice, out_dir, folder, names, write, overwrite=overwrite)


def _track(
    runner: Runner,
    voice: AudioReader,
    song: AudioReader | None,
    folder: Path,
    options: SeparateOptions,
    progress: Progress,
) -> tuple[SongFiles, str | None]:
    """Run a voice through the model block by block; returns its files and a warning."""
    feed = None if song is None else MixtureFeed(song, voice.sample_rate)
    song_path = None if song is None else song.path
    with ExitStack() as stack:
        track = None
        if options.two_pass_viterbi:
            track = stack.enter_context(contextlib.closing(WholeSongPitchTrack(runner, folder)))
        stream = PitchStream(
            runner,
            voice.sample_rate,
            decoder=options.decoder,
            batch_size=options.batch_size,
            window_sec=options.window_sec,
            pitch_track=track,
        )
        files = stack.enter_context(
            SongFiles(folder, runner, voice, options, alone=feed is None, song=song_path)
        )
        for block in voice.blocks():
            files.write(_chunk(block, feed, *stream.push(block)), False)
            progress(*files.seconds())
        silence = np.zeros((voice.n_channels, 0), np.float32)
        files.write(_chunk(silence, feed, *stream.finish()), False)
        files.finish()
        progress(*files.seconds())
    if feed is None or song_path is None:
        return files, None
    return files, _apart(feed.longer_sec(), song_path)


def _chunk(
    voice: np.ndarray, feed: MixtureFeed | None, f0: np.ndarray, activity: np.ndarray
) -> Chunk:
    mixture = voice if feed is None else feed.take(voice.shape[1])
    return Chunk(mixture, voice[None], f0, activity)


def _apart(longer_sec: float, song: Path) -> str | None:
    """One sentence if a song is not as long as its voice."""
    if abs(longer_sec) <= APART_SEC:
        return None
    how = "longer" if longer_sec > 0 else "shorter"
    return f"{song} is {abs(longer_sec):.1f} s {how} than the voice: give the song that it is from."
