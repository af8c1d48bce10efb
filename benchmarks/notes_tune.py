"""Search for the rules of notes: what ``python benchmarks/notes.py tune`` runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from notes_fit import hop_sec
from notes_takes import Heard, Take

from asteroid_joint.inference.notes import NoteRules, NoteTracker
from asteroid_joint.inference.notes.cues import VoiceCues
from asteroid_joint.inference.notes.segment import VOICE_RULES
from asteroid_joint.inference.notes.tracker import pitch_of

FACTORS = (0.7, 0.85, 1.2, 1.4)  # that a rule is tried with
SHIFTS = (-0.8, -0.4, 0.4, 0.8)  # the same of one in log-odds
TUNED = {  # rules that are changed, and how
    **dict.fromkeys(["onset_floor", "sung_floor"], SHIFTS),
    **dict.fromkeys(["onset_reward", "onset_most", "price", "cap"], FACTORS),
    **dict.fromkeys(["unvoiced_cost", "voiced_cost"], FACTORS),
    "onset_least": (-0.1, -0.05, 0.05, 0.1),
}
ADDED = ("onset_floor", "sung_floor", "onset_least")
Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Known:
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
    """Mean scores of rules over sets of takes, of which each is heard once.

    The score of a set is the mean of COnP and COnPOff; all sets count the same.
    """

    def __init__(self, sets: Sequence[Sequence[Take]], heard: Heard, scores: Scores) -> None:
        self._threshold, self._scores = heard.threshold, scores
        self._sets = [[_cues(take, heard) for take in takes] for takes in sets]

    def each(self, rules: NoteRules) -> np.ndarray:
        """``(sets, 3)`` mean figures."""
        return np.array([
            np.mean([self._of(*song, rules) for song in songs], 0) for songs in self._sets
        ])  # fmt: skip

    def __call__(self, rules: NoteRules) -> float:
        """One figure."""
        return float(self.each(rules)[:, 1:].mean())

    def _of(
        self, f0: np.ndarray, rows: np.ndarray, truth: np.ndarray, rules: NoteRules
    ) -> np.ndarray:
        tracker = NoteTracker(hop_sec(f0), self._threshold, rules=rules)
        tracker.cues = Known(rows)
        found = [*tracker.push(f0), *tracker.finish()]
        notes = [[n.onset_sec, n.offset_sec, n.pitch_midi] for n in found]
        return self._scores(truth, np.array(notes).reshape(-1, 3))


def _cues(take: Take, heard: Heard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    f0, voice = heard(take)
    cues = VoiceCues(take.rate, hop_sec(f0))
    rows = [cues.push(pitch_of(f0, heard.threshold), voice, take.mixture), cues.finish()]
    return f0, np.concatenate(rows), take.notes


def tune(tuner: Tuner, rounds: int = 2) -> NoteRules:
    """Change one rule after the other as long as that is better."""
    best = VOICE_RULES
    score = tuner(best)
    print(f"{score:.4f} as it is", flush=True)
    for _ in range(rounds):
        before = score
        for name, changes in TUNED.items():
            now = getattr(best, name)
            for change in changes:
                rules = replace(best, **{name: now + change if name in ADDED else now * change})
                tried = tuner(rules)
                if tried > score:
                    best, score = rules, tried
                    print(f"{score:.4f} {name}={getattr(best, name):.4g}", flush=True)
        if score == before:
            break
    print(np.round(tuner.each(best), 3).tolist())
    return best
