"""A sung note; without torch, as files of notes are."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Note:
    """A sung note.

    Attributes:
        onset_sec: Onset in seconds.
        offset_sec: Offset in seconds.
        pitch_midi: Median of its curve without the onset, in fractional MIDI semitones.
        confidence: Mean confidence of its frames.
        level_db: Median level of the voice in dB re full scale; ``None`` if no voice was given.
        curve: ``(frames, 2)`` time in seconds and pitch in MIDI semitones, octave errors corrected.
    """

    onset_sec: float
    offset_sec: float
    pitch_midi: float
    confidence: float
    level_db: float | None = None
    curve: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)), compare=False, repr=False)
