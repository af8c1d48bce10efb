"""One track: compose, sing, play, mix and write. It depends on its specification only."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile as sf

from ...files import atomic_folder, write_text
from ...optional import optional
from .band import Band
from .hts import FRAME_SEC, HTSVoice
from .melody import Note, harmony, write_melody
from .singers import SINGERS
from .song import Song, plan_song
from .styles import STYLES
from .voice import RATE, Sung, sing

STEMS = ("vocals", "drums", "bass", "other")
HEADROOM = 0.97  # highest absolute sample of the mixture and the stems
REVERB_SHARE = 0.5  # probability that a track's voice has reverb
WET = (0.03, 0.08)  # amplitude of that reverb
DECAY_SEC = (0.4, 0.8)  # its reverberation time RT60


@dataclass(frozen=True)
class TrackSpec:
    """Everything that a track depends on."""

    side: str  # "train", "valid" or "test"
    name: str  # of its folder
    seed: tuple[int, ...]  # of the corpus, and the track's place in it
    seconds: float  # length
    style: str  # name in STYLES
    singer: str  # name in SINGERS
    voice_db: float  # level of the voice relative to the band in sung segments, dB
    backing: float = 0.0  # probability of a double or a harmony under the lead
    soundfont: str = ""  # path; the default if empty


def write_track(spec: TrackSpec, root: Path) -> Path:
    """Make a track and write its folder ``root/side/name``, completely or not at all."""
    folder = root / spec.side / spec.name
    with atomic_folder(folder) as part:
        _make(spec, part)
    return folder


def _make(spec: TrackSpec, folder: Path) -> None:
    rng = np.random.default_rng(spec.seed)
    singer = SINGERS[spec.singer]
    song = plan_song(rng, STYLES[spec.style], spec.seconds)
    notes = write_melody(rng, song, singer.low_midi, singer.high_midi)
    voice = _voice(singer.voice)
    lead = sing(rng, voice, singer, notes, song.n_samples)
    vocals = _in_stereo(lead.wav, rng.uniform(-0.1, 0.1))
    backing = "none"
    if rng.random() < spec.backing:
        backing, behind = _backing(rng, voice, spec, song, notes)
        vocals += behind
    wet = rng.uniform(*WET) if rng.random() < REVERB_SHARE else 0.0
    decay_sec = rng.uniform(*DECAY_SEC)
    if wet:
        vocals = vocals + wet * reverb(rng, vocals, decay_sec)
    stems = {"vocals": vocals, **_band(spec.soundfont).render(rng, song, lead.active)}
    pcm = mix(stems, lead.active, spec.voice_db, rng.uniform(-6, -1))
    for name, samples in pcm.items():
        _write_wav(folder / f"{name}.wav", samples)
    _write_labels(folder, lead, notes, song)
    facts = {
        **asdict(spec),
        "song": spec.name,
        "tempo_bpm": round(song.tempo_bpm, 2),
        "tonic": song.tonic,
        "mode": song.mode,
        "voice": singer.voice,
        "voice_reverb": round(wet, 4),
        "backing_kind": backing,
        "n_notes": len(notes),
        "voiced_share": round(float(np.mean(lead.f0_hz > 0)), 4),
    }
    facts["soundfont"] = Path(spec.soundfont).name
    write_text(folder / "meta.json", json.dumps(facts, indent=1) + "\n")


def mix(
    stems: dict[str, np.ndarray],
    active: Sequence[tuple[float, float]],
    voice_db: float,
    peak_db: float,
) -> dict[str, np.ndarray]:
    """Balance the stems and round them to 16 bits; the mixture is the sum of the rounded stems.

    Args:
        stems: Name to ``(2, time)``; one of them is ``vocals``.
        active: Starts and ends of sung segments, seconds.
        voice_db: Power of the voice relative to all other stems in these segments, dB.
        peak_db: Peak of the mixture, dBFS.

    Returns:
        Name to int16 ``(2, time)``, including ``mixture``.
    """
    sung = np.zeros(stems["vocals"].shape[1], bool)
    for start, end in active:
        sung[int(start * RATE) : int(end * RATE)] = True
    sung |= not sung.any()
    band = np.sum([stem for name, stem in stems.items() if name != "vocals"], axis=0)
    powers = [float(np.mean(wav[:, sung] ** 2)) for wav in (stems["vocals"], band)]
    gain = np.sqrt(powers[0] / max(powers[1], 1e-12) / 10 ** (voice_db / 10))
    levelled = {k: v if k == "vocals" else gain * v for k, v in stems.items()}
    mixture = np.sum(list(levelled.values()), axis=0)
    peak = float(np.abs(mixture).max())
    loudest = max(peak, *(float(np.abs(stem).max()) for stem in levelled.values()))
    scale = min(10 ** (peak_db / 20) / max(peak, 1e-9), HEADROOM / max(loudest, 1e-9))
    pcm = {k: np.rint(32767 * scale * v).astype(np.int16) for k, v in levelled.items()}
    total = np.sum([v.astype(np.int32) for v in pcm.values()], axis=0)
    return {"mixture": total.astype(np.int16), **pcm}


def reverb(rng: np.random.Generator, wav: np.ndarray, decay_sec: float) -> np.ndarray:
    """Reverberate ``(2, time)`` with exponentially decaying noise, independent on each side."""
    from scipy.signal import fftconvolve

    n = int(decay_sec * RATE)
    shape = 10 ** (-3 * np.arange(n) / n)  # -60 dB at the end
    shape[: int(0.015 * RATE)] = 0.0  # no reflections right after the direct sound
    room = rng.standard_normal((2, n)) * shape
    room /= np.sqrt(np.sum(room**2, axis=1, keepdims=True))
    return fftconvolve(wav, room, axes=1)[:, : wav.shape[1]]


def _backing(
    rng: np.random.Generator, voice: HTSVoice, spec: TrackSpec, song: Song, notes: Sequence[Note]
) -> tuple[str, np.ndarray]:
    """Two more voices under the lead, left and right; the labels remain those of the lead."""
    singer = SINGERS[spec.singer]
    kind = "harmony" if rng.random() < 0.5 else "double"
    level = 10 ** (rng.uniform(-12, -8) / 20)
    out = np.zeros((2, song.n_samples))
    for side, steps in ((-0.7, 2), (0.7, -2)):
        line = harmony(notes, song.scale, steps) if kind == "harmony" else tuple(notes)
        out += level * _in_stereo(sing(rng, voice, singer, line, song.n_samples).wav, side)
    return kind, out


def _in_stereo(wav: np.ndarray, pan: float) -> np.ndarray:
    """Pan ``(time,)`` to ``(2, time)`` with equal power; -1 is left, 1 right."""
    angle = np.pi / 4 * (1 + pan)
    return np.stack([np.cos(angle) * wav, np.sin(angle) * wav])


def _write_labels(folder: Path, lead: Sung, notes: Sequence[Note], song: Song) -> None:
    frames = ((f"{i * FRAME_SEC:.3f}", f"{hz:.3f}") for i, hz in enumerate(lead.f0_hz))
    _write_csv(folder / "vocals_f0.csv", ("time_sec", "f0_hz"), frames)
    active = ((f"{start:.3f}", f"{end:.3f}") for start, end in lead.active)
    _write_csv(folder / "vocals_activity.csv", ("start_sec", "end_sec"), active)
    rows = (
        (f"{n.onset_sec:.3f}", f"{n.offset_sec:.3f}", n.midi, n.consonant + n.vowel, n.phrase)
        for n in notes
    )
    header = ("onset_sec", "offset_sec", "midi", "syllable", "phrase")
    _write_csv(folder / "notes.csv", header, rows)
    pretty_midi = optional("pretty_midi", "corpus")
    # ticks of at most 1 ms: notes start within half of one
    score = pretty_midi.PrettyMIDI(resolution=960, initial_tempo=song.tempo_bpm)
    line = pretty_midi.Instrument(program=52, name="vocals")
    for note in notes:
        line.notes.append(pretty_midi.Note(100, note.midi, note.onset_sec, note.offset_sec))
        score.lyrics.append(pretty_midi.Lyric(note.consonant + note.vowel, note.onset_sec))
    score.instruments.append(line)
    score.write(str(folder / "vocals.mid"))


def _write_wav(path: Path, samples: np.ndarray) -> None:
    """Write via memory: libsndfile does not report why it cannot write."""
    file = io.BytesIO()
    sf.write(file, samples.T, RATE, format="WAV", subtype="PCM_16")
    path.write_bytes(file.getvalue())


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


@lru_cache(maxsize=2)
def _voice(name: str) -> HTSVoice:
    """One engine per voice and process."""
    return HTSVoice(name)


@lru_cache(maxsize=1)
def _band(soundfont: str) -> Band:
    """One soundfont per process."""
    return Band(Path(soundfont) if soundfont else None)
