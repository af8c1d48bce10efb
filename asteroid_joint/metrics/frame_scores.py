"""Scores of all frames of an evaluation: pooled areas, and a file for later tests."""

import zipfile
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import atomic_write
from .detection import AreaDifference, auc, delong_test

SCORES_FILE = "activity_scores.npz"


class FrameScores:
    """Vocal activity of many clips: labels and scores of the frames whose label is known."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._labels: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def add(self, name: str, labels: np.ndarray | None, scores: np.ndarray | None) -> None:
        """Add a clip, if it has both labels and scores.

        Args:
            name: Name of the clip.
            labels: ``(frames,)`` 0 or 1, NaN = unknown (left out).
            scores: ``(frames,)``.
        """
        if labels is None or scores is None:
            return
        known = ~np.isnan(labels)
        self.names.append(name)
        self._labels.append(labels[known] > 0.5)
        self._scores.append(np.asarray(scores, np.float32)[known])

    def __len__(self) -> int:
        return len(self.names)

    def facts(self) -> dict[str, float | int | None]:
        """Facts to report beside the metrics of single clips; empty if there are no clips.

        ``auc_pooled`` is the area over all frames, ``None`` (as JSON has no NaN) if they are of one
        class. So are the frames of ``n_auc_undefined`` of the ``n_auc_clips`` clips.
        """
        if not self.names:
            return {}
        labels, scores = np.concatenate(self._labels), np.concatenate(self._scores)
        area = auc(labels, scores)
        return {
            "auc_pooled": None if np.isnan(area) else area,
            "n_auc_frames": len(labels),
            "n_auc_clips": len(self.names),
            "n_auc_undefined": sum(len(np.unique(x)) < 2 for x in self._labels),
        }

    def save(self, folder: Path) -> None:
        """Write the file of an evaluation; without clips, remove that of an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / SCORES_FILE
        if not self.names:
            path.unlink(missing_ok=True)
            return
        counts = [len(labels) for labels in self._labels]
        with atomic_write(path) as part:
            np.savez_compressed(
                part,
                name=np.array(self.names),
                clip=np.repeat(np.arange(len(counts), dtype=np.uint32), counts),
                label=np.concatenate(self._labels),
                score=np.concatenate(self._scores),
            )

    @classmethod
    def load(cls, folder: Path) -> "FrameScores":
        """Read the file that :meth:`save` wrote.

        Raises:
            DataError: If the file is missing or not of that format.
        """
        path = folder / SCORES_FILE
        scores = cls()
        try:
            with np.load(path, allow_pickle=False) as file:
                names, clip, label, score = (file[k] for k in ("name", "clip", "label", "score"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as err:
            raise DataError(f"{path} does not contain frame scores: evaluate again.") from err
        bounds = np.searchsorted(clip, np.arange(1, len(names)))
        for name, labels, values in zip(
            names.tolist(), np.split(label, bounds), np.split(score, bounds), strict=True
        ):
            scores.add(name, labels.astype(float), values)
        return scores

    def compare(self, other: "FrameScores") -> AreaDifference | None:
        """DeLong's test over all frames; ``None`` if the clips or their frames differ."""
        place = {name: i for i, name in enumerate(other.names)}
        if set(self.names) != set(place):
            return None
        order = [place[name] for name in self.names]
        mine, theirs = self._labels, [other._labels[i] for i in order]
        if not all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True)):
            return None
        scores = np.concatenate([other._scores[i] for i in order])
        return delong_test(np.concatenate(mine), np.concatenate(self._scores), scores)
