"""Composition of the sung melody: notes with syllables, in phrases, over the chords of a song."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .song import Song

SHORTEST_SEC = 0.22  # shortest note: faster syllables blur
BREATHING_SEC = 0.35  # shortest rest between phrases
PHRASE_SEC = (2.2, 5.0)  # intended length of a phrase
# note lengths in beats; a phrase concatenates some of these
CELLS = (
    (1.0, 1.0),
    (0.5, 0.5, 1.0),
    (1.0, 0.5, 0.5),
    (1.5, 0.5),
    (0.5, 0.5, 0.5, 0.5),
    (0.5, 1.0, 0.5),
    (2.0,),
    (1.0, 2.0),
    (1.5, 0.5, 2.0),
    (0.75, 0.25, 1.0),
    (0.25, 0.25, 0.5, 1.0),
    (0.5, 0.25, 0.25, 1.0),
)
ENTRIES = (0.0, 0.0, 0.5, 1.0, 1.5)  # beats from the bar line to the start of a phrase
STEPS = (-3, -2, -1, 0, 1, 2, 3)  # scale steps from note to note
STEP_ODDS = (0.03, 0.10, 0.30, 0.20, 0.25, 0.09, 0.03)
# probabilities of consonants; "" is a vowel alone
CONSONANTS = {
    "": 0.14,
    "k": 0.09,
    "s": 0.07,
    "t": 0.08,
    "n": 0.10,
    "h": 0.05,
    "m": 0.08,
    "r": 0.10,
    "y": 0.04,
    "w": 0.04,
    "g": 0.05,
    "d": 0.05,
    "b": 0.05,
    "z": 0.02,
    "p": 0.02,
    "sh": 0.02,
}
VOWEL_ODDS = {"a": 0.3, "i": 0.19, "u": 0.13, "e": 0.16, "o": 0.22}
# syllables that do not exist in Japanese
UNHEARD = {("y", "i"), ("y", "e"), ("w", "i"), ("w", "u"), ("w", "e"), ("w", "o")}
SLUR = 0.12  # probability that a note continues the syllable of the one before
REPEAT = 0.45  # probability that a phrase repeats the rhythm and contour of an earlier one


@dataclass(frozen=True)
class Note:
    """One sung note."""

    onset_sec: float  # of the vowel; the consonant precedes it
    offset_sec: float  # of the vowel, unless the next note follows immediately
    midi: int  # pitch
    consonant: str  # before the vowel; empty for none
    vowel: str  # a, i, u, e or o
    phrase: int  # index of its phrase, from 0
    slurred: bool = False  # continues the vowel of the note before


def write_melody(
    rng: np.random.Generator, song: "Song", low_midi: int, high_midi: int
) -> tuple[Note, ...]:
    """Compose the melody of a song.

    Args:
        rng: Random generator.
        song: Chords, tempo and length.
        low_midi: Lowest pitch of the singer.
        high_midi: Highest pitch of the singer.
    """
    end_sec = song.n_samples / 44100 - 0.3
    tones = [p for p in range(low_midi, high_midi + 1) if p % 12 in song.scale]
    bars_per_phrase = max(1, round(np.mean(PHRASE_SEC) / song.bar_sec))
    # an introduction, in songs long enough
    bar = int(rng.integers(0, 3)) if song.n_bars > 8 else 0
    earlier: list[tuple[np.ndarray, np.ndarray]] = []
    notes: list[Note] = []
    free_sec = 0.25  # end of the phrase before
    phrase = 0
    while bar < song.n_bars:
        if phrase and song.n_bars > 8 and rng.random() < 0.1:
            bar += bars_per_phrase  # an instrumental passage
            continue
        start_sec = bar * song.bar_sec + float(rng.choice(ENTRIES)) * song.beat_sec
        start_sec = max(start_sec, free_sec + BREATHING_SEC)
        room_sec = min((bar + bars_per_phrase) * song.bar_sec, end_sec) - start_sec
        if earlier and rng.random() < REPEAT:
            beats, steps = earlier[int(rng.integers(len(earlier)))]
        else:
            beats, steps = _figure(rng, song.beat_sec, min(room_sec, PHRASE_SEC[1]))
            earlier.append((beats, steps))
        new = _phrase(rng, song, tones, start_sec, room_sec, beats, steps, phrase)
        if new:
            notes += new
            free_sec = new[-1].offset_sec
            phrase += 1
        bar += bars_per_phrase
    return tuple(notes)


def _figure(
    rng: np.random.Generator, beat_sec: float, room_sec: float
) -> tuple[np.ndarray, np.ndarray]:
    """Note lengths in beats and scale steps that fill ``room_sec`` except for a rest."""
    room = (room_sec - rng.uniform(0.3, 1.6) * min(beat_sec, 0.6)) / beat_sec
    beats: list[float] = []
    cells = [cell for cell in CELLS if min(cell) * beat_sec >= SHORTEST_SEC]
    odds = np.array([sum(cell) / len(cell) for cell in cells]) ** 2  # favours long notes
    while sum(beats) < room - 0.75:
        beats += cells[int(rng.choice(len(cells), p=odds / odds.sum()))]
    if not beats:
        beats = [1.0]
    beats[-1] += float(rng.choice([0.0, 0.5, 1.0]))  # phrases end on long notes
    return np.array(beats), rng.choice(STEPS, size=len(beats), p=STEP_ODDS)


def _phrase(
    rng: np.random.Generator,
    song: "Song",
    tones: Sequence[int],
    start_sec: float,
    room_sec: float,
    beats: np.ndarray,
    steps: np.ndarray,
    number: int,
) -> list[Note]:
    """Notes of a phrase: as much of the figure as fits."""
    place = int(np.clip(rng.normal(0.5, 0.18), 0.15, 0.85) * (len(tones) - 1))
    onsets = start_sec + np.concatenate([[0.0], np.cumsum(beats)]) * song.beat_sec
    notes: list[Note] = []
    for i, step in enumerate(steps):
        onset, offset = float(onsets[i]), float(onsets[i + 1])
        last = i == len(steps) - 1 or float(onsets[i + 2]) - start_sec > room_sec - BREATHING_SEC
        if last:
            offset = min(offset, start_sec + room_sec - BREATHING_SEC)
        if offset - onset < SHORTEST_SEC:
            break
        place = int(np.clip(place + step, 0, len(tones) - 1))
        on_beat = abs((onset / song.beat_sec) % 1.0) < 0.05
        if last or (on_beat and rng.random() < 0.7):
            place = _nearest_chord_tone(tones, place, song.chord_at(onset).tones)
        slurred = bool(notes) and not last and rng.random() < SLUR
        slurred = slurred and tones[place] != notes[-1].midi
        consonant, vowel = _syllable(rng)
        if slurred:
            consonant, vowel = "", notes[-1].vowel
        notes.append(Note(onset, offset, tones[place], consonant, vowel, number, slurred))
        if last:
            break
    # some notes end early, as in real singing
    return [
        note
        if i + 1 < len(notes) and (notes[i + 1].slurred or rng.random() < 0.85)
        else replace(note, offset_sec=note.offset_sec - rng.uniform(0.02, 0.07))
        for i, note in enumerate(notes)
    ]


def _nearest_chord_tone(tones: Sequence[int], place: int, chord: Sequence[int]) -> int:
    fitting = [i for i, tone in enumerate(tones) if tone % 12 in chord]
    return min(fitting, key=lambda i: (abs(i - place), i)) if fitting else place


def _syllable(rng: np.random.Generator) -> tuple[str, str]:
    names, odds = list(CONSONANTS), np.array(list(CONSONANTS.values()))
    while True:
        consonant = names[int(rng.choice(len(names), p=odds / odds.sum()))]
        vowel = list(VOWEL_ODDS)[int(rng.choice(5, p=list(VOWEL_ODDS.values())))]
        if (consonant, vowel) not in UNHEARD:
            return consonant, vowel


def harmony(notes: Sequence[Note], scale: Sequence[int], steps: int) -> tuple[Note, ...]:
    """Transpose a melody by scale steps, downwards if negative."""
    ladder = [p for p in range(12, 116) if p % 12 in scale]

    def moved(midi: int) -> int:
        place = min(range(len(ladder)), key=lambda i: abs(ladder[i] - midi))
        return ladder[place + steps]

    return tuple(replace(note, midi=moved(note.midi)) for note in notes)


def phrases_of(notes: Sequence[Note]) -> list[list[Note]]:
    """Group notes by phrase."""
    numbers = sorted({note.phrase for note in notes})
    return [[note for note in notes if note.phrase == number] for number in numbers]
