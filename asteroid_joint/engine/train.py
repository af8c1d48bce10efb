"""The training path that all recipes share: configuration in, ``best_model.pth`` out.

What it leaves in the experiment folder is what Asteroid's recipes leave: ``conf.yml``,
``checkpoints/``, ``best_k_models.json``, ``best_model.pth``; and ``run_facts.json``, logs for
TensorBoard and as CSV (``csv_log/version_<start>/``, a folder for each start).
Started again with the same folder it goes on from the last checkpoint.
"""

import inspect
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.data import DataLoader

from ..compat import plain_types
from ..data.base import JointDataset
from ..data.batch import Collate
from ..data.drawing import DrawnExamples, DrawSampler, WholeClips, one_thread_per_worker
from ..errors import ConfigError, DataError
from ..losses import build_loss
from ..models.base import JointModel
from ..models.store import load_model
from ..registry import DATASETS, MODELS
from .config import Config, read_config
from .facts import describe_run
from .system import JointSystem
from .voicing import choose_voicing_threshold

logger = logging.getLogger(__name__)

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
    keys = ("remix", "gain_db", "level_db", "speed_semitones", "silence")
    draws = DrawnExamples(
        train_set, grid, n_samples, seed=training["seed"], **{k: data[k] for k in keys}
    )
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
    clips = WholeClips(build_dataset(conf, "valid"), grid, training["valid_clips"] or None)
    return train_loader, DataLoader(clips, batch_size=1, collate_fn=collate)


def build_optimizer(conf: Config, model: JointModel, steps: int) -> tuple[Any, Any]:
    """Asteroid's optimiser by name, and a schedule per step."""
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
    if optim["schedule"] not in schedules:
        raise ConfigError(
            f"Unknown schedule {optim['schedule']!r}: choose one of {list(schedules)}."
        )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules[optim["schedule"]])
    return optimizer, {"scheduler": scheduler, "interval": "step"}


def train(conf: Config) -> Path:
    """Train, or go on training, and write the artefacts.

    Args:
        conf: See ``recipes/_common/base.yml``; ``main_args.exp_dir`` is written to.

    Returns:
        Path of ``best_model.pth``.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    training = conf["training"]
    exp_dir = Path(conf["main_args"]["exp_dir"])
    exp_dir.mkdir(parents=True, exist_ok=True)
    if training["threads"]:
        torch.set_num_threads(training["threads"])
    pl.seed_everything(training["seed"], workers=True, verbose=False)

    # first the trainer: it knows the number of this process, whoever launched it
    trainer = _trainer(conf, exp_dir)
    _check_resumable(conf, exp_dir)
    model = build_model(conf)
    train_loader, val_loader = build_loaders(conf, model, trainer.global_rank, trainer.world_size)
    if not len(train_loader):
        raise DataError(
            f"draws_per_epoch {training['draws_per_epoch']} gives no batch of "
            f"{training['batch_size']} in each of {trainer.world_size} processes: raise it."
        )
    steps = len(train_loader) * training["epochs"]
    optimizer, scheduler = build_optimizer(conf, model, steps)
    loss = build_loss(conf["loss"], conf["loss_args"], training["weighting"])
    if training["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
    system = JointSystem(
        model, optimizer, loss, train_loader, val_loader, scheduler, config=plain_types(conf)
    )
    # now: the checkout may have moved on when the run is over
    facts = describe_run(training["seed"], trainer.strategy.root_device)
    last = exp_dir / "checkpoints" / "last.ckpt"
    if trainer.is_global_zero:
        write_text(exp_dir / "conf.yml", yaml.safe_dump(plain_types(conf), sort_keys=False))
    resume = str(last) if last.is_file() else None
    try:
        trainer.fit(system, ckpt_path=resume, weights_only=False)
    except SIGTERMException:  # Lightning's ends the process with code 0, as if all were done
        logger.warning("Stopped by SIGTERM: the same command goes on from the last checkpoint.")
        raise SystemExit(143) from None
    return _finish(conf, system, trainer, exp_dir, facts)


def _check_resumable(conf: Config, exp_dir: Path) -> None:
    """Refuse to go on with another model or other data than the run was started with."""
    old = exp_dir / "conf.yml"
    if not (exp_dir / "checkpoints" / "last.ckpt").is_file() or not old.is_file():
        return
    was = read_config(old)
    for group in ("model", "model_args", "data_args"):
        if was.get(group, {}) != plain_types(conf).get(group, {}):
            raise DataError(
                f"{exp_dir} was started with another {group} ({was.get(group)}): give the options "
                "of the first start, or another experiment."
            )


def _trainer(conf: Config, exp_dir: Path) -> Any:
    """Lightning's trainer with the callbacks and logs of a recipe."""
    import pytorch_lightning as pl
    from pytorch_lightning import callbacks as cb

    training = conf["training"]
    callbacks: list[Any] = [
        cb.ModelCheckpoint(
            exp_dir / "checkpoints",
            filename="{epoch:03d}-{" + training["monitor"] + ":.3f}",
            monitor=training["monitor"],
            mode=training["monitor_mode"],
            save_top_k=training["save_top_k"],
            save_last=True,
            enable_version_counter=False,  # last.ckpt is the one that a restart looks for
        ),
        cb.Timer(verbose=False),  # hours, over all restarts
        # a log file needs no line per step
        cb.TQDMProgressBar(refresh_rate=1 if sys.stdout.isatty() else training["log_every"]),
    ]
    if training["ema"]:
        callbacks.append(cb.EMAWeightAveraging(decay=training["ema"]))
    if training["patience"]:
        callbacks.append(
            cb.EarlyStopping(
                training["monitor"], mode=training["monitor_mode"], patience=training["patience"]
            )
        )
    return pl.Trainer(
        max_epochs=training["epochs"],
        accelerator=training["accelerator"],
        devices=training["devices"],
        strategy=training["strategy"],
        precision=training["precision"],
        gradient_clip_val=training["gradient_clip"],
        callbacks=callbacks,
        logger=_loggers(exp_dir, training["log_every"]),
        default_root_dir=exp_dir,
        use_distributed_sampler=False,
        log_every_n_steps=training["log_every"],
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def _finish(conf: Config, system: Any, trainer: Any, exp_dir: Path, facts: dict[str, Any]) -> Path:
    """Best checkpoint -> voicing threshold on validation -> ``best_model.pth``."""
    best = exp_dir / "best_model.pth"
    trainer.strategy.barrier()
    if trainer.global_rank:
        return best
    checkpoints = trainer.checkpoint_callback
    timer = next(c for c in trainer.callbacks if hasattr(c, "time_elapsed"))
    scores = {Path(k).name: float(v) for k, v in checkpoints.best_k_models.items()}
    write_text(exp_dir / "best_k_models.json", json.dumps(scores, indent=1))
    path = exp_dir / "checkpoints" / Path(checkpoints.best_model_path or "last.ckpt").name
    # our own checkpoint: written by this recipe, read as data
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model = system.cpu().model
    model.load_state_dict(
        {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    )
    dataset = build_dataset(conf, "valid")
    if model.has_pitch:
        choose_voicing_threshold(model, dataset)
    saved = {**model.serialize(), **dataset.infos}
    facts = {
        **facts,
        "best": path.stem,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "processes": trainer.world_size,
        "hours": round(timer.time_elapsed() / 3600, 3),
    }
    saved["infos"].update(training_config=plain_types(conf), run_facts=facts)
    write_text(exp_dir / "run_facts.json", json.dumps(facts, indent=1))
    save_file(saved, best)
    return best


def _loggers(exp_dir: Path, every: int) -> list[Any]:
    from pytorch_lightning.loggers import CSVLogger

    # a version for each start: the logger deletes what it finds in its own folder
    loggers: list[Any] = [CSVLogger(exp_dir, name="csv_log", flush_logs_every_n_steps=every)]
    try:
        from pytorch_lightning.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(exp_dir, name="tensorboard", version=""))
    except ModuleNotFoundError:
        logger.warning("No TensorBoard log: pip install tensorboard.")
    return loggers


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there completely or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def save_file(content: dict[str, Any], path: Path) -> None:
    """``torch.save`` of plain data, completely or not at all."""
    part = path.with_name(path.name + ".part")
    torch.save(plain_types(content), part)
    os.replace(part, path)
