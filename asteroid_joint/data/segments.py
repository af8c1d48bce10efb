"""Label files of vocal activity: read, checked, and sampled at any time.

Two formats: ``start,end`` of singing in seconds (``.csv``; the rest is not sung), and lines
``start end sing`` or ``start end nosing`` (``.lab``; what neither covers is unknown). A file
without segments means that nobody sings, a missing file that nothing is known.

Columns are separated by semicolons, tabs, commas or blanks; the first of these in a line is its
separator, so decimal commas are never taken for two numbers.
"""

import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError

logger = logging.getLogger(__name__)

TOLERANCE_SEC = 0.05  # past the end of the audio, for rounding and frames of 50 ms
DELIMITERS = (";", "\t", ",", None)  # None: any blanks
WORDS = {"sing": True, "nosing": False, "1": True, "0": False}


class Segments(NamedTuple):
    """When somebody sings, seconds.

    Attributes:
        sung: ``(n, 2)`` float64, start and end; sorted and disjoint.
        unsung: Likewise, segments known not to be sung; ``None`` = all the rest.
        length_sec: Length of the audio.
    """

    sung: np.ndarray
    unsung: np.ndarray | None
    length_sec: float

    def active_at(self, times: np.ndarray) -> np.ndarray:
        """Activity at ``times`` (seconds): 1, 0, or NaN = unknown or past the end, float32."""
        active = np.full(len(times), 0.0 if self.unsung is None else np.nan, np.float32)
        if self.unsung is not None:
            active[_inside(self.unsung, times)] = 0.0
        active[_inside(self.sung, times)] = 1.0
        active[(times < 0) | (times > self.length_sec)] = np.nan
        return active


@lru_cache(maxsize=4096)
def read_segments(path: Path, length_sec: float, tolerance_sec: float = TOLERANCE_SEC) -> Segments:
    """Read a label file of either format.

    Overlapping sung segments, as from two singers, are merged with a warning. Overlapping segments
    of both classes are refused.

    Args:
        path: ``.lab`` file, or any other as ``start,end`` with an optional header, a first line
            without numbers. Words may be in quotes.
        length_sec: Length of the audio.
        tolerance_sec: How far a segment may extend beyond the audio; it is cut there.

    Raises:
        DataError: With file and line, for missing numbers, extra columns, an end before its start,
            times before 0 or beyond the audio, or both classes at once.
    """
    lab = path.suffix.lower() == ".lab"
    sung: list[tuple[float, float, int]] = []
    unsung: list[tuple[float, float, int]] = []
    for number, words in _rows(path, header=not lab):
        start, end = _times(path, number, words)
        _check_columns(path, number, words, lab)
        _check_range(path, number, start, end, length_sec, tolerance_sec)
        kind = sung if not lab or WORDS[words[2].lower()] else unsung
        if start < length_sec:
            kind.append((start, min(end, length_sec), number))
    joined = _joined(path, sung)
    if not lab or not sung and not unsung:
        return Segments(joined, None, length_sec)
    _refuse_contradiction(path, sung, unsung)
    return Segments(joined, _joined(path, unsung), length_sec)


def _rows(path: Path, header: bool) -> list[tuple[int, list[str]]]:
    """Number, from 1, and words of the lines that are not blank, without an optional header."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path} cannot be read as a text file: download it again.") from err
    rows = [(number, _words(line)) for number, line in enumerate(lines, 1)]
    rows = [(number, words) for number, words in rows if any(words)]
    return rows[1:] if header and rows and _is_header(rows[0][1]) else rows


def _is_header(words: list[str]) -> bool:
    """Whether nothing in a line looks like a time, not even 1,5 or 0:01."""
    return all(_float(word) is None and not re.match(r"[-+.]?\d", word) for word in words)


def _words(line: str) -> list[str]:
    """Columns of a line, without quotes."""
    line = line.strip()
    delimiter = next(d for d in DELIMITERS if d is None or d in line)
    return [word.strip().strip("\"'").strip() for word in line.split(delimiter)]


def _times(path: Path, number: int, words: list[str]) -> tuple[float, float]:
    numbers = [_float(word) for word in words[:2]]
    found = [x for x in numbers if x is not None and np.isfinite(x)]
    if len(found) < 2:
        comma = " with a decimal point" if any("," in word for word in words) else ""
        raise DataError(f"{path}, line {number}: expected start and end in seconds{comma}.")
    return found[0], found[1]


def _check_columns(path: Path, number: int, words: list[str], lab: bool) -> None:
    where = f"{path}, line {number}:"
    if lab and (len(words) < 3 or words[2].lower() not in WORDS):
        raise DataError(f"{where} expected a third word, sing or nosing.")
    wanted = 3 if lab else 2
    if len(words) > wanted:
        hint = "" if lab else ", start and end of singing; a third belongs in a .lab file"
        raise DataError(f"{where} expected {wanted} columns, received {len(words)}{hint}.")


def _float(word: str) -> float | None:
    """A number, which may be infinite or NaN; ``None`` for other words."""
    try:
        return float(word)
    except ValueError:
        return None


def _check_range(
    path: Path, number: int, start: float, end: float, length_sec: float, tolerance_sec: float
) -> None:
    where = f"{path}, line {number}: the segment from {start:g} to {end:g} s"
    if end < start:
        raise DataError(f"{where} ends before it starts: swap the two times.")
    if start < 0:
        raise DataError(f"{where} starts before the audio does: correct or remove it.")
    if end > length_sec + tolerance_sec:
        raise DataError(
            f"{where} ends after the audio, which is {length_sec:.3f} s long: correct it, or use "
            "the recording that was labelled."
        )


def _joined(path: Path, segments: list[tuple[float, float, int]]) -> np.ndarray:
    """Sorted segments, overlapping and touching ones merged, ``(n, 2)``."""
    joined: list[list[float]] = []
    for start, end, number in sorted(segments):
        if joined and start <= joined[-1][1]:
            if start < joined[-1][1]:
                logger.warning(
                    "%s, line %d overlaps another segment: the two are merged.", path, number
                )
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return np.array(joined, float).reshape(-1, 2)


def _refuse_contradiction(
    path: Path, sung: list[tuple[float, float, int]], unsung: list[tuple[float, float, int]]
) -> None:
    """Refuse segments of both classes that overlap by more than the tolerance."""
    both = sorted([(*s, True) for s in sung] + [(*s, False) for s in unsung])
    last = {True: (-np.inf, 0), False: (-np.inf, 0)}  # latest end of each class, and its line
    for start, end, number, is_sung in both:
        other_end, other = last[not is_sung]
        if min(end, other_end) - start > TOLERANCE_SEC:
            raise DataError(
                f"{path}, line {number} overlaps line {other}, which says the opposite: correct "
                "one of them."
            )
        last[is_sung] = max(last[is_sung], (end, number))


def _inside(segments: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Whether ``times`` lie in sorted, disjoint segments, starts included."""
    starts, ends = segments.T
    place = np.searchsorted(starts, times, "right") - 1
    if not len(starts):
        return np.zeros(len(times), bool)
    return (place >= 0) & (times < ends[np.maximum(place, 0)])
