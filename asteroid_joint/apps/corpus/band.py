"""Accompaniment of a song: drums, bass and other instruments, as MIDI through a SoundFont."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...optional import optional
from .song import (
    BAND_RATE,
    STEPS_PER_BAR,
    Section,
    Song,
    bars_of,
    compose_melodies,
    pick,
    plan_sections,
    strokes,
    voiced,
)
from .styles import Chords, Groove

FONT_RATE = 48000  # Hz, output of midirenderer
TICKS_PER_BEAT = 960  # at 120 bpm: half a millisecond
TAIL_SEC = 0.05  # rendered beyond the end, since the renderer stops at the last event
PROBE_SEC = 0.5  # length of the note that measures a sound's level
SOUND_RMS = 0.015  # of that note after balancing, as of the quietest common sounds
STEM_RMS_DB = {"drums": -23.0, "bass": -24.5, "other": -23.0}  # of blocks above GATE_DB, dBFS
STEM_PEAK = 0.9  # at most, whatever the RMS
STEM_SPREAD_DB = 1.5  # random deviation from STEM_RMS_DB per song
BLOCK_SEC = 0.4  # block of level measurement, as in ITU-R BS.1770
GATE_DB = -20.0  # relative to the loudest block; quieter blocks count as silence
BEND_RANGE = 2.0  # semitones, default of General MIDI
BEND_STEP_SEC = 0.012  # between pitch bends
# harmonica, guitars, solo strings, brass, reeds, flutes, synth leads, fiddle
BENDABLE = frozenset([22, *range(24, 32), *range(40, 44), *range(56, 88), 110])
BASS_LOW = 28  # MIDI, E1
STROKES = {"x": 98, "X": 118, "o": 52, "u": 84}  # velocities
DRUMS = {  # keys of General MIDI
    "kick": 36, "stick": 37, "snare": 38, "clap": 39, "esnare": 40, "hat": 42, "open": 46,
    "tom3": 43, "tom2": 47, "tom1": 50, "crash": 49, "ride": 51, "tamb": 54, "cowbell": 56,
    "conga": 63, "shaker": 70,
}  # fmt: skip


class Note(NamedTuple):
    """A note: times in seconds, MIDI pitch and velocity."""

    start_sec: float
    end_sec: float
    pitch: int
    velocity: int


@dataclass
class Part:
    """Part of one instrument; reverb, chorus and modulation are MIDI values from 0 to 127."""

    program: int  # of General MIDI, or a drum kit
    notes: list[Note] = field(default_factory=list)  # in any order
    bends: list[tuple[float, float]] = field(default_factory=list)  # seconds, semitones
    level_db: float = 0.0  # relative to other parts of the stem, after equalizing their loudness
    pan: float = 0.0  # -1 (left) to 1 (right)
    reverb: int = 0
    chorus: int = 0
    modulation: int = 0  # vibrato of the SoundFont
    is_drum: bool = False


class Band:
    """Renders accompaniments.

    Args:
        soundfont: General MIDI SoundFont (``.sf2``); by default that of pretty_midi.
    """

    def __init__(self, soundfont: Path | None = None) -> None:
        if soundfont is None:
            package = optional("pretty_midi", "corpus").__file__
            soundfont = Path(str(package)).with_name("TimGM6mb.sf2")
        self._font = soundfont.read_bytes()
        self._rms: dict[tuple[int, int], float] = {}

    def render(
        self, rng: np.random.Generator, song: Song, sung: Sequence[tuple[float, float]]
    ) -> dict[str, np.ndarray]:
        """Compose and render the accompaniment of a song.

        Args:
            rng: Random generator.
            song: Chords, tempo and style.
            sung: Starts and ends of vocal phrases, seconds. Instrumental melodies fill the gaps
                between them and sometimes overlap them.

        Returns:
            ``drums``, ``bass`` and ``other``, each ``(2, T)`` float32 at ``BAND_RATE``.
        """
        stems = {}
        for name, parts in arrange(rng, song, sung).items():
            level_db = STEM_RMS_DB[name] + rng.uniform(-STEM_SPREAD_DB, STEM_SPREAD_DB)
            stems[name] = _to_level(self.play(parts, song.n_samples), level_db)
        return stems

    def play(self, parts: Sequence[Part], n_samples: int) -> np.ndarray:
        """Render parts together to ``(2, n_samples)`` float32 at ``BAND_RATE``."""
        gains = [1.0 if part.is_drum else self._gain(part) for part in parts]
        wav = self._synthesize(parts, gains, n_samples / BAND_RATE + TAIL_SEC)
        wav = optional("soxr", "corpus").resample(wav, FONT_RATE, BAND_RATE, quality="HQ")
        return np.ascontiguousarray(wav[:n_samples].T)

    def _gain(self, part: Part) -> float:
        """Gain, at most 1, that brings a sound to the level of its part."""
        pitch = float(np.median([note.pitch for note in part.notes]))
        key = part.program, 12 * round(pitch / 12)  # one probe per octave
        if key not in self._rms:
            probe = Part(key[0], [Note(0.0, PROBE_SEC, key[1], 100)])
            wav = self._synthesize([probe], [1.0], PROBE_SEC)
            self._rms[key] = float(np.sqrt(np.mean(wav**2))) + 1e-4
        return min(1.0, SOUND_RMS / self._rms[key] * 10 ** (part.level_db / 20))

    def _synthesize(
        self, parts: Sequence[Part], gains: Sequence[float], length_sec: float
    ) -> np.ndarray:
        """Render parts to ``(T, 2)`` float32 at ``FONT_RATE``."""
        midi = _to_midi(parts, gains, length_sec)
        wav = optional("midirenderer", "corpus").render_wave_from(self._font, midi)
        audio, _ = optional("soundfile", "corpus").read(io.BytesIO(wav), dtype="float32")
        return audio


def arrange(
    rng: np.random.Generator, song: Song, sung: Sequence[tuple[float, float]]
) -> dict[str, list[Part]]:
    """Compose the parts of every stem; see :meth:`Band.render` for the arguments.

    Returns:
        ``drums`` and ``bass`` with one part each, and ``other``, whose last parts are melodies.
    """
    sections, style = plan_sections(rng, song.n_bars), song.style
    drums = Part(pick(rng, style.kits), reverb=style.reverb // 2, is_drum=True)
    drums.notes = _drums(rng, song, sections)
    bass = Part(pick(rng, style.bass_programs), _bass(rng, song, sections))
    other = []
    apart = float(rng.uniform(0.1, 0.7) * rng.choice((-1, 1)))  # one left, one right
    for role, chords, pan in (("comp", style.comp, apart), ("second", style.second, -apart)):
        program, patterns = pick(rng, chords.programs), [pick(rng, chords.patterns) for _ in "AB"]
        # power chords are played twice, left and right, as on rock records
        for side in (-0.85, 0.85) if chords.voicing == "power" else (pan,):
            notes = _chords(rng, song, sections, role, chords, patterns)
            other.append(Part(program, notes, level_db=-2.0, pan=side))
    arpeggio = Part(pick(rng, style.arpeggio_programs), level_db=-4.0)
    arpeggio.notes = _arpeggio(rng, song, sections)
    arpeggio.pan = float(rng.uniform(-0.8, 0.8))
    pad = Part(pick(rng, style.pads), _pad(rng, song, sections), level_db=-7.0)
    pad.modulation = int(rng.integers(0, 50))
    other += [arpeggio, pad]
    for part in other:
        part.level_db += float(rng.uniform(-2, 2))
        part.reverb = int(np.clip(style.reverb + rng.integers(-15, 16), 0, 127))
        part.chorus = int(rng.integers(0, 40))
    other += _leads(rng, song, sung)
    return {"drums": [drums], "bass": [bass], "other": [part for part in other if part.notes]}


def _note(
    rng: np.random.Generator, song: Song, start: float, end: float, pitch: int, velocity: float
) -> Note:
    """A note with human deviations in timing and velocity."""
    late = song.style.jitter_sec * float(np.clip(rng.standard_normal(), -2.5, 2.5))
    velocity += 6 * rng.standard_normal()
    return Note(max(start + late, 0.0), end + late, pitch, int(np.clip(velocity, 20, 127)))


def _drums(rng: np.random.Generator, song: Song, sections: Sequence[Section]) -> list[Note]:
    style = song.style
    grooves: dict[int, tuple[Groove, float]] = {}  # bar: groove and energy
    for section, bar in bars_of(sections, "drums"):
        grooves[bar] = style.grooves[section.variant % len(style.grooves)], section.energy
    notes = []
    for section in sections[1:]:
        if rng.random() < 0.8:  # also after silence
            grooves[section.first_bar - 1] = pick(rng, style.fills), section.energy
        if rng.random() < 0.7:
            at = song.time_of(section.first_bar, 0)
            notes.append(_note(rng, song, at, at + 2, DRUMS["crash"], 108))
    for bar, (groove, energy) in grooves.items():
        for line in groove:
            drum, pattern = line.split(" ", 1)
            for symbol, step, _ in strokes(pattern, bar):
                at, velocity = song.time_of(bar, step), STROKES[symbol] * energy
                notes.append(_note(rng, song, at, at + 0.2, DRUMS[drum], velocity))
    return notes


def _bass(rng: np.random.Generator, song: Song, sections: Sequence[Section]) -> list[Note]:
    patterns = [pick(rng, song.style.bass) for _ in "AB"]  # of verse and chorus
    notes = []
    for section, bar in bars_of(sections, "bass"):
        chord, following = song.chords[bar], song.chords[(bar + 1) % song.n_bars]
        root = BASS_LOW + (chord.root - BASS_LOW) % 12
        approach = BASS_LOW + (following.root - 1 - BASS_LOW) % 12
        third, fifth = (root + (tone - root) % 12 for tone in chord.tones[1:3])
        pitches = {"R": root, "3": third, "5": fifth, "8": root + 12, "a": approach}
        for symbol, step, length in strokes(patterns[section.variant % 2], bar):
            start, end = song.time_of(bar, step), song.time_of(bar, step + 0.93 * length)
            velocity = (108 if step % 8 == 0 else 96) * section.energy
            notes.append(_note(rng, song, start, end, pitches[symbol], velocity))
    return notes


def _chords(
    rng: np.random.Generator,
    song: Song,
    sections: Sequence[Section],
    role: str,
    chords: Chords,
    patterns: Sequence[str],  # of verse and chorus
) -> list[Note]:
    strummed = chords.voicing in ("guitar", "power")
    notes = []
    for section, bar in bars_of(sections, role):
        pitches = voiced(song.chords[bar], chords.voicing, chords.low)
        for symbol, step, length in strokes(patterns[section.variant % 2], bar):
            start, end = song.time_of(bar, step), song.time_of(bar, step + 0.95 * length)
            played = pitches[:1:-1] if symbol == "u" else pitches
            apart = rng.uniform(0.004, 0.013) if strummed else 0.0
            for i, pitch in enumerate(played):
                at, velocity = start + i * apart, STROKES[symbol] * section.energy
                notes.append(_note(rng, song, at, end, pitch, velocity))
    return notes


def _arpeggio(rng: np.random.Generator, song: Song, sections: Sequence[Section]) -> list[Note]:
    low = int(rng.integers(52, 66))
    pattern = pick(rng, song.style.arpeggio)
    notes = []
    for section, bar in bars_of(sections, "arpeggio"):
        close = voiced(song.chords[bar], "close", low)
        for symbol, step, _ in strokes(pattern, bar):
            octave, tone = divmod(int(symbol), len(close))
            start, end = song.time_of(bar, step), song.time_of(bar, step + 2)
            pitch = close[tone] + 12 * octave
            notes.append(_note(rng, song, start, end, pitch, 90 * section.energy))
    return notes


def _pad(rng: np.random.Generator, song: Song, sections: Sequence[Section]) -> list[Note]:
    low = int(rng.integers(48, 58))
    notes = []
    for section, bar in bars_of(sections, "pad"):
        start, end = song.time_of(bar, 0), song.time_of(bar, STEPS_PER_BAR - 0.2)
        for pitch in voiced(song.chords[bar], "wide", low):
            notes.append(_note(rng, song, start, end, pitch, 80 * section.energy))
    return notes


def _leads(rng: np.random.Generator, song: Song, sung: Sequence[tuple[float, float]]) -> list[Part]:
    """A melody for the gaps of the voice and one that overlaps it."""
    parts = []
    for melody in compose_melodies(rng, song, sung):
        part = Part(pick(rng, song.style.leads), level_db=float(rng.uniform(-2, 3)))
        part.pan = float(rng.uniform(-0.4, 0.4))
        part.reverb = min(song.style.reverb + int(rng.integers(0, 40)), 127)
        part.notes = [_note(rng, song, *composed, 100) for composed in melody]
        if part.program in BENDABLE:
            for note in part.notes:
                part.bends += _bends(rng, note)
        parts.append(part)
    return parts


def _bends(rng: np.random.Generator, note: Note) -> list[tuple[float, float]]:
    """Pitch bends of a note: perhaps a slide from below, then perhaps vibrato."""
    length = note.end_sec - note.start_sec
    if length < 0.3:
        return []
    t = np.arange(0, length, BEND_STEP_SEC)  # seconds from the onset
    bend = np.zeros_like(t)
    if rng.random() < 0.3:
        bend -= rng.uniform(0.5, 2) * np.clip(1 - t / rng.uniform(0.08, 0.2), 0, 1)
    if rng.random() < 0.8:
        delay, rate_hz = rng.uniform(0.05, 0.25), rng.uniform(4.5, 7)
        depth = rng.uniform(0.1, 0.6) * np.clip((t - delay) / 0.2, 0, 1)
        bend += depth * np.sin(2 * np.pi * rate_hz * (t - delay))
    curve = zip((note.start_sec + t).tolist(), bend.tolist(), strict=True)
    return [*curve, (note.end_sec, 0.0)]


def _to_midi(parts: Sequence[Part], gains: Sequence[float], length_sec: float) -> bytes:
    midi = optional("pretty_midi", "corpus")
    score = midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=120.0)
    for part, gain in zip(parts, gains, strict=True):
        player = midi.Instrument(part.program, is_drum=part.is_drum)
        volume, pan = round(127 * math.sqrt(gain)), round(64 + 63 * part.pan)  # amplitude: squared
        for number, value in (
            (1, part.modulation), (7, volume), (10, pan), (91, part.reverb), (93, part.chorus)
        ):  # fmt: skip
            player.control_changes.append(midi.ControlChange(number, value, 0.0))
        # rendering ends at the last event
        player.control_changes.append(midi.ControlChange(1, part.modulation, length_sec))
        next_start: dict[int, float] = {}  # by pitch: a repeated note ends the one before
        for note in sorted(part.notes, reverse=True):
            end = min(note.end_sec, next_start.get(note.pitch, length_sec), length_sec)
            if end > note.start_sec:
                player.notes.append(midi.Note(note.velocity, note.pitch, note.start_sec, end))
                next_start[note.pitch] = note.start_sec
        for sec, semitones in part.bends:
            if sec < length_sec:
                value = round(8191 * max(-1.0, min(1.0, semitones / BEND_RANGE)))
                player.pitch_bends.append(midi.PitchBend(value, sec))
        score.instruments.append(player)
    file = io.BytesIO()
    score.write(file)
    return file.getvalue()


def _to_level(stem: np.ndarray, level_db: float) -> np.ndarray:
    """Scale ``(2, T)`` to an RMS of ``level_db`` in sounding blocks, or less if it would clip."""
    power = np.mean(stem**2, axis=0)
    edges = np.arange(0, len(power), round(BLOCK_SEC * BAND_RATE))
    blocks = np.add.reduceat(power, edges) / np.diff([*edges, len(power)])
    loud = blocks[blocks >= blocks.max() * 10 ** (GATE_DB / 10)].mean()
    if loud == 0:
        return stem
    gain = 10 ** (level_db / 20) / math.sqrt(loud)
    return stem * np.float32(min(gain, STEM_PEAK / np.abs(stem).max()))
