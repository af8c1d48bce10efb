"""Notes as a song of UltraStar and its relatives."""

import math

from .formats import NOTES_FORMATS, NotesText, on_grid
from .lyrics import HELD, spread
from .note import Note

VERSION = "1.2.0"
LEAST_BPM = 300.0  # of the header, whose beats are quarters: 20 beats a second or more
REST_SEC = 0.6  # seconds of silence that end a phrase
MIDDLE_C = 60
UNKNOWN = "Unknown"


@NOTES_FORMATS.register("ultrastar")
class NotesUltraStar(NotesText):
    """A song for UltraStar Deluxe, Performous, Vocaluxe: text, version 1.2.0 of the format.

    Beat 0 is the first note (``#GAP``). The tempo of the header is the song's times a power of
    two, so that a beat lasts at most 50 ms. Words of lyrics stand on the notes that begin them,
    ``~`` on all others. The song itself is named, not copied.

    References:
        The UltraStar file format, version 1, https://usdx.eu/format (headers; beats, pitches and
        texts of notes; ends of phrases).
    """

    file_name = "ultrastar.txt"
    with_lyrics = True

    def text(self, notes: list[Note], end_sec: float) -> str:
        song = self._song
        octaves = max(math.ceil(math.log2(LEAST_BPM / song.tempo_bpm)), 0)
        bpm = round(song.tempo_bpm * 2**octaves, 2)
        gap_ms = round(1000 * notes[0].onset_sec) if notes else 0
        artist, _, title = song.title.partition(" - ")
        headers = {
            "VERSION": VERSION,
            "TITLE": title or song.title,
            "ARTIST": artist if title else UNKNOWN,
            "MP3": song.audio,
            "AUDIO": song.audio,
            "VOCALS": song.vocals,
            "INSTRUMENTAL": song.instrumental,
            "BPM": f"{bpm:g}",
            "GAP": str(gap_ms),
            "CREATOR": "asteroid-joint",
        }
        head = [f"#{key}:{_line(value)}" for key, value in headers.items() if value]
        return "\n".join([*head, *self._body(notes, 4 * bpm / 60, gap_ms / 1000), "E", ""])

    def _body(self, notes: list[Note], beats_per_sec: float, start_sec: float) -> list[str]:
        """Lines of notes and of ends of phrases."""
        rows: list[str] = []
        free = 0
        grid = on_grid(notes, beats_per_sec, start_sec).tolist()
        sung = spread(self._song.lyrics, notes, REST_SEC)
        for note, (start, length), (text, begins) in zip(notes, grid, sung, strict=True):
            if begins and rows:
                rows.append(f"- {free}")
            gap = "" if begins or text == HELD else " "  # between words
            rows.append(f": {start} {length} {round(note.pitch_midi) - MIDDLE_C} {gap}{text}")
            free = start + length
        return rows


def _line(text: str) -> str:
    """Text without line breaks, which would end a header."""
    return " ".join(text.split())
