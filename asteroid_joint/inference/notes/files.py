"""Notes as files: CSV, and MIDI whose pitch bend follows the F0 curve."""

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...optional import optional
from .formats import BEND_SEMITONES as BEND_SEMITONES
from .formats import NOTES_FORMATS, NotesWriter, note_name
from .note import Note

HEADER = "onset,offset,pitch_midi,note_name,confidence"
TICKS_PER_BEAT = 960  # at 120 beats a minute, a tick is 0.52 ms
BEND_STEPS = 8192  # either way
PROGRAM = 52  # choir aahs
LOUD_DB, QUIET_DB = -12.0, -48.0  # dB re full scale: velocity 112 and 32
RELEASE_TICKS = TICKS_PER_BEAT  # half a second, in which the last note dies away
USUAL_VELOCITY = 90  # of notes of unknown level


@NOTES_FORMATS.register("csv")
class NotesCsv(NotesWriter):
    """``notes.csv``: one row per note, times in seconds, pitch in MIDI semitones with decimals."""

    file_name = "notes.csv"

    def _begin(self) -> None:
        self._file = open(self._path, "w", encoding="ascii", newline="\n")
        self._file.write(HEADER + "\n")

    def write(self, notes: Iterable[Note]) -> None:
        self._file.writelines(
            f"{n.onset_sec:.6f},{n.offset_sec:.6f},{n.pitch_midi:.3f},{note_name(n.pitch_midi)},"
            f"{n.confidence:.6f}\n"
            for n in notes
        )

    def _finish(self, duration_sec: float | None) -> None:
        self._file.close()

    def _discard(self) -> None:
        self._file.close()


@NOTES_FORMATS.register("midi")
class NotesMidi(NotesWriter):
    """A MIDI file of one track: the nearest tone of each note, bent to the sung pitch.

    The bend follows the note's curve, including glides and vibrato, as far as its range goes; a
    note without a curve is bent to its pitch. RPN 0 sets the range of the bend, so any synthesizer
    that follows the standard is in tune. The file is created on closing; memory use is some bytes
    per frame of singing.

    References:
        MIDI Manufacturers Association, "The complete MIDI 1.0 detailed specification", 1996
        (registered parameter 0; standard MIDI files).
    """

    file_name = "notes.mid"
    library = "mido"

    def _begin(self) -> None:
        self._mido = optional("mido", "notes")
        beat_usec = round(60e6 / self._song.tempo_bpm)
        self._ticks_per_sec = TICKS_PER_BEAT * 1e6 / beat_usec
        self._bend_semitones = self._song.bend_semitones
        self._track = bytearray()
        self._tick = 0  # of the last message
        self._bend = 0
        meta, message = self._mido.MetaMessage, self._mido.Message
        self._add(0, meta("set_tempo", tempo=beat_usec))
        self._add(0, meta("track_name", name="vocals"))
        self._add(0, message("program_change", program=PROGRAM))
        # select RPN 0, set semitones and cents, deselect it: later data have no effect
        selected, deselected = ((101, 0), (100, 0)), ((101, 127), (100, 127))
        range_of_bend = (*selected, (6, self._bend_semitones), (38, 0), *deselected)
        for control, value in range_of_bend:
            self._add(0, message("control_change", control=control, value=value))

    def write(self, notes: Iterable[Note]) -> None:
        rate, scale = self._ticks_per_sec, BEND_STEPS / self._bend_semitones
        for note in notes:
            tone = int(np.clip(round(note.pitch_midi), 0, 127))
            start = max(round(note.onset_sec * rate), self._tick)
            stop = max(round(note.offset_sec * rate), start + 1)
            curve = note.curve if len(note.curve) else [[note.onset_sec, note.pitch_midi]]
            ticks = np.rint(np.asarray(curve)[:, 0] * rate).astype(int).clip(start, stop)
            steps = (np.asarray(curve)[:, 1] - tone) * scale
            bends = np.rint(steps).astype(int).clip(-BEND_STEPS, BEND_STEPS - 1)
            self._bend_to(start, int(bends[0]))  # before the note sounds
            message = self._mido.Message
            self._add(start, message("note_on", note=tone, velocity=_velocity(note.level_db)))
            for tick, bend in zip(ticks.tolist(), bends.tolist(), strict=True):
                if tick < stop:
                    self._bend_to(tick, bend)
            self._add(stop, message("note_off", note=tone, velocity=64))

    def _finish(self, duration_sec: float | None) -> None:
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


def _velocity(level_db: float | None) -> int:
    if level_db is None:
        return USUAL_VELOCITY
    return round(float(np.interp(level_db, [QUIET_DB, LOUD_DB], [32, 112])))
