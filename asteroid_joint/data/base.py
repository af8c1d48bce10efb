"""What a dataset offers: clips with audio and, where there are any, labels at any time."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from ..pitch import PitchGrid
from .batch import JointExample


class Clip(NamedTuple):
    """Facts of one clip."""

    name: str
    song: str
    singer: str
    n_samples: int


class JointDataset(ABC):
    """Clips on disk. A new dataset implements ``read`` and the labels it has.

    Class attributes:
        sample_rate: Hz.
        n_channels: Audio channels.
        mixture_gain: Mixture over the sum of the sources: 1 where they add up.
        infos: Dataset name, task and licences, stored with trained weights.

    Instance attributes:
        clips: Facts per clip.
        sources: Names of the stems ``read`` returns, in order.
        label_grid: Frames on which labels were made by a model; ``None`` where none were.
    """

    sample_rate: int = 16000
    n_channels: int = 1
    mixture_gain: float = 1.0
    infos: dict[str, Any] = {}
    sources: tuple[str, ...] = ("vocals", "accompaniment")
    clips: list[Clip]
    label_grid: PitchGrid | None = None

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def voice_weights(self) -> np.ndarray:
        """How often a clip gives the voice of a training example, ``(clips,)``: by its length."""
        return np.array([clip.n_samples for clip in self.clips], float)

    @property
    def rest_weights(self) -> np.ndarray:
        """How often a clip gives the accompaniment, ``(clips,)``: by its length; 0 = never."""
        return np.array([clip.n_samples for clip in self.clips], float)

    @abstractmethod
    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Audio of a clip from sample ``start`` on.

        Returns:
            mixture ``(C, T)`` and sources ``(S, C, T)`` or ``None``, float32; shorter than
            ``n_samples`` where the clip ends.
        """

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """One stem of :meth:`read`, ``(C, T)``; a dataset of a file per stem reads no other."""
        sources = self.read(index, start, n_samples)[1]
        return None if sources is None else sources[source]

    def n_parts(self, source: int) -> int:
        """Recordings that a stem is the sum of: a remix may take each from a clip of its own."""
        return 1

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """One of the recordings that a stem is the sum of, ``(C, T)``."""
        return self.read_source(index, source, start, n_samples)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """F0 at ``times`` (seconds) in Hz: 0 = unvoiced, NaN = unknown; ``None`` = no labels."""
        return None

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """Vocal activity at ``times``: 0, 1 or NaN = unknown; ``None`` = no labels."""
        return None

    def sources_quality(self, index: int) -> float:
        """How far the sources of a clip are to be trusted, 0 to 1; here: true ones."""
        return 1.0

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """How far F0 at ``times`` is to be trusted, 0 to 1; ``None`` = true labels."""
        return None

    def example(
        self, index: int, grid: PitchGrid, start: int = 0, n_samples: int | None = None
    ) -> JointExample:
        """A clip, or a piece of it, with the labels it has, for validation and evaluation."""
        mixture, sources = self.read(index, start, n_samples)
        times = start / self.sample_rate + grid.times(grid.n_frames(mixture.shape[-1]))
        clip = self.clips[index]
        return JointExample(
            mixture,
            sources,
            self.f0_at(index, times),
            self.activity_at(index, times),
            clip.name,
            clip.song,
            self.sources_quality(index),
            self.f0_quality_at(index, times),
        )
