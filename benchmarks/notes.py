"""Notes of the made corpus, whose melody is known: F of onset (50 ms) and pitch (50 cents).

``python benchmarks/notes.py CORPUS [--model djcm_pop] [--side test]`` goes the path of
``asteroid-joint separate --notes``: mixture -> voice and F0 -> notes. Beside it stands what the
same segmentation makes of the true F0 and the true voice: the difference is not its fault.

``--fit`` prints ``asteroid_joint/notes/onset_weights.py`` instead: the weights of the onset cue, a
logistic regression on the voices that the model separates on the train side. ``--cache FOLDER``
keeps what the model says of a track, so that a second run needs none.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf
from mir_eval import transcription

from asteroid_joint import load_model
from asteroid_joint.notes import Note, track_notes
from asteroid_joint.notes.cues import CONTEXT, HOP_SEC, VoiceCues
from asteroid_joint.separate import separate_array

CERTAIN = 0.5  # voicing threshold that goes with the truth
NEAR = 2  # frames about an onset that are neither onset nor none
SHRINK = 1e-4  # inverse strength of the regression's L2 penalty
BEFORE_SEC = 0.15  # seconds before a note that examples are taken from, too


class Separator:
    """What the model says of tracks, from the cache where it is there."""

    def __init__(self, name: str, cache: Path | None) -> None:
        self.model = load_model(name)
        self._cache = cache

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
    hz = (440 * 2 ** ((pitch - 69) / 12) for pitch in (truth[:, 2], midi))
    ref_hz, est_hz = hz
    return np.array(
        transcription.precision_recall_f1_overlap(
            *(truth[:, :2], ref_hz, spans, est_hz), offset_ratio=None
        )[:3]
    )


def measure(tracks: list[Path], separator: Separator) -> None:
    """Print scores per track and their means."""
    threshold = float(separator.model.voicing_threshold)
    rows = []
    print(f"{'track':36}{'P':>8}{'R':>8}{'F':>8}{'F without voice':>18}{'F of true F0':>14}")
    for track in tracks:
        f0, voice, rate = separator(track)
        truth = true_notes(track)
        sung, sung_rate = sf.read(track / "vocals.wav", always_2d=True)
        exact = true_f0(track, f0[:, 0])
        found = track_notes(f0, threshold=threshold, voice=voice, sample_rate=rate)
        plain = track_notes(f0, threshold=threshold)
        best = track_notes(exact, threshold=CERTAIN, voice=sung.T, sample_rate=sung_rate)
        three = [scores(truth, notes) for notes in (found, plain, best)]
        rows.append([*three[0], three[1][2], three[2][2]])
        print("{:36}{:8.3f}{:8.3f}{:8.3f}{:18.3f}{:14.3f}".format(track.name, *rows[-1]))
    for name, row in (("mean", np.mean(rows, 0)), ("standard deviation", np.std(rows, 0))):
        print("{:36}{:8.3f}{:8.3f}{:8.3f}{:18.3f}{:14.3f}".format(name, *row))


def examples(track: Path, separator: Separator) -> tuple[np.ndarray, np.ndarray]:
    """Context of frames within and just before notes, and whether a note begins with them."""
    _, voice, rate = separator(track)
    features: list[np.ndarray] = []

    def note_down(around: np.ndarray) -> np.ndarray:
        features.append(around)
        return np.zeros(len(around))

    cues = VoiceCues(rate, score=note_down)
    cues.push(voice)
    cues.finish()
    around = np.concatenate(features).reshape(-1, features[0][0].size)
    used, begins = np.zeros(len(around), bool), np.zeros(len(around), bool)
    onsets = np.rint(true_notes(track)[:, 0] / HOP_SEC).astype(int)
    for onset, offset, _ in true_notes(track):
        used[max(int((onset - BEFORE_SEC) / HOP_SEC), 0) : int(offset / HOP_SEC) + NEAR + 1] = True
    for at in onsets:
        used[max(at - NEAR, 0) : at + NEAR + 1] = False
    begins[onsets] = used[onsets] = True
    return around[used], begins[used]


def fit(tracks: list[Path], separator: Separator) -> Iterator[str]:
    """Lines of the module with the weights."""
    from sklearn.linear_model import LogisticRegression

    around, begins = map(
        np.concatenate, zip(*(examples(track, separator) for track in tracks), strict=True)
    )
    model = LogisticRegression(C=SHRINK, max_iter=500, tol=1e-4).fit(around, begins)
    weights = model.coef_.reshape(2 * CONTEXT + 1, -1)
    yield '"""Weights of the onset cue: what ``benchmarks/notes.py CORPUS --fit`` prints.'
    yield ""
    yield "A row for each frame of the context, from the earliest; a column for each feature; 1/dB."
    yield f"From {len(tracks)} train tracks of the made corpus, {begins.sum()} onsets."
    yield '"""'
    yield ""
    yield f"BIAS = {model.intercept_[0]:.4f}"
    yield "WEIGHTS = ("
    for row in weights:
        yield "    (" + ", ".join(f"{value:.4f}" for value in row) + "),"
    yield ")"


def main() -> None:
    """Parse arguments, measure or fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="djcm_pop", help="name of shipped weights, or a file")
    parser.add_argument("--side", help="train, valid or test (default: test; with --fit: train)")
    parser.add_argument("--every", type=int, default=1, help="take every n-th track only")
    parser.add_argument("--cache", type=Path, help="folder for what the model says of tracks")
    parser.add_argument("--fit", action="store_true", help="print weights of the onset cue")
    args = parser.parse_args()
    folder = args.corpus / (args.side or ("train" if args.fit else "test"))
    tracks = sorted(path.parent for path in folder.glob("*/notes.csv"))[:: args.every]
    if not tracks:
        parser.error(f"{folder} has no tracks: make a corpus with asteroid-joint make-corpus.")
    separator = Separator(args.model, args.cache)
    if args.fit:
        print("\n".join(fit(tracks, separator)))
    else:
        measure(tracks, separator)


if __name__ == "__main__":
    main()
