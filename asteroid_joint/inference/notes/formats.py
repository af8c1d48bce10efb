"""What every format of notes has in common, and the table of formats."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import ConfigError
from ...registry import Registry
from .lyrics import Line
from .note import Note

NOTES_FORMATS = Registry("notes format")
TONES = "C C# D D# E F F# G G# A A# B".split()
TEMPO_BPM = 120.0
TEMPO_AUTO = "auto"  # TEMPO_BPM, and a sentence: no beat is tracked
TEMPO_RANGE_BPM = (20.0, 400.0)
BEND_SEMITONES = 12  # either way; a step of the bend is 0.15 cents then
MOST_BEND_SEMITONES = 96


@dataclass(frozen=True)
class SongFacts:
    """What files of notes say besides notes.

    Attributes:
        title: Name of the song.
        audio: File name of the song.
        vocals: File name of its voice, if written.
        instrumental: File name of its accompaniment, if written.
        tempo_bpm: Beats per minute of the grid.
        bend_semitones: Range of the pitch bend in semitones, either way.
        lyrics: Timed lines of text.

    Raises:
        ConfigError: If a number is out of range.
    """

    title: str = "song"
    audio: str = ""
    vocals: str | None = None
    instrumental: str | None = None
    tempo_bpm: float = TEMPO_BPM
    bend_semitones: int = BEND_SEMITONES
    lyrics: tuple[Line, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_tempo(self.tempo_bpm)
        check_bend(self.bend_semitones)


def check_tempo(tempo: float | str) -> None:
    """Refuse a tempo that is neither a number in range nor ``"auto"``.

    Raises:
        ConfigError: One sentence.
    """
    low, high = TEMPO_RANGE_BPM
    if tempo == TEMPO_AUTO or (not isinstance(tempo, str) and low <= tempo <= high):
        return
    raise ConfigError(
        f"The tempo is {tempo}: give {low:g} to {high:g} beats per minute, or {TEMPO_AUTO}."
    )


def tempo_bpm(tempo: float | str) -> float:
    """Beats per minute of the grid: those given, or ``TEMPO_BPM`` for ``"auto"``."""
    return TEMPO_BPM if isinstance(tempo, str) else float(tempo)


def untracked(song: str, option: str = "--tempo") -> str:
    """The sentence for ``"auto"``: the notes of ``song`` are on a grid that nobody chose."""
    return (
        f"The tempo of {song} is not estimated: its notes are on a grid of {TEMPO_BPM:g} BPM, "
        f"give {option} for another."
    )


def check_bend(semitones: int) -> None:
    """Refuse a range of the pitch bend that MIDI does not know.

    Raises:
        ConfigError: One sentence.
    """
    if not 1 <= semitones <= MOST_BEND_SEMITONES:
        raise ConfigError(
            f"The bend range is {semitones}: give 1 to {MOST_BEND_SEMITONES} semitones."
        )


class NotesWriter(ABC):
    """A file of notes.

    Args:
        path: File to create.
        song: What the file says besides notes.

    Raises:
        OSError: If it cannot be written.
        UserError: If a library is not installed.

    Class attributes:
        file_name: Name of the file, as written by ``separate``.
        library: Library that the format needs, of the extra ``notes``.
        with_lyrics: Whether lyrics are part of it.
    """

    file_name: ClassVar[str]
    library: ClassVar[str | None] = None
    with_lyrics: ClassVar[bool] = False

    def __init__(self, path: str | os.PathLike, song: SongFacts | None = None) -> None:
        self._path = Path(path)
        self._song = song or SongFacts()
        self._closed = False
        self._begin()

    def _begin(self) -> None:  # noqa: B027, not needed by formats that are written at the end
        """Start the file."""

    @abstractmethod
    def write(self, notes: Iterable[Note]) -> None:
        """Append notes, which must be in order and not overlap."""

    def close(self, duration_sec: float | None = None) -> None:
        """Finish the file; a second time does nothing.

        Args:
            duration_sec: Length of the song in seconds; that of the notes by default.

        Raises:
            OSError: If it cannot be written.
        """
        if not self._closed:
            self._closed = True
            self._finish(duration_sec)

    @abstractmethod
    def _finish(self, duration_sec: float | None) -> None:
        """Write what is left, and close the file."""

    def _discard(self) -> None:  # noqa: B027
        """Close the file, which nobody will use."""

    def __enter__(self) -> "NotesWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._discard()


class NotesText(NotesWriter):
    """A text file that is written at the end, as its beginning depends on all notes.

    Subclasses implement :meth:`text`. Memory use is that of the notes without their curves.
    """

    def _begin(self) -> None:
        self._notes: list[Note] = []

    def write(self, notes: Iterable[Note]) -> None:
        self._notes += [replace(note, curve=np.zeros((0, 2))) for note in notes]

    def _finish(self, duration_sec: float | None) -> None:
        end_sec = max(duration_sec or 0.0, *(n.offset_sec for n in self._notes[-1:]), 0.0)
        self._path.write_text(self.text(self._notes, end_sec), "utf-8", newline="\n")

    @abstractmethod
    def text(self, notes: list[Note], end_sec: float) -> str:
        """The whole file.

        Args:
            notes: All notes in order.
            end_sec: Length of the song in seconds; no note ends later.
        """


def note_name(pitch_midi: float) -> str:
    """Name of the nearest tone, such as ``A4`` for 69 (440 Hz).

    Example:
        >>> note_name(60.3), note_name(69)
        ('C4', 'A4')
    """
    nearest = round(pitch_midi)
    return f"{TONES[nearest % 12]}{nearest // 12 - 1}"


def on_grid(notes: list[Note], steps_per_sec: float, start_sec: float = 0.0) -> np.ndarray:
    """Starts and lengths of notes in steps of a grid, in order and without overlap.

    Args:
        notes: Notes in order.
        steps_per_sec: Steps in a second.
        start_sec: Time of step 0 in seconds.

    Returns:
        ``(n, 2)`` integers: start, and length of 1 or more.

    Example:
        >>> on_grid([Note(0.0, 0.52, 60.0, 1.0), Note(0.52, 0.55, 62.0, 1.0)], 10).tolist()
        [[0, 5], [5, 1]]
    """
    found, free = np.zeros((len(notes), 2), int), 0
    for n, note in enumerate(notes):
        start = max(round((note.onset_sec - start_sec) * steps_per_sec), free)
        free = max(round((note.offset_sec - start_sec) * steps_per_sec), start + 1)
        found[n] = start, free - start
    return found
