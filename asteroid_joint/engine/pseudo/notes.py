"""F0 of notes, refined by what a teacher hears near them; the rule is ours."""

import numpy as np

from ...pitch import hz_to_cents

EDGE_SEC = 0.04  # either side of where a note begins or ends, where a voice glides


def refine_notes(
    f0_hz: np.ndarray,
    quality: np.ndarray,
    hz: np.ndarray,
    confidence: np.ndarray,
    note_cents: float,
    hop_sec: float,
) -> tuple[np.ndarray, np.ndarray]:
    """F0 with its vibrato, where the label is the centre of a note.

    Args:
        f0_hz, quality: The label, ``(frames,)`` each; 0 Hz = unvoiced, NaN = unknown.
        hz, confidence: F0 that the teacher hears in the voice it separates, always positive, and
            its activation.
        note_cents: How far it may be from the note.
        hop_sec: Distance of two frames, seconds.

    Returns:
        F0 and its quality: what the teacher hears and its activation within ``note_cents`` of the
        note, else the label. Within 40 ms of where a note begins or ends the quality is the
        label's.

    Example:
        >>> label, quality = np.array([0.0, 440.0, 440.0]), np.array([1.0, 0.5, 0.5])
        >>> refine_notes(label, quality, np.array([441.0, 441.0, 660.0]), np.ones(3), 100, 0.1)[0]
        array([  0., 441., 440.])
    """
    voiced = f0_hz > 0  # not NaN
    cents = np.full(len(f0_hz), np.inf)
    cents[voiced] = np.abs(hz_to_cents(hz[voiced], f0_hz[voiced]))
    near = cents <= note_cents
    ends = np.flatnonzero(np.diff(f0_hz, prepend=f0_hz[:1]))  # first frames of notes and rests
    frames = np.arange(len(f0_hz))
    apart = np.abs(frames[:, None] - (ends - 0.5)).min(1, initial=np.inf)  # (N,), frames
    steady = apart * hop_sec > EDGE_SEC
    return np.where(near, hz, f0_hz), np.where(near & steady, confidence, quality)
