"""Choose the voicing threshold on validation data and store it with the weights."""

from typing import Any

import numpy as np
import torch

from ..data.drawing import WholeClips
from ..metrics.melody import melody_metrics
from ..models.base import JointModel

CANDIDATES = np.round(np.arange(0.02, 0.96, 0.02), 2)


@torch.inference_mode()
def choose_voicing_threshold(model: JointModel, dataset: Any, n_clips: int | None = None) -> float:
    """Set ``model.voicing_threshold`` to what gives the best mean overall accuracy.

    Args:
        model: Joint model with a pitch output; its buffer is changed.
        dataset: Validation clips with F0 labels.
        n_clips: Use this many of them.

    Returns:
        The threshold; the model's own where no clip has labels.
    """
    assert model.pitch_grid is not None
    model.eval()
    scores = []
    for example in WholeClips(dataset, model.pitch_grid, n_clips):
        if example.f0_hz is None:
            continue
        logits = model.forward_joint(torch.from_numpy(example.mixture)).pitch_logits
        hz, confidence, _ = (x.numpy() for x in model.decode_pitch(logits.squeeze(0)))
        scores.append(
            [melody_metrics(example.f0_hz, hz, confidence > c)["oa"] for c in CANDIDATES]
        )
    if scores:
        best = float(CANDIDATES[int(np.mean(scores, 0).argmax())])
        model.voicing_threshold.fill_(best)
    return float(model.voicing_threshold)
