"""The files of one song, written while it is being separated."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import AUDIO_FORMATS, AudioReader, StemWriter, to_pcm24
from ..dsp.roles import COMPLEMENT, VOICE, stem_index
from ..errors import ConfigError
from ..optional import optional
from ..registry import DECODERS
from .activity import SegmentRules, SegmentTracker
from .destination import output_name
from .fast.choice import as_runner
from .fast.runner import Runner
from .knobs import (
    KnobbedRows,
    PitchKnobs,
    note_rules,
    shift_notes,
    shift_rows,
    tuned_runner,
)
from .notes import NOTES_FORMATS, Note, NotesWriter, SongFacts, lyrics_beside
from .notes.formats import (
    BEND_SEMITONES,
    TEMPO_AUTO,
    TEMPO_BPM,
    check_bend,
    check_tempo,
    tempo_bpm,
    untracked,
)
from .notes.tracker import NoteTracker
from .options import USUAL_NOTES, SeparateOptions
from .picture import SongPicture
from .pitch_files import PITCH_FORMATS, PitchFiles
from .stem_names import STEM, stem_file_names, stem_naming
from .stream import Chunk

if TYPE_CHECKING:
    from ..models.base import JointModel

ACTIVITY_FILE = "activity.csv"
ACTIVITY_HEADER = "start,end"
PICTURE_FILE = "picture.png"
ROWS = 4096  # of F0 that are formatted at a time


def check_options(options: SeparateOptions, model: "Runner | JointModel") -> None:
    """Check that the model and the installation support the options.

    Raises:
        ConfigError: If a name does not exist, or the model lacks an output.
        UserError: If a library is not installed.
    """
    AUDIO_FORMATS[options.audio_format]
    runner = as_runner(model)
    unknown = [name for name in options.stems or () if name not in runner.sources]
    if unknown:
        raise ConfigError(
            f"{runner.name} has no stem {unknown[0]!r}: choose from {', '.join(runner.sources)}."
        )
    for name in options.f0_formats:
        PITCH_FORMATS[name]
    formats = [NOTES_FORMATS[name] for name in all_notes_formats(options)]
    if formats and not runner.has_pitch:
        raise ConfigError(
            f"This {runner.name} estimates no pitch, which notes need: choose another model."
        )
    if options.activity is not None:
        runner.check_activity()
    for known in formats:
        if known.library is not None:
            optional(known.library, "notes")
    if options.stem_name != STEM:  # as other defaults, it is right
        stem_naming(options.stem_name)
    if options.tempo != TEMPO_BPM:
        check_tempo(options.tempo)
    if options.bend_semitones != BEND_SEMITONES:
        check_bend(options.bend_semitones)
    if options.plot:
        optional("matplotlib", "demo")
    DECODERS[options.decoder]
    if changes_pitch(options):
        tuned_runner(runner, options)
    if options.two_pass_viterbi and not runner.has_pitch:
        raise ConfigError(
            f"This {runner.name} estimates no pitch for Viterbi to decode: choose another model."
        )


def changes_pitch(options: PitchKnobs) -> bool:
    """Whether any of the knobs is not where it is by default."""
    return any(getattr(options, knob.name) != knob.default for knob in fields(PitchKnobs))


def all_notes_formats(options: SeparateOptions) -> tuple[str, ...]:
    """Names of all formats of notes that are to be written, each once."""
    usual = USUAL_NOTES if options.notes else ()
    return tuple(dict.fromkeys((*usual, *options.notes_formats)))


def stem_names(options: SeparateOptions, model: "Runner | JointModel", song: str) -> dict[str, str]:
    """File names of all stems of a song, without their extension, by the model's names."""
    if options.stem_name == STEM:
        return {name: name for name in model.sources}
    runner = as_runner(model)
    return stem_file_names(options.stem_name, runner.sources, COMPLEMENT, song, runner.name)


def file_names(options: SeparateOptions, model: "Runner | JointModel", song: str) -> list[str]:
    """Names of the files of a song, in the order in which they are opened.

    Args:
        options: What to produce.
        model: The model that separates.
        song: Name of the song.
    """
    called = stem_names(options, model, song)
    stems = model.sources if options.stems is None else options.stems
    names = [f"{called[source]}.{options.audio_format}" for source in stems]
    if model.has_pitch:
        names += [file for name in options.f0_formats for file in PITCH_FORMATS[name].file_names()]
    names += [ACTIVITY_FILE] * (options.activity is not None)
    names += [NOTES_FORMATS[name].file_name for name in all_notes_formats(options)]
    return [*names, *[PICTURE_FILE] * options.plot]


class StemFiles:
    """Audio files of stems; those of a song with integer samples add up to it bit for bit.

    Args:
        folder: Folder for the files.
        sources: Names of all stems, in the order passed to ``write``.
        sample_rate: Hz.
        n_channels: Number of channels.
        subtype: Sample type of the song: ``"PCM_24"`` or ``"FLOAT"``.
        expected: Expected samples per channel, ``None`` if not known.
        stack: Closes the files.
        names: Stems to write; all by default.
        audio_format: Name in ``AUDIO_FORMATS``.
        called: File names of stems without their extension; their names by default.

    Attributes:
        n_clipped: Number of samples that exceeded the range of the format and were clipped.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str],
        sample_rate: int,
        n_channels: int,
        subtype: str,
        expected: int | None,
        stack: ExitStack,
        *,
        names: Sequence[str] | None = None,
        audio_format: str = "wav",
        called: Mapping[str, str] | None = None,
    ) -> None:
        self._writers: dict[int, StemWriter] = {}
        for name in sources if names is None else names:
            path = folder / f"{(called or {}).get(name, name)}.{audio_format}"
            writer = StemWriter(path, sample_rate, n_channels, subtype, expected, audio_format)
            self._writers[sources.index(name)] = stack.enter_context(writer)
        self._rounded = AUDIO_FORMATS[audio_format].sample_type(subtype) == "PCM_24"
        self._may_clip = self._rounded and subtype != "PCM_24"
        self._complement = stem_index(sources, COMPLEMENT)
        self.n_clipped = 0

    def write(self, mixture: np.ndarray, stems: np.ndarray) -> None:
        """Append samples.

        Args:
            mixture: ``(n_channels, n_samples)``, the song.
            stems: ``(n_src, n_channels, n_samples)``, all of them.
        """
        if self._may_clip:
            written = stems[list(self._writers)]
            self.n_clipped += int(np.count_nonzero(np.abs(written) > 1))
        if self._rounded:
            stems = to_pcm24(mixture, stems, self._complement)
        for source, writer in self._writers.items():
            writer.write(stems[source])


class NoteFiles:
    """Files of notes in a folder; ``stack`` closes them.

    Args:
        folder: Folder for the files.
        stack: Closes the files, if nobody did before.
        formats: Names in ``NOTES_FORMATS``.
        song: What the files say besides notes.
    """

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        formats: Sequence[str] = USUAL_NOTES,
        song: SongFacts | None = None,
    ) -> None:
        self._writers: list[NotesWriter] = [
            stack.enter_context(writer(folder / writer.file_name, song))
            for writer in (NOTES_FORMATS[name] for name in formats)
        ]

    def write(self, notes: Sequence[Note]) -> None:
        """Append notes."""
        for writer in self._writers:
            writer.write(notes)

    def close(self, duration_sec: float | None = None) -> None:
        """Finish the files; see :meth:`NotesWriter.close`."""
        for writer in self._writers:
            writer.close(duration_sec)


class _Segments:
    """``activity.csv``; without segments if nobody sings."""

    def __init__(self, folder: Path, rules: SegmentRules, hop_sec: float, stack: ExitStack) -> None:
        self._tracker = SegmentTracker(rules, hop_sec)
        path = folder / ACTIVITY_FILE
        self._file = stack.enter_context(open(path, "w", encoding="ascii", newline="\n"))
        self._file.write(ACTIVITY_HEADER + "\n")

    def write(self, activity: np.ndarray) -> None:
        self._write(self._tracker.push(*activity.T))

    def finish(self, seconds: float) -> None:
        self._write(self._tracker.finish(seconds))

    def _write(self, rows: np.ndarray) -> None:
        self._file.writelines(f"{start:.6f},{end:.6f}\n" for start, end in rows.tolist())


class _Notes:
    """Notes of the voice, for their files and the picture."""

    def __init__(
        self,
        model: Runner,
        sample_rate: int,
        files: NoteFiles | None,
        alone: bool,
        knobs: PitchKnobs,
    ) -> None:
        self._alone = alone  # whether there is no mixture
        self._octave = knobs.octave
        self._voice = stem_index(model.sources, VOICE)
        self._tracker = NoteTracker(
            float(model.pitch_grid.hop),
            model.voicing_threshold,
            sample_rate if self._voice is not None else None,
        )
        self._tracker.rules = note_rules(self._tracker.rules, knobs)
        self._files = files
        self.n_notes = 0

    def write(
        self, f0: np.ndarray, mixture: np.ndarray, stems: np.ndarray, activity: np.ndarray | None
    ) -> Sequence[Note]:
        if self._voice is None:
            return self._write(self._tracker.push(f0, activity=activity))
        song = None if self._alone else mixture
        return self._write(self._tracker.push(f0, stems[self._voice], activity, song))

    def finish(self, duration_sec: float) -> Sequence[Note]:
        notes = self._write(self._tracker.finish())
        if self._files is not None:
            self._files.close(duration_sec)
        return notes

    def _write(self, found: Sequence[Note]) -> Sequence[Note]:
        notes = shift_notes(found, self._octave)
        if self._files is not None:
            self._files.write(notes)
        self.n_notes += len(notes)
        return notes


class SongFiles:
    """All files of one song: ``write`` chunks, then ``finish``.

    Args:
        folder: Folder for the files.
        model: The model that separates.
        reader: The open input.
        options: What to write.
        alone: Whether the voice comes without the mixture it is from.
        song: The song itself, if the input is a voice from it: for its lyrics and tempo.

    Attributes:
        n_frames: F0 frames written.
        n_voiced: Number of them that are voiced.

    Raises:
        AudioError: If the audio format does not support the input's sample rate or channels.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        model: "Runner | JointModel",
        reader: AudioReader,
        options: SeparateOptions,
        *,
        alone: bool = False,
        song: Path | None = None,
    ) -> None:
        self._reader = reader
        self._song = song or reader.path
        self._options = options
        self._n_written = 0
        self.n_frames = self.n_voiced = 0
        model = as_runner(model)
        rate, hop_sec = reader.sample_rate, float(model.pitch_grid.hop)
        name = output_name(self._song)
        first = stem_index(model.sources, VOICE) or 0
        self._order = [first, *(s for s in range(len(model.sources)) if s != first)]
        self._picture: SongPicture | None = None
        self._picture_path = folder / PICTURE_FILE
        with ExitStack() as stack:
            self._stems = StemFiles(
                folder,
                model.sources,
                rate,
                reader.n_channels,
                reader.subtype,
                reader.announced,
                stack,
                names=options.stems,
                audio_format=options.audio_format,
                called=stem_names(options, model, name),
            )
            formats = options.f0_formats if model.has_pitch else ()
            self._pitch = PitchFiles(
                [
                    stack.enter_context(writer(folder / writer.file_name, rate))
                    for writer in (PITCH_FORMATS[name] for name in formats)
                ],
                KnobbedRows(options) if changes_pitch(options) else None,
            )
            self._segments: _Segments | None = None
            if options.activity is not None:
                self._segments = _Segments(folder, options.activity, hop_sec, stack)
            self._notes: _Notes | None = None
            written = all_notes_formats(options)
            if written:
                facts = self._facts(model, name)
                note_files = NoteFiles(folder, stack, written, facts)
                self._notes = _Notes(model, rate, note_files, alone, options)
            elif options.plot and model.has_pitch:
                self._notes = _Notes(model, rate, None, alone, options)
            if options.plot:
                sources = [model.sources[s] for s in self._order]
                title = _plain(options.title or reader.path.name)
                self._picture = SongPicture(rate, sources, title)
            self._stack = stack.pop_all()  # all are open: keep them open

    def _facts(self, model: Runner, title: str) -> SongFacts:
        """What files of notes say besides notes."""
        options, path = self._options, self._song
        stems = model.sources if options.stems is None else options.stems
        called = stem_names(options, model, title)
        file = {name: f"{called[name]}.{options.audio_format}" for name in stems}
        sung = any(NOTES_FORMATS[name].with_lyrics for name in all_notes_formats(options))
        return SongFacts(
            tempo_bpm=tempo_bpm(options.tempo),
            bend_semitones=options.bend_semitones,
            title=_plain(options.title or title),
            audio=_plain(f"{options.title}{path.suffix or '.mp3'}" if options.title else path.name),
            vocals=file.get(VOICE),
            instrumental=file.get(COMPLEMENT),
            lyrics=lyrics_beside(path) if sung else (),
        )

    def write(self, chunk: Chunk, own_activity: bool) -> None:
        """Append a chunk.

        Args:
            chunk: Next chunk of the separated song.
            own_activity: Whether its activity is an output of the model, which notes then use.
        """
        self._stems.write(chunk.mixture, chunk.stems)
        self._n_written += chunk.mixture.shape[1]
        if self._segments is not None:
            self._segments.write(chunk.activity)
        mixture, stems = chunk.mixture, chunk.stems
        activity = chunk.activity if own_activity else None
        for rows in _parts(chunk.f0):
            self._pitch.write(rows)
            self.n_frames += len(rows)
            self.n_voiced += int(rows[:, 3].sum())
            notes = self._notes.write(rows, mixture, stems, activity) if self._notes else ()
            if self._picture is not None:
                shown = shift_rows(rows, self._options.octave)
                self._picture.push(stems[self._order], shown, notes)
            # samples and activity belong to the first part
            mixture, stems, activity = mixture[..., :0], stems[..., :0], None

    def finish(self) -> None:
        """Write what is only final at the end, and close all files.

        Raises:
            OutputError: If a stem is not completely on disk.
        """
        seconds = self._n_written / self._reader.sample_rate
        if self._segments is not None:
            self._segments.finish(seconds)
        notes = self._notes.finish(seconds) if self._notes else ()
        if self._picture is not None:
            silence = np.zeros((len(self._order), 1, 0), np.float32)
            self._picture.push(silence, np.zeros((0, 4)), notes)
        self._pitch.close(seconds)
        self._stack.close()
        if self._picture is not None:
            self._picture.draw(self._picture_path)

    def seconds(self) -> tuple[float, float | None]:
        """Seconds written, and total seconds, ``None`` if not known."""
        rate, total = self._reader.sample_rate, self._reader.announced
        return self._n_written / rate, None if total is None else total / rate

    @property
    def n_notes(self) -> int | None:
        """Number of notes written so far, ``None`` if notes were not requested."""
        written = all_notes_formats(self._options)
        return self._notes.n_notes if self._notes and written else None

    def warning(self) -> str | None:
        """Sentences on clipped samples, and on a tempo left to us; ``None`` without."""
        said = []
        if self._options.tempo == TEMPO_AUTO and all_notes_formats(self._options):
            said.append(untracked(str(self._song)))
        if self._stems.n_clipped:
            said.append(self._clipped())
        return " ".join(said) or None

    def _clipped(self) -> str:
        return (
            f"{self._stems.n_clipped} samples of the stems of {self._reader.path} exceed full "
            f"scale and were clipped, as {self._options.audio_format} cannot store them: choose "
            "--format wav to keep them."
        )

    def __enter__(self) -> "SongFiles":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _plain(name: str) -> str:
    """A name that can be written, whatever bytes a file's name has."""
    return name.encode(errors="replace").decode()


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of at most ``ROWS`` rows; at least one part, even if it is empty."""
    for at in range(0, max(len(rows), 1), ROWS):
        yield rows[at : at + ROWS]
