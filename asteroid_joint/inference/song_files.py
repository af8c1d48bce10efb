"""The files of one song, written while it is being separated.

Read downhill: what may be wanted, then a part per kind of file, then all of them together.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import AUDIO_FORMATS, AudioReader, StemWriter, to_pcm24
from ..errors import ConfigError
from ..models.base import VOICE, JointModel, check_activity, stem_index
from ..optional import optional
from .activity import SegmentRules, SegmentTracker
from .notes import Note, NotesCsv, NotesMidi, NoteTracker
from .picture import SongPicture
from .pitch_files import PITCH_FORMATS
from .stream import Chunk

ACTIVITY_FILE = "activity.csv"
ACTIVITY_HEADER = "start,end"
NOTES_FILES = ("notes.mid", "notes.csv")
PICTURE_FILE = "picture.png"
ROWS = 4096  # of F0 that are turned into text at a time


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        stems: Names of stems; ``None`` for all that the model has.
        audio_format: Of the stems, a name in ``AUDIO_FORMATS``.
        f0_formats: Of the F0 curve, names in ``PITCH_FORMATS``.
        activity: What counts as a segment of ``activity.csv``; ``None`` leaves the file out.
        notes: Whether to write ``notes.mid`` and ``notes.csv``.
        plot: Whether to draw ``picture.png``.
    """

    stems: tuple[str, ...] | None = None
    audio_format: str = "wav"
    f0_formats: tuple[str, ...] = ("csv",)
    activity: SegmentRules | None = None
    notes: bool = False
    plot: bool = False

    def check(self, model: JointModel) -> None:
        """Refuse what this model or this installation does not have.

        Raises:
            ConfigError: At a name that does not exist, or an output that the model lacks.
            UserError: If a library is not installed.
        """
        AUDIO_FORMATS[self.audio_format]
        unknown = [name for name in self.stems or () if name not in model.sources]
        if unknown:
            raise ConfigError(
                f"{type(model).__name__} has no stem {unknown[0]!r}: choose from "
                f"{', '.join(model.sources)}."
            )
        for name in self.f0_formats:
            PITCH_FORMATS[name]
        if self.notes and not model.has_pitch:
            raise ConfigError(
                f"This {type(model).__name__} has no pitch to make notes of: choose another model."
            )
        if self.activity is not None:
            check_activity(model)
        if self.notes:
            optional("mido", "notes")
        if self.plot:
            optional("matplotlib", "demo")
            optional("scipy", "demo")

    def files(self, model: JointModel) -> list[str]:
        """Names of the files, in the order of being opened."""
        stems = model.sources if self.stems is None else self.stems
        names = [f"{source}.{self.audio_format}" for source in stems]
        if model.has_pitch:
            names += [PITCH_FORMATS[name].file_name for name in self.f0_formats]
        names += [ACTIVITY_FILE] * (self.activity is not None)
        return [*names, *NOTES_FILES * self.notes, *[PICTURE_FILE] * self.plot]


class _Stems:
    """Audio files of the stems that are wanted."""

    def __init__(
        self,
        folder: Path,
        model: JointModel,
        reader: AudioReader,
        wanted: Wanted,
        complement: int | None,
        stack: ExitStack,
    ) -> None:
        names = model.sources if wanted.stems is None else wanted.stems
        at = reader.sample_rate, reader.n_channels, reader.subtype, reader.announced
        self._writers = {
            model.sources.index(name): stack.enter_context(
                StemWriter(
                    folder / f"{name}.{wanted.audio_format}", *at, audio_format=wanted.audio_format
                )
            )
            for name in names
        }
        form = AUDIO_FORMATS[wanted.audio_format]
        self._rounded = form.sample_type(reader.subtype) == "PCM_24"
        self._may_clip = self._rounded and reader.subtype != "PCM_24"
        self._complement = complement
        self.n_clipped = 0

    def write(self, mixture: np.ndarray, stems: np.ndarray) -> None:
        if self._may_clip:
            written = stems[list(self._writers)]
            self.n_clipped += int(np.count_nonzero(np.abs(written) > 1))
        if self._rounded:
            stems = to_pcm24(mixture, stems, self._complement)
        for source, writer in self._writers.items():
            writer.write(stems[source])


class _Segments:
    """``activity.csv``; a file without a segment says that nobody sings."""

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
    """``notes.mid`` and ``notes.csv``, and the notes for the picture."""

    def __init__(
        self, folder: Path, model: JointModel, sample_rate: int, written: bool, stack: ExitStack
    ) -> None:
        self._voice = stem_index(model.sources, VOICE)
        self._tracker = NoteTracker(
            float(model.pitch_grid.hop),
            float(model.voicing_threshold),
            sample_rate if self._voice is not None else None,
        )
        self._files: list[NotesCsv | NotesMidi] = []
        if written:
            midi, table = (folder / name for name in NOTES_FILES)
            self._files = [stack.enter_context(NotesMidi(midi))]
            self._files.append(stack.enter_context(NotesCsv(table)))
        self.n_notes = 0

    def write(
        self, f0: np.ndarray, mixture: np.ndarray, stems: np.ndarray, activity: np.ndarray | None
    ) -> Sequence[Note]:
        if self._voice is None:
            return self._write(self._tracker.push(f0, activity=activity))
        return self._write(self._tracker.push(f0, stems[self._voice], activity, mixture))

    def finish(self) -> Sequence[Note]:
        return self._write(self._tracker.finish())

    def _write(self, notes: Sequence[Note]) -> Sequence[Note]:
        for file in self._files:
            file.write(notes)
        self.n_notes += len(notes)
        return notes


class SongFiles:
    """All files of one song; push chunks, then ``finish``.

    Args:
        folder: Where they go.
        model: What separates.
        reader: The input, open.
        wanted: What to write.
        complement: Index of the stem that is what the others leave over, ``None`` for none.

    Attributes:
        n_frames: F0 frames written.
        n_voiced: Voiced ones among them.

    Raises:
        AudioError: If the audio format cannot hold the input's rate or channels.
        OSError: If something cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        model: JointModel,
        reader: AudioReader,
        wanted: Wanted,
        complement: int | None,
    ) -> None:
        self._reader = reader
        self._wanted = wanted
        self._n_written = 0
        self.n_frames = self.n_voiced = 0
        rate, hop_sec = reader.sample_rate, float(model.pitch_grid.hop)
        first = stem_index(model.sources, VOICE) or 0
        self._order = [first, *(s for s in range(len(model.sources)) if s != first)]
        self._picture: SongPicture | None = None
        self._picture_path = folder / PICTURE_FILE
        with ExitStack() as stack:
            self._stems = _Stems(folder, model, reader, wanted, complement, stack)
            formats = wanted.f0_formats if model.has_pitch else ()
            writers = [PITCH_FORMATS[name] for name in formats]
            self._pitch = [
                stack.enter_context(writer(folder / writer.file_name, rate)) for writer in writers
            ]
            self._segments: _Segments | None = None
            if wanted.activity is not None:
                self._segments = _Segments(folder, wanted.activity, hop_sec, stack)
            self._notes: _Notes | None = None
            if wanted.notes or (wanted.plot and model.has_pitch):
                self._notes = _Notes(folder, model, rate, wanted.notes, stack)
            if wanted.plot:
                sources = [model.sources[s] for s in self._order]
                title = str(reader.path.name).encode(errors="replace").decode()
                self._picture = SongPicture(rate, sources, title)
            self._stack = stack.pop_all()  # all are open: keep them so

    def write(self, chunk: Chunk, own_activity: bool) -> None:
        """Append a chunk.

        Args:
            chunk: Of the separated song.
            own_activity: Whether its activity is an output of the model, which notes go by.
        """
        self._stems.write(chunk.mixture, chunk.stems)
        self._n_written += chunk.mixture.shape[1]
        if self._segments is not None:
            self._segments.write(chunk.activity)
        mixture, stems = chunk.mixture, chunk.stems
        activity = chunk.activity if own_activity else None
        for rows in _parts(chunk.f0):
            for writer in self._pitch:
                writer.write(rows)
            self.n_frames += len(rows)
            self.n_voiced += int(rows[:, 3].sum())
            notes = self._notes.write(rows, mixture, stems, activity) if self._notes else ()
            if self._picture is not None:
                self._picture.push(stems[self._order], rows, notes)
            # they belong to the first part
            mixture, stems, activity = mixture[..., :0], stems[..., :0], None

    def finish(self) -> None:
        """Write what only the end decides, and close all files.

        Raises:
            OutputError: If a stem is not complete on the disk.
        """
        seconds = self._n_written / self._reader.sample_rate
        if self._segments is not None:
            self._segments.finish(seconds)
        notes = self._notes.finish() if self._notes else ()
        if self._picture is not None:
            silence = np.zeros((len(self._order), 1, 0), np.float32)
            self._picture.push(silence, np.zeros((0, 4)), notes)
        for writer in self._pitch:
            writer.close(seconds)
        self._stack.close()
        if self._picture is not None:
            self._picture.draw(self._picture_path)

    def seconds(self) -> tuple[float, float | None]:
        """Seconds written, and in all where that is known."""
        rate, total = self._reader.sample_rate, self._reader.announced
        return self._n_written / rate, None if total is None else total / rate

    @property
    def n_notes(self) -> int | None:
        """Notes written so far, ``None`` if none were asked for."""
        return self._notes.n_notes if self._notes and self._wanted.notes else None

    def warning(self) -> str | None:
        """One sentence if samples did not fit into the format."""
        if not self._stems.n_clipped:
            return None
        return (
            f"{self._stems.n_clipped} samples of the stems of {self._reader.path} are beyond full "
            f"scale, which {self._wanted.audio_format} cannot hold, and were cut: choose --format "
            "wav to keep them."
        )

    def __enter__(self) -> "SongFiles":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """At least one part, even of no rows."""
    for at in range(0, max(len(rows), 1), ROWS):
        yield rows[at : at + ROWS]
