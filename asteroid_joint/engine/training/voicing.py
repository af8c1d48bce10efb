"""Choose the voicing threshold on validation data and store it with the weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ...data.drawing import WholeClips
from ...metrics.melody import melody_metrics
from ...models.base import JointModel

CANDIDATES = np.round(np.arange(0.02, 0.96, 0.02), 2)


def best_threshold(curves: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float | None:
    """Threshold that gives the best mean overall accuracy.

    Args:
        curves: Per clip the true F0 (0 = unvoiced, NaN = unknown), the estimate and its
            confidence, ``(frames,)`` each.

    Returns:
        One of ``CANDIDATES``; ``None`` without clips.
    """
    scores = [
        [melody_metrics(ref_hz, hz, confidence > c)["oa"] for c in CANDIDATES]
        for ref_hz, hz, confidence in curves
    ]
    return float(CANDIDATES[int(np.mean(scores, 0).argmax())]) if scores else None


@torch.inference_mode()
def choose_voicing_threshold(
    model: JointModel, dataset: Any, n_clips: int | None = None, piece_sec: float = 0.0
) -> float:
    """Set ``model.voicing_threshold`` by :func:`best_threshold`.

    Args:
        model: Joint model with a pitch output; its buffer is changed.
        dataset: Validation clips with F0 labels.
        n_clips: Number of clips to use.
        piece_sec: Longest segment in seconds that the model receives at a time; 0 = whole clips.

    Returns:
        The threshold; the model's own if no clip has labels.
    """
    model.eval()
    curves = []
    for example in WholeClips(dataset, model.pitch_grid, n_clips, piece_sec):
        if example.f0_hz is None:
            continue
        logits = model.forward_joint(torch.from_numpy(example.mixture)[None]).pitch_logits
        assert logits is not None
        hz, confidence, _ = (x.numpy() for x in model.decode_pitch(logits[0]))
        curves.append((example.f0_hz, hz, confidence))
    best = best_threshold(curves)
    if best is not None:
        model.voicing_threshold.fill_(best)
    return float(model.voicing_threshold)
