"""The training path that all recipes share: configuration in, ``best_model.pth`` out.

What it leaves in the experiment folder is what Asteroid's recipes leave: ``conf.yml``,
``checkpoints/``, ``best_k_models.json``, ``best_model.pth``; and logs for TensorBoard and as CSV.
Started again with the same folder it goes on from the last checkpoint.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.data import DataLoader

from ..compat import plain_types
from ..data.batch import Collate
from ..data.drawing import DrawnExamples, DrawSampler, WholeClips, seed_workers
from ..losses import build_loss
from ..models.base import JointModel
from ..registry import DATASETS, MODELS
from .config import Config
from .system import JointSystem
from .voicing import choose_voicing_threshold

logger = logging.getLogger(__name__)


def build_model(conf: Config) -> JointModel:
    """Model of a configuration: preset plus ``model_args``, or weights to go on from."""
    options = conf["model"]
    if options.get("init_from"):
        return JointModel.from_pretrained(options["init_from"])
    return MODELS[options["model_name"]].from_preset(options["preset"], **conf["model_args"])


def build_dataset(conf: Config, side: str) -> Any:
    """Dataset of a configuration, one side of its split."""
    data = conf["data"]
    cls = DATASETS[data["dataset"]]
    keys = ("data_dir", "split", "mixing")
    return cls(side=side, **{k: data[k] for k in keys if data.get(k) is not None})


def build_loaders(conf: Config, model: JointModel) -> tuple[DataLoader, DataLoader | None]:
    """Training and validation loaders."""
    data, training = conf["data"], conf["training"]
    grid = model.pitch_grid
    if grid is None:
        raise ValueError("Joint training needs a model with a pitch grid (frames of the labels).")
    train_set = build_dataset(conf, "train")
    n_samples = int(data["segment_sec"] * model.sample_rate)
    keys = ("remix", "gain_db", "level_db", "speed_semitones", "silence")
    draws = DrawnExamples(
        train_set, grid, n_samples, seed=training["seed"], **{k: data[k] for k in keys}
    )
    rank, world = int(os.environ.get("LOCAL_RANK", 0)), _world_size(training)
    collate = Collate(len(model.sources), grid.hop_length)
    workers = training["num_workers"]
    train_loader = DataLoader(
        draws,
        batch_size=training["batch_size"],
        sampler=DrawSampler(training["draws_per_epoch"], rank, world),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=seed_workers,
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
        raise ValueError(f"Unknown schedule {optim['schedule']!r}: choose one of {set(schedules)}.")
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedules[optim["schedule"]])
    return optimizer, {"scheduler": scheduler, "interval": "step"}


def train(conf: Config) -> Path:
    """Train, or go on training, and write the artefacts.

    Args:
        conf: See ``recipes/mir1k/DJCM/local/conf.yml``; ``main_args.exp_dir`` is written to.

    Returns:
        Path of ``best_model.pth``.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint

    training = conf["training"]
    exp_dir = Path(conf["main_args"]["exp_dir"])
    exp_dir.mkdir(parents=True, exist_ok=True)
    write_text(exp_dir / "conf.yml", yaml.safe_dump(plain_types(conf), sort_keys=False))
    if training["threads"]:
        torch.set_num_threads(training["threads"])
    pl.seed_everything(training["seed"], workers=True, verbose=False)

    model = build_model(conf)
    train_loader, val_loader = build_loaders(conf, model)
    steps = len(train_loader) * training["epochs"]
    optimizer, scheduler = build_optimizer(conf, model, steps)
    loss = build_loss(conf["loss"], conf["loss_args"], training["weighting"])
    if training["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
    system = JointSystem(
        model, optimizer, loss, train_loader, val_loader, scheduler, config=plain_types(conf)
    )
    checkpoints = ModelCheckpoint(
        exp_dir / "checkpoints",
        filename="{epoch:03d}-{" + training["monitor"] + ":.3f}",
        monitor=training["monitor"],
        mode=training["monitor_mode"],
        save_top_k=training["save_top_k"],
        save_last=True,
    )
    callbacks: list[Any] = [checkpoints]
    if training["ema"]:
        callbacks.append(EMAWeightAveraging(decay=training["ema"]))
    trainer = pl.Trainer(
        max_epochs=training["epochs"],
        accelerator=training["accelerator"],
        devices=training["devices"],
        strategy=training["strategy"],
        precision=training["precision"],
        gradient_clip_val=training["gradient_clip"],
        callbacks=callbacks,
        logger=_loggers(exp_dir),
        default_root_dir=exp_dir,
        use_distributed_sampler=False,
        log_every_n_steps=training["log_every"],
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    last = exp_dir / "checkpoints" / "last.ckpt"
    trainer.fit(system, ckpt_path=str(last) if last.is_file() else None, weights_only=False)
    return _finish(conf, system, checkpoints, trainer, exp_dir)


def _finish(conf: Config, system: Any, checkpoints: Any, trainer: Any, exp_dir: Path) -> Path:
    """Best checkpoint -> voicing threshold on validation -> ``best_model.pth``."""
    best = exp_dir / "best_model.pth"
    trainer.strategy.barrier()
    if trainer.global_rank:
        return best
    scores = {Path(k).name: float(v) for k, v in checkpoints.best_k_models.items()}
    write_text(exp_dir / "best_k_models.json", json.dumps(scores, indent=1))
    path = checkpoints.best_model_path or str(exp_dir / "checkpoints" / "last.ckpt")
    # our own checkpoint: written by this recipe, read as data
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model = system.cpu().model
    model.load_state_dict(
        {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    )
    dataset = build_dataset(conf, "valid")
    if model.pitch_grid is not None:
        choose_voicing_threshold(model, dataset)
    saved = {**model.serialize(), **dataset.infos}
    saved["infos"]["training_config"] = plain_types(conf)
    save_file(saved, best)
    return best


def _loggers(exp_dir: Path) -> list[Any]:
    from pytorch_lightning.loggers import CSVLogger

    loggers: list[Any] = [CSVLogger(exp_dir, name="csv_log", version="")]
    try:
        from pytorch_lightning.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(exp_dir, name="tensorboard", version=""))
    except ModuleNotFoundError:
        logger.warning("No TensorBoard log: pip install tensorboard.")
    return loggers


def _world_size(training: dict[str, Any]) -> int:
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    devices = training["devices"]
    if devices == "auto":
        cuda = training["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        return torch.cuda.device_count() if cuda else 1
    return int(devices)


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
