"""Recordings whose notes are known, for notes.py: the made corpus, people, people over music.

A take is a mixture, its true voice, and the notes that a person marked or a synthesizer sang. What
a model says of it is kept in a cache, under a name that changes with the model's weights.
"""

import csv
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from asteroid_joint import load_model
from asteroid_joint.inference.fast.fuse import optimize_for_inference
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.inference.voice_pitch import pitch_part
from asteroid_joint.models.pretrained import model_path
from asteroid_joint.pitch import hz_to_midi

NEIGHBOURS = 10  # recordings whose numbers differ by no more count as one singer's
HELD_OUT = 3  # every which singer is held out
ON_BOTH_SIDES = ("1150",)  # SSVD 2.0 has it in train and test: the same audio, labelled twice
LOUDEST = 0.98  # peak of a mixture
LAG_SEC = 0.01  # by which labels of SSVD's training side come late (notes.py lag), s: it is removed
LATE_SEC = 0.035  # the same of recordings marked by others: 1201 to 1230 and man1, man2
EDGE_SEC = 0.05  # seconds at a note's onset that are ignored for its pitch
LEAST_FRAMES = 3  # of agreed F0 that give a note its pitch
FAR_SEMITONES = 2.0  # between label and agreed F0, from which on the label is believed


@dataclass(frozen=True)
class Take:
    """A recording.

    Attributes:
        name: Of the file; unique within its kind.
        kind: The set that it is from, for the cache.
        mixture: ``(n_channels, n_samples)``.
        voice: ``(n_channels, n_samples)`` the true voice within it.
        rate: Sample rate in Hz.
        notes: ``(n, 3)`` onset and offset in seconds, MIDI pitch.
        f0: ``(N, 2)`` time and Hz of what was sung, or ``None``.
    """

    name: str
    kind: str
    mixture: np.ndarray
    voice: np.ndarray
    rate: int
    notes: np.ndarray
    f0: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.mixture.shape[1] / self.rate


def read(path: Path) -> tuple[np.ndarray, int]:
    """Samples ``(n_channels, n_samples)`` and rate in Hz."""
    wav, rate = sf.read(path, dtype="float32", always_2d=True)
    return wav.T, rate


def corpus_takes(folder: Path, side: str, every: int = 1) -> Iterator[Take]:
    """Tracks of a made corpus (``asteroid-joint make-corpus``)."""
    for path in sorted((folder / side).glob("*/notes.csv"))[::every]:
        with open(path, newline="") as file:
            rows = [[float(r[k]) for k in ("onset_sec", "offset_sec", "midi")]
                    for r in csv.DictReader(file)]  # fmt: skip
        mixture, rate = read(path.with_name("mixture.wav"))
        voice, _ = read(path.with_name("vocals.wav"))
        f0 = np.loadtxt(path.with_name("vocals_f0.csv"), delimiter=",", skiprows=1)
        kind = f"corpus-{side}"
        yield Take(path.parent.name, kind, mixture, voice, rate, np.array(rows), f0)


def people_takes(folder: Path, names: Sequence[str], kind: str) -> Iterator[Take]:
    """Recordings of SSVD: ``NAME.ogg`` and ``NAME_notes.txt``, or ``NAME.txt`` on the test side.

    The labels of the training side are changed: they come earlier (:func:`lag_sec`), and pitches
    are those of the agreed F0 (:func:`agreed_pitch`). Those of the test side are as published.
    """
    for name in names:
        marked = folder / f"{name}_notes.txt"
        voice, rate = read(folder / f"{name}.ogg")
        if marked.exists():
            notes = np.loadtxt(marked, ndmin=2)
            notes[:, :2] = np.maximum(notes[:, :2] - lag_sec(name), 0.0)
            notes = agreed_pitch(notes, folder / f"{name}_f0.csv")
        else:
            notes = np.loadtxt(folder / f"{name}.txt", ndmin=2)
        yield Take(name, kind, voice, voice, rate, notes)


def lag_sec(name: str) -> float:
    """By how much the labels of a recording of the training side come late, seconds."""
    marked_by_others = not name.isdigit() or 1201 <= int(name) <= 1230
    return LATE_SEC if marked_by_others else LAG_SEC


def agreed_pitch(notes: np.ndarray, f0: Path) -> np.ndarray:
    """Notes with the median pitch of an F0 on which two trackers agree.

    The training side's own pitches are bins of 5.38 Hz, which is a semitone at 90 Hz, and lie 0.9
    of a bin too high; two of twelve held out recordings are 0.7 semitones off. A note without
    agreed F0, or more than ``FAR_SEMITONES`` from it, keeps its label.
    """
    sec, hz = np.loadtxt(f0, delimiter=",", skiprows=1, unpack=True)
    notes = notes.copy()
    for note in notes:
        within = (sec > note[0] + EDGE_SEC) & (sec < note[1] - EDGE_SEC / 2) & (hz > 0)
        if within.sum() >= LEAST_FRAMES:
            midi = float(np.median(hz_to_midi(hz[within])))
            note[2] = midi if abs(midi - note[2]) <= FAR_SEMITONES else note[2]
    return notes


def people_names(folder: Path) -> list[str]:
    """Names of all recordings, in order of their numbers."""
    names = [path.stem for path in folder.glob("*.ogg")]
    return sorted(names, key=lambda name: (not name.isdigit(), int("0" + re.sub(r"\D", "", name))))


def singers(names: Sequence[str]) -> list[list[str]]:
    """Recordings by singer, as far as their names tell.

    SSVD does not say who sings. Its files have running numbers of an app, and one person's takes
    follow one another, so neighbours are kept together: rather one group too large than a singer
    on both sides. Others are called ``man1_song``.
    """
    groups: list[list[str]] = []
    for name in names:
        last = groups[-1][-1] if groups else ""
        if name.isdigit() and last.isdigit():
            same = int(name) - int(last) <= NEIGHBOURS
        else:
            same = name.split("_")[0] == last.split("_")[0]
        if same:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def people_side(folder: Path, held_out: bool) -> list[str]:
    """Names of the recordings for fitting, or of those for choosing: other singers."""
    names: list[str] = []
    for n, group in enumerate(singers(people_names(folder))):
        if (n % HELD_OUT == 1) == held_out:
            names += [name for name in group if name not in ON_BOTH_SIDES]
    return names


def over_music(
    takes: Iterator[Take], music: Path, side: str, snr_db: Sequence[float], seed: int
) -> Iterator[Take]:
    """The same voices over instrumental music of a side, the voice ``snr_db`` above it.

    Piece, excerpt and, of several, the level are a function of seed and name.
    """
    pieces = json.loads((music / "split.json").read_text())[side]
    for take in takes:
        rng = np.random.default_rng((seed, zlib.crc32(take.name.encode())))
        wav = _excerpt(rng, music / pieces[rng.integers(len(pieces))], take)
        db = float(snr_db[rng.integers(len(snr_db))])
        loud = np.sqrt(np.mean(take.voice**2) / max(float(np.mean(wav**2)), 1e-12))
        mixture = take.voice + 10 ** (-db / 20) * loud * wav
        gain = min(1.0, LOUDEST / float(np.abs(mixture).max()))
        levels = "_".join(f"{level:g}" for level in snr_db)
        kind = f"{take.kind}-over-{side}-{levels}dB-{seed}"
        yield replace(take, kind=kind, mixture=gain * mixture, voice=gain * take.voice)


def _excerpt(rng: np.random.Generator, path: Path, take: Take) -> np.ndarray:
    """Music as long as a take, ``(n_channels, n_samples)`` at its rate; short pieces repeat."""
    with sf.SoundFile(path) as file:
        length = min(file.frames, int((take.seconds + 1) * file.samplerate))
        file.seek(int(rng.integers(file.frames - length + 1)))
        wav = file.read(length, dtype="float32", always_2d=True)
        rate = file.samplerate
    wav = soxr.resample(wav, rate, take.rate).T
    n = take.mixture.shape[1]
    return np.tile(wav, -(-n // wav.shape[1]))[:, :n]


class Heard:
    """What a model says of takes: from the cache where it is there.

    Args:
        name: Of shipped weights, or a file.
        cache: Folder, or ``None``.
        alone: Whether only the part runs that reads the voice, as ``asteroid-joint pitch``.
    """

    def __init__(self, name: str, cache: Path | None, alone: bool = False) -> None:
        self._name, self._alone = name, alone
        self._cache = None
        if cache is not None:
            stamp = hashlib.md5(Path(model_path(name)).read_bytes()).hexdigest()[:8]
            self._cache = cache / f"{Path(name).stem}-{stamp}{'-alone' if alone else ''}"

    @cached_property
    def _model(self):  # noqa: ANN202
        model = load_model(self._name)
        return optimize_for_inference(pitch_part(model) if self._alone else model)

    @cached_property
    def threshold(self) -> float:
        """Voicing threshold."""
        return float(self._model.voicing_threshold)

    @cached_property
    def hop_sec(self) -> float:
        """Between rows of F0."""
        return float(self._model.pitch_grid.hop)

    def __call__(self, take: Take) -> tuple[np.ndarray, np.ndarray]:
        """F0 rows ``(N, 4)`` and voice ``(n_channels, n_samples)`` at the take's rate."""
        if self._cache is None:
            return self._run(take)
        stem = self._cache / take.kind / take.name
        if not stem.with_name(take.name + ".npz").exists():
            f0, voice = self._run(take)
            stem.parent.mkdir(parents=True, exist_ok=True)
            sf.write(f"{stem}.flac", voice.T, take.rate, subtype="PCM_24")
            np.savez(f"{stem}.npz", f0=f0)
        return np.load(f"{stem}.npz")["f0"], read(Path(f"{stem}.flac"))[0]

    def _run(self, take: Take) -> tuple[np.ndarray, np.ndarray]:
        chunk = separate_array(self._model, take.mixture, take.rate)
        return chunk.f0, chunk.stems[self._model.sources.index("vocals")]
