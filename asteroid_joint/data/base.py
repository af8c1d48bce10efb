"""The interface of a dataset: clips with audio and, where available, labels at any time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
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
        mixture_gain: Factor from the sum of the sources to the mixture: 1 where they add up.
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
        """Sampling weight of each clip as a training voice, ``(clips,)``: by default its length."""
        return np.array([clip.n_samples for clip in self.clips], float)

    @property
    def rest_weights(self) -> np.ndarray:
        """Likewise as accompaniment, ``(clips,)``; 0 = never."""
        return np.array([clip.n_samples for clip in self.clips], float)

    @abstractmethod
    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Read audio of a clip from sample ``start`` on.

        Returns:
            mixture ``(C, T)`` and sources ``(S, C, T)`` or ``None``, float32; shorter than
            ``n_samples`` where the clip ends.
        """

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """One stem of :meth:`read`, ``(C, T)``; a dataset with a file per stem reads only that."""
        sources = self.read(index, start, n_samples)[1]
        return None if sources is None else sources[source]

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        """Recordings that add up to a stem: a remix takes each from another clip with the same."""
        return (self.sources[source],)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """One of the recordings that add up to a stem, ``(C, T)``."""
        return self.read_source(index, source, start, n_samples)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """F0 at ``times`` (seconds) in Hz: 0 = unvoiced, NaN = unknown; ``None`` = no labels."""
        return None

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """Vocal activity at ``times``: 0, 1 or NaN = unknown; ``None`` = no labels."""
        return None

    def sources_quality(self, index: int) -> float:
        """Reliability of a clip's sources, 0 to 1; 1 = true sources."""
        return 1.0

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """Reliability of F0 at ``times``, 0 to 1; ``None`` = true labels."""
        return None

    def example(
        self, index: int, grid: PitchGrid, start: int = 0, n_samples: int | None = None
    ) -> JointExample:
        """A clip, or an excerpt of it, with its labels, for validation and evaluation."""
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

    def stretches(
        self, index: int, grid: PitchGrid, piece_sec: float = 0.0
    ) -> list[tuple[int, int | None]]:
        """First sample, on a frame, and length of the equal pieces of a clip.

        Args:
            index: Clip.
            grid: Frames.
            piece_sec: Greatest length of a piece; 0 = the clip as a whole, ``[(0, None)]``.
        """
        n_samples = self.clips[index].n_samples
        n_pieces = 1
        if piece_sec:
            n_pieces = max(1, int(np.ceil(n_samples / self.sample_rate / piece_sec)))
        if n_pieces == 1:
            return [(0, None)]
        length = int(np.ceil(n_samples / n_pieces / grid.hop_length)) * grid.hop_length
        return [(start, length) for start in range(0, n_samples, length)]


class Place(NamedTuple):
    """Origin of a clip of a :class:`Wrapped` dataset.

    Attributes:
        dataset: Original dataset.
        clip: Index of the original clip.
        start: Sample of the original clip at which this one begins.
        n_samples: Length, if this one ends before the original clip.
    """

    dataset: JointDataset
    clip: int
    start: int = 0
    n_samples: int | None = None

    def stretch(self, start: int, n_samples: int | None) -> tuple[int, int | None]:
        """First sample and length in the original dataset of an excerpt from ``start`` on."""
        if self.n_samples is not None:
            left = max(self.n_samples - start, 0)
            n_samples = left if n_samples is None else min(n_samples, left)
        return self.start + start, n_samples

    def times(self, times: np.ndarray) -> np.ndarray:
        """Seconds in the original clip."""
        return times + self.start / self.dataset.sample_rate


class Wrapped(JointDataset):
    """Clips of other datasets: every method of :class:`JointDataset` is delegated to the original.

    A wrapper overrides only what it changes. If its ``read`` creates stems, :meth:`makes_sources`
    tells so, and stems and their parts are taken from there.

    Args:
        places: Origin of each clip.
        like: Dataset whose rate, channels, stems and other facts are adopted.
    """

    def __init__(self, places: Sequence[Place], like: JointDataset) -> None:
        for fact in JointDataset.__annotations__:
            setattr(self, fact, getattr(like, fact))
        self.sources = tuple(self.sources)
        self.places = places
        self.clips = [place.dataset.clips[place.clip] for place in places]

    def makes_sources(self, index: int) -> bool:
        """Whether ``read`` of this dataset, not of the original, provides the stems of a clip."""
        return False

    @property
    def voice_weights(self) -> np.ndarray:
        return self._weights("voice_weights")

    @property
    def rest_weights(self) -> np.ndarray:
        return self._weights("rest_weights")

    def _weights(self, which: str) -> np.ndarray:
        sets = {id(place.dataset): place.dataset for place in self.places}
        weights = {key: getattr(dataset, which) for key, dataset in sets.items()}
        return np.array([weights[id(place.dataset)][place.clip] for place in self.places])

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        place = self.places[index]
        return place.dataset.read(place.clip, *place.stretch(start, n_samples))

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        if self.makes_sources(index):
            return super().read_source(index, source, start, n_samples)
        place = self.places[index]
        return place.dataset.read_source(place.clip, source, *place.stretch(start, n_samples))

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        if self.makes_sources(index):
            return super().part_names(index, source)
        place = self.places[index]
        return place.dataset.part_names(place.clip, source)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        if self.makes_sources(index):
            return super().read_part(index, source, part, start, n_samples)
        place = self.places[index]
        return place.dataset.read_part(place.clip, source, part, *place.stretch(start, n_samples))

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        place = self.places[index]
        return place.dataset.f0_at(place.clip, place.times(times))

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        place = self.places[index]
        return place.dataset.activity_at(place.clip, place.times(times))

    def sources_quality(self, index: int) -> float:
        place = self.places[index]
        return place.dataset.sources_quality(place.clip)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        place = self.places[index]
        return place.dataset.f0_quality_at(place.clip, place.times(times))
