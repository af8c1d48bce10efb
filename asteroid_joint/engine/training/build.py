"""Build model, data and optimiser from a configuration."""

import inspect
from typing import Any, NamedTuple

import torch
from torch.utils.data import ConcatDataset, DataLoader

from ...data.base import JointDataset
from ...data.batch import Collate
from ...data.drawing import DrawnExamples, DrawSampler, WholeClips, one_thread_per_worker
from ...data.hiding import Hidden
from ...data.nonvocal import ExtraNonVocal
from ...data.pitch_tempo import PitchTempo
from ...data.pseudo import with_pseudo_labels
from ...errors import ConfigError, DataError
from ...models.base import JointModel
from ...models.pretrained import load_model
from ...registry import DATASETS, MODELS
from .config import Config
from .sets import fill_in, further_sets, set_config

NATIVE = {"sample_rate": None, "n_channels": None}  # arguments of a dataset: as on disk


def build_model(conf: Config) -> JointModel:
    """Model of a configuration: preset plus ``model_args``, or initial weights."""
    options = conf["model"]
    if options.get("init_from"):
        return load_model(options["init_from"])
    return MODELS[options["model_name"]].from_preset(options["preset"], **conf["model_args"])


def build_dataset(conf: Config, side: str, native: bool = False) -> Any:
    """Dataset of a configuration, one side of its split.

    It receives ``side``, those keys of the group ``data`` that its constructor accepts, and all of
    ``data_args``. The training side hides the labels in ``data.hide``, and takes labels that it
    lacks from ``data.pseudo_dir``.

    Args:
        conf: Configuration.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        native: Present clips at their sample rate and channels on disk.

    Raises:
        ConfigError: If the dataset does not support ``native``.
    """
    data = conf["data"]
    dataset = DATASETS[data["dataset"]]
    accepted = inspect.signature(dataset).parameters
    options = {k: v for k, v in data.items() if k in accepted and v is not None}
    options.update(fill_in(conf.get("data_args", {}), data, "data_args"), side=side)
    if native:
        if not set(NATIVE) <= set(accepted):
            raise ConfigError(
                f"The dataset {data['dataset']} has one rate and number of channels only: evaluate "
                "without --native."
            )
        options.update(NATIVE)
    built = dataset(**options)
    if side != "train":
        return built
    hide = data.get("hide") or []
    built = Hidden(built, hide) if hide else built
    if data.get("pseudo_dir"):
        filtered, teacher = data.get("pseudo_filter", True), data.get("pseudo_teacher") or ""
        return with_pseudo_labels(built, data["pseudo_dir"], data["dataset"], filtered, teacher)
    return built


def check_fit(model: JointModel, dataset: JointDataset, native: bool = False) -> None:
    """Check that a model and a dataset fit together.

    Args:
        model: Model.
        dataset: Dataset.
        native: Compare the stems only, as rate, channels and gain are converted for the model.

    Raises:
        DataError: One sentence on what differs: rate, channels, stems, gain or pitch grid.
    """
    name = type(dataset).__name__
    compared: list[tuple[str, Any, Any]] = [
        ("sample rate", dataset.sample_rate, model.sample_rate),
        ("number of channels", dataset.n_channels, model.in_channels),
    ]
    if dataset.sources:  # a set of recordings has no stems
        compared += [
            ("stems", tuple(dataset.sources), tuple(model.sources)),
            ("sum of stems over mixture", 1 / dataset.mixture_gain, model.mixture_scale),
        ]
    if dataset.label_grid is not None:  # pseudo labels
        grids = (dataset.label_grid.to_dict(), model.pitch_grid.to_dict())
        compared.append(("pitch grid", *grids))
    for what, given, expected in compared:
        if given != expected and (what == "stems" or not native):
            raise DataError(
                f"{name} and {type(model).__name__} do not fit: the {what} is {given} in the data "
                f"and {expected} in the model; change one of them (model_args, data_args, mixing)."
            )


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


def build_loaders(conf: Config, model: JointModel, rank: int = 0, world_size: int = 1) -> Loaders:
    """Training and validation loaders of one process: see :mod:`.sets`.

    Args:
        conf: Configuration.
        model: Defines sample rate, sources and the frames of the labels.
        rank: Index of this process.
        world_size: Number of processes, among which training examples are divided.

    Raises:
        DataError: If data and model do not fit together.
    """
    from pytorch_lightning.utilities import CombinedLoader

    further = further_sets(conf)
    n_draws = conf["training"]["draws_per_epoch"]
    loaders = [_train_loader(conf, model, n_draws, rank, world_size)]
    steps = len(loaders[0])
    for other in further.values():  # as many examples as make all sets equally long
        n_draws = steps * other["training"]["batch_size"] * world_size
        loaders.append(_train_loader(other, model, max(n_draws, 1), rank, world_size))
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
    conf: Config, model: JointModel, n_draws: int, rank: int, world_size: int
) -> DataLoader:
    """Batches from the first set of a configuration, ``n_draws`` examples per epoch."""
    training = conf["training"]
    workers = training["num_workers"]
    return DataLoader(
        build_draws(conf, model),
        batch_size=training["batch_size"],
        sampler=DrawSampler(n_draws, rank, world_size),
        collate_fn=Collate(len(model.sources), model.pitch_grid.hop_length),
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
    names = ("remix", "gain_db", "level_db", "speed_semitones", "silence", "remix_stems")
    options = {k: data[k] for k in (*names, "swap_channels") if k in data}
    gains = (float(data.get("stem_gain_min", 1.0)), float(data.get("stem_gain_max", 1.0)))
    changes = ("pitch_tempo", "pitch_semitones", "tempo_percent")
    pitch_tempo = PitchTempo(*(float(data[k]) for k in changes)) if data.get(changes[0]) else None
    return {**options, "stem_gain": gains, "pitch_tempo": pitch_tempo}


def build_optimizer(conf: Config, model: JointModel, steps: int) -> tuple[Any, Any]:
    """Asteroid's optimiser by name, and a schedule per step or, for ``plateau``, per epoch.

    Raises:
        ConfigError: If there is no such optimiser or schedule, or a value is not accepted.
    """
    from asteroid.engine.optimizers import make_optimizer

    optim = conf["optim"]
    try:
        optimizer = make_optimizer(
            model.parameters(),
            optimizer=optim["optimizer"],
            lr=optim["lr"],
            weight_decay=optim["weight_decay"],
        )
    except (ValueError, TypeError) as err:
        raise ConfigError(f"Optimizer {optim['optimizer']!r} is not available: {err}") from err
    warmup = max(int(optim["warmup_steps"]), 1)

    def cosine(step: int) -> float:
        done = min(step / max(steps, 1), 1.0)
        return min((step + 1) / warmup, 1.0) * float(
            0.5 * (1 + torch.cos(torch.tensor(done * torch.pi)))
        )

    def step_decay(step: int) -> float:
        return float(optim["decay"] ** (step // int(optim["decay_steps"])))

    schedules = {"cosine": cosine, "step": step_decay}
    if optim["schedule"] == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode=conf["training"]["monitor_mode"],
            factor=optim["decay"],
            patience=int(optim["plateau_patience"]),
            cooldown=int(optim["plateau_cooldown"]),
        )
        monitor = conf["training"]["monitor"]
        return optimizer, {"scheduler": plateau, "interval": "epoch", "monitor": monitor}
    if optim["schedule"] not in schedules:
        raise ConfigError(
            f"Unknown schedule {optim['schedule']!r}: choose one of {[*schedules, 'plateau']}."
        )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules[optim["schedule"]])
    return optimizer, {"scheduler": scheduler, "interval": "step"}
