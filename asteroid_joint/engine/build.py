"""From a configuration to what is trained: model, data, optimiser."""

import inspect
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..data.base import JointDataset
from ..data.batch import Collate
from ..data.drawing import DrawnExamples, DrawSampler, WholeClips, one_thread_per_worker
from ..errors import ConfigError, DataError
from ..models.base import JointModel
from ..models.store import load_model
from ..registry import DATASETS, MODELS
from .config import Config

NATIVE = {"sample_rate": None, "n_channels": None}  # arguments of a dataset: as on disk


def build_model(conf: Config) -> JointModel:
    """Model of a configuration: preset plus ``model_args``, or weights to go on from."""
    options = conf["model"]
    if options.get("init_from"):
        return load_model(options["init_from"])
    return MODELS[options["model_name"]].from_preset(options["preset"], **conf["model_args"])


def build_dataset(conf: Config, side: str, native: bool = False) -> Any:
    """Dataset of a configuration, one side of its split.

    It gets ``side``, those keys of the group ``data`` that its constructor has arguments for, and
    all of ``data_args``.

    Args:
        conf: Configuration.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        native: Present clips with the rate and channels they have on disk.

    Raises:
        ConfigError: If ``native`` is asked of a dataset that gives clips in one way only.
    """
    data = conf["data"]
    dataset = DATASETS[data["dataset"]]
    accepted = inspect.signature(dataset).parameters
    options = {k: v for k, v in data.items() if k in accepted and v is not None}
    options.update(_filled_in(conf.get("data_args", {}), data), side=side)
    if native:
        if not set(NATIVE) <= set(accepted):
            raise ConfigError(
                f"The dataset {data['dataset']} has one rate and number of channels only: evaluate "
                "without --native."
            )
        options.update(NATIVE)
    return dataset(**options)


def _filled_in(value: Any, data: dict[str, Any]) -> Any:
    """``"$key"`` anywhere in ``data_args`` is that key of ``data``, hence an option of run.sh."""
    if isinstance(value, dict):
        return {k: _filled_in(v, data) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_filled_in(v, data) for v in value]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in data:
            raise ConfigError(f"data_args: there is no key {value[1:]!r} in data.")
        return data[value[1:]]
    return value


def check_fit(model: JointModel, dataset: JointDataset, native: bool = False) -> None:
    """Compare what a model expects with what a dataset gives.

    Args:
        model: Model.
        dataset: Dataset.
        native: The stems alone: rate, channels and gain are seen to on the way to the model.

    Raises:
        DataError: One sentence on what differs: rate, channels, stems or gain.
    """
    name = type(dataset).__name__
    for what, given, expected in (
        ("sample rate", dataset.sample_rate, model.sample_rate),
        ("number of channels", dataset.n_channels, model.in_channels),
        ("stems", tuple(dataset.sources), tuple(model.sources)),
        ("sum of stems over mixture", 1 / dataset.mixture_gain, model.mixture_scale),
    ):
        if given != expected and (what == "stems" or not native):
            raise DataError(
                f"{name} and {type(model).__name__} do not fit: the {what} is {given} in the data "
                f"and {expected} in the model; change one of them (model_args, data_args, mixing)."
            )


def build_loaders(
    conf: Config, model: JointModel, rank: int = 0, world_size: int = 1
) -> tuple[DataLoader, DataLoader | None]:
    """Training and validation loaders of one process.

    Args:
        conf: Configuration.
        model: Gives sample rate, sources and the frames of the labels.
        rank: Number of this process.
        world_size: Number of processes; training draws are shared out among them.

    Raises:
        DataError: If the data are not at the model's sample rate.
    """
    data, training = conf["data"], conf["training"]
    grid = model.pitch_grid
    train_set = build_dataset(conf, "train")
    check_fit(model, train_set)
    n_samples = round(data["segment_sec"] * model.sample_rate)
    draws = DrawnExamples(train_set, grid, n_samples, training["seed"], **draw_options(data))
    collate = Collate(len(model.sources), grid.hop_length)
    workers = training["num_workers"]
    train_loader = DataLoader(
        draws,
        batch_size=training["batch_size"],
        sampler=DrawSampler(training["draws_per_epoch"], rank, world_size),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=one_thread_per_worker,
        drop_last=True,
    )
    n_clips, piece_sec = training["valid_clips"] or None, training.get("valid_sec", 0.0)
    clips = WholeClips(build_dataset(conf, "valid"), grid, n_clips, piece_sec)
    return train_loader, DataLoader(clips, batch_size=1, collate_fn=collate)


def draw_options(data: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`DrawnExamples` in the group ``data`` of a configuration."""
    names = ("remix", "gain_db", "level_db", "speed_semitones", "silence", "remix_stems")
    options = {k: data[k] for k in (*names, "swap_channels") if k in data}
    gains = (float(data.get("stem_gain_min", 1.0)), float(data.get("stem_gain_max", 1.0)))
    return {**options, "stem_gain": gains}


def build_optimizer(conf: Config, model: JointModel, steps: int) -> tuple[Any, Any]:
    """Asteroid's optimiser by name, and a schedule per step or, on a plateau, per epoch."""
    from asteroid.engine.optimizers import make_optimizer

    optim = conf["optim"]
    optimizer = make_optimizer(
        model.parameters(),
        optimizer=optim["optimizer"],
        lr=optim["lr"],
        weight_decay=optim["weight_decay"],
    )
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
