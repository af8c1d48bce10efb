"""The training path that all recipes share: configuration in, ``best_model.pth`` out.

What it leaves in the experiment folder is what Asteroid's recipes leave: ``conf.yml``,
``checkpoints/``, ``best_k_models.json``, ``best_model.pth``; and ``run_facts.json``, logs for
TensorBoard and as CSV (``csv_log/version_<start>/``, a folder for each start).
Started again with the same folder it goes on from the last checkpoint.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from ..compat import plain_types
from ..errors import DataError
from ..losses import build_loss
from .build import build_dataset, build_loaders, build_model, build_optimizer
from .config import Config, read_config
from .facts import describe_run
from .system import JointSystem
from .voicing import choose_voicing_threshold

logger = logging.getLogger(__name__)


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
    if resume is None and not conf["model"].get("init_from"):
        model.prepare_training(train_loader.dataset.dataset)  # type: ignore[attr-defined]
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
        choose_voicing_threshold(model, dataset, piece_sec=conf["training"].get("valid_sec", 0.0))
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
