"""Pitch of a whole song at once: what ``--two-pass-viterbi`` puts in the place of a decoder."""

import os

import numpy as np
import torch

from ..models.base import JointModel
from ..pitch.whole_song import WholeSongViterbi
from .stream import PitchTrack


class WholeSongPitchTrack(PitchTrack):
    """Keeps the activations of a song in a file, and decodes them when it is over.

    Args:
        model: Any joint model with pitch.
        folder: Where the temporary file goes.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, model: JointModel, folder: str | os.PathLike) -> None:
        super().__init__(model, "viterbi")
        self._viterbi = WholeSongViterbi(model.pitch_grid, folder)

    def push(self, logits: torch.Tensor, last: bool = False) -> np.ndarray:
        """Add ``(N, P)``; returns all rows ``(N', 4)`` with the last of them, before that none."""
        if logits.shape[0]:
            self._viterbi.push(torch.sigmoid(logits.float()).numpy())
        if not last:
            return np.zeros((0, 4))
        threshold = float(self.model.voicing_threshold)
        parts = [
            torch.stack([f0.hz.double(), f0.confidence.double(), f0.confidence > threshold], 1)
            for f0 in self._viterbi.finish()
        ]
        rows = torch.cat(parts).numpy()  # (N', 3)
        times = self.model.pitch_grid.frame_to_sec(np.arange(len(rows)))
        return np.concatenate([times[:, None], rows], 1)

    def close(self) -> None:
        """Remove the file."""
        self._viterbi.close()

    def __enter__(self) -> "WholeSongPitchTrack":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
