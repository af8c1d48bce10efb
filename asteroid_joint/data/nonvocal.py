"""Instrumental sections of a dataset with activity labels as extra examples for separation.

The first approach of the paper below, and the control of its second: a sampled example with a
silent voice may be replaced by an instrumental section of another dataset, whose accompaniment is
the mixture and whose voice is silence.

References:
    D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice", LVA/ICA 2018,
    https://arxiv.org/abs/1804.01650 (section 2.1).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from ..errors import ConfigError, DataError
from .base import JointDataset
from .batch import JointExample
from .drawing import DrawnExamples, WeightedChoice
from .loudness import loud_windows

STREAM = 1  # of random numbers; those of the example itself stay the same


class Section(NamedTuple):
    """Samples ``start`` to ``stop`` of a clip, in which nobody sings."""

    clip: int
    start: int
    stop: int


class ExtraNonVocal(Dataset[JointExample]):
    """Sampled examples, of which some with silent voices are replaced by sections of other data.

    With N clips in the dataset and M in the other one the probability is N / (N + M), so non-vocal
    sections of both are equally likely. A voice is silent if it has no audible window in the sense
    of :mod:`.loudness`. An example is a function of seed and index alone.

    Args:
        draws: Examples with sources, vocals and accompaniment.
        others: Dataset with activity labels; its other labels are not used.
        min_sec: Shortest sections to use, joined to the length of an example; 0 = sections that
            last a whole example (the paper's).

    Raises:
        ConfigError: If there are other stems than vocals and accompaniment.
        DataError: If the other dataset lacks labels or sections, or differs in rate or channels.
    """

    def __init__(self, draws: DrawnExamples, others: JointDataset, min_sec: float = 0.0) -> None:
        self.draws = draws
        self.dataset = draws.dataset
        self.others = others
        if tuple(self.dataset.sources) != ("vocals", "accompaniment"):
            raise ConfigError(
                "Extra non-vocal sections need vocals and accompaniment as sources, received "
                f"{tuple(self.dataset.sources)}: leave out extra_nonvocal."
            )
        form = (others.sample_rate, others.n_channels)
        if form != (self.dataset.sample_rate, self.dataset.n_channels):
            raise DataError(
                f"{type(others).__name__} has {form[0]} Hz and {form[1]} channels, unlike the "
                "dataset that its non-vocal sections extend: change its arguments."
            )
        self.probability = len(self.dataset) / (len(self.dataset) + len(others))
        least = min(round(min_sec * others.sample_rate) or draws.n_samples, draws.n_samples)
        self.sections = [s for s in _sections(others, draws) if s.stop - s.start >= least]
        if not self.sections:
            raise DataError(
                f"{type(others).__name__} has no non-vocal section of "
                f"{least / others.sample_rate:.2f} s: lower min_sec, or leave out "
                "extra_nonvocal."
            )
        # a section is sampled in proportion to its possible starts
        starts = np.array([s.stop - s.start - least + 1 for s in self.sections], float)
        self._choice = WeightedChoice(starts, "a non-vocal section")

    def __getitem__(self, draw: int) -> JointExample:
        """Example number ``draw``."""
        example = self.draws[draw]
        rng = np.random.default_rng((self.draws.seed, draw, STREAM))
        if rng.random() >= self.probability or example.sources is None:
            return example
        if loud_windows(example.sources[0], self.dataset.sample_rate).any():
            return example
        return self._instead(rng, example)

    def _instead(self, rng: np.random.Generator, example: JointExample) -> JointExample:
        """Sections of the other dataset, joined to the length of an example."""
        excerpts: list[np.ndarray] = []
        missing = self.draws.n_samples
        while missing:
            clip, start, stop = self.sections[self._choice.draw(rng)]
            start += int(rng.integers(0, max(stop - start - missing, 0) + 1))
            mixture, _ = self.others.read(clip, start, min(stop - start, missing))
            excerpts.append(mixture)
            missing -= mixture.shape[-1]
        mixture = np.concatenate(excerpts, -1).astype(np.float32)  # (C, T)
        accompaniment = mixture / np.float32(self.dataset.mixture_gain)
        facts = self.others.clips[clip]
        sources = np.stack([np.zeros_like(accompaniment), accompaniment])  # (S, C, T)
        return JointExample(
            mixture,
            sources,
            None if example.f0_hz is None else np.zeros_like(example.f0_hz),
            None if example.activity is None else np.zeros_like(example.activity),
            facts.name,
            facts.song,
        )


def _sections(dataset: JointDataset, draws: DrawnExamples) -> Iterator[Section]:
    """Sections between the centres of frames that are labelled as not sung."""
    grid, labelled = draws.grid, False
    for index, clip in enumerate(dataset.clips):
        active = dataset.activity_at(index, grid.times(grid.n_frames(clip.n_samples)))
        if active is None:
            continue
        labelled = True
        # of neighbouring frames with a 0 the first and the last: 1 where a run begins, -1 after it
        steps = np.diff(np.concatenate([[0], (active == 0).astype(int), [0]]))
        for first, after in zip(
            np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True
        ):
            stop = (int(after) - 1) * grid.hop_length
            if after == len(active):
                stop = clip.n_samples
            yield Section(index, int(first) * grid.hop_length, stop)
    if not labelled:
        raise DataError(
            f"{type(dataset).__name__} has no activity labels: leave out extra_nonvocal."
        )
