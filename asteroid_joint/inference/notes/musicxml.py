"""Notes as a score."""

from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

from .formats import NOTES_FORMATS, TONES, NotesText, on_grid
from .lyrics import HELD, spread
from .note import Note

BEATS = 4  # quarters in a measure
REST_SEC = 0.6  # seconds of silence that part phrases
LONGEST_STEP_SEC = 0.09  # of the grid: the shortest note has a step of its own
FINEST = 16  # steps of a quarter at most: 64ths
KINDS = ("64th", "32nd", "16th", "eighth", "quarter", "half", "whole")
DOCTYPE = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)


class _Piece(NamedTuple):
    """A note or a rest, within a measure, of a length that a single symbol has."""

    length: int  # steps
    tone: int | None  # MIDI; None for a rest
    text: str = ""
    tied_before: bool = False
    tied_after: bool = False


@NOTES_FORMATS.register("musicxml")
class NotesMusicXml(NotesText):
    """A score for MuseScore and others: MusicXML 4.0, one voice in 4/4 at the song's tempo.

    Onsets and ends are rounded to 16ths, or to what is shorter than the shortest sung note; longer
    notes are tied across bars. Lyrics stand below their notes.

    References:
        W3C Music Notation Community Group, "MusicXML 4.0", 2021 (partwise scores, ties, lyrics).
    """

    file_name = "notes.musicxml"
    with_lyrics = True

    def text(self, notes: list[Note], end_sec: float) -> str:
        tempo = self._song.tempo_bpm
        divisions = 4
        while 60 / tempo / divisions > LONGEST_STEP_SEC and divisions < FINEST:
            divisions *= 2
        steps_per_sec = tempo / 60 * divisions
        grid = on_grid(notes, steps_per_sec).tolist()
        words = spread(self._song.lyrics, notes, REST_SEC)
        measure = BEATS * divisions
        pieces = _pieces(notes, grid, [sung.text for sung in words], measure)
        title = escape(self._song.title)
        rows = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            DOCTYPE,
            '<score-partwise version="4.0">',
            f"  <work><work-title>{title}</work-title></work>",
            "  <identification><encoding><software>asteroid-joint</software></encoding>"
            "</identification>",
            '  <part-list><score-part id="P1"><part-name>Voice</part-name></score-part>'
            "</part-list>",
            '  <part id="P1">',
        ]
        clef = _clef(notes)
        for number, inside in enumerate(_measures(pieces, measure), 1):
            rows.append(f'    <measure number="{number}">')
            if number == 1:
                rows += _attributes(divisions, clef, tempo)
            rows += [f"      {_note(piece, divisions)}" for piece in inside]
            rows.append("    </measure>")
        return "\n".join([*rows, "  </part>", "</score-partwise>", ""])


def _pieces(
    notes: list[Note], grid: list[list[int]], texts: list[str], measure: int
) -> Iterator[_Piece]:
    """Notes and rests one after the other, cut at bars and into lengths that symbols have."""
    at = 0
    for note, (start, length), text in zip(notes, grid, texts, strict=True):
        yield from (_Piece(part, None) for part in _cut(at, start - at, measure))
        parts = _cut(start, length, measure)
        for n, part in enumerate(parts):
            shown = text if n == 0 and text != HELD else ""
            yield _Piece(part, round(note.pitch_midi), shown, n > 0, n < len(parts) - 1)
        at = start + length
    rest = -at % measure if at else measure  # a score has a measure at least
    yield from (_Piece(part, None) for part in _cut(at, rest, measure))


def _cut(start: int, length: int, measure: int) -> list[int]:
    """Cut a length at bars, and then into powers of two and dotted ones, the longest first.

    Example:
        >>> _cut(12, 9, 16)
        [4, 4, 1]
    """
    parts = []
    while length:
        room = min(length, measure - start % measure)
        power = 1 << (room.bit_length() - 1)
        dotted = power + power // 2
        part = dotted if power > 1 and dotted <= room else power
        parts.append(part)
        start, length = start + part, length - part
    return parts


def _measures(pieces: Iterator[_Piece], measure: int) -> Iterator[list[_Piece]]:
    inside: list[_Piece] = []
    for piece in pieces:
        inside.append(piece)
        if sum(p.length for p in inside) == measure:
            yield inside
            inside = []
    assert not inside, "a last measure that is not full"


def _clef(notes: list[Note]) -> str:
    """Treble, an octave lower for voices that would lie below the staff."""
    middle = sorted(note.pitch_midi for note in notes)[len(notes) // 2] if notes else 60.0
    change = "<clef-octave-change>-1</clef-octave-change>" if middle < 60 else ""
    return f"<clef><sign>G</sign><line>2</line>{change}</clef>"


def _attributes(divisions: int, clef: str, tempo: float) -> list[str]:
    return [
        f"      <attributes><divisions>{divisions}</divisions><key><fifths>0</fifths></key>"
        f"<time><beats>{BEATS}</beats><beat-type>4</beat-type></time>{clef}</attributes>",
        '      <direction placement="above"><direction-type><metronome><beat-unit>quarter'
        f"</beat-unit><per-minute>{tempo:g}</per-minute></metronome></direction-type>"
        f'<sound tempo="{tempo:g}"/></direction>',
    ]


def _note(piece: _Piece, divisions: int) -> str:
    """A ``<note>``, its children in the order that the schema asks for."""
    dotted = piece.length & (piece.length - 1) != 0
    plain = piece.length * 2 // 3 if dotted else piece.length
    kind = KINDS[KINDS.index("quarter") + (plain.bit_length() - divisions.bit_length())]
    rows = [_pitch(piece.tone), f"<duration>{piece.length}</duration>"]
    ties = [name for name, on in (("stop", piece.tied_before), ("start", piece.tied_after)) if on]
    rows += [f'<tie type="{name}"/>' for name in ties]
    rows += [f"<voice>1</voice><type>{kind}</type>", "<dot/>" * dotted]
    if ties:
        marks = "".join(f'<tied type="{name}"/>' for name in ties)
        rows.append(f"<notations>{marks}</notations>")
    if piece.text:
        rows.append(f"<lyric><syllabic>single</syllabic><text>{escape(piece.text)}</text></lyric>")
    return f"<note>{''.join(rows)}</note>"


def _pitch(tone: int | None) -> str:
    if tone is None:
        return "<rest/>"
    name = TONES[tone % 12]
    alter = "<alter>1</alter>" if name.endswith("#") else ""
    return f"<pitch><step>{name[0]}</step>{alter}<octave>{tone // 12 - 1}</octave></pitch>"
