"""Training examples from recordings that stay in the memory of the device.

A loader that reads files, resamples and mixes on processor cores cannot keep an accelerator busy.
Here all clips of a dataset lie in one 16-bit tensor on the device, and a batch is made there. What
is random is planned on the host, example by example (:mod:`.plans`); so an example remains a
function of ``(seed, i)`` alone, as with :class:`~.drawing.DrawnExamples`.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from ..errors import DataError
from ..pitch import PitchGrid
from .base import JointDataset
from .batch import Batch
from .effects import (
    IMPULSE_SEC,
    NOISE_SAMPLES,
    PADDING,
    STEP_BITS,
    band_limit,
    equalise,
    impulse_noise,
    read_interpolated,
    read_straight,
    reverberate,
    saturate,
)
from .plans import MIXTURE, Augmentation, Plan, Planner, Recording

logger = logging.getLogger(__name__)

BYTES = 2  # of a sample in the store
SHARE = 0.6  # of the free memory that a store may take
QUIET = 1e-3  # -60 dB re full scale
AT_ONCE = 64  # clips read before they go to the device


class ResidentExamples(Dataset[Any]):
    """Endless random batches from the recordings of a :class:`JointDataset` on a device.

    Give it to a ``DataLoader`` with :class:`~.drawing.DrawSampler`, ``num_workers=0`` and
    :func:`as_it_is` as ``collate_fn``: it makes whole batches.

    Args:
        dataset: Dataset whose clips are sampled by its ``voice_weights`` and ``rest_weights``. All
            of its clips are read once, here.
        grid: Frames of the labels.
        n_samples: Length of an example.
        seed: Seed of the sampling.
        device: Device that holds the recordings and makes the batches.
        augmentation: What is random: see :class:`~.plans.Augmentation`.

    Raises:
        DataError: If the recordings do not fit into the memory of the device, or no clip provides a
            voice or accompaniment.
    """

    def __init__(
        self,
        dataset: JointDataset,
        grid: PitchGrid,
        n_samples: int,
        seed: int,
        device: torch.device | str,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.dataset = dataset
        self.grid = grid
        self.n_samples = n_samples
        self.seed = seed
        self.device = torch.device(device)
        augmentation = augmentation or Augmentation()
        self.store = Store(dataset, grid, self.device, augmentation.remix_stems)
        self.planner = Planner(dataset, self.store.recordings, grid, n_samples, seed, augmentation)
        bank = np.random.default_rng(0).standard_normal(NOISE_SAMPLES).astype(np.float32)
        self._noise = torch.from_numpy(bank).to(self.device)

    def __len__(self) -> int:
        return 2**62  # examples are numbered without end; a sampler says how many make an epoch

    @torch.no_grad()
    def __getitems__(self, draws: Sequence[int]) -> Batch:
        """The batch of the examples with these numbers, on the device."""
        plans = [self.planner.plan(int(draw)) for draw in draws]
        n_src, n_channels = len(self.dataset.sources), self.dataset.n_channels
        rows = torch.zeros(len(plans), n_src + 1, n_channels, self.n_samples, device=self.device)
        self._read(plans, rows)  # (B, 1 + S, C, T): mixtures without stems, then stems
        voice, rest = rows[:, 1:2], rows[:, 2:]
        self._shape_voices(plans, voice)
        self._shape_rests(plans, rest)
        return self._mixed(plans, rows)

    def __getitem__(self, draw: int) -> Batch:
        """A batch of one example."""
        return self.__getitems__([draw])

    def _tensor(self, values: Sequence[Any], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values)).to(dtype).to(self.device)

    def _read(self, plans: Sequence[Plan], rows: torch.Tensor) -> None:
        """Add every recording that is planned to its row."""
        for layer in range(max(len(plan.takes) for plan in plans)):
            takes = [(b, p.takes[layer]) for b, p in enumerate(plans) if len(p.takes) > layer]
            for straight in (True, False):
                group = [(b, take) for b, take in takes if (take.speed == 1.0) == straight]
                if not group:
                    continue
                place = [[b, take.source + 1, take.recording, take.start] for b, take in group]
                b, row, item, start = self._tensor(place, torch.int64).T
                first, length = self.store.first[item], self.store.length[item]
                form = (self.store.wav, first, length, start)
                if straight:
                    wav = read_straight(*form, self.n_samples)
                else:
                    step = [round(take.speed * (1 << STEP_BITS)) for _, take in group]
                    wav = read_interpolated(*form, torch.tensor(step), self.n_samples)
                gain = self.store.scale[item] * self._tensor([take.gain for _, take in group])
                # no place twice within a layer, so the sum has one order
                rows[b, row] += wav * gain[:, None, None]

    def _shape_voices(self, plans: Sequence[Plan], voice: torch.Tensor) -> None:
        """Effects on the voices ``(B, 1, C, T)``, in place."""
        rate = self.dataset.sample_rate
        self._apply(plans, voice, "voice_eq_db", lambda x, db: equalise(x, db, rate))

        def room(x: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
            decay_sec, delay_sec, wet_db, start = room.T
            n_noise = round(IMPULSE_SEC * rate)
            noise = impulse_noise(self._noise, start.long(), x.shape[1], n_noise)
            return reverberate(x, decay_sec, delay_sec, wet_db, noise, rate)

        self._apply(plans, voice, "room", room)
        self._apply(plans, voice, "drive", saturate)
        self._apply(plans, voice, "voice_gain", lambda x, gain: x * gain[:, None, None])

    def _shape_rests(self, plans: Sequence[Plan], rest: torch.Tensor) -> None:
        """Effects on the other stems ``(B, S - 1, C, T)``, in place; the same for all of them."""
        rate = self.dataset.sample_rate
        self._apply(plans, rest, "rest_eq_db", lambda x, db: equalise(x, db, rate))

    def _apply(self, plans: Sequence[Plan], stems: torch.Tensor, name: str, effect: Any) -> None:
        """Apply an effect to those examples of ``stems`` ``(B, S, C, T)`` whose plan has it."""
        rows = [b for b, plan in enumerate(plans) if getattr(plan, name) is not None]
        if not rows or not stems.shape[1]:
            return
        values = self._tensor([getattr(plans[b], name) for b in rows])
        index = self._tensor(rows, torch.int64)
        chosen = stems[index]  # (B', S, C, T)
        flat = chosen.flatten(0, 1)  # (B' S, C, T)
        changed = effect(flat, values.repeat_interleave(chosen.shape[1], 0))
        stems[index] = changed.unflatten(0, chosen.shape[:2])

    def _mixed(self, plans: Sequence[Plan], rows: torch.Tensor) -> Batch:
        """Mixtures, levels and labels of the stems."""
        rate, gain = self.dataset.sample_rate, self.dataset.mixture_gain
        self._apply(plans, rows, "cut_hz", lambda x, cut_hz: band_limit(x, cut_hz, rate))
        self._swap_channels(plans, rows)
        sources = rows[:, 1:]  # (B, S, C, T)
        mixture = rows[:, 0] + sources.sum(1) * gain  # (B, C, T); one of the two is silent
        level = self._tensor([plan.level for plan in plans])
        wanted = self._tensor([plan.rms for plan in plans])  # NaN: as it is
        rms = mixture.square().mean((1, 2)).add(1e-10).sqrt()
        level = torch.where(wanted.isnan(), level, wanted / rms)
        mixture = mixture * level[:, None, None]
        sources = sources * level[:, None, None, None]
        has_sources = self._tensor([plan.has_sources for plan in plans], torch.bool)
        sources = torch.where(has_sources[:, None, None, None], sources, torch.nan)
        labels = self.store.labels(plans, self.grid.n_frames(self.n_samples))
        return Batch(
            mixture=mixture,
            sources=sources,
            f0_hz=labels.f0_hz,
            activity=labels.activity,
            has_sources=has_sources,
            has_f0_hz=labels.has_f0_hz,
            has_activity=labels.has_activity,
            name=[plan.name for plan in plans],
            song=[plan.song for plan in plans],
            q_sources=self._tensor([plan.sources_quality for plan in plans]),
            q_f0_hz=labels.f0_quality,
        )

    def _swap_channels(self, plans: Sequence[Plan], rows: torch.Tensor) -> None:
        swapped = [(b, s + 1) for b, plan in enumerate(plans) for s in plan.swapped]
        if swapped:
            b, s = self._tensor(swapped, torch.int64).T
            rows[b, s] = rows[b, s].flip(1)


def as_it_is(batch: Batch) -> Batch:
    """A ``collate_fn`` for batches that need no collating."""
    return batch


class Labels(NamedTuple):
    """Labels of a clip on its frames; ``None`` where there are none."""

    f0_hz: np.ndarray | None
    activity: np.ndarray | None
    f0_quality: np.ndarray | None


class BatchLabels(NamedTuple):
    """Labels of a batch, ``(B, N)``, and which examples have any, ``(B,)``."""

    f0_hz: torch.Tensor
    activity: torch.Tensor
    f0_quality: torch.Tensor
    has_f0_hz: torch.Tensor
    has_activity: torch.Tensor


class Store:
    """All recordings of a dataset, end to end in a 16-bit tensor, and the labels of its clips.

    A recording is scaled to the full range of 16 bits, so none is clipped and quiet ones keep their
    precision; its scale is undone when it is read.

    Args:
        dataset: Dataset to read.
        grid: Frames of the labels.
        device: Device of the tensors.
        parts: Whether to keep parts of stems apart: see :meth:`JointDataset.part_names`.

    Attributes:
        wav: ``(C, M)`` int16.
        recordings: Facts for sampling, by clip.
        first, length, scale: By recording ``(R,)``: place and samples in ``wav``, and the factor to
            full scale 1.
    """

    def __init__(
        self, dataset: JointDataset, grid: PitchGrid, device: torch.device, parts: bool = False
    ) -> None:
        began = time.monotonic()
        self.dataset, self.grid, self.device, self._parts = dataset, grid, device, parts
        self._used = _used_stems(dataset, parts)
        n_samples = sum(
            (clip.n_samples + 2 * PADDING) * max(len(used), 1)
            for clip, used in zip(dataset.clips, self._used, strict=True)
            if used is not None
        )
        need = n_samples * dataset.n_channels * BYTES
        check_memory(need, device)
        self.wav = torch.zeros((dataset.n_channels, n_samples), dtype=torch.int16, device=device)
        self.recordings: list[Recording] = []
        self._at: list[tuple[int, int, float]] = []  # first, length, scale of each recording
        self._end = 0  # of what is written
        labels: list[Labels] = []
        for found, label in self._clips():
            self.recordings.append(found)
            labels.append(label)
        first, length, scale = np.array(self._at, np.float64).reshape(-1, 3).T  # (R,) each
        self.first = torch.from_numpy(first.astype(np.int64)).to(device)
        self.length = torch.from_numpy(length.astype(np.int64)).to(device)
        self.scale = torch.from_numpy(scale.astype(np.float32)).to(device)
        self._pack_labels(labels)
        logger.warning(
            "%d recordings, %.1f h, in the memory of the %s (%.2f GB, read in %.0f s).",
            len(self._at),
            sum(length) / dataset.sample_rate / 3600,
            device.type.upper(),
            need / 1e9,
            time.monotonic() - began,
        )

    def _clips(self) -> Iterator[tuple[Recording, Labels]]:
        """Read clips on as many threads as there are cores, a few ahead of the device."""
        indices = range(len(self.dataset))
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as threads:
            for begin in range(0, len(indices), AT_ONCE):
                some = indices[begin : begin + AT_ONCE]
                for index, (stems, labels) in zip(some, threads.map(self._load, some), strict=True):
                    yield self._keep(index, stems), labels

    def _load(self, index: int) -> tuple[dict[tuple[int, int], np.ndarray], Labels]:
        """The stems of a clip that training uses, ``(C, T)`` by stem and part, and its labels."""
        used, clip = self._used[index], self.dataset.clips[index]
        if used is None:
            return {}, Labels(None, None, None)
        times = self.grid.times(self.grid.n_frames(clip.n_samples))
        labels = Labels(
            self.dataset.f0_at(index, times),
            self.dataset.activity_at(index, times),
            self.dataset.f0_quality_at(index, times),
        )
        if len(used) == 1 and self.dataset.part_names(index, used[0][0])[1:] == ():
            wav = self.dataset.read_source(index, used[0][0])
            return {used[0] if wav is not None else (MIXTURE, 0): self._whole(index, wav)}, labels
        mixture, sources = self.dataset.read(index)
        if sources is None:
            return {(MIXTURE, 0): mixture}, labels
        stems = {}
        for source, part in used:
            n_parts = len(self.dataset.part_names(index, source)) if self._parts else 1
            wav = self.dataset.read_part(index, source, part) if n_parts > 1 else sources[source]
            stems[source, part] = sources[source] if wav is None else wav
        return stems, labels

    def _whole(self, index: int, wav: np.ndarray | None) -> np.ndarray:
        """A stem, or the mixture of a clip without stems."""
        return self.dataset.read(index)[0] if wav is None else wav

    def _keep(self, index: int, stems: dict[tuple[int, int], np.ndarray]) -> Recording:
        """Write the stems of a clip to the store."""
        numbers = {}
        for key, wav in stems.items():
            peak = float(np.abs(wav).max(initial=0.0))
            scale = peak / 32767 if peak else 1.0
            values = torch.from_numpy(np.round(wav / scale).astype(np.int16))
            first = self._end + PADDING
            self.wav[:, first : first + wav.shape[1]] = values.to(self.device)
            numbers[key] = len(self._at)
            self._at.append((first, wav.shape[1], scale))
            self._end = first + wav.shape[1] + PADDING
        rest = [wav for (source, _), wav in stems.items() if source > 0]
        voice = stems.get((0, 0))
        hop = self.grid.hop_length
        return Recording(
            numbers,
            1.0 if voice is None else loud_rms(voice, hop),
            loud_rms(np.sum(rest, 0), hop) if rest else 1.0,
        )

    def _pack_labels(self, labels: Sequence[Labels]) -> None:
        """Labels of all clips end to end, NaN where unknown."""
        n_frames = [max(self.grid.n_frames(clip.n_samples), 1) for clip in self.dataset.clips]

        def packed(name: str, missing: float) -> torch.Tensor:
            values = [
                np.full(n, missing) if (v := getattr(label, name)) is None else v
                for label, n in zip(labels, n_frames, strict=True)
            ]
            return torch.from_numpy(np.concatenate(values).astype(np.float32)).to(self.device)

        self._f0_hz, self._activity = packed("f0_hz", np.nan), packed("activity", np.nan)
        self._f0_quality = packed("f0_quality", 1.0)
        self._first_frame = torch.tensor(np.cumsum([0, *n_frames[:-1]]), device=self.device)
        self._n_frames = torch.tensor(n_frames, device=self.device)
        self._has_f0 = torch.tensor([label.f0_hz is not None for label in labels])
        self._has_activity = torch.tensor([label.activity is not None for label in labels])

    def labels(self, plans: Sequence[Plan], n_frames: int) -> "BatchLabels":
        """Labels of planned examples on ``n_frames`` frames, ``(B, N)``, and which there are.

        Between two frames F0 is interpolated in log frequency if both are voiced; all else, at
        edges of voicing too, is that of the nearer frame. After the end of a clip nobody sings.
        """
        clip = torch.tensor([plan.clip for plan in plans])
        speed = torch.tensor([plan.speed for plan in plans], dtype=torch.float64)
        start = torch.tensor([plan.start / self.grid.hop_length for plan in plans]).double()
        at = start[:, None] + speed[:, None] * torch.arange(
            n_frames
        )  # (B, N) in frames of the clip
        left = at.floor().long().to(self.device)
        part = (at - at.floor()).float().to(self.device)
        has_f0, has_activity = self._has_f0[clip], self._has_activity[clip]
        clip = clip.to(self.device)
        first, last = self._first_frame[clip][:, None], (self._n_frames[clip] - 1)[:, None]
        near = first + torch.where(part < 0.5, left, left + 1).clamp_min(0).minimum(last)
        ended = left > last
        low = self._f0_hz[first + left.clamp_min(0).minimum(last)]
        high = self._f0_hz[first + (left + 1).clamp_min(0).minimum(last)]
        f0_hz = torch.where(
            (low > 0) & (high > 0), low ** (1 - part) * high**part, self._f0_hz[near]
        )
        f0_hz = torch.where(ended, f0_hz * 0, f0_hz) * speed[:, None].to(f0_hz)
        activity = self._activity[near]
        activity = torch.where(ended, activity * 0, activity)
        silent = torch.tensor([plan.silent for plan in plans]).to(self.device)[:, None]
        return BatchLabels(
            torch.where(silent, torch.zeros_like(f0_hz), f0_hz),
            torch.where(silent, torch.zeros_like(activity), activity),
            self._f0_quality[near],
            has_f0.to(self.device),
            has_activity.to(self.device),
        )


def _used_stems(dataset: JointDataset, parts: bool) -> list[list[tuple[int, int]] | None]:
    """Stems and parts of each clip that training uses; ``None`` for a clip that it never uses."""
    is_voice, is_rest = dataset.voice_weights > 0, dataset.rest_weights > 0

    def used(index: int) -> list[tuple[int, int]] | None:
        keys = [(0, 0)] if is_voice[index] else []
        for source in range(1, len(dataset.sources)) if is_rest[index] else ():
            n_parts = len(dataset.part_names(index, source)) if parts else 1
            keys += [(source, part) for part in range(n_parts)]
        return keys or None

    return [used(index) for index in range(len(dataset))]


def check_memory(n_bytes: int, device: torch.device) -> None:
    """Refuse a store that would leave too little memory for training.

    Raises:
        DataError: If it takes more than ``SHARE`` of what is free.
    """
    free = free_memory(device)
    if n_bytes > SHARE * free:
        raise DataError(
            f"The recordings take {n_bytes / 1e9:.1f} GB, and the {device.type.upper()} has "
            f"{free / 1e9:.1f} GB of free memory: use fewer of them, or --resident false."
        )


def free_memory(device: torch.device) -> float:
    """Free memory of a device in bytes; all memory of the machine where that is not known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return 1024.0 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux
        names = getattr(os, "sysconf_names", {})
        if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
            return float("inf")
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def loud_rms(wav: np.ndarray, hop_length: int) -> float:
    """Root mean square of a recording ``(C, T)`` where it sounds: frames within 30 dB of the peak.

    At least ``QUIET``, so that the noise of an empty stem is not made as loud as a voice.
    """
    n_frames = max(wav.shape[1] // hop_length, 1)
    frames = wav[:, : n_frames * hop_length].reshape(len(wav), n_frames, -1)
    energy = np.square(frames, dtype=np.float64).mean((0, 2))  # (N,)
    return max(float(np.sqrt(energy[energy >= 1e-3 * energy.max()].mean())), QUIET)
