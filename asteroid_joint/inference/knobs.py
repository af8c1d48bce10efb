"""Knobs of pitch and notes, and where in the chain each of them acts; without torch.

    model -> range of pitch (``fmin_hz``, ``fmax_hz``) -> decoder -> voicing threshold -> gate
    -> notes (``note_least_ms``, ``note_split``) -> octave -> hop -> files

Range and threshold change what runs the model (:mod:`.fast.tuned`): whatever comes after sees a
model with fewer bins, or another threshold. Notes are found on the model's own frames, at the
sung pitch, and shifted by octaves when they are found. No knob changes a stem.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from .curve import RowSampler, frames_until
from .fast.choice import as_runner
from .fast.runner import Runner
from .fast.tuned import TunedRunner
from .notes.note import Note
from .notes.segment import NoteRules

if TYPE_CHECKING:
    from ..models.base import JointModel

OCTAVES = (-1, 0, 1)
HOP_RANGE_MS = (1.0, 1000.0)
NOTE_LEAST_RANGE_MS = (10.0, 2000.0)
NOTE_SPLIT = "usual"
NOTE_SPLITS = {"less": 2.0, NOTE_SPLIT: 1.0, "more": 0.5}  # times the price of a note
SEMITONES = 12  # of an octave


@dataclass(frozen=True, kw_only=True)
class PitchKnobs:
    """What to change of pitch and notes; nothing by default.

    Attributes:
        fmin_hz: Lowest pitch to look for in Hz; ``None`` for the model's.
        fmax_hz: Highest pitch to look for in Hz; ``None`` for the model's.
        octave: Octaves by which F0 and notes are shifted when they are found, -1, 0 or 1.
        voicing_threshold: Confidence above which a frame is voiced; ``None`` for the model's.
        hop_ms: Time between two entries of F0 in milliseconds; ``None`` for the model's frames.
            Between them, F0 is interpolated in log frequency inside voiced runs.
        note_least_ms: Shortest note in milliseconds; ``None`` for the usual one.
        note_split: How readily a sung line is divided into notes: ``"less"``, ``"usual"``,
            ``"more"``.

    Example:
        >>> check_knobs(PitchKnobs(fmin_hz=80.0, fmax_hz=1000.0))
    """

    fmin_hz: float | None = None
    fmax_hz: float | None = None
    octave: int = 0
    voicing_threshold: float | None = None
    hop_ms: float | None = None
    note_least_ms: float | None = None
    note_split: str = NOTE_SPLIT


def check_knobs(knobs: PitchKnobs) -> None:
    """Refuse values out of range.

    Raises:
        ConfigError: One sentence.
    """
    low, high = knobs.fmin_hz, knobs.fmax_hz
    for hz in (low, high):
        if hz is not None and not 0 < hz < np.inf:
            raise ConfigError(f"A limit of the pitch is {hz:g} Hz: give a frequency above 0.")
    if low is not None and high is not None and not low < high:
        raise ConfigError(
            f"The range of pitch is {low:g} to {high:g} Hz: give the lower limit first."
        )
    if knobs.octave not in OCTAVES:
        raise ConfigError(f"The shift is {knobs.octave} octaves: give -1 or +1.")
    threshold = knobs.voicing_threshold
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"The voicing threshold is {threshold:g}: give a number between 0 and 1.")
    _check_ms("hop", knobs.hop_ms, HOP_RANGE_MS)
    _check_ms("shortest note", knobs.note_least_ms, NOTE_LEAST_RANGE_MS)
    if knobs.note_split not in NOTE_SPLITS:
        raise ConfigError(
            f"Notes are split {knobs.note_split!r}: choose one of {', '.join(NOTE_SPLITS)}."
        )


def _check_ms(what: str, value_ms: float | None, within_ms: tuple[float, float]) -> None:
    low, high = within_ms
    if value_ms is not None and not low <= value_ms <= high:
        raise ConfigError(f"The {what} is {value_ms:g} ms: give {low:g} to {high:g} ms.")


def tuned_runner(model: "Runner | JointModel", knobs: PitchKnobs) -> Runner:
    """What runs a model with the range of pitch and the voicing threshold that are asked for.

    Args:
        model: Any joint model, or a runner.
        knobs: What to change.

    Raises:
        ConfigError: If a knob is out of range, or the model estimates no pitch.
    """
    runner = as_runner(model)
    asked = (knobs.fmin_hz, knobs.fmax_hz, knobs.voicing_threshold)
    if knobs_of(knobs) == PitchKnobs():
        return runner
    check_knobs(knobs)
    if not runner.has_pitch:
        raise ConfigError(f"This {runner.name} estimates no pitch to change: choose another model.")
    return runner if asked == (None, None, None) else TunedRunner(runner, *asked)


def knobs_of(options: PitchKnobs) -> PitchKnobs:
    """The knobs alone, of options that have more."""
    return PitchKnobs(**{knob.name: getattr(options, knob.name) for knob in fields(PitchKnobs)})


def note_rules(usual: NoteRules, knobs: PitchKnobs) -> NoteRules:
    """Rules for notes, where the usual ones are changed.

    Args:
        usual: The rules for what is known of the voice.
        knobs: What to change.
    """
    least_sec = usual.shortest_sec
    if knobs.note_least_ms is not None:
        least_sec = knobs.note_least_ms / 1000
    price = usual.price * NOTE_SPLITS[knobs.note_split]
    return replace(usual, shortest_sec=least_sec, price=price)


def shift_rows(rows: np.ndarray, octave: int) -> np.ndarray:
    """Rows of F0 ``(frames, 4)``, shifted by octaves."""
    return rows * (1.0, 2.0**octave, 1.0, 1.0) if octave else rows


def shift_notes(notes: Sequence[Note], octave: int) -> list[Note]:
    """Notes, shifted by octaves."""
    if not octave:
        return list(notes)
    by = SEMITONES * octave
    return [
        replace(note, pitch_midi=note.pitch_midi + by, curve=note.curve + (0, by)) for note in notes
    ]


class KnobbedRows:
    """Rows of F0 that arrive in parts, with the octave and the hop that are asked for.

    Args:
        knobs: What to change.
    """

    def __init__(self, knobs: PitchKnobs) -> None:
        self._octave = knobs.octave
        self._sampler = None if knobs.hop_ms is None else RowSampler(knobs.hop_ms / 1000)

    def shifted(self, rows: np.ndarray) -> np.ndarray:
        """Rows ``(frames, 4)`` with the octave alone, for formats with a hop of their own."""
        return shift_rows(rows, self._octave)

    def push(self, rows: np.ndarray) -> np.ndarray:
        """Add rows ``(frames, 4)``; returns those that are final."""
        shifted = shift_rows(rows, self._octave)
        return shifted if self._sampler is None else self._sampler.push(shifted)

    def finish(self, duration_sec: float) -> np.ndarray:
        """Return the remaining rows of a recording of this length."""
        if self._sampler is None:
            return np.zeros((0, 4))
        return self._sampler.finish(frames_until(duration_sec, self._sampler.hop_sec))


def knobbed_rows(rows: np.ndarray, knobs: PitchKnobs, duration_sec: float) -> np.ndarray:
    """All rows of F0 of a recording, with octave and hop; see :class:`KnobbedRows`."""
    stream = KnobbedRows(knobs)
    return np.concatenate([stream.push(rows), stream.finish(duration_sec)])
