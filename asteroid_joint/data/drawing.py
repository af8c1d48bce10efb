"""Sampling of training examples: random crop, remix, relative gain, speed, pitch and tempo.

Example ``i`` is a function of ``(seed, i)`` alone. Hence any number of workers, any number of
processes and a resumed run see the same examples in the same order.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import DataError
from ..pitch import PitchGrid
from .base import JointDataset
from .batch import JointExample
from .pitch_tempo import UNCHANGED, Change, PitchTempo


class DrawnExamples(Dataset[JointExample]):
    """Endless random examples from a :class:`JointDataset`.

    Args:
        dataset: Dataset whose clips are sampled by its ``voice_weights`` and, for the accompaniment
            of other clips, ``rest_weights``.
        grid: Frames of the labels.
        n_samples: Length of an example.
        seed: Seed of the sampling.
        remix: Probability that accompaniment comes from another clip. Always, where the clip's own
            rest weight is 0.
        gain_db: Greatest gain or attenuation of the voice against the rest.
        level_db: Greatest attenuation of the mixture.
        speed_semitones: With probability one half the voice is played faster or slower by up to
            this; pitch labels follow exactly.
        silence: Probability that the voice is left out.
        remix_stems: Whether a remix takes every stem but the voice, and every part of a stem that
            is a sum, from a different clip: see :meth:`JointDataset.part_names`.
        stem_gain: Least and greatest factor on every stem.
        swap_channels: Probability that a stem's channels are swapped.
        pitch_tempo: Changes of pitch and tempo, the same for all stems from one clip; pitch labels
            follow exactly.

    Clips without sources are cropped only.

    Raises:
        DataError: If no clip provides a voice, or none provides accompaniment.
    """

    def __init__(
        self,
        dataset: JointDataset,
        grid: PitchGrid,
        n_samples: int,
        seed: int = 0,
        remix: float = 0.7,
        gain_db: float = 6.0,
        level_db: float = 0.0,
        speed_semitones: float = 3.0,
        silence: float = 0.0,
        remix_stems: bool = False,
        stem_gain: tuple[float, float] = (1.0, 1.0),
        swap_channels: float = 0.0,
        pitch_tempo: PitchTempo | None = None,
    ) -> None:
        self.dataset = dataset
        self.grid = grid
        self.n_samples = n_samples
        self.seed = seed
        self.remix = remix
        self.gain_db = gain_db
        self.level_db = level_db
        self.speed_semitones = speed_semitones
        self.silence = silence
        self.remix_stems = remix_stems
        self.stem_gain = stem_gain
        self.swap_channels = swap_channels
        self.pitch_tempo = pitch_tempo or PitchTempo()
        self._has_rest = dataset.rest_weights > 0
        self._voices = WeightedChoice(dataset.voice_weights, "a voice")
        self._rests = WeightedChoice(dataset.rest_weights, "accompaniment")
        self._rests_alike: dict[tuple[int, tuple[str, ...]], WeightedChoice] = {}

    def __getitem__(self, draw: int) -> JointExample:
        """Example number ``draw``."""
        rng = np.random.default_rng((self.seed, draw))
        index = self._voices.draw(rng)
        speed = 1.0
        if self.speed_semitones and rng.random() < 0.5:
            speed = 2 ** (rng.uniform(-self.speed_semitones, self.speed_semitones) / 12)
        change = self.pitch_tempo.draw(rng)
        # enough for a faster voice; never less than the accompaniment beside a slower one
        n_voice = int(np.ceil(self.n_samples * max(speed, 1.0))) + 8
        n_read = max(change.n_before(n_voice, self.dataset.sample_rate), n_voice)
        start = self._start(rng, index, n_read)
        mixture, sources = self.dataset.read(index, start, n_read)
        if sources is None:
            speed, change, mixture = 1.0, UNCHANGED, _fit(mixture, self.n_samples)
        else:
            sources = self._sources(rng, sources, index, speed, change)
            mixture = sources.sum(0) * self.dataset.mixture_gain  # (C, T)
        level = 10 ** (-rng.uniform(0, self.level_db) / 20)
        mixture = (mixture * level).astype(np.float32)
        frame_times = self.grid.times(self.grid.n_frames(self.n_samples))
        times = start / self.dataset.sample_rate + frame_times * speed * change.tempo
        f0_hz = self.dataset.f0_at(index, times)
        activity = self.dataset.activity_at(index, times)
        f0_quality = self.dataset.f0_quality_at(index, times)
        if sources is not None:
            sources = (sources * level).astype(np.float32)
            if rng.random() < self.silence:
                mixture = mixture - sources[0] * self.dataset.mixture_gain
                sources[0] = 0.0
                f0_hz = None if f0_hz is None else np.zeros_like(f0_hz)
                activity = None if activity is None else np.zeros_like(activity)
        clip = self.dataset.clips[index]
        return JointExample(
            mixture,
            sources,
            None if f0_hz is None else f0_hz * np.float32(speed * change.pitch),
            activity,
            clip.name,
            clip.song,
            self.dataset.sources_quality(index),
            f0_quality,
        )

    def _start(self, rng: np.random.Generator, index: int, n_read: int) -> int:
        """Random start on a multiple of the hop, so that labels fall on frames."""
        room = max(self.dataset.clips[index].n_samples - n_read, 0) // self.grid.hop_length
        return int(rng.integers(0, room + 1)) * self.grid.hop_length

    def _sources(
        self,
        rng: np.random.Generator,
        sources: np.ndarray,
        index: int,
        speed: float,
        change: Change,
    ) -> np.ndarray:
        """Voice at another speed and gain over the rest of this or other clips, ``(S, C, T)``."""
        voice, rest = sources[:1], sources[1:]
        remixed = rng.random() < self.remix or not self._has_rest[index]
        if remixed and not self.remix_stems:
            rest_of = self._rests.draw(rng)
        voice = self._changed(voice, change)
        if not remixed or (not self.remix_stems and rest_of == index):
            rest = self._changed(rest, change)
        if speed != 1.0:
            voice = change_speed(voice, speed, self.dataset.sample_rate)
        voice, rest = _fit(voice, self.n_samples), _fit(rest, self.n_samples)
        if remixed and self.remix_stems:
            for s in range(len(rest)):
                stem = self._stem(rng, s + 1)
                rest[s] = rest[s] if stem is None else stem
        elif remixed and rest_of != index:
            other = self._rest(rng, rest_of)
            rest = rest if other is None else other
        gain = 10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20)
        return self._augment(rng, np.concatenate([voice * np.float32(gain), rest]))

    def _rest(self, rng: np.random.Generator, index: int) -> np.ndarray | None:
        """An excerpt of all stems of a clip but its voice, ``(S - 1, C, T)``, if it has stems."""
        change, start, n_read = self._stretch(rng, index)
        sources = self.dataset.read(index, start, n_read)[1]
        return None if sources is None else _fit(self._changed(sources[1:], change), self.n_samples)

    def _stem(self, rng: np.random.Generator, source: int) -> np.ndarray | None:
        """A stem, each part of it from a different clip, ``(C, T)``, if they have stems."""
        total, index = None, self._rests.draw(rng)
        names = self.dataset.part_names(index, source)
        for part in range(len(names)):
            if part:
                index = self._alike(source, names).draw(rng)
            change, start, n_read = self._stretch(rng, index)
            wav = self.dataset.read_part(index, source, part, start, n_read)
            if wav is None:
                return None
            wav = _fit(change(wav, self.dataset.sample_rate), self.n_samples)
            total = wav if total is None else total + wav
        return total

    def _alike(self, source: int, names: tuple[str, ...]) -> "WeightedChoice":
        """Clips that provide accompaniment and whose stem has these parts."""
        key = (source, names)
        if key not in self._rests_alike:
            weights = self.dataset.rest_weights
            alike = [
                weight > 0 and self.dataset.part_names(index, source) == names
                for index, weight in enumerate(weights)
            ]
            self._rests_alike[key] = WeightedChoice(weights * alike, "accompaniment")
        return self._rests_alike[key]

    def _stretch(self, rng: np.random.Generator, index: int) -> tuple[Change, int, int]:
        """Change of an excerpt of a clip, its first sample and its length."""
        change = self.pitch_tempo.draw(rng)
        n_read = change.n_before(self.n_samples, self.dataset.sample_rate)
        return change, self._start(rng, index, n_read), n_read

    def _changed(self, sources: np.ndarray, change: Change) -> np.ndarray:
        """Stems ``(S, C, T)`` at another pitch and tempo."""
        if change == UNCHANGED:
            return sources
        return np.stack([change(wav, self.dataset.sample_rate) for wav in sources])

    def _augment(self, rng: np.random.Generator, sources: np.ndarray) -> np.ndarray:
        """Gain and channel swap per stem; takes no random numbers where both are off."""
        if self.stem_gain != (1.0, 1.0):
            gains = rng.uniform(*self.stem_gain, size=(len(sources), 1, 1))
            sources = sources * gains.astype(np.float32)
        if self.swap_channels:
            swapped = rng.random(len(sources)) < self.swap_channels
            sources = np.where(swapped[:, None, None], sources[:, ::-1], sources)
        return sources


class WeightedChoice:
    """Random choice of an index in proportion to weights.

    Args:
        weights: ``(items,)``, at least 0.
        what: What the items provide, for the message if all weights are 0.

    Raises:
        DataError: If all weights are 0.
    """

    def __init__(self, weights: np.ndarray, what: str) -> None:
        self._items = np.flatnonzero(weights > 0)
        if not len(self._items):
            raise DataError(f"No clip provides {what}: blend this dataset with one that does.")
        self._cumulative = np.cumsum(weights[self._items] / weights[self._items].sum())

    def draw(self, rng: np.random.Generator) -> int:
        """Index of an item; takes one number from ``rng``."""
        place = int(np.searchsorted(self._cumulative, rng.random()))
        return int(self._items[min(place, len(self._items) - 1)])


class DrawSampler(Sampler[int]):
    """Indices of the examples of one epoch, interleaved over processes.

    Args:
        draws_per_epoch: Examples of all processes together.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(self, draws_per_epoch: int, rank: int = 0, world_size: int = 1) -> None:
        self.draws_per_epoch = draws_per_epoch
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.skipped = 0  # examples of this process that a resumed epoch has seen already

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch, after a resume too."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.draws_per_epoch
        begin = first + self.rank + self.skipped * self.world_size
        yield from range(begin, first + len(self) * self.world_size, self.world_size)

    def __len__(self) -> int:
        return self.draws_per_epoch // self.world_size


class ResumableLoader(DataLoader):
    """A loader that goes on within an epoch from where a checkpoint was written.

    Its sampler numbers the examples of an epoch (:class:`DrawSampler`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batches = 0  # taken in this epoch
        self._resume_at = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        sampler: DrawSampler = self.sampler  # type: ignore[assignment]
        self._batches, self._resume_at = self._resume_at, 0
        sampler.skipped = self._batches * (self.batch_size or 1)
        for batch in super().__iter__():
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Batches taken in this epoch; Lightning stores it with a checkpoint."""
        return {"batches": self._batches % max(len(self), 1)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self._resume_at = int(state["batches"])


class WholeClips(Dataset[JointExample]):
    """The clips of a dataset for validation and evaluation, uncut or in equal excerpts.

    Args:
        dataset: Dataset of the clips.
        grid: Frames of the labels.
        n_clips: Number of clips to use, evenly spread; ``None`` for all.
        piece_sec: Longer clips are cut into equal excerpts of at most this; 0 = never.
    """

    def __init__(
        self,
        dataset: JointDataset,
        grid: PitchGrid,
        n_clips: int | None = None,
        piece_sec: float = 0.0,
    ) -> None:
        self.dataset = dataset
        self.grid = grid
        n_all = len(dataset)
        keep = n_all if n_clips is None else min(n_clips, n_all)
        indices = np.linspace(0, n_all - 1, keep).round().astype(int)
        self._pieces = [
            (i, *stretch)
            for i in map(int, indices)
            for stretch in dataset.stretches(i, grid, piece_sec)
        ]

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[JointExample]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> JointExample:
        clip, start, n_samples = self._pieces[index]
        return self.dataset.example(clip, self.grid, start, n_samples)


def change_speed(wav: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Play ``(..., T)`` ``speed`` times as fast: pitch, formants and tempo change together."""
    import soxr

    flat = wav.reshape(-1, wav.shape[-1]).T  # (T, S C)
    out = soxr.resample(flat, sample_rate * speed, sample_rate, quality="MQ")
    return out.T.reshape(*wav.shape[:-1], -1)


def _fit(wav: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut or zero-pad the last axis to ``n_samples``."""
    missing = n_samples - wav.shape[-1]
    if missing <= 0:
        return wav[..., :n_samples]
    return np.pad(wav, [(0, 0)] * (wav.ndim - 1) + [(0, missing)])


def one_thread_per_worker(worker_id: int) -> None:
    """Limit a worker to one thread, as examples are small."""
    torch.set_num_threads(1)
