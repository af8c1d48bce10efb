"""Choose the voicing threshold on validation data and store it with the weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ...data.blend import part_of
from ...data.drawing import WholeClips
from ...metrics.melody import melody_metrics
from ...models.base import JointModel

CANDIDATES = np.round(np.arange(0.02, 0.96, 0.02), 2)


def best_threshold(
    curves: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], parts: Iterable[str] | None = None
) -> float | None:
    """Threshold that gives the best mean overall accuracy.

    Args:
        curves: Per clip the true F0 (0 = unvoiced, NaN = unknown), the estimate and its
            confidence, ``(frames,)`` each.
        parts: Part of a blend that each clip belongs to; each part then counts as much as any
            other, however many clips it has. By default each clip does.

    Returns:
        One of ``CANDIDATES``; ``None`` without clips.
    """
    scores = [
        [melody_metrics(ref_hz, hz, confidence > c)["oa"] for c in CANDIDATES]
        for ref_hz, hz, confidence in curves
    ]
    if not scores:
        return None
    found = np.array(scores)  # (clips, candidates)
    if parts is not None:
        named = np.array(list(parts))
        found = np.array([found[named == part].mean(0) for part in np.unique(named)])
    return float(CANDIDATES[int(found.mean(0).argmax())])


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
    curves, parts = [], []
    for example in WholeClips(dataset, model.pitch_grid, n_clips, piece_sec):
        if example.f0_hz is None:
            continue
        logits = model.forward_joint(torch.from_numpy(example.mixture)[None]).pitch_logits
        assert logits is not None
        hz, confidence, _ = (x.numpy() for x in model.decode_pitch(logits[0]))
        curves.append((example.f0_hz, hz, confidence))
        parts.append(part_of(example.name))
    best = best_threshold(curves, parts)
    if best is not None:
        model.voicing_threshold.fill_(best)
    return float(model.voicing_threshold)
