"""A dataset whose missing labels are filled in by a teacher."""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import sha256
from ..pitch import resample_f0
from .base import JointDataset, Place, Wrapped
from .pseudo_files import Piece, cut, missing_label, piece_path, read_header, read_piece, read_stems


class PseudoLabelled(Wrapped):
    """A dataset whose missing labels are filled in by a teacher.

    Its clips are the segments that the teacher judged. True labels stay as they are, except notes:
    where a voice is accepted, F0 near its notes is the teacher's. Rejected pseudo labels, and
    rejected frames of F0, count as missing.

    Args:
        dataset: Dataset with missing labels.
        labels_dir: Folder of pseudo labels.
        name: Name of the dataset in that folder.
        filtered: ``False`` accepts all labels: the control.
        teacher: Model file that must have made them; any if empty.

    Raises:
        DataError: If labels are missing or from another teacher, or none was accepted.
    """

    def __init__(
        self,
        dataset: JointDataset,
        labels_dir: str | Path,
        name: str,
        filtered: bool = True,
        teacher: str = "",
    ) -> None:
        self.folder, self.filtered = Path(labels_dir).expanduser(), filtered
        self.header = read_header(self.folder)
        if teacher and sha256(Path(teacher)) != self.header.teacher:
            raise DataError(
                f"The pseudo labels in {self.folder} come from another teacher than {teacher}: "
                "make them again with this one, in another folder."
            )
        grid = self.header.pitch_grid
        self.pieces = cut(dataset, float(self.header.settings["piece_sec"]), grid)
        super().__init__(
            [Place(dataset, p.clip, p.start, p.n_samples) for p in self.pieces], dataset
        )
        self.label_grid = grid
        self.clips = [
            clip._replace(name=piece.name, n_samples=piece.n_samples)
            for clip, piece in zip(self.clips, self.pieces, strict=True)
        ]
        # segments share the sampling weight of their clip
        self._shares = np.array(
            [p.n_samples / dataset.clips[p.clip].n_samples for p in self.pieces]
        )
        missing = [missing_label(dataset, i) for i in range(len(dataset))]
        self._name = name
        self._facts = [self._read(piece) if missing[piece.clip] else None for piece in self.pieces]
        accepted = [self._accepted(facts) for facts in self._facts if facts is not None]
        if accepted and not any(accepted):
            raise DataError(
                f"None of the {len(accepted)} pseudo labels for {name} in {self.folder} was "
                "accepted: train the teacher longer, label with a less strict --rule, or leave "
                "pseudo_dir empty."
            )

    def _read(self, piece: Piece) -> dict[str, np.ndarray]:
        path = piece_path(self.folder, self._name, piece)
        facts = read_piece(path, self.header)
        if facts is None:
            raise DataError(
                f"The pseudo labels of {piece.name} are missing from {self.folder}: run "
                "python -m asteroid_joint.engine.pseudo again to resume."
            )
        return facts

    def _accepted(self, facts: dict[str, np.ndarray]) -> bool:
        return bool(facts["accepted"]) or not self.filtered

    def _pseudo(self, index: int, label: str) -> dict[str, np.ndarray] | None:
        """Facts of a segment, if its ``label`` is an accepted pseudo label."""
        facts = self._facts[index]
        if facts is None or str(facts["label"]) != label or not self._accepted(facts):
            return None
        return facts

    def _refined(self, index: int) -> dict[str, np.ndarray] | None:
        """Facts of a segment whose F0, known from notes, a teacher refined."""
        facts = self._pseudo(index, "sources")
        return facts if facts is not None and self.filtered and "f0_hz" in facts else None

    @property
    def voice_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.voice_weights`; segments share that of their clip."""
        return super().voice_weights * self._shares

    @property
    def rest_weights(self) -> np.ndarray:
        return super().rest_weights * self._shares

    def makes_sources(self, index: int) -> bool:
        """See :meth:`Wrapped.makes_sources`: where the teacher separated the clip."""
        return self._pseudo(index, "sources") is not None

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        mixture, sources = super().read(index, start, n_samples)
        if not self.makes_sources(index):
            return mixture, sources
        path = piece_path(self.folder, self._name, self.pieces[index])
        stems = read_stems(path, self.n_channels, start, mixture.shape[-1])  # (S - 1, C, T)
        rest = mixture / np.float32(self.mixture_gain) - stems.sum(0)
        return mixture, np.concatenate([stems, rest[None]]).astype(np.float32)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        facts = self._pseudo(index, "f0") or self._refined(index)
        if facts is None:
            return super().f0_at(index, times)
        f0_hz = facts["f0_hz"]
        if not self.filtered:
            f0_hz = np.where(facts["confidence"] > self.header.voicing_threshold, facts["hz"], 0.0)
        return resample_f0(f0_hz, self.header.pitch_grid.times(len(f0_hz)), times)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        facts, key = self._pseudo(index, "f0"), "quality"
        if facts is None:
            facts, key = self._refined(index), "f0_quality"
        if facts is None:
            return super().f0_quality_at(index, times)
        if not self.filtered:
            return None
        quality = facts[key]
        frames = np.rint(self.header.pitch_grid.sec_to_frame(times)).astype(int)
        return quality[frames.clip(0, len(quality) - 1)].astype(np.float32)

    def sources_quality(self, index: int) -> float:
        facts = self._pseudo(index, "sources")
        if facts is None:
            return super().sources_quality(index)
        return float(facts["quality"]) if self.filtered else 1.0


def with_pseudo_labels(
    dataset: JointDataset, labels_dir: str, name: str, filtered: bool = True, teacher: str = ""
) -> JointDataset:
    """A :class:`PseudoLabelled` dataset, or the dataset itself if it lacks no label."""
    if not any(missing_label(dataset, i) for i in range(len(dataset))):
        return dataset
    return PseudoLabelled(dataset, labels_dir, name, filtered, teacher)
