"""A stranger's dataset: generated songs at 8 kHz; some clips lack stems, some lack pitch."""

import numpy as np

from asteroid_joint.data import Clip, JointDataset
from asteroid_joint.pitch import resample_f0
from asteroid_joint.registry import DATASETS

LABEL_HOP = 0.0125  # seconds; neither the model's nor MIR-1K's


@DATASETS.register("stranger_songs")
class StrangerSongs(JointDataset):
    """Sine voices with pauses over noise.

    Args:
        side: ``"train"``, ``"valid"`` or ``"test"``.
        tune_hz: Lowest note; an option of this dataset alone.
        n_clips: Clips per side.
    """

    sample_rate = 8000
    infos = {"dataset": "stranger", "task": "joint", "licenses": []}

    def __init__(self, side: str, tune_hz: float, n_clips: int = 4) -> None:
        self.tune_hz = tune_hz
        self.seed = ("train", "valid", "test").index(side)
        names = [f"{side}_{n}" for n in range(n_clips)]
        self.clips = [Clip(name, name, "nobody", 16000 + 1111 * n) for n, name in enumerate(names)]

    def labels(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        times = np.arange(0, self.clips[index].n_samples / self.sample_rate, LABEL_HOP)
        notes = np.random.default_rng((self.seed, index)).integers(0, 12, len(times) // 20 + 1)
        f0_hz = self.tune_hz * 2 ** (notes / 12).repeat(20)[: len(times)]
        return times, np.where(np.arange(len(times)) % 40 < 30, f0_hz, 0.0)

    def read(self, index, start=0, n_samples=None):
        total = self.clips[index].n_samples
        sample_times = np.arange(total) / self.sample_rate
        f0_hz = np.nan_to_num(resample_f0(*self.labels(index)[::-1], sample_times))
        voice = 0.3 * (f0_hz > 0) * np.sin(2 * np.pi * np.cumsum(f0_hz) / self.sample_rate)
        rest = 0.1 * np.random.default_rng(index).standard_normal(total)
        stop = total if n_samples is None else start + n_samples
        sources = np.stack([voice, rest])[:, None, start:stop].astype(np.float32)
        return sources.sum(0), None if index == 1 else sources

    def f0_at(self, index, times):
        return None if index == 2 else resample_f0(*self.labels(index)[::-1], times)

    def activity_at(self, index, times):
        f0_hz = resample_f0(*self.labels(index)[::-1], times)
        return np.where(np.isnan(f0_hz), np.nan, f0_hz > 0).astype(np.float32)
