"""Notes of people and of the made corpus, by ``mir_eval.transcription``; fit what finds them.

``python benchmarks/notes.py measure --people SSVD_TEST --music MUSIC --corpus CORPUS`` prints mean
F of onset (``COn``), of onset and pitch (``COnP``), and with the offset, too (``COnPOff``): to 50
ms and 50 cents, offsets to 50 ms or 20 % of the note. ``--peers`` measures others on the same
recordings (notes_peers.py).

``fit`` trains the network that hears onsets and singing (notes_fit.py) on SSVD's training side,
alone and over the music's training side, and on the corpus's, and writes
``asteroid_joint/inference/notes/note_cues.npz``. ``tune`` looks for better rules (notes_tune.py) on
singers of SSVD's training side that ``fit`` leaves out, and on the corpus's validation side.
``lag`` prints by how much those labels come late. ``--cache FOLDER`` keeps what a model says.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mir_eval import transcription
from notes_fit import Song, fit, make_song
from notes_takes import (
    Heard,
    Take,
    corpus_takes,
    over_music,
    people_names,
    people_side,
    people_takes,
)
from notes_tune import Tuner, tune
from tqdm import tqdm

from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.notes import Note, track_notes
from asteroid_joint.inference.notes.network import WEIGHTS, save_cue_net
from asteroid_joint.pitch import midi_to_hz

CERTAIN = 0.5  # voicing threshold that goes with the truth
SEED = 0  # of music under voices
SNR_DB = (-3.0, 0.0, 3.0, 6.0, 10.0)  # of voices over music for fitting
if TYPE_CHECKING:
    from notes_peers import Peers

FIGURES = ("COn", "COnP", "COnPOff")
PUBLISHED = (
    "published on SSVD, version not stated: a YOLO-based system, COnP 0.848, COnPOff 0.833",
    "published on vocadito: two people 0.72, 0.63; the best open model 0.59, 0.37 (COnP, COnPOff)",
)
Takes = Callable[[], Iterator[Take]]


def array_of(notes: Sequence[Note]) -> np.ndarray:
    """``(n, 3)`` onset, offset, MIDI."""
    return np.array([[n.onset_sec, n.offset_sec, n.pitch_midi] for n in notes]).reshape(-1, 3)


def scores(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """F of :data:`FIGURES`, ``(3,)``, of notes ``(n, 3)``."""
    if not len(found) or not len(truth):
        return np.zeros(3)
    spans, hz = zip(*((x[:, :2], midi_to_hz(x[:, 2])) for x in (truth, found)), strict=True)
    pairs = (spans[0], hz[0], spans[1], hz[1])
    return np.array([
        transcription.onset_precision_recall_f1(*spans)[2],
        transcription.precision_recall_f1_overlap(*pairs, offset_ratio=None)[2],
        transcription.precision_recall_f1_overlap(*pairs)[2],
    ])  # fmt: skip


class Measure:
    """Scores of all systems on sets of takes."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._full = Heard(args.model, args.cache)
        self._alone = Heard(args.model, args.cache, alone=True)
        self._peers: Peers | None = None
        if args.peers:  # what they need is asked for only then
            import notes_peers

            self._peers = notes_peers.Peers(args.peers, args.cache)
        self.rows: dict[str, dict[str, list[list[float]]]] = {}  # system, set
        self._spent = self._seconds = 0.0

    def __call__(self, title: str, takes: Iterator[Take]) -> None:
        """Measure a set and print it."""
        for n, take in enumerate(tqdm(takes, desc=title, leave=False)):
            for name, notes in self._ours(take):
                self._add(name, title, scores(take.notes, notes))
            if self._peers and n % self._args.peers_every == 0:
                self._others(self._peers, title, take)
        for name, sets in self.rows.items():
            if title in sets:
                mean, sd = np.mean(sets[title], 0), np.std(sets[title], 0)
                figures = "  ".join(f"{m:.3f} ± {s:.2f}" for m, s in zip(mean, sd, strict=True))
                print(f"{title:20}{name:28}{figures}  of {len(sets[title])}", flush=True)

    def _others(self, peers: "Peers", title: str, take: Take) -> None:
        """Notes by peers: of the mixture, and of the voice that this project separates."""
        _, voice = self._full(take)
        heard = [("", take.mixture)]
        if take.mixture is not take.voice:
            heard.append((" on our voice", voice))
        for name in peers.names:
            for what, wav in heard:
                found = peers(name, take.kind + what, take.name, wav, take.rate)
                self._add(name + what, title, scores(take.notes, found))

    def cost(self) -> str:
        """CPU time of notes as a share of real time."""
        return f"notes take {100 * self._spent / self._seconds:.2f} % of real time (CPU)"

    def _add(self, system: str, title: str, figures: np.ndarray) -> None:
        self.rows.setdefault(system, {}).setdefault(title, []).append(figures.tolist())

    def _ours(self, take: Take) -> Iterator[tuple[str, np.ndarray]]:
        """Notes by each way of this project."""
        f0, voice = self._full(take)
        rate, threshold, mixture = take.rate, self._full.threshold, take.mixture
        began = time.process_time()
        found = track_notes(f0, threshold=threshold, voice=voice, sample_rate=rate, mixture=mixture)
        self._spent += time.process_time() - began
        self._seconds += take.seconds
        yield "separate --notes", array_of(found)
        if not self._args.parts:
            return
        if take.mixture is take.voice:
            f0_alone, _ = self._alone(take)
            found = track_notes(f0_alone, threshold=threshold, voice=take.voice, sample_rate=rate)
            yield "pitch (the voice alone)", array_of(found)
        found = track_notes(f0, threshold=threshold, voice=voice, sample_rate=rate)
        yield "without the mixture", array_of(found)
        yield "F0 alone", array_of(track_notes(f0, threshold=threshold))
        if take.f0 is not None:
            found = track_notes(
                _sung(take.f0, f0[:, 0]),
                threshold=CERTAIN,
                voice=take.voice,
                sample_rate=rate,
                mixture=mixture,
            )
            yield "true voice, true F0", array_of(found)


def _sung(truth: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The curve that was sung, on other frames, in the form of the model's rows."""
    sec, hz = truth.T
    hz = hz[np.rint(times / (sec[1] - sec[0])).astype(int).clip(0, len(hz) - 1)]
    return np.stack([times, hz, hz > 0, hz > 0], 1)


def measure(args: argparse.Namespace) -> None:
    """Print scores of all sets, and write them."""
    run = Measure(args)
    for title, takes in test_sets(args).items():
        run(title, takes())
    print(run.cost(), *PUBLISHED, hardware(torch.device("cpu")), f"commit {commit()}", sep="\n")
    if args.out:
        args.out.write_text(json.dumps(run.rows))


def test_sets(args: argparse.Namespace) -> dict[str, Takes]:
    """What is measured: by default test sides."""
    sets: dict[str, Takes] = {}
    if args.people:
        names = people_names(args.people)
        if any(args.people.glob("*_notes.txt")):  # the training side: singers that are held out
            names, music = people_side(args.people, held_out=True), "valid"
        else:
            music = "test"

        def people() -> Iterator[Take]:
            return people_takes(args.people, names[:: args.every], f"people-{music}")

        def fewer() -> Iterator[Take]:
            some = names[:: args.every * args.music_every]
            return people_takes(args.people, some, f"people-{music}")

        sets["people"] = people
        for db in args.snr_db if args.music else ():
            sets[f"people, {db:+g} dB"] = _over(fewer, args.music, music, [db])
    if args.corpus:
        sets[f"corpus {args.side}"] = lambda: corpus_takes(args.corpus, args.side, args.every)
    return sets


def _over(
    people: Takes, music: Path, side: str, snr_db: Sequence[float], seed: int = SEED
) -> Takes:
    return lambda: over_music(people(), music, side, snr_db, seed)


def fitting_sets(args: argparse.Namespace, held_out: bool) -> list[Takes]:
    """What the network learns from, or what choices are made on."""
    names = people_side(args.people, held_out)
    side, music = ("valid", "valid") if held_out else ("train", "train")

    def people() -> Iterator[Take]:
        return people_takes(args.people, names, f"people-{side}")

    mixed = [_over(people, args.music, music, [0.0] if held_out else SNR_DB)]
    return [people, *mixed, lambda: corpus_takes(args.corpus, side, args.every)]


def run_fit(args: argparse.Namespace) -> None:
    """Train the network and write it."""
    heard = Heard(args.model, args.cache)

    def songs(takes: Takes) -> list[Song]:
        return [make_song(take, *heard(take), heard.threshold) for take in takes()]

    sets = [songs(takes) for takes in fitting_sets(args, held_out=False)]
    held_out = [songs(takes) for takes in fitting_sets(args, held_out=True)]
    n_people, n_mixed, n_made = map(len, sets)
    drawn = [*sets, sets[-1]]  # the made corpus twice: half of what is heard is made, half people's
    network = fit(drawn, held_out, args.steps, args.seed, args.hid_chan)
    about = (
        f"{n_people} recordings of SSVD 2.0's training side, {n_mixed} of them over instrumental "
        f"music, {n_made} of the made corpus; voices by {Path(args.model).stem}"
    )
    save_cue_net(network, args.weights, about)
    print(f"{args.weights}: {about}")


def run_tune(args: argparse.Namespace) -> None:
    """Look for rules."""
    heard = Heard(args.model, args.cache)
    print(
        tune(Tuner([list(takes()) for takes in fitting_sets(args, held_out=True)], heard, scores))
    )


def run_lag(args: argparse.Namespace) -> None:
    """Print by how much the labels of the training side come late, re the notes that are found."""
    heard = Heard(args.model, args.cache)
    for takes in fitting_sets(args, held_out=False)[::2]:
        late = []
        for take in takes():
            f0, voice = heard(take)
            found = array_of(
                track_notes(
                    f0,
                    threshold=heard.threshold,
                    voice=voice,
                    sample_rate=take.rate,
                    mixture=take.mixture,
                )
            )
            late += _late(take.notes, found)
        print(
            f"{take.kind}: onsets and offsets are later than found by a median of",
            f"{np.round(np.median(late, 0), 4)} s, quartiles",
            np.round(np.percentile(late, [25, 75], axis=0), 3).tolist(),
            f"{len(late)} notes",
        )


def _late(truth: np.ndarray, found: np.ndarray) -> list[np.ndarray]:
    """Onset and offset of true notes less those found, of notes within 0.15 s."""
    spans, hz = zip(*((x[:, :2], midi_to_hz(x[:, 2])) for x in (truth, found)), strict=True)
    pairs = transcription.match_notes(
        *(spans[0], hz[0], spans[1], hz[1]),
        onset_tolerance=0.15,
        pitch_tolerance=100.0,
        offset_ratio=None,
    )
    return [truth[i, :2] - found[j, :2] for i, j in pairs]


def main(argv: Sequence[str] | None = None) -> None:
    """Parse arguments; measure, fit, tune or print the lag."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["measure", "fit", "tune", "lag"])
    parser.add_argument("--people", type=Path, help="SSVD: audio and notes of a side")
    parser.add_argument("--music", type=Path, help="instrumental music with its split.json")
    parser.add_argument("--corpus", type=Path, help="asteroid-joint make-corpus")
    parser.add_argument("--model", default="djcm_pop", help="shipped weights, or a file")
    parser.add_argument("--cache", type=Path, help="folder for what the model says")
    parser.add_argument("--every", type=int, default=1, help="take every n-th take only")
    parser.add_argument("--music_every", type=int, default=1, help="of these, n-th over music")
    parser.add_argument("--side", default="test", help="of the corpus, to measure")
    parser.add_argument("--snr_db", type=float, nargs="*", default=[0.0, 5.0], help="over music")
    parser.add_argument("--parts", action="store_true", help="measure also with less to hear")
    parser.add_argument("--peers", nargs="*", help="see notes_peers.py")
    parser.add_argument("--peers_every", type=int, default=1, help="every n-th take for peers")
    parser.add_argument("--out", type=Path, help="JSON file of the scores of each take")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="that fit writes")
    parser.add_argument("--steps", type=int, default=3000, help="batches of fit")
    parser.add_argument("--hid_chan", type=int, default=64, help="channels of the network")
    parser.add_argument("--seed", type=int, default=0, help="of fit")
    args = parser.parse_args(argv)
    if args.what != "measure" and not (args.people and args.music and args.corpus):
        parser.error(f"{args.what} needs --people, --music and --corpus.")
    {"measure": measure, "fit": run_fit, "tune": run_tune, "lag": run_lag}[args.what](args)


if __name__ == "__main__":
    main()
