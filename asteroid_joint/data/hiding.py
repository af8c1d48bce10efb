"""Labels that a set has and training is not to see: for controls, and to share a set out."""

from collections.abc import Collection

import numpy as np

from ..errors import ConfigError
from .base import JointDataset

LABELS = ("sources", "f0", "activity")


class Hidden(JointDataset):
    """A dataset without some of its labels; a model cannot tell it from one that never had them.

    Args:
        dataset: What is shown of it otherwise.
        labels: Out of ``"sources"``, ``"f0"`` and ``"activity"``. Without sources its clips are
            cropped only, as nothing in them can be moved.

    Raises:
        ConfigError: If there is no such label.
    """

    def __init__(self, dataset: JointDataset, labels: Collection[str]) -> None:
        unknown = set(labels) - set(LABELS)
        if isinstance(labels, str) or unknown:
            raise ConfigError(f"hide takes a list out of {', '.join(LABELS)}; received {labels}.")
        self.dataset = dataset
        self.labels = frozenset(labels)
        self.sample_rate, self.n_channels = dataset.sample_rate, dataset.n_channels
        self.mixture_gain, self.sources = dataset.mixture_gain, tuple(dataset.sources)
        self.infos, self.clips = dataset.infos, dataset.clips

    @property
    def voice_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.voice_weights`."""
        return self.dataset.voice_weights

    @property
    def rest_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.rest_weights`."""
        return self.dataset.rest_weights

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`."""
        mixture, sources = self.dataset.read(index, start, n_samples)
        return mixture, None if "sources" in self.labels else sources

    def n_parts(self, source: int) -> int:
        """See :meth:`JointDataset.n_parts`."""
        return self.dataset.n_parts(source)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """See :meth:`JointDataset.read_part`."""
        if "sources" in self.labels:
            return None
        return self.dataset.read_part(index, source, part, start, n_samples)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_at`."""
        return None if "f0" in self.labels else self.dataset.f0_at(index, times)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.activity_at`."""
        return None if "activity" in self.labels else self.dataset.activity_at(index, times)

    def sources_quality(self, index: int) -> float:
        """See :meth:`JointDataset.sources_quality`."""
        return self.dataset.sources_quality(index)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_quality_at`."""
        return None if "f0" in self.labels else self.dataset.f0_quality_at(index, times)
