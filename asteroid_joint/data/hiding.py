"""Hide labels of a dataset from training: for controls, and to divide a dataset."""

from collections.abc import Collection

import numpy as np

from ..errors import ConfigError
from .base import JointDataset, Place, Wrapped

LABELS = ("sources", "f0", "activity")


class Hidden(Wrapped):
    """A dataset without some of its labels, like one that never had them.

    Args:
        dataset: Dataset with all labels.
        labels: Some of ``"sources"``, ``"f0"`` and ``"activity"``. Clips without sources are
            cropped, but not augmented.

    Raises:
        ConfigError: If a label is unknown.
    """

    def __init__(self, dataset: JointDataset, labels: Collection[str]) -> None:
        unknown = set(labels) - set(LABELS)
        if isinstance(labels, str) or unknown:
            raise ConfigError(
                f"Expected hide to list some of {', '.join(LABELS)}; received {labels}."
            )
        super().__init__([Place(dataset, index) for index in range(len(dataset))], dataset)
        self.labels = frozenset(labels)

    def makes_sources(self, index: int) -> bool:
        return "sources" in self.labels

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        mixture, sources = super().read(index, start, n_samples)
        return mixture, None if "sources" in self.labels else sources

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return None if "f0" in self.labels else super().f0_at(index, times)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return None if "activity" in self.labels else super().activity_at(index, times)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return None if "f0" in self.labels else super().f0_quality_at(index, times)
