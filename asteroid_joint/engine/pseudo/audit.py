"""Audit of pseudo labels: a labelled set is treated as if one label were missing.

Two kinds of sets can be audited: one whose labels are only hidden (``hide``), with the labels that
training uses, and the validation side, where each half of the songs is judged with thresholds
chosen on the other half.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data.base import JointDataset
from ...data.pseudo_files import Header, Piece, piece_path, read_piece, read_stems
from ...metrics.melody import TOLERANCE
from ...metrics.report import markdown_table
from ...metrics.separation import sdr
from .rules import (
    PitchLabels,
    Rules,
    Thresholds,
    ValidPiece,
    cents_apart,
    choose_thresholds,
    judge_pitch,
    judge_voice,
)

HEADS = (
    "set | label | pieces accepted | frames accepted | voiced right | unfiltered "
    "| unvoiced right | unfiltered | SDR accepted | refused | all | NSDR accepted | all"
).split(" | ")
PITCH_KEYS = (
    "frames_accepted",
    "voiced_precision",
    "voiced_precision_unfiltered",
    "unvoiced_precision",
    "unvoiced_precision_unfiltered",
)
VOICE_KEYS = ("sdr_accepted", "sdr_refused", "sdr_unfiltered", "nsdr_accepted", "nsdr_unfiltered")


class PitchCounts(NamedTuple):
    """Numbers of frames of a segment, among those whose true F0 is known.

    Attributes:
        accepted: 1 if the segment is accepted, else 0.
        frames: All frames.
        kept: Frames with a label, if the segment is accepted.
        voiced, voiced_right: Labelled voiced; those within 50 cents of the truth.
        unvoiced, unvoiced_right: Labelled unvoiced; those that are unvoiced.
        all_voiced, all_voiced_right, all_unvoiced, all_unvoiced_right: The same for the teacher's
            estimates of all frames at its own voicing threshold.
    """

    accepted: int
    frames: int
    kept: int
    voiced: int
    voiced_right: int
    unvoiced: int
    unvoiced_right: int
    all_voiced: int
    all_voiced_right: int
    all_unvoiced: int
    all_unvoiced_right: int


class VoiceScores(NamedTuple):
    """Whether the separated voice of a segment is accepted, and its SDR and NSDR in dB."""

    accepted: bool
    sdr: float
    nsdr: float


def count_pitch(
    labels: PitchLabels,
    hz: np.ndarray,
    confidence: np.ndarray,
    voicing_threshold: float,
    f0_hz: np.ndarray,
) -> PitchCounts:
    """Compare the labels of a segment with the truth.

    Args:
        labels: Pseudo labels.
        hz, confidence: Estimates that they were made from, for the unfiltered figures.
        voicing_threshold: The teacher's, for the same figures.
        f0_hz: True F0; 0 = unvoiced, NaN = unknown.
    """
    known = ~np.isnan(f0_hz)
    f0_hz, hz, confidence = f0_hz[known], hz[known], confidence[known]
    given = labels.f0_hz[known]
    used = (labels.quality[known] > 0) & labels.accepted
    plain = np.where(confidence > voicing_threshold, hz, 0.0)
    counts = _right(given[used], f0_hz[used]) + _right(plain, f0_hz)
    return PitchCounts(int(labels.accepted), len(f0_hz), int(used.sum()), *counts)


def _right(given: np.ndarray, f0_hz: np.ndarray) -> tuple[int, int, int, int]:
    """Numbers of voiced frames, correct voiced, unvoiced, and correct unvoiced frames."""
    voiced = given > 0
    right = int(np.sum(cents_apart(given, f0_hz) <= TOLERANCE))
    return int(voiced.sum()), right, int((~voiced).sum()), int(np.sum(f0_hz[~voiced] == 0))


def summarise_pitch(counts: Sequence[PitchCounts]) -> dict[str, float]:
    """Fractions of frames and segments, 0 to 1; NaN if there are none."""
    total = PitchCounts(*map(sum, zip(*counts, strict=True)))
    return {
        "pieces": len(counts),
        "pieces_accepted": total.accepted / len(counts),
        "frames_accepted": _share(total.kept, total.frames),
        "voiced_precision": _share(total.voiced_right, total.voiced),
        "voiced_precision_unfiltered": _share(total.all_voiced_right, total.all_voiced),
        "unvoiced_precision": _share(total.unvoiced_right, total.unvoiced),
        "unvoiced_precision_unfiltered": _share(total.all_unvoiced_right, total.all_unvoiced),
    }


def summarise_voices(scores: Sequence[VoiceScores]) -> dict[str, float]:
    """Fraction of accepted segments and mean SDR and NSDR in dB; NaN if there are none."""
    accepted = [s for s in scores if s.accepted]
    refused = [s for s in scores if not s.accepted]
    return {
        "pieces": len(scores),
        "pieces_accepted": len(accepted) / len(scores),
        "sdr_accepted": _mean(s.sdr for s in accepted),
        "sdr_refused": _mean(s.sdr for s in refused),
        "sdr_unfiltered": _mean(s.sdr for s in scores),
        "nsdr_accepted": _mean(s.nsdr for s in accepted),
        "nsdr_unfiltered": _mean(s.nsdr for s in scores),
    }


def audit_set(
    name: str,
    truth: JointDataset,
    pieces: Iterable[tuple[Piece, str]],
    folder: Path,
    dataset_name: str,
    header: Header,
) -> list[dict[str, Any]]:
    """Compare the stored labels of a set with the labels that were hidden from the teacher.

    Args:
        name: Name of the set.
        truth: The set with all its labels; segments without them are skipped.
        pieces: Labelled segments, with the kind of label.
        folder, dataset_name, header: Location of the labels.

    Returns:
        A summary per kind of label.
    """
    counts, scores, grid = [], [], header.pitch_grid
    for piece, label in pieces:
        facts = read_piece(piece_path(folder, dataset_name, piece), header)
        if facts is None:
            continue
        if label == "f0":
            times = piece.start / truth.sample_rate + grid.times(len(facts["f0_hz"]))
            f0_hz = truth.f0_at(piece.clip, times)
            if f0_hz is not None:
                labels = PitchLabels(facts["f0_hz"], facts["quality"], bool(facts["accepted"]))
                hz, confidence = facts["hz"], facts["confidence"]
                threshold = header.voicing_threshold
                counts.append(count_pitch(labels, hz, confidence, threshold, f0_hz))
            continue
        mixture, sources = truth.read(piece.clip, piece.start, piece.n_samples)
        if sources is not None and np.any(sources[0]):
            voice = read_stems(piece_path(folder, dataset_name, piece), truth.n_channels)[0]
            value, before = sdr(sources[0], voice), sdr(sources[0], mixture)
            scores.append(VoiceScores(bool(facts["accepted"]), value, value - before))
    return _rows(name, counts, scores)


def audit_valid(
    pieces: Sequence[ValidPiece], rules: Rules, voicing_threshold: float, hop_sec: float
) -> list[dict[str, Any]]:
    """Judge each half of the songs with thresholds chosen on the other half.

    Args:
        pieces: Segments of the validation side.
        rules: Rules for accepting labels.
        voicing_threshold: The teacher's.
        hop_sec: Hop between frames in seconds.

    Returns:
        A summary per kind of label; none if there are fewer than two songs.
    """
    songs = sorted({piece.song for piece in pieces})
    if len(songs) < 2:
        return []
    first = set(songs[::2])
    halves = [[p for p in pieces if (p.song in first) is side] for side in (True, False)]
    counts, scores = [], []
    for judged, other in (halves, halves[::-1]):
        thresholds: Thresholds = choose_thresholds(other, rules)
        for piece in judged:
            hz, confidence = piece.pitch.hz, piece.pitch.confidence
            labels = judge_pitch(piece.pitch, rules, thresholds, hop_sec)
            counts.append(count_pitch(labels, hz, confidence, voicing_threshold, piece.f0_hz))
            if np.isfinite(piece.sdr):
                accepted = judge_voice(piece.voice, thresholds)[1]
                scores.append(VoiceScores(accepted, piece.sdr, piece.sdr - piece.mixture_sdr))
    return _rows("validation, halves", counts, scores)


def audit_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown table of the summaries of :func:`audit_set` and :func:`audit_valid`."""
    lines = []
    for row in rows:
        cells = [row["set"], row["label"]]
        cells += [_cell(row.get(key), "{:.1f} %", 100) for key in ("pieces_accepted", *PITCH_KEYS)]
        cells += [_cell(row.get(key), "{:.2f}") for key in VOICE_KEYS]
        lines.append(cells)
    return markdown_table(HEADS, lines)


def _rows(
    name: str, counts: Sequence[PitchCounts], scores: Sequence[VoiceScores]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if counts:
        rows.append({"set": name, "label": "F0", **summarise_pitch(counts)})
    if scores:
        rows.append({"set": name, "label": "voice", **summarise_voices(scores)})
    return rows


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else float("nan")


def _cell(value: float | None, form: str, scale: int = 1) -> str:
    return "" if value is None or np.isnan(value) else form.format(scale * value)
