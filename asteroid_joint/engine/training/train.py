"""The training shared by all recipes: from a configuration to ``best_model.pth``.

The experiment folder contains what Asteroid's recipes write: ``conf.yml``, ``checkpoints/``,
``best_k_models.json``, ``best_model.pth``; and ``run_facts.json``, logs for TensorBoard and as CSV
(``csv_log/version_<start>/``, a folder for each start). With a second metric (``also_monitor``)
there is a second model, ``best_<metric>.pth``, the best of the run by that metric. If started again
with the same folder, training resumes from the last checkpoint.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from ...compat import plain_types
from ...errors import ConfigError, DataError
from ...files import write_text
from ...losses import build_loss
from ...models.model_file import write_model_file
from ...optional import has_bfloat16, pick_device
from .build import build_dataset, build_model, build_optimizer
from .config import Config, read_config
from .loaders import build_loaders
from .run_facts import describe_run
from .system import JointSystem
from .voicing import choose_voicing_threshold

logger = logging.getLogger(__name__)

# groups that define a run; its length and the machine may change with a restart
FIXED = ("model", "model_args", "data", "data_args", "more_data", "loss", "loss_args")
# keys in them that may change: folders, how a teacher made its labels, what to import
FREE = re.compile(r".*_dir|teacher_.*|relabel|plugins")
# keys of `training` and `optim` that change what is learnt from then on, which is allowed but said
STEERING = (
    *("batch_size", "draws_per_epoch", "seed", "gradient_clip", "ema", "weighting", "optimizer"),
    *("lr", "weight_decay", "schedule", "warmup_steps", "decay", "decay_steps", "monitor"),
)


def train(conf: Config) -> Path:
    """Train, or resume training, and write the artefacts.

    Args:
        conf: See ``recipes/_common/base.yml``; ``main_args.exp_dir`` is written to.

    Returns:
        Path of ``best_model.pth``.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    from .clock import Clock  # a callback: it needs Lightning

    training = conf["training"]
    exp_dir = Path(conf["main_args"]["exp_dir"])
    exp_dir.mkdir(parents=True, exist_ok=True)
    if training["threads"]:
        torch.set_num_threads(training["threads"])
    pl.seed_everything(training["seed"], workers=True, verbose=False)

    # the trainer comes first: it knows the rank of this process with any launcher
    last = exp_dir / "checkpoints" / "last.ckpt"
    clock = Clock(training.get("max_minutes", 0), training.get("save_minutes", 0), last)
    trainer = _trainer(conf, exp_dir, clock)
    _check_resumable(conf, exp_dir)
    model = build_model(conf)
    device = trainer.strategy.root_device
    loaders = build_loaders(conf, model, trainer.global_rank, trainer.world_size, device)
    if not loaders.steps:
        raise DataError(
            f"draws_per_epoch {training['draws_per_epoch']} gives no batch of "
            f"{training['batch_size']} in each of {trainer.world_size} processes: increase it."
        )
    steps = loaders.steps * training["epochs"]
    optimizer, scheduler = build_optimizer(conf, model, steps, lambda: clock.share)
    loss = build_loss(
        conf["loss"], conf["loss_args"], training["weighting"], conf.get("weighting_args")
    )
    if training["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
    system = JointSystem(
        model, optimizer, loss, loaders.train, loaders.valid, scheduler, config=plain_types(conf)
    )
    # now, as the checkout may change during the run
    facts = describe_run(training["seed"], device)
    facts["precision"] = str(trainer.precision)
    if trainer.is_global_zero:
        write_text(exp_dir / "conf.yml", yaml.safe_dump(plain_types(conf), sort_keys=False))
    resume = str(last) if last.is_file() else None
    if resume is None and not conf["model"].get("init_from"):
        model.prepare_training(loaders.train_set)
    try:
        trainer.fit(system, ckpt_path=resume, weights_only=False)
    except SIGTERMException:  # Lightning would exit with code 0, as if training were finished
        logger.warning("Stopped by SIGTERM: the same command resumes from the last checkpoint.")
        raise SystemExit(143) from None
    return _finish(conf, system, trainer, exp_dir, facts, loaders.train_set.infos)


def _check_resumable(conf: Config, exp_dir: Path) -> None:
    """Refuse to resume with another model, data or loss than those of the first start.

    Whatever else steers learning may change, as with another machine, but not in silence.
    """
    old = exp_dir / "conf.yml"
    if not (exp_dir / "checkpoints" / "last.ckpt").is_file() or not old.is_file():
        return
    was, now = read_config(old), yaml.safe_load(yaml.safe_dump(plain_types(conf)))
    changed = _changed_steering(was, now)
    was, now = _fixed(was), _fixed(now)
    differing = {group: was.get(group) for group in FIXED if group != "data"}
    differing = {k: v for k, v in differing.items() if (v or {}) != (now.get(k) or {})}
    # keys of `data` are compared one by one; one that a later version added has no older value
    data = was.get("data") or {}
    differing.update({k: v for k, v in data.items() if v != now["data"].get(k)})
    if differing:
        name, value = next(iter(differing.items()))
        raise DataError(
            f"{exp_dir} was started with another {name} ({value}): give the options of the first "
            "start, or another --exp_dir."
        )
    if changed:
        said = ", ".join(f"--{key} {after} instead of {before}" for key, before, after in changed)
        logger.warning(
            f"{exp_dir} goes on with {said}: give the options of the first start if that is not "
            "meant."
        )


def _changed_steering(was: Config, now: Config) -> list[tuple[str, Any, Any]]:
    """Names, earlier and present values of options that steer learning and have changed."""
    pairs = [(was.get(group) or {}, now.get(group) or {}) for group in ("training", "optim")]
    return [
        (key, before[key], after[key])
        for before, after in pairs
        for key in STEERING
        if key in before and key in after and before[key] != after[key]
    ]


def _fixed(value: Any) -> Any:
    """A configuration without the keys that may change with a restart."""
    if isinstance(value, list):
        return [_fixed(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: _fixed(v) for k, v in value.items() if not FREE.fullmatch(str(k))}


def moving_average(decay: float) -> Callable[[Any, Any, Any], Any]:
    """Exponential moving average of weights that starts as a plain mean.

    With ``decay`` from the first step on, the random initial weights would still make up a fifth of
    the average after 800 steps at 0.998, and of the statistics of batch norms as well, which would
    hide the progress of a short run.

    Args:
        decay: Decay of later steps; step ``n`` keeps at most ``(1 + n) / (10 + n)``.

    Returns:
        ``(average, new, n_averaged) -> average``, as torch's ``AveragedModel`` takes it.

    Example:
        >>> average = moving_average(0.75)
        >>> average(0.0, 1.0, 0), average(0.0, 1.0, 1000)
        (0.9, 0.25)
    """

    def step(average: Any, new: Any, n_averaged: Any) -> Any:
        n = int(n_averaged)
        return average + (new - average) * (1 - min(decay, (1 + n) / (10 + n)))

    return step


def _trainer(conf: Config, exp_dir: Path, clock: Any) -> Any:
    """Lightning's trainer with the callbacks and logs of a recipe.

    Raises:
        ConfigError: If Lightning does not accept the options.
    """
    import pytorch_lightning as pl
    from pytorch_lightning import callbacks as cb
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    training = conf["training"]
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_no_advert)
    callbacks: list[Any] = [
        *_checkpoints(training, exp_dir),
        cb.Timer(verbose=False),  # hours, over all restarts
        # one line per step would be too many for a log file
        cb.TQDMProgressBar(refresh_rate=1 if sys.stdout.isatty() else training["log_every"]),
    ]
    if training["ema"]:
        callbacks.append(cb.WeightAveraging(avg_fn=moving_average(training["ema"])))
    callbacks.append(clock)  # what it saves within an epoch includes the average
    if training["patience"]:
        callbacks.append(
            cb.EarlyStopping(
                training["monitor"], mode=training["monitor_mode"], patience=training["patience"]
            )
        )
    try:
        return pl.Trainer(
            max_epochs=training["epochs"],
            accelerator=training["accelerator"],
            devices=training["devices"],
            num_nodes=training.get("num_nodes", 1),
            strategy=_strategy(training["strategy"]),
            precision=choose_precision(training["precision"], training["accelerator"]),
            gradient_clip_val=training["gradient_clip"],
            callbacks=callbacks,
            logger=_loggers(exp_dir, training["log_every"]),
            default_root_dir=exp_dir,
            use_distributed_sampler=False,
            log_every_n_steps=training["log_every"],
            num_sanity_val_steps=0,
            enable_model_summary=False,
        )
    except (ValueError, MisconfigurationException) as err:
        raise ConfigError(f"Training cannot start with these options: {err}") from err


def choose_precision(precision: Any, accelerator: str) -> Any:
    """Resolve ``"auto"``: bfloat16 where the hardware multiplies it, float32 elsewhere.

    On a Zen 3, which emulates bfloat16, a step took 57 s with it and 6.5 s without.

    Args:
        precision: ``"auto"``, or what Lightning takes, which is returned as it is.
        accelerator: Lightning's name of it.
    """
    if precision != "auto":
        return precision
    device = pick_device("cpu" if accelerator == "cpu" else "auto")
    fast = accelerator != "mps" and has_bfloat16(device)
    chosen = "bf16-mixed" if fast else "32-true"
    why = "has" if fast else "lacks"
    logger.warning("Precision %s: this %s %s bfloat16.", chosen, device.type.upper(), why)
    return chosen


def _no_advert(record: logging.LogRecord) -> bool:
    """Filter out Lightning's advertisements, and what it says of hardware that is rare."""
    return not any(part in record.getMessage() for part in ("Tip:", "TPU available"))


def _strategy(name: Any) -> Any:
    """Strategy in which a head may have no loss (a control), which plain DDP refuses."""
    return "ddp_find_unused_parameters_true" if name == "ddp" else name


def _checkpoints(training: dict[str, Any], exp_dir: Path) -> list[Any]:
    """Callbacks that keep the best states, that of the second metric first if there is one."""
    from pytorch_lightning.callbacks import ModelCheckpoint

    # the last callback writes last.ckpt, which then includes the current state of the others
    metrics = [(training["monitor"], training["monitor_mode"], training["save_top_k"], True)]
    if training.get("also_monitor"):
        metrics.insert(0, (training["also_monitor"], training["also_monitor_mode"], 1, False))
    return [
        ModelCheckpoint(
            exp_dir / "checkpoints",
            filename="{epoch:03d}-{" + monitor + ":.3f}",
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_last=save_last,
            enable_version_counter=False,  # a restart looks for last.ckpt
        )
        for monitor, mode, save_top_k, save_last in metrics
    ]


def _finish(
    conf: Config,
    system: Any,
    trainer: Any,
    exp_dir: Path,
    facts: dict[str, Any],
    infos: dict[str, Any],
) -> Path:
    """Best checkpoints -> voicing threshold on validation -> ``best_model.pth`` and others."""
    best = exp_dir / "best_model.pth"
    trainer.strategy.barrier()
    if trainer.global_rank:
        return best
    *others, checkpoints = trainer.checkpoint_callbacks  # as in `_checkpoints`
    timer = next(c for c in trainer.callbacks if hasattr(c, "time_elapsed"))
    scores = {Path(k).name: float(v) for k, v in checkpoints.best_k_models.items()}
    write_text(exp_dir / "best_k_models.json", json.dumps(scores, indent=1))
    facts = {
        **facts,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "processes": trainer.world_size,
        "hours": round(timer.time_elapsed() / 3600, 3),
    }
    dataset = build_dataset(conf, "valid")
    model = system.cpu().model
    for other in others:
        target = exp_dir / f"best_{other.monitor}.pth"
        _save_best(conf, model, dataset, other, target, facts, infos)
    facts = _save_best(conf, model, dataset, checkpoints, best, facts, infos)
    write_text(exp_dir / "run_facts.json", json.dumps(facts, indent=1))
    return best


def _save_best(
    conf: Config,
    model: Any,
    dataset: Any,
    checkpoints: Any,
    target: Path,
    facts: dict[str, Any],
    infos: dict[str, Any],
) -> dict[str, Any]:
    """Write the best state of ``checkpoints`` as a model file; return the facts stored in it.

    ``dataset`` is for the voicing threshold, ``infos`` has the licences of what was trained on.
    """
    name = Path(checkpoints.best_model_path or "last.ckpt").name
    path = target.parent / "checkpoints" / name
    # our own checkpoint, read as plain data
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict(
        {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    )
    model.eval()
    if model.has_pitch:
        choose_voicing_threshold(model, dataset, piece_sec=conf["training"].get("valid_sec", 0.0))
    saved = {**model.serialize(), **infos}
    facts = {**facts, "best": path.stem}
    saved["infos"].update(training_config=plain_types(conf), run_facts=facts)
    write_model_file(saved, target)
    return facts


def _loggers(exp_dir: Path, every: int) -> list[Any]:
    from pytorch_lightning.loggers import CSVLogger

    # a version for each start: the logger deletes the previous contents of its folder
    loggers: list[Any] = [CSVLogger(exp_dir, name="csv_log", flush_logs_every_n_steps=every)]
    try:
        from pytorch_lightning.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(exp_dir, name="tensorboard", version=""))
    except ModuleNotFoundError:
        logger.warning("No TensorBoard log: pip install tensorboard.")
    return loggers
