"""Loaders of a training run: batches of every set, from files or from resident recordings."""

from typing import Any, NamedTuple

import torch
from torch.utils.data import ConcatDataset, DataLoader

from ...data.base import JointDataset
from ...data.batch import Collate
from ...data.drawing import (
    DrawnExamples,
    DrawSampler,
    ResumableLoader,
    WholeClips,
    one_thread_per_worker,
)
from ...data.nonvocal import ExtraNonVocal
from ...data.pitch_tempo import PitchTempo
from ...data.resident import as_it_is
from ...models.base import JointModel
from .build import SAMPLING, build_dataset, check_fit, stem_gain
from .config import Config
from .resident import build_resident, is_resident
from .sets import further_sets, set_config


class Loaders(NamedTuple):
    """Loaders of a training run.

    Attributes:
        train: Yields a batch per step, or a list of batches if there are several sets.
        valid: Yields clips.
        train_set: Training side of the first set.
        steps: Steps per epoch of this process.
    """

    train: Any
    valid: DataLoader
    train_set: JointDataset
    steps: int


def build_loaders(
    conf: Config,
    model: JointModel,
    rank: int = 0,
    world_size: int = 1,
    device: torch.device | str = "cpu",
) -> Loaders:
    """Training and validation loaders of one process: see :mod:`.sets`.

    Args:
        conf: Configuration.
        model: Defines sample rate, sources and the frames of the labels.
        rank: Index of this process.
        world_size: Number of processes, among which training examples are divided.
        device: Device of the training, which holds the recordings if they are resident.

    Raises:
        DataError: If data and model do not fit together.
    """
    from pytorch_lightning.utilities import CombinedLoader

    further = further_sets(conf)
    n_draws = conf["training"]["draws_per_epoch"]
    resident = is_resident([conf, *further.values()], torch.device(device))
    home = torch.device(device) if resident else None
    loaders = [_train_loader(conf, model, n_draws, rank, world_size, home)]
    steps = len(loaders[0])
    for other in further.values():  # as many examples as make all sets equally long
        n_draws = steps * other["training"]["batch_size"] * world_size
        loaders.append(_train_loader(other, model, max(n_draws, 1), rank, world_size, home))
    more = conf.get("more_data") or {}
    validated = [conf, *(other for name, other in further.items() if more[name].get("valid"))]
    clips = [_valid_clips(each, model) for each in validated]
    valid = DataLoader(
        clips[0] if len(clips) == 1 else ConcatDataset(clips),
        batch_size=1,
        collate_fn=Collate(len(model.sources), model.pitch_grid.hop_length),
    )
    train = loaders[0] if len(loaders) == 1 else CombinedLoader(loaders, "min_size")
    return Loaders(train, valid, loaders[0].dataset.dataset, steps)  # type: ignore[attr-defined]


def _train_loader(
    conf: Config,
    model: JointModel,
    n_draws: int,
    rank: int,
    world_size: int,
    home: torch.device | None,
) -> DataLoader:
    """Batches from the first set of a configuration, ``n_draws`` examples per epoch.

    ``home`` is the device that holds the recordings; ``None`` reads them from disk.
    """
    training = conf["training"]
    workers = 0 if home else training["num_workers"]
    collate = Collate(len(model.sources), model.pitch_grid.hop_length)
    return ResumableLoader(
        build_resident(conf, model, home) if home else build_draws(conf, model),
        batch_size=training["batch_size"],
        sampler=DrawSampler(n_draws, rank, world_size),
        collate_fn=as_it_is if home else collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=one_thread_per_worker,
        drop_last=True,
    )


def build_draws(conf: Config, model: JointModel) -> DrawnExamples | ExtraNonVocal:
    """Training examples of the first set, with sections of another set if ``extra_nonvocal``."""
    data = conf["data"]
    dataset = build_dataset(conf, "train")
    check_fit(model, dataset)
    n_samples = round(data["segment_sec"] * model.sample_rate)
    seed = conf["training"]["seed"]
    draws = DrawnExamples(dataset, model.pitch_grid, n_samples, seed, **draw_options(data))
    described = dict(data.get("extra_nonvocal") or {})
    if not described:
        return draws
    min_sec = float(described.pop("min_sec", 0.0))
    others = build_dataset(set_config(conf, "extra_nonvocal", described), "train")
    return ExtraNonVocal(draws, others, min_sec)


def _valid_clips(conf: Config, model: JointModel) -> WholeClips:
    """Clips of the validation side of the first set, with all of its labels."""
    training = conf["training"]
    dataset = build_dataset(conf, "valid")
    check_fit(model, dataset)
    n_clips, piece_sec = training["valid_clips"] or None, training.get("valid_sec", 0.0)
    return WholeClips(dataset, model.pitch_grid, n_clips, piece_sec)


def draw_options(data: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`DrawnExamples` in the group ``data`` of a configuration."""
    options = {k: data[k] for k in SAMPLING if k in data}
    changes = ("pitch_tempo", "pitch_semitones", "tempo_percent")
    pitch_tempo = PitchTempo(*(float(data[k]) for k in changes)) if data.get(changes[0]) else None
    return {**options, "stem_gain": stem_gain(data), "pitch_tempo": pitch_tempo}
