"""Which of a teacher's labels are good enough: each is checked against the known label.

All rules are ours. They turn the teacher's estimates for a segment into labels with a quality in
[0, 1]. The required confidence is chosen on segments with both labels known: the most permissive
thresholds that satisfy the rules.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ...pitch import PitchGrid, hz_to_cents

logger = logging.getLogger(__name__)

LOUD_PERCENTILE = 95  # of a segment's frames
EDGE_SEC = 0.04  # on either side of note boundaries, where a voice glides
CANDIDATES = np.round(np.arange(0.02, 0.99, 0.01), 2)  # confidences
NOTE_SHARES = np.round(np.arange(0.5, 0.96, 0.05), 2)
LEAK_STEP_DB = 1.0
NEARLY = 0.01  # of a precision
SAFE_LEAK_PERCENTILE = 5  # of true voices: at most this percentage of them would be refused


@dataclass(frozen=True)
class Rules:
    """Rules that do not depend on the teacher.

    Args:
        piece_sec: Longest segment in seconds to judge at a time; 0 = whole clips.
        precision: Required precision of accepted voiced, and of accepted unvoiced frames, on
            validation data.
        agree_cents: Largest difference between F0 from the true and from the separated voice.
        octave_cents: Tolerance around a difference of one octave, which is doubtful.
        gate_db: A frame this far below the segment's loud ones is unvoiced.
        floor_db: Level in dB re full scale below which a frame is unvoiced.
        run_sec: Shorter voiced runs are doubtful.
        second: Activation of a second pitch above which a frame is doubtful.
        kept_share: Required fraction of frames that are not doubtful in an accepted segment.
        note_cents: Tolerance between the pitch of a separated voice and the known pitch.
        gap_sec: Shortest rest in which leakage is measured.
        leak_db: Strictest required level of notes over rests; less if that suffices for
            ``good_share``.
        good_sdr_db: SDR of a separated voice that is good enough for training.
        good_share: Required fraction of accepted voices with that SDR, on validation data.

    Raises:
        ConfigError: If a value is out of range.
    """

    piece_sec: float = 10.0
    precision: float = 0.98
    agree_cents: float = 50.0
    octave_cents: float = 100.0
    gate_db: float = 40.0
    floor_db: float = -60.0
    run_sec: float = 0.06
    second: float = 0.5
    kept_share: float = 0.6
    note_cents: float = 100.0
    gap_sec: float = 0.5
    leak_db: float = 30.0
    good_sdr_db: float = 5.0
    good_share: float = 0.9

    def __post_init__(self) -> None:
        for name in ("precision", "kept_share", "good_share", "second"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"--{name} {getattr(self, name):g}: expected 0 to 1.")
        for name in ("piece_sec", "run_sec", "gap_sec", "agree_cents", "note_cents"):
            if getattr(self, name) < 0:
                raise ConfigError(f"--{name} {getattr(self, name):g}: expected at least 0.")


def read_rules(given: Sequence[str]) -> Rules:
    """``["precision=0.95"]`` to :class:`Rules`.

    Raises:
        ConfigError: If there is no such rule, or its value is not a number.
    """
    values = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            values[name] = float(value)
        except ValueError as err:
            raise ConfigError(f"--rule takes name=number; received {text!r}.") from err
        if name not in Rules.__dataclass_fields__:
            raise ConfigError(
                f"There is no rule {name!r}: choose from {', '.join(Rules.__dataclass_fields__)}."
            )
    return Rules(**values)


class Thresholds(NamedTuple):
    """Thresholds that depend on the teacher; the defaults serve without validation data.

    Attributes:
        voiced: Smallest confidence of a voiced frame.
        unvoiced: Largest confidence of an unvoiced frame; frames between the two are unknown.
        note_share: Fraction of the known notes that a separated voice must contain.
        leak_db: How far its rests must be below its notes, in dB.
    """

    voiced: float = 0.8
    unvoiced: float = 0.2
    note_share: float = 0.8
    leak_db: float = 30.0


class HeardPitch(NamedTuple):
    """A teacher's pitch estimates for a segment with a known voice, ``(frames,)`` each.

    Attributes:
        hz: F0 from the true voice, always positive.
        confidence: Its activation.
        second: Activation of another pitch at the same time.
        other_hz: F0 from the voice that the teacher separates itself.
        level_db: Level of the true voice in dB re full scale.
    """

    hz: np.ndarray
    confidence: np.ndarray
    second: np.ndarray
    other_hz: np.ndarray
    level_db: np.ndarray


class HeardVoice(NamedTuple):
    """Evidence on the quality of a separated voice whose true pitch is known.

    Attributes:
        note_share: Fraction of voiced frames with the true pitch; NaN if none is voiced.
        leak_db: Level of notes over that of rests in dB; infinite without long rests.
    """

    note_share: float
    leak_db: float


class ValidPiece(NamedTuple):
    """A segment with both labels known, and the teacher's estimates.

    Attributes:
        song: Song, for splits.
        f0_hz: True F0, ``(frames,)``.
        pitch, voice: The teacher's estimates.
        sdr, mixture_sdr: SDR of the separated voice and of the mixture in dB; NaN if nobody sings.
        true_leak_db: ``leak_db`` of the true voice.
    """

    song: str
    f0_hz: np.ndarray
    pitch: HeardPitch
    voice: HeardVoice
    sdr: float
    mixture_sdr: float
    true_leak_db: float


class PitchLabels(NamedTuple):
    """F0 (0 = unvoiced, NaN = unknown), its quality, ``(frames,)``, and whether to use them."""

    f0_hz: np.ndarray
    quality: np.ndarray
    accepted: bool


def judge_pitch(
    heard: HeardPitch, rules: Rules, thresholds: Thresholds, hop_sec: float
) -> PitchLabels:
    """Labels of the frames of a segment; ``hop_sec`` is the hop between them in seconds."""
    silent = silent_frames(heard, rules)
    voiced = ~silent & (heard.confidence >= thresholds.voiced)
    unvoiced = ~silent & ~voiced & (heard.confidence <= thresholds.unvoiced)
    apart = cents_apart(heard.hz, heard.other_hz)
    quality = np.where(apart <= rules.agree_cents, heard.confidence, 0.5 * heard.confidence)
    quality[np.abs(apart - 1200) <= rules.octave_cents] = 0.0
    quality[heard.second > rules.second] = 0.0
    quality[_short_runs(voiced, rules.run_sec / hop_sec)] = 0.0
    quality = np.where(voiced, quality, np.where(silent, 1.0, 1.0 - heard.confidence))
    quality[~(voiced | unvoiced | silent)] = 0.0
    f0_hz = np.where(voiced, heard.hz, 0.0)
    f0_hz[quality == 0] = np.nan
    return PitchLabels(f0_hz, quality, bool(np.mean(quality > 0) >= rules.kept_share))


def judge_voice(heard: HeardVoice, thresholds: Thresholds) -> tuple[float, bool]:
    """Quality of a separated voice, and whether to use it."""
    good = heard.note_share >= thresholds.note_share  # False for NaN: there is no evidence
    accepted = bool(good and heard.leak_db >= thresholds.leak_db)
    return (heard.note_share if accepted else 0.0), accepted


def hear_voice(
    hz: np.ndarray, f0_hz: np.ndarray, voice: np.ndarray, rules: Rules, grid: PitchGrid
) -> HeardVoice:
    """Compare a separated voice with the known F0.

    Args:
        hz: F0 that the teacher estimates from it, ``(frames,)``; octave errors are wrong.
        f0_hz: True F0.
        voice: ``(n_channels, time)``.
        rules: Rules for accepting labels.
        grid: Pitch grid of the frames.
    """
    notes = f0_hz > 0
    share = float("nan")
    if notes.any():
        share = float(np.mean(cents_apart(hz[notes], f0_hz[notes]) <= rules.note_cents))
    return HeardVoice(share, leak_db(voice, f0_hz, rules, grid))


def refine_notes(
    f0_hz: np.ndarray,
    quality: np.ndarray,
    hz: np.ndarray,
    confidence: np.ndarray,
    note_cents: float,
    hop_sec: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Refine notes to F0 with vibrato, where the teacher's estimate is near the note.

    Args:
        f0_hz, quality: The label, ``(frames,)`` each; 0 Hz = unvoiced, NaN = unknown.
        hz, confidence: F0 that the teacher estimates from the voice it separates, always positive,
            and its activation.
        note_cents: Largest distance from the note.
        hop_sec: Hop between frames in seconds.

    Returns:
        F0 and its quality: the teacher's estimate and its activation within ``note_cents`` of the
        note, else the label. Within 40 ms of note boundaries the quality is the label's.

    Example:
        >>> label, quality = np.array([0.0, 440.0, 440.0]), np.array([1.0, 0.5, 0.5])
        >>> refine_notes(label, quality, np.array([441.0, 441.0, 660.0]), np.ones(3), 100, 0.1)[0]
        array([  0., 441., 440.])
    """
    near = cents_apart(hz, f0_hz) <= note_cents
    ends = np.flatnonzero(np.diff(f0_hz, prepend=f0_hz[:1]))  # first frames of notes and rests
    frames = np.arange(len(f0_hz))
    apart = np.abs(frames[:, None] - (ends - 0.5)).min(1, initial=np.inf)  # (N,), frames
    steady = apart * hop_sec > EDGE_SEC
    return np.where(near, hz, f0_hz), np.where(near & steady, confidence, quality)


def choose_thresholds(pieces: Sequence[ValidPiece], rules: Rules) -> Thresholds:
    """Thresholds that satisfy ``rules`` on segments with both labels.

    Args:
        pieces: Segments of the validation side, never of the test side.
        rules: Rules to satisfy.

    Returns:
        The most permissive ones that do; if none does, with a warning, one that is nearly as good
        as any, or the strictest.
    """
    if not pieces:
        logger.warning("No validation clip has stems and F0: using the default thresholds.")
        return Thresholds()
    voiced, unvoiced = _confidences(pieces, rules)
    return Thresholds(voiced, unvoiced, *_voice_thresholds(pieces, rules))


def _voice_thresholds(pieces: Sequence[ValidPiece], rules: Rules) -> tuple[float, float]:
    """Share of notes and leakage that accept the most segments while enough of them are good.

    Less leakage than in true voices is never required.
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
                break  # a larger share does not accept more
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
    """First of ``candidates``, sorted from most permissive to strictest, that satisfies ``rules``.

    If none does, the strictest is seldom better than others: a teacher that places low voices an
    octave too high is just as confident there. We then use the first that is nearly as precise as
    the best, or the strictest if most estimates are wrong.

    Args:
        candidates: Thresholds.
        right: For each threshold, whether each of the accepted frames is correct.
        rules: Rules to satisfy.
        what: Kind of frames, for the warning.
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


def leak_db(voice: np.ndarray, f0_hz: np.ndarray, rules: Rules, grid: PitchGrid) -> float:
    """Level of a voice's notes over that of its long rests in dB; infinite without either."""
    power = 10 ** (frame_level_db(voice, grid)[: len(f0_hz)] / 10)
    rests = f0_hz == 0
    rests &= ~_short_runs(rests, rules.gap_sec / float(grid.hop))
    notes = f0_hz > 0
    if not rests.any() or not notes.any():
        return float("inf")
    return float(10 * np.log10(power[notes].mean() / power[rests].mean()))


def frame_level_db(wav: np.ndarray, grid: PitchGrid) -> np.ndarray:
    """Level of ``(n_channels, time)`` over a hop around the centre of each frame, dBFS."""
    hop, n_frames = grid.hop_length, grid.n_frames(wav.shape[-1])
    power = np.square(wav, dtype=np.float64).mean(0)  # (T,)
    power, there = (
        np.pad(x, (hop // 2, hop))[: n_frames * hop].reshape(n_frames, hop).sum(1)
        for x in (power, np.ones_like(power))
    )
    return 10 * np.log10(power / there + 1e-12)  # (N,)


def silent_frames(heard: HeardPitch, rules: Rules) -> np.ndarray:
    """Frames of a segment that are too quiet for a voice, ``(frames,)``."""
    loud_db = np.percentile(heard.level_db, LOUD_PERCENTILE)
    return heard.level_db < max(loud_db - rules.gate_db, rules.floor_db)


def cents_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance between two pitches in cents; infinite where one is unvoiced."""
    both = (a > 0) & (b > 0)
    cents = hz_to_cents(np.where(both, a, 1.0), np.where(both, b, 1.0))
    return np.where(both, np.abs(cents), np.inf)


def _short_runs(active: np.ndarray, n_frames: float) -> np.ndarray:
    """Where ``active`` is true for fewer than ``n_frames`` consecutive frames."""
    short = np.zeros(len(active), bool)
    steps = np.diff(np.concatenate([[0], active.astype(int), [0]]))
    for first, after in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if after - first < n_frames - 1e-9:
            short[first:after] = True
    return short
