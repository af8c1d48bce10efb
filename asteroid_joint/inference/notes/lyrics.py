"""Timed lyrics from an ``.lrc`` or ``.srt`` file, spread over the notes that sing them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import OutputError
from .note import Note

HELD = "~"  # what goes on being sung
EARLY_SEC = 0.3  # seconds that singing may begin before its line does
LRC_TIME = re.compile(r"\[(\d+):(\d{1,2}(?:[.:]\d+)?)\]")
LRC_WORD_TIME = re.compile(r"<\d+:\d{1,2}(?:[.:]\d+)?>")
LRC_OFFSET = re.compile(r"\[offset:\s*([+-]?\d+)\s*\]", re.IGNORECASE)
SRT_TIMES = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})")
MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
VOWELS = re.compile(r"[aeiouyáàâäãåæéèêëíìîïóòôöõøœúùûüýÿąęıőűůаеёиоуыэюяіїє]+", re.IGNORECASE)


class Line(NamedTuple):
    """A line of lyrics.

    Attributes:
        start_sec: When it begins, in seconds.
        words: Its words.
        end_sec: When it ends at the latest; ``None`` for the start of the next line.
    """

    start_sec: float
    words: tuple[str, ...]
    end_sec: float | None = None


class Sung(NamedTuple):
    """Text of a note.

    Attributes:
        text: A word or several, ``~`` if the word before goes on or there is none.
        begins_line: Whether a line, or a phrase, begins with this note.
    """

    text: str
    begins_line: bool


def lyrics_beside(song: Path) -> tuple[Line, ...]:
    """Lyrics from ``<song>.lrc`` or ``<song>.srt`` beside a song; none without such a file.

    Raises:
        OutputError: If the file cannot be read, or has no times.
    """
    for suffix, parse in ((".lrc", parse_lrc), (".srt", parse_srt)):
        path = song.with_suffix(suffix)
        if not path.is_file():
            continue
        try:
            lines = parse(path.read_text("utf-8-sig"))
        except (OSError, UnicodeDecodeError) as err:
            raise OutputError(f"{path} cannot be read: save the lyrics as UTF-8.") from err
        if not lines:
            raise OutputError(f"The lyrics in {path} have no times: add them, or remove the file.")
        return lines
    return ()


def parse_lrc(text: str) -> tuple[Line, ...]:
    """Lines of an LRC file in order; a line with several times is sung several times.

    Example:
        >>> [line.start_sec for line in parse_lrc("[ar:Me][00:12.50][01:02]La la")]
        [12.5, 62.0]
    """
    offset = LRC_OFFSET.search(text)
    earlier_sec = int(offset[1]) / 1000 if offset else 0.0  # positive: lyrics come sooner
    lines = []
    for row in text.splitlines():
        times = LRC_TIME.findall(row)
        words = LRC_WORD_TIME.sub(" ", LRC_TIME.sub("", row)).split() if times else []
        for minutes, seconds in times:
            start = 60 * int(minutes) + float(seconds.replace(":", ".")) - earlier_sec
            lines.append(Line(max(start, 0.0), tuple(words)))
    return tuple(sorted(lines, key=lambda line: line.start_sec))


def parse_srt(text: str) -> tuple[Line, ...]:
    r"""Subtitles of an SRT file in order.

    Example:
        >>> parse_srt("1\n00:00:01,500 --> 00:00:03,000\n<i>La</i>\nla\n")
        (Line(start_sec=1.5, words=('La', 'la'), end_sec=3.0),)
    """
    lines = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        if found := SRT_TIMES.search(block):
            start, stop = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
            words = MARKUP.sub("", block[found.end() :]).split()
            lines.append(Line(start, tuple(words), stop))
    return tuple(sorted(lines, key=lambda line: line.start_sec))


def _seconds(parts: Sequence[str]) -> float:
    hours, minutes, seconds, fraction = parts
    return (
        3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(fraction) / 10 ** len(fraction)
    )


def spread(lines: Sequence[Line], notes: Sequence[Note], rest_sec: float) -> list[Sung]:
    """The text of every note.

    A note belongs to the last line that has begun, or begins within :data:`EARLY_SEC`. The words
    of a line are given to its notes in order; a line with more notes than words has words held by
    several notes, those with more vowels first; one with fewer has several words on a note.

    Args:
        lines: Lines in order; lines without words are rests.
        notes: Notes in order.
        rest_sec: Seconds of silence that part phrases where there are no lines.

    Returns:
        One entry per note.

    Example:
        >>> notes = [Note(n, n + 0.9, 60.0, 1.0) for n in range(4)]
        >>> [sung.text for sung in spread([Line(1.0, ("hello", "you"))], notes, 0.5)]
        ['~', 'hello', '~', 'you']
    """
    owners = [_owner(lines, note.onset_sec) for note in notes]
    texts: dict[int, list[str]] = {
        n: share_out(lines[n].words, owners.count(n)) for n in set(owners) if n is not None
    }
    found: list[Sung] = []
    for n, (note, owner) in enumerate(zip(notes, owners, strict=True)):
        begins = n == 0 or owner != owners[n - 1]
        if n and owner is None:
            begins |= note.onset_sec - notes[n - 1].offset_sec >= rest_sec
        found.append(Sung(HELD if owner is None else texts[owner].pop(0), begins))
    return found


def _owner(lines: Sequence[Line], onset_sec: float) -> int | None:
    """Index of the line that a note sings, ``None`` for none."""
    begun = [n for n, line in enumerate(lines) if line.start_sec <= onset_sec + EARLY_SEC]
    if not begun or not lines[begun[-1]].words:
        return None
    end_sec = lines[begun[-1]].end_sec
    return None if end_sec is not None and onset_sec >= end_sec else begun[-1]


def share_out(words: Sequence[str], n_notes: int) -> list[str]:
    """Give words to notes.

    Example:
        >>> share_out(["a", "wonderful", "day"], 5)
        ['a', 'wonderful', '~', '~', 'day']
        >>> share_out(["one", "two", "three"], 2)
        ['one', 'two three']
    """
    if n_notes <= len(words):
        cuts = [k * len(words) // n_notes for k in range(n_notes + 1)]
        return [" ".join(words[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    syllables = [max(len(VOWELS.findall(word)), 1) for word in words]
    counts = [1] * len(words)
    for _ in range(n_notes - len(words)):  # to the word with most syllables per note
        counts[max(range(len(words)), key=lambda n: (syllables[n] / counts[n], n))] += 1
    return [
        text
        for word, count in zip(words, counts, strict=True)
        for text in (word, *[HELD] * (count - 1))
    ]
