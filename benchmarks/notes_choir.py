"""Notes of a lead singer over other singers: the lead's, or theirs?

``python benchmarks/notes_choir.py CSD`` mixes every singer of the Choral Singing Dataset, in turn
the lead, with one singer of each other part, who sing in time with the lead, 6 and 12 dB below, and
measures ``separate --notes``. The dataset has F0 and no notes: reference notes are this project's
own of the lead's solo recording (the pitch part alone), so ``COnP`` says how much the others
disturb.

A note that is found is the lead's if for half of its frames the lead sings its pitch, to 50 cents;
a backing singer's if one of the others does and the lead does not. The area under the ROC is the
probability that a note of the lead has a higher confidence than one that is not.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from notes import array_of, scores
from notes_takes import Heard, Take, read
from records import Curve
from scipy.stats import mannwhitneyu

from asteroid_joint.engine.training.run_facts import commit
from asteroid_joint.inference.notes import Note, track_notes
from asteroid_joint.pitch import hz_to_midi

CENTS = 50.0
HALF = 0.5  # of a note's frames


@dataclass(frozen=True)
class Choir:
    """A lead over others, who are equally loud as yet."""

    name: str
    lead: np.ndarray
    others: np.ndarray
    rate: int
    lead_f0: Curve
    other_f0: list[Curve]

    def take(self, below_db: float) -> Take:
        """The mixture with the others ``below_db`` below the lead; without notes."""
        mixture = self.lead + 10 ** (-below_db / 20) * self.others
        gain = min(1.0, 0.98 / float(np.abs(mixture).max()))
        kind = f"choir-{below_db:g}"
        return Take(self.name, kind, gain * mixture, gain * self.lead, self.rate, np.zeros((0, 3)))


def choirs_of(folder: Path, every: int) -> Iterator[Choir]:
    """Every singer as the lead of one singer of each other part, as in records.py."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.ogg")):
        parts.setdefault(re.sub(r"_?[-\d]+$", "", re.sub(r"\d-06", "", path.stem)), []).append(path)
    leads = [(part, n) for part, them in sorted(parts.items()) for n in range(len(them))]
    for part, n in leads[::every]:
        lead_path = parts[part][n]
        paths = [them[n % len(them)] for other, them in parts.items() if other != part]
        (lead, rate), *others = (read(path) for path in (lead_path, *paths))
        length = min(wav.shape[1] for wav, _ in ((lead, rate), *others))
        choir = np.sum([wav[:, :length] for wav, _ in others], 0)
        choir *= np.sqrt(np.mean(lead**2) / max(float(np.mean(choir**2)), 1e-12))
        curves = [_curve(path) for path in (lead_path, *paths)]
        yield Choir(lead_path.stem, lead[:, :length], choir, rate, curves[0], curves[1:])


def _curve(path: Path) -> Curve:
    curve = Curve.read(path.with_name(f"{path.stem}_f0.csv"))
    assert curve is not None, path
    return curve


def sings(curve: Curve, note: Note) -> bool:
    """Whether a singer sings a note's pitch for half of it."""
    rows = (curve.times >= note.onset_sec) & (curve.times < note.offset_sec)
    hz = curve.hz[rows]
    near = np.abs(hz_to_midi(np.maximum(hz, 1.0)) - note.pitch_midi) * 100 <= CENTS
    return bool(len(hz)) and float(np.mean(near & (hz > 0))) >= HALF


def area_under_roc(yes: np.ndarray, no: np.ndarray) -> float:
    """Probability that one of ``yes`` is greater than one of ``no``; ties count half."""
    if not len(yes) or not len(no):
        return float("nan")
    return float(mannwhitneyu(yes, no).statistic) / (len(yes) * len(no))


def measure(choirs: Iterator[Choir], below_db: list[float], args: argparse.Namespace) -> None:
    """Print figures of each level."""
    full, alone = Heard(args.model, args.cache), Heard(args.model, args.cache, alone=True)
    found: dict[float, list[tuple[np.ndarray, list[Note], list[bool], list[bool]]]] = {}
    for choir in choirs:
        solo = choir.take(np.inf)
        f0, _ = alone(solo)
        truth = array_of(
            track_notes(f0, threshold=alone.threshold, voice=solo.voice, sample_rate=solo.rate)
        )
        for db in below_db:
            take = choir.take(db)
            f0, voice = full(take)
            notes = track_notes(
                f0,
                threshold=full.threshold,
                voice=voice,
                sample_rate=take.rate,
                mixture=take.mixture,
            )
            own = [sings(choir.lead_f0, n) for n in notes]
            theirs = [any(sings(c, n) for c in choir.other_f0) for n in notes]
            found.setdefault(db, []).append((scores(truth, array_of(notes)), notes, own, theirs))
    for db, rows in found.items():
        figures = np.mean([row[0] for row in rows], 0)
        confidence = np.array([n.confidence for row in rows for n in row[1]])
        own, theirs = (np.array([x for row in rows for x in row[k]]) for k in (2, 3))
        print(
            f"others {db:g} dB below, {len(rows)} takes: "
            f"COn {figures[0]:.3f} COnP {figures[1]:.3f} COnPOff {figures[2]:.3f}; "
            f"{len(own)} notes, the lead's {own.mean():.3f}, a backing "
            f"singer's {np.mean(theirs & ~own):.3f}; area under ROC of confidence "
            f"{area_under_roc(confidence[own], confidence[~own]):.3f}",
            flush=True,
        )
    print(f"commit {commit()}")


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("choir", type=Path, help="folder of NAME.ogg and NAME_f0.csv")
    parser.add_argument("--below_db", type=float, nargs="+", default=[6.0, 12.0])
    parser.add_argument("--model", default="djcm_pop", help="shipped weights, or a file")
    parser.add_argument("--cache", type=Path, help="folder for what the model says")
    parser.add_argument("--every", type=int, default=1, help="every n-th singer as the lead")
    args = parser.parse_args()
    measure(choirs_of(args.choir, args.every), args.below_db, args)


if __name__ == "__main__":
    main()
