"""Notes as files: CSV, and MIDI whose pitch bend follows the F0 curve."""

import os
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...optional import optional
from .tracker import Note

HEADER = "onset,offset,pitch_midi,note_name,confidence"
TONES = "C C# D D# E F F# G G# A A# B".split()
TICKS_PER_BEAT = 960
BEAT_USEC = 500_000  # microseconds: 120 beats a minute, which makes a tick 0.52 ms
TICKS_PER_SEC = TICKS_PER_BEAT * 1_000_000 / BEAT_USEC
BEND_SEMITONES = 12  # either way; a step of the bend is 0.15 cents then
BEND_STEPS = 8192  # either way
PROGRAM = 52  # choir aahs
LOUD_DB, QUIET_DB = -12.0, -48.0  # dB re full scale: velocity 112 and 32
RELEASE_TICKS = TICKS_PER_BEAT  # half a second, in which the last note dies away
USUAL_VELOCITY = 90  # of notes of unknown level


def note_name(pitch_midi: float) -> str:
    """Name of the nearest tone, such as ``A4`` for 69 (440 Hz).

    Example:
        >>> note_name(60.3), note_name(69)
        ('C4', 'A4')
    """
    nearest = round(pitch_midi)
    return f"{TONES[nearest % 12]}{nearest // 12 - 1}"


class NotesCsv:
    """``notes.csv``: one row per note, times in seconds, pitch in MIDI semitones with decimals.

    Args:
        path: File to create.

    Raises:
        OSError: If it cannot be written.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._file = open(path, "w", encoding="ascii", newline="\n")
        self._file.write(HEADER + "\n")

    def write(self, notes: Iterable[Note]) -> None:
        """Append notes."""
        self._file.writelines(
            f"{n.onset_sec:.6f},{n.offset_sec:.6f},{n.pitch_midi:.3f},{note_name(n.pitch_midi)},"
            f"{n.confidence:.6f}\n"
            for n in notes
        )

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> "NotesCsv":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class NotesMidi:
    """A MIDI file of one track: the nearest tone of each note, bent to the sung pitch.

    The bend follows the note's curve, including glides and vibrato; a note without a curve is bent
    to its pitch. RPN 0 sets the range of the bend, so any synthesizer that follows the standard is
    in tune. Memory use is some bytes per frame of singing.

    Args:
        path: File to create on closing.

    Raises:
        UserError: If mido is not installed.

    References:
        MIDI Manufacturers Association, "The complete MIDI 1.0 detailed specification", 1996
        (registered parameter 0; standard MIDI files).
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._mido = optional("mido", "notes")
        self._path = path
        self._track = bytearray()
        self._tick = 0  # of the last message
        self._bend = 0
        meta, message = self._mido.MetaMessage, self._mido.Message
        self._add(0, meta("set_tempo", tempo=BEAT_USEC))
        self._add(0, meta("track_name", name="vocals"))
        self._add(0, message("program_change", program=PROGRAM))
        # select RPN 0, set semitones and cents, deselect it: later data have no effect
        range_of_bend = ((101, 0), (100, 0), (6, BEND_SEMITONES), (38, 0), (101, 127), (100, 127))
        for control, value in range_of_bend:
            self._add(0, message("control_change", control=control, value=value))

    def write(self, notes: Iterable[Note]) -> None:
        """Append notes, which must not overlap: the track has one voice."""
        for note in notes:
            tone = int(np.clip(round(note.pitch_midi), 0, 127))
            start = max(round(note.onset_sec * TICKS_PER_SEC), self._tick)
            stop = max(round(note.offset_sec * TICKS_PER_SEC), start + 1)
            curve = note.curve if len(note.curve) else [[note.onset_sec, note.pitch_midi]]
            ticks = np.rint(np.asarray(curve)[:, 0] * TICKS_PER_SEC).astype(int).clip(start, stop)
            steps = (np.asarray(curve)[:, 1] - tone) * (BEND_STEPS / BEND_SEMITONES)
            bends = np.rint(steps).astype(int).clip(-BEND_STEPS, BEND_STEPS - 1)
            self._bend_to(start, int(bends[0]))  # before the note sounds
            message = self._mido.Message
            self._add(start, message("note_on", note=tone, velocity=_velocity(note.level_db)))
            for tick, bend in zip(ticks.tolist(), bends.tolist(), strict=True):
                if tick < stop:
                    self._bend_to(tick, bend)
            self._add(stop, message("note_off", note=tone, velocity=64))

    def close(self) -> None:
        """Write the file.

        Raises:
            OSError: If it cannot be written.
        """
        self._bend_to(self._tick + RELEASE_TICKS, 0)  # what is played next is in tune
        self._add(self._tick, self._mido.MetaMessage("end_of_track"))
        with open(self._path, "wb") as file:
            file.write(struct.pack(">4sLHHH", b"MThd", 6, 0, 1, TICKS_PER_BEAT))
            file.write(struct.pack(">4sL", b"MTrk", len(self._track)))
            file.write(self._track)

    def _bend_to(self, tick: int, bend: int) -> None:
        if bend != self._bend:
            self._add(tick, self._mido.Message("pitchwheel", pitch=bend))
            self._bend = bend

    def _add(self, tick: int, message: Any) -> None:
        """Append a message in the file's form: the time since the last one, then its bytes."""
        from mido.midifiles.meta import encode_variable_int

        self._track.extend(encode_variable_int(tick - self._tick))
        self._track.extend(message.bytes())
        self._tick = tick

    def __enter__(self) -> "NotesMidi":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()


def _velocity(level_db: float | None) -> int:
    if level_db is None:
        return USUAL_VELOCITY
    return round(float(np.interp(level_db, [QUIET_DB, LOUD_DB], [32, 112])))
