"""Build model, data and optimiser from a configuration."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from ...data.base import JointDataset
from ...data.hiding import Hidden
from ...data.pseudo import with_pseudo_labels
from ...errors import ConfigError, DataError
from ...models.base import JointModel
from ...models.pretrained import load_model
from ...registry import DATASETS, MODELS
from .config import Config
from .sets import fill_in

SAMPLING = (
    "remix",
    "gain_db",
    "level_db",
    "speed_semitones",
    "silence",
    "remix_stems",
    "swap_channels",
)
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


def stem_gain(data: dict[str, Any]) -> tuple[float, float]:
    """Least and greatest factor on every stem."""
    return float(data.get("stem_gain_min", 1.0)), float(data.get("stem_gain_max", 1.0))


def build_optimizer(
    conf: Config, model: JointModel, steps: int, passed: Callable[[], float] = lambda: 0.0
) -> tuple[Any, Any]:
    """Asteroid's optimiser by name, and a schedule per step or, for ``plateau``, per epoch.

    Args:
        conf: Configuration.
        model: Model whose parameters are optimised.
        steps: Steps of the whole run.
        passed: Share of the run's time that has passed, if it ends by the clock; ``cosine`` follows
            steps or time, whichever is further.

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
        done = min(max(step / max(steps, 1), passed()), 1.0)
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
