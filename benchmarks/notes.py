"""Notes of the made corpus, whose melody is known: F of onset (50 ms) and pitch (50 cents).

``python benchmarks/notes.py CORPUS [--model djcm_pop] [--side test]`` goes the path of
``asteroid-joint separate --notes``: mixture -> voice and F0 -> notes. Beside it stand the notes of
the voice without the mixture, those of F0 alone, and what the same way makes of the true F0 and the
true voice: the difference is not its fault.

``--fit`` trains the network that hears onsets and singing (notes_fit.py) on the train side, voices
separated by each model named, and writes ``asteroid_joint/inference/notes/note_cues.npz``; ``--more
CORPUS`` adds the train side of another corpus, separated by the last model, which should never have
heard it: only songs that are new to a separator show what it takes for a voice. ``--tune`` looks
for better rules on the valid side and prints what it finds. ``--cache FOLDER`` keeps what a model
says of a track, so that a second run needs none.
"""

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile as sf
from mir_eval import transcription
from notes_fit import Song, fit, make_song

from asteroid_joint import load_model
from asteroid_joint.inference.notes import Note, NoteRules, NoteTracker, track_notes
from asteroid_joint.inference.notes.cues import HOP_SEC, VoiceCues
from asteroid_joint.inference.notes.network import WEIGHTS, save_cue_net
from asteroid_joint.inference.notes.segment import VOICE_RULES
from asteroid_joint.inference.notes.tracker import pitch_of
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.pitch import midi_to_hz

CERTAIN = 0.5  # voicing threshold that goes with the truth
STEPS = 1600  # batches
FACTORS = (0.7, 0.85, 1.2, 1.4)  # that a rule is tried with
SHIFTS = (-0.8, -0.4, 0.4, 0.8)  # the same of one in log-odds
TUNED = {  # rules that --tune looks at, and how
    **dict.fromkeys(["onset_floor", "sung_floor"], SHIFTS),
    **dict.fromkeys(["onset_reward", "onset_most", "price", "cap"], FACTORS),
    **dict.fromkeys(["unvoiced_cost", "voiced_cost"], FACTORS),
    "onset_least": (-0.1, -0.05, 0.05, 0.1),
}


class Separator:
    """What the model says of tracks, from the cache where it is there."""

    def __init__(self, name: str, cache: Path | None) -> None:
        self.model = load_model(name)
        self.threshold = float(self.model.voicing_threshold)
        self._cache = None if cache is None else cache / Path(name).stem

    def __call__(self, track: Path) -> tuple[np.ndarray, np.ndarray, int]:
        """F0 rows ``(N, 4)``, voice ``(1, T)`` and its rate in Hz."""
        if self._cache is not None:
            stem = self._cache / track.parent.name / track.name
            if not stem.with_name(track.name + ".npz").exists():
                f0, voice, rate = self._run(track)
                stem.parent.mkdir(parents=True, exist_ok=True)
                sf.write(f"{stem}.flac", voice.T, rate, subtype="PCM_24")
                np.savez(f"{stem}.npz", f0=f0)
            voice, rate = sf.read(f"{stem}.flac", always_2d=True)
            return np.load(f"{stem}.npz")["f0"], voice.T, rate
        return self._run(track)

    def _run(self, track: Path) -> tuple[np.ndarray, np.ndarray, int]:
        mixture, rate = sf.read(track / "mixture.wav", dtype="float32", always_2d=True)
        chunk = separate_array(self.model, mixture.T, rate)
        voice = chunk.stems[self.model.sources.index("vocals")].mean(0, keepdims=True)
        return chunk.f0, voice, rate


def true_notes(track: Path) -> np.ndarray:
    """Onset and offset in seconds and MIDI pitch of what is sung, ``(n, 3)``."""
    with open(track / "notes.csv", newline="") as file:
        rows = csv.DictReader(file)
        return np.array([[float(r[k]) for k in ("onset_sec", "offset_sec", "midi")] for r in rows])


def true_f0(track: Path, times: np.ndarray) -> np.ndarray:
    """The curve that was sung, on other frames, in the form of the model's rows."""
    sec, hz = np.loadtxt(track / "vocals_f0.csv", delimiter=",", skiprows=1, unpack=True)
    nearest = np.rint(times / (sec[1] - sec[0])).astype(int).clip(0, len(hz) - 1)
    hz = hz[nearest]
    return np.stack([times, hz, hz > 0, hz > 0], 1)


def scores(truth: np.ndarray, found: list[Note]) -> np.ndarray:
    """Precision, recall and F of onset and pitch; offsets do not count."""
    if not found:
        return np.zeros(3)
    spans = np.array([[n.onset_sec, n.offset_sec] for n in found])
    midi = np.array([n.pitch_midi for n in found])
    ref_hz, est_hz = midi_to_hz(truth[:, 2]), midi_to_hz(midi)
    return np.array(
        transcription.precision_recall_f1_overlap(
            *(truth[:, :2], ref_hz, spans, est_hz), offset_ratio=None
        )[:3]
    )


def measure(tracks: list[Path], separator: Separator) -> None:
    """Print scores per track and their means."""
    threshold = separator.threshold
    rows, spent, seconds = [], 0.0, 0.0
    names = ("P", "R", "F", "F without mixture", "F of F0 alone", "F of the truth")
    print(f"{'track':36}{names[0]:>8}{names[1]:>8}{names[2]:>8}{'':2}" + "  ".join(names[3:]))
    line = "{:36}{:8.3f}{:8.3f}{:8.3f}{:19.3f}{:15.3f}{:16.3f}"
    for track in tracks:
        f0, voice, rate = separator(track)
        truth = true_notes(track)
        sung, _ = sf.read(track / "vocals.wav", always_2d=True)
        mixture, _ = sf.read(track / "mixture.wav", always_2d=True)
        exact = true_f0(track, f0[:, 0])
        began = time.process_time()
        found = track_notes(
            f0, threshold=threshold, voice=voice, sample_rate=rate, mixture=mixture.T
        )
        spent, seconds = spent + time.process_time() - began, seconds + len(mixture) / rate
        alone = track_notes(f0, threshold=threshold, voice=voice, sample_rate=rate)
        plain = track_notes(f0, threshold=threshold)
        best = track_notes(
            exact, threshold=CERTAIN, voice=sung.T, sample_rate=rate, mixture=mixture.T
        )
        four = [scores(truth, notes) for notes in (found, alone, plain, best)]
        rows.append([*four[0], *(three[2] for three in four[1:])])
        print(line.format(track.name, *rows[-1]), flush=True)
    for name, row in (("mean", np.mean(rows, 0)), ("standard deviation", np.std(rows, 0))):
        print(line.format(name, *row))
    print(f"notes take {100 * spent / seconds:.2f} % of real time (CPU, without the separation)")


def song_of(track: Path, separator: Separator) -> Song:
    """A track for the training."""
    f0, voice, rate = separator(track)
    times = np.arange(round(voice.shape[1] / rate / HOP_SEC)) * HOP_SEC
    rows = np.rint(times / float(separator.model.pitch_grid.hop)).astype(int)
    pitch = pitch_of(f0, separator.threshold)[rows.clip(0, len(f0) - 1)]
    mixture, _ = sf.read(track / "mixture.wav", always_2d=True)
    sung, _ = sf.read(track / "vocals.wav", always_2d=True)
    return make_song(pitch, voice, mixture.T, sung.T, rate, true_notes(track))


class Heard:
    """Cues that are known already: the sound need not be heard again for every rule."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def push(self, *_: object) -> np.ndarray:
        """All of them."""
        return self._rows

    def finish(self) -> np.ndarray:
        """No more."""
        return self._rows[:0]


class Tuner:
    """Mean F of rules over tracks, of which each is heard once."""

    def __init__(self, tracks: list[Path], separator: Separator) -> None:
        self._songs = []
        self._threshold = separator.threshold
        for track in tracks:
            f0, voice, rate = separator(track)
            mixture, _ = sf.read(track / "mixture.wav", always_2d=True)
            heard = VoiceCues(rate, _hop_sec(f0))
            pitch = pitch_of(f0, separator.threshold)
            rows = [heard.push(pitch, voice, mixture.T), heard.finish()]
            self._songs.append((f0, np.concatenate(rows), true_notes(track)))

    def __call__(self, rules: NoteRules) -> float:
        """Mean F."""
        found = []
        for f0, rows, truth in self._songs:
            tracker = NoteTracker(_hop_sec(f0), self._threshold, rules=rules)
            tracker.cues = Heard(rows)
            found.append(scores(truth, [*tracker.push(f0), *tracker.finish()])[2])
        return float(np.mean(found))


def _hop_sec(f0: np.ndarray) -> float:
    return float(f0[-1, 0] - f0[0, 0]) / (len(f0) - 1)


def tune(tuner: Tuner, rounds: int = 2) -> NoteRules:
    """Change one rule after the other as long as that is better."""
    best = VOICE_RULES
    score = tuner(best)
    print(f"{score:.4f} as it is", flush=True)
    for _ in range(rounds):
        before = score
        for name, changes in TUNED.items():
            added = name in ("onset_floor", "sung_floor", "onset_least")
            now = getattr(best, name)
            for change in changes:
                rules = replace(best, **{name: now + change if added else now * change})
                tried = tuner(rules)
                if tried > score:
                    best, score = rules, tried
                    print(f"{score:.4f} {name}={getattr(best, name):.4g}", flush=True)
        if score == before:
            break
    return best


def main() -> None:
    """Parse arguments, measure, fit or tune."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--model",
        nargs="+",
        default=["djcm_pop"],
        help="names of shipped weights, or files; several only with --fit",
    )
    parser.add_argument("--side", help="train, valid or test (default: test, or what fits)")
    parser.add_argument("--every", type=int, default=1, help="take every n-th track only")
    parser.add_argument("--cache", type=Path, help="folder for what the models say of tracks")
    parser.add_argument("--fit", action="store_true", help="train the network on the train side")
    parser.add_argument("--more", type=Path, help="another corpus, for --fit")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the training, batches")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--tune", action="store_true", help="look for rules on the valid side")
    args = parser.parse_args()
    if len(args.model) > 1 and not args.fit:
        parser.error("--model takes several names with --fit only.")
    side = args.side or ("train" if args.fit else "valid" if args.tune else "test")

    def tracks_of(side: str, corpus: Path = args.corpus) -> list[Path]:
        tracks = sorted(path.parent for path in (corpus / side).glob("*/notes.csv"))
        if not tracks:
            parser.error(f"{corpus / side} has no tracks: asteroid-joint make-corpus.")
        return tracks

    tracks = tracks_of(side)[:: args.every]
    separators = [Separator(name, args.cache) for name in args.model]
    if args.fit:
        pairs = [(track, s) for s in separators for track in tracks]
        if args.more:  # no cache: its tracks may have the names of the corpus's
            new = Separator(args.model[-1], None)
            pairs = [*((track, new) for track in tracks_of("train", args.more)), *pairs]
        songs = [song_of(track, s) for track, s in pairs]
        held_out = [song_of(track, separators[-1]) for track in tracks_of("valid")]
        network = fit(songs, held_out, args.steps, args.seed)
        names = ", ".join(Path(name).stem for name in args.model)
        about = f"{len(songs)} separated voices of the made corpus, by {names}"
        save_cue_net(network, WEIGHTS, about)
        print(f"{WEIGHTS}: {about}")
    elif args.tune:
        print(tune(Tuner(tracks, separators[0])))
    else:
        measure(tracks, separators[0])


if __name__ == "__main__":
    main()
