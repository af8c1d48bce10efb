"""Composition of a song: tempo, key, chords, sections, and melodies around the voice."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from .styles import Style, Voicing

BAND_RATE = 44100  # Hz, of everything the band plays
BEATS_PER_BAR = 4
STEPS_PER_BEAT = 4  # patterns are written in sixteenths
STEPS_PER_BAR = BEATS_PER_BAR * STEPS_PER_BEAT
BARS_PER_LOOP = 8  # bars after which the chord loop may change

LEAD_STEPS = (1, 2, 2, 2, 3, 4, 4, 6, 8)  # lengths of melody notes, sixteenths
LEAD_LEAPS = (-5, -3, -2, -2, 1, 2, 2, 3, 4)  # semitones, before moving to the scale or chord
LEAD_GAP_SEC = 0.6  # shortest rest of the voice that a melody fills
MAJOR = (0, 2, 4, 5, 7, 9, 11)
SCALES = {
    "major": MAJOR,
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
QUALITIES = {  # semitones above the root
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 7, 10, 2),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m9": (0, 3, 7, 10, 2),
    "m7b5": (0, 3, 6, 10),
}


Option = TypeVar("Option")


class Chord(NamedTuple):
    """A chord as pitch classes, 0 (C) to 11 (B)."""

    root: int
    tones: tuple[int, ...]  # the root first


class Section(NamedTuple):
    """Consecutive bars with the same instruments."""

    first_bar: int
    n_bars: int
    playing: frozenset[str]  # out of drums, bass, comp, second, arpeggio, pad
    variant: int  # index of the style's patterns, modulo their number
    energy: float  # factor of all velocities


@dataclass(frozen=True)
class Song:
    """Style, tempo, key and chords, which voice and accompaniment share."""

    style: Style
    tempo_bpm: float  # quarter notes per minute
    tonic: int  # pitch class
    mode: str  # name in SCALES
    scale: tuple[int, ...]  # pitch classes, from the tonic upwards
    chords: tuple[Chord, ...]  # one per bar of four quarters
    n_samples: int  # at BAND_RATE

    @property
    def beat_sec(self) -> float:
        """Length of a quarter note, seconds."""
        return 60 / self.tempo_bpm

    @property
    def bar_sec(self) -> float:
        """Length of a bar, seconds."""
        return BEATS_PER_BAR * self.beat_sec

    @property
    def n_bars(self) -> int:
        """Number of bars; the last may be incomplete."""
        return len(self.chords)

    @property
    def duration_sec(self) -> float:
        """Length of the song, seconds."""
        return self.n_samples / BAND_RATE

    def chord_at(self, sec: float) -> Chord:
        """The chord at a time; the first before the song, the last after it."""
        bar = math.floor(sec / self.bar_sec)
        return self.chords[min(max(bar, 0), self.n_bars - 1)]

    def time_of(self, bar: int, step: float) -> float:
        """Time in seconds of a sixteenth of a bar.

        Swing stretches the first half of every beat and shortens the second.
        """
        beat, phase = divmod(step / STEPS_PER_BEAT, 1.0)
        late = 0.5 * self.style.swing
        if phase < 0.5:
            phase *= 1 + 2 * late
        else:
            phase = 1 - (1 - phase) * (1 - 2 * late)
        return bar * self.bar_sec + (beat + phase) * self.beat_sec


def plan_song(rng: np.random.Generator, style: Style, duration_sec: float) -> Song:
    """Sample tempo, key and chords.

    Args:
        rng: Random generator.
        style: Source of tempi and chord loops.
        duration_sec: Length of the song, seconds.

    Returns:
        A song in one of the style's modes, alternating between two chord loops if the style has
        two in that mode.
    """
    tempo_bpm = float(rng.uniform(*style.tempo_bpm))
    tonic = int(rng.integers(12))
    mode = pick(rng, style.modes)
    loops = dict(style.loops)[mode].split("|")
    order = [int(i) for i in rng.permutation(len(loops))[:2]]
    n_samples = round(duration_sec * BAND_RATE)
    n_bars = max(1, math.ceil(n_samples / BAND_RATE * tempo_bpm / 60 / BEATS_PER_BAR))
    chords = []
    for bar in range(n_bars):
        block, place = divmod(bar, BARS_PER_LOOP)
        symbols = loops[order[block % len(order)]].split()
        chords.append(parse_chord(symbols[place % len(symbols)], tonic))
    scale = tuple((tonic + step) % 12 for step in SCALES[mode])
    return Song(style, tempo_bpm, tonic, mode, scale, tuple(chords), n_samples)


def parse_chord(symbol: str, tonic: int) -> Chord:
    """Parse a chord symbol such as ``1``, ``6m``, ``b7`` or ``2m7``.

    Args:
        symbol: Degree of the major scale, optionally flat or sharp, and a key of ``QUALITIES``.
        tonic: Pitch class of degree 1.

    Example:
        >>> parse_chord("5", 0)
        Chord(root=7, tones=(7, 11, 2))
    """
    match = re.fullmatch(r"([b#]?)([1-7])(.*)", symbol)
    if match is None or match[3] not in QUALITIES:
        raise ValueError(f"{symbol!r} is not a chord symbol.")
    shift = {"": 0, "b": -1, "#": 1}[match[1]]
    root = (tonic + MAJOR[int(match[2]) - 1] + shift) % 12
    return Chord(root, tuple((root + interval) % 12 for interval in QUALITIES[match[3]]))


def plan_sections(rng: np.random.Generator, n_bars: int) -> list[Section]:
    """Sample sections: sometimes an intro, then verses, choruses and breaks of 4 or 8 bars.

    Drums and bass play in verses and choruses, hence in every song.
    """
    sections = []
    if n_bars > BARS_PER_LOOP and rng.random() < 0.5:
        sections.append(_section(rng, 0, 4, "intro"))
    kind = "chorus" if rng.random() < 0.3 else "verse"
    while (bar := sum(section.n_bars for section in sections)) < n_bars:
        length = 8 if kind == "chorus" or rng.random() < 0.6 else 4
        sections.append(_section(rng, bar, min(length, n_bars - bar), kind))
        if kind == "verse":
            kind = "chorus"
        else:
            kind = "break" if kind == "chorus" and rng.random() < 0.35 else "verse"
    return sections


def bars_of(sections: Sequence[Section], part: str) -> list[tuple[Section, int]]:
    """Bars in which a part plays, with their sections."""
    playing = [section for section in sections if part in section.playing]
    return [(s, s.first_bar + i) for s in playing for i in range(s.n_bars)]


def _section(rng: np.random.Generator, first_bar: int, n_bars: int, kind: str) -> Section:
    chance = {  # probability that a part plays; comp always does
        "intro": {"drums": 0.4, "bass": 0.5, "second": 0.2, "arpeggio": 0.7, "pad": 0.6},
        "verse": {"drums": 1.0, "bass": 1.0, "second": 0.2, "arpeggio": 0.5, "pad": 0.4},
        "chorus": {"drums": 1.0, "bass": 1.0, "second": 0.9, "arpeggio": 0.5, "pad": 0.8},
        "break": {"drums": 0.2, "bass": 0.6, "second": 0.1, "arpeggio": 0.6, "pad": 0.8},
    }[kind]
    playing = {part for part, p in chance.items() if rng.random() < p} | {"comp"}
    energy = {"intro": 0.85, "verse": 0.92, "chorus": 1.05, "break": 0.82}[kind]
    variant = 2 * int(rng.integers(2)) + (kind == "chorus")
    return Section(first_bar, n_bars, frozenset(playing), variant, energy)


def voiced(chord: Chord, voicing: Voicing, low: int) -> list[int]:
    """MIDI pitches of a chord in ascending order.

    Args:
        chord: Pitch classes.
        voicing: See :class:`~asteroid_joint.apps.corpus.styles.Chords`.
        low: Lowest pitch of a close chord, or of the root otherwise. A fixed octave keeps the voice
            leading of a progression smooth.
    """
    root = low + (chord.root - low) % 12
    if voicing == "power":
        return [root, root + 7, root + 12]
    if voicing == "close":
        return sorted(low + (tone - low) % 12 for tone in chord.tones)
    above = root + (7 if voicing == "guitar" else 12)
    notes = {above + (tone - above) % 12 for tone in chord.tones}
    if voicing == "guitar":
        notes |= {above + 12 + (tone - above) % 12 for tone in chord.tones[:2]}
    return sorted(notes | {root})


def strokes(pattern: str, bar: int) -> list[tuple[str, int, int]]:
    """Parse one bar of a pattern into symbol, step and length in steps of each stroke.

    Args:
        pattern: One or more bars; see :mod:`asteroid_joint.apps.corpus.styles`.
        bar: Index of the bar, modulo the length of the pattern.

    Example:
        >>> strokes("x--- .... o... ....", 0)
        [('x', 0, 4), ('o', 8, 1)]
    """
    steps = pattern.replace(" ", "")
    first = bar * STEPS_PER_BAR % len(steps)
    found = re.finditer(r"([^.-])-*", steps[first : first + STEPS_PER_BAR])
    return [(match[1], match.start(), len(match[0])) for match in found]


def compose_melodies(
    rng: np.random.Generator, song: Song, sung: Sequence[tuple[float, float]]
) -> list[list[tuple[float, float, int]]]:
    """Compose two instrumental melodies: one in the gaps of the voice, one that overlaps it.

    Args:
        rng: Random generator.
        song: Chords and scale.
        sung: Starts and ends of vocal phrases, seconds.

    Returns:
        Notes of each melody: start and end in seconds, MIDI pitch.
    """
    hook = [(pick(rng, LEAD_STEPS), pick(rng, LEAD_LEAPS)) for _ in range(8)]
    melodies = []
    for spans in (_gaps(rng, song, sung), _overlaps(song, sung, int(rng.integers(4)))):
        low = int(rng.integers(53, 68))
        melodies.append([note for span in spans for note in _melody(rng, song, hook, span, low)])
    return melodies


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """Sample one of the options uniformly."""
    return options[int(rng.integers(len(options)))]


def _gaps(
    rng: np.random.Generator, song: Song, sung: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Spans of up to two bars in the rests of the voice; some are left empty at random."""
    spans, free_from = [], 0.0
    for start, end in [*sorted(sung), (song.duration_sec, song.duration_sec)]:
        while start - free_from > LEAD_GAP_SEC:
            until = min(start, free_from + song.bar_sec * rng.uniform(0.8, 2.0))
            if rng.random() < 0.85:
                spans.append((free_from, until))
            free_from = until + rng.uniform(0, 2) * song.beat_sec
        free_from = max(free_from, end)
    return spans


def _overlaps(
    song: Song, sung: Sequence[tuple[float, float]], first: int
) -> list[tuple[float, float]]:
    """Every fourth bar, if the voice sings in it."""
    bars = range(first, song.n_bars, 4)
    spans = [(song.time_of(bar, 0), song.time_of(bar, STEPS_PER_BAR)) for bar in bars]
    return [span for span in spans if any(span[0] < end and start < span[1] for start, end in sung)]


def _melody(
    rng: np.random.Generator,
    song: Song,
    hook: Sequence[tuple[int, int]],
    span: tuple[float, float],
    low: int,
) -> list[tuple[float, float, int]]:
    """A phrase within ``span`` (seconds): the song's hook, or a random walk over the scale.

    Notes on strong beats and long notes are chord tones; short ones may be chromatic.
    """
    step_sec = song.bar_sec / STEPS_PER_BAR
    step, last = math.ceil(span[0] / step_sec), math.floor(span[1] / step_sec)
    hooked, pitch = rng.random() < 0.5, low + float(rng.uniform(4, 14))
    notes: list[tuple[float, float, int]] = []
    step += step % 2  # off the sixteenths
    while step < last:
        length, leap = pick(rng, LEAD_STEPS), pick(rng, LEAD_LEAPS)
        if hooked:
            length, leap = hook[len(notes) % len(hook)]
        length = min(length, last - step)
        allowed = song.scale
        if step % 8 == 0 or length >= 4:
            allowed = song.chord_at((step + 0.5) * step_sec).tones
        elif length == 1 and rng.random() < 0.2:
            allowed = tuple(range(12))
        inside = [p for p in range(low, low + 19) if p % 12 in allowed]
        target = pitch + leap
        nearest = min(inside, key=lambda p: abs(p - target))
        if rng.random() < 0.9:
            start, end = song.time_of(0, step), song.time_of(0, step + 0.95 * length)
            notes.append((start, end, nearest))
        pitch = nearest
        step += length
    return notes
