"""What a dataset offers: clips with audio and, where there are any, labels at any time."""

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

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        """Recordings that a stem of a clip is the sum of: a remix takes each from another clip.

        What it takes together comes from clips whose stem has the same parts.
        """
        return (self.sources[source],)

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


class Place(NamedTuple):
    """Where a clip of a :class:`Wrapped` set comes from.

    Attributes:
        dataset: The set that it lies in.
        clip: Index of the clip there.
        start: Sample of that clip at which it begins.
        n_samples: Its length, where it ends before that clip does.
    """

    dataset: JointDataset
    clip: int
    start: int = 0
    n_samples: int | None = None

    def stretch(self, start: int, n_samples: int | None) -> tuple[int, int | None]:
        """First sample and length in the other set of a stretch from ``start`` on."""
        if self.n_samples is not None:
            left = max(self.n_samples - start, 0)
            n_samples = left if n_samples is None else min(n_samples, left)
        return self.start + start, n_samples

    def times(self, times: np.ndarray) -> np.ndarray:
        """Seconds in the other set."""
        return times + self.start / self.dataset.sample_rate


class Wrapped(JointDataset):
    """Clips of other sets: whatever is asked of a clip is handed on to the set that it lies in.

    Nothing of :class:`JointDataset` is left out, so a wrapper overrides only what it changes. One
    whose ``read`` makes stems of its own says so in :meth:`makes_sources`; the stems and their
    parts are then taken from there.

    Args:
        places: Where each clip comes from.
        like: The set whose rate, channels, stems and all other facts are these, too.
    """

    def __init__(self, places: Sequence[Place], like: JointDataset) -> None:
        for fact in JointDataset.__annotations__:
            setattr(self, fact, getattr(like, fact))
        self.sources = tuple(self.sources)
        self.places = places
        self.clips = [place.dataset.clips[place.clip] for place in places]

    def makes_sources(self, index: int) -> bool:
        """Whether the stems of a clip are what ``read`` gives here, not those where it lies."""
        return False

    @property
    def voice_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.voice_weights`."""
        return self._weights("voice_weights")

    @property
    def rest_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.rest_weights`."""
        return self._weights("rest_weights")

    def _weights(self, which: str) -> np.ndarray:
        sets = {id(place.dataset): place.dataset for place in self.places}
        weights = {key: getattr(dataset, which) for key, dataset in sets.items()}
        return np.array([weights[id(place.dataset)][place.clip] for place in self.places])

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`."""
        place = self.places[index]
        return place.dataset.read(place.clip, *place.stretch(start, n_samples))

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """See :meth:`JointDataset.read_source`."""
        if self.makes_sources(index):
            return super().read_source(index, source, start, n_samples)
        place = self.places[index]
        return place.dataset.read_source(place.clip, source, *place.stretch(start, n_samples))

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        """See :meth:`JointDataset.part_names`."""
        if self.makes_sources(index):
            return super().part_names(index, source)
        place = self.places[index]
        return place.dataset.part_names(place.clip, source)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """See :meth:`JointDataset.read_part`."""
        if self.makes_sources(index):
            return super().read_part(index, source, part, start, n_samples)
        place = self.places[index]
        return place.dataset.read_part(place.clip, source, part, *place.stretch(start, n_samples))

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_at`."""
        place = self.places[index]
        return place.dataset.f0_at(place.clip, place.times(times))

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.activity_at`."""
        place = self.places[index]
        return place.dataset.activity_at(place.clip, place.times(times))

    def sources_quality(self, index: int) -> float:
        """See :meth:`JointDataset.sources_quality`."""
        place = self.places[index]
        return place.dataset.sources_quality(place.clip)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_quality_at`."""
        place = self.places[index]
        return place.dataset.f0_quality_at(place.clip, place.times(times))
