"""Pitch metrics of ``mir_eval.melody``, with a tolerance of 50 cents."""

import numpy as np

NAMES = ("rpa", "rca", "oa", "vr", "vfa")
TOLERANCE = 50  # cents


def melody_metrics(
    ref_hz: np.ndarray, est_hz: np.ndarray, est_voiced: np.ndarray
) -> dict[str, float]:
    """Raw pitch and chroma accuracy, overall accuracy, voicing recall and false alarm, 0 to 1.

    As in DJCM's evaluation, an estimate that is called unvoiced has no frequency, so RPA and RCA
    depend on the voicing threshold; pass an all-true ``est_voiced`` for the usual convention.

    Args:
        ref_hz: ``(frames,)``, 0 = unvoiced, NaN = unknown (left out).
        est_hz: ``(frames,)`` Hz.
        est_voiced: ``(frames,)`` bool.

    Raises:
        ValueError: If lengths differ.
    """
    from mir_eval import melody

    if not len(ref_hz) == len(est_hz) == len(est_voiced):
        raise ValueError(
            f"Expected equal lengths, received {len(ref_hz)}, {len(est_hz)}, {len(est_voiced)}."
        )
    known = ~np.isnan(ref_hz)
    ref_hz = np.asarray(ref_hz, float)[known]
    est_hz = np.where(est_voiced, est_hz, 0.0)[known].astype(float)
    ref_voiced, ref_cents = ref_hz > 0, melody.hz2cents(ref_hz)
    voiced, cents = est_hz > 0, melody.hz2cents(est_hz)
    args = (ref_voiced, ref_cents, voiced, cents)
    recall, false_alarm = melody.voicing_measures(ref_voiced, voiced)
    return {
        "rpa": float(melody.raw_pitch_accuracy(*args, cent_tolerance=TOLERANCE)),
        "rca": float(melody.raw_chroma_accuracy(*args, cent_tolerance=TOLERANCE)),
        "oa": float(melody.overall_accuracy(*args, cent_tolerance=TOLERANCE)),
        "vr": float(recall),
        "vfa": float(false_alarm),
    }
