"""How sure a teacher must be: thresholds that keep the rules' promises where both labels are known.

For each threshold the most generous that does is taken.
"""

import logging
from collections.abc import Sequence

import numpy as np

from .rules import Rules, Thresholds, ValidPiece, cents_apart, judge_voice, silent_frames

logger = logging.getLogger(__name__)

CANDIDATES = np.round(np.arange(0.02, 0.99, 0.01), 2)  # confidences
NOTE_SHARES = np.round(np.arange(0.5, 0.96, 0.05), 2)
LEAK_STEP_DB = 1.0
NEARLY = 0.01  # of a precision
SAFE_LEAK_PERCENTILE = 5  # of true voices: no more than this share of them would be refused


def choose_thresholds(pieces: Sequence[ValidPiece], rules: Rules) -> Thresholds:
    """Thresholds that keep what ``rules`` promise on pieces with both labels.

    Args:
        pieces: Of the validation side, never of the test side.
        rules: See there.

    Returns:
        For each the most generous that does; where none does, with a warning, one that is nearly
        as good as any, or the strictest.
    """
    if not pieces:
        logger.warning("No clip for validation has stems and F0: thresholds are the defaults.")
        return Thresholds()
    voiced, unvoiced = _confidences(pieces, rules)
    return Thresholds(voiced, unvoiced, *_voice_thresholds(pieces, rules))


def _voice_thresholds(pieces: Sequence[ValidPiece], rules: Rules) -> tuple[float, float]:
    """Share of notes and leakage that accept the most pieces of which enough are good.

    Leakage is never demanded to be less than that of true voices.
    """
    strictest = rules.leak_db
    true_leaks = [p.true_leak_db for p in pieces if np.isfinite(p.true_leak_db)]
    if true_leaks:
        strictest = min(strictest, float(np.percentile(true_leaks, SAFE_LEAK_PERCENTILE)))
    best, most = None, 0
    for leak in [*np.arange(0.0, strictest, LEAK_STEP_DB).tolist(), strictest]:
        for share in NOTE_SHARES.tolist():
            tried = Thresholds(note_share=share, leak_db=leak)
            sdrs = np.array([p.sdr for p in pieces if judge_voice(p.voice, tried)[1]])
            if len(sdrs) <= most:
                break  # a greater share accepts no more
            if np.mean(sdrs >= rules.good_sdr_db) >= rules.good_share:
                best, most = (share, leak), len(sdrs)
    if best is None:
        logger.warning(
            "No threshold for %s gives %g above %g dB on validation: the strictest it is.",
            "separated voices", rules.good_share, rules.good_sdr_db,
        )  # fmt: skip
        return float(NOTE_SHARES[-1]), strictest
    return best


def _confidences(pieces: Sequence[ValidPiece], rules: Rules) -> tuple[float, float]:
    """Confidence from which frames are voiced, and up to which they are not."""
    known = [~np.isnan(p.f0_hz) & ~silent_frames(p.pitch, rules) for p in pieces]
    confidence, f0_hz, right = (
        np.concatenate([x[k] for x, k in zip(xs, known, strict=True)])
        for xs in (
            [p.pitch.confidence for p in pieces],
            [p.f0_hz for p in pieces],
            [_right(p.pitch.hz, p.f0_hz, rules) for p in pieces],
        )
    )
    silent = f0_hz == 0
    voiced = _most_generous(
        CANDIDATES, [right[confidence >= x] for x in CANDIDATES], rules, "voiced frames"
    )
    unvoiced = _most_generous(
        CANDIDATES[::-1],
        [silent[confidence <= x] for x in CANDIDATES[::-1]],
        rules,
        "unvoiced frames",
    )
    return voiced, min(unvoiced, voiced)


def _most_generous(
    candidates: np.ndarray, right: Sequence[np.ndarray], rules: Rules, what: str
) -> float:
    """First of some thresholds, the most generous ahead, that keeps what ``rules`` promise.

    What no threshold keeps, the strictest seldom does better than others: a teacher that takes low
    voices for an octave higher is as sure of these as of any. Then it is the first that is nearly
    as precise as any; the strictest if most of what it says is wrong.

    Args:
        candidates: Thresholds.
        right: Of the frames that each takes, whether they are right.
        rules: See there.
        what: Such frames are, for the warning.
    """
    precision = np.array([frames.mean() if frames.size else 0.0 for frames in right])
    demanded, best = rules.precision, float(precision.max())
    if best < demanded:
        logger.warning(
            "No threshold for %s gives a precision of %g on validation: the best is %.2f.",
            what, demanded, best,
        )  # fmt: skip
        demanded = best - NEARLY if best > 0.5 else np.inf
    kept = np.flatnonzero(precision >= demanded)
    return float(candidates[kept[0] if len(kept) else -1])


def _right(hz: np.ndarray, f0_hz: np.ndarray, rules: Rules) -> np.ndarray:
    """Where an estimate is within ``agree_cents`` of a true pitch."""
    return (f0_hz > 0) & (cents_apart(hz, f0_hz) <= rules.agree_cents)
