"""Whether recordings stay in the memory of the device, and the examples that are made of them."""

from collections.abc import Sequence

import torch

from ...data.plans import Augmentation
from ...data.resident import ResidentExamples
from ...errors import ConfigError
from ...models.base import JointModel
from .build import SAMPLING, build_dataset, check_fit, stem_gain
from .config import Config

# keys of data that only the loader of files supports, and those that only resident recordings have
FROM_FILES = ("pitch_tempo", "extra_nonvocal")
EFFECTS = (
    "rest_speed_semitones",
    "double",
    "backing",
    "eq_db",
    "reverb",
    "saturation",
    "narrow_band",
    "no_rest",
    "two_rests",
    "equal_loudness",
)


def is_resident(confs: Sequence[Config], device: torch.device) -> bool:
    """Whether recordings stay in the memory of the device: ``training.resident``.

    ``auto`` says yes on an accelerator, unless a set needs what only the loader of files does.

    Args:
        confs: Configuration of each set.
        device: Device of the training.

    Raises:
        ConfigError: If the configuration contradicts itself.
    """
    wanted = str(confs[0]["training"].get("resident", False)).lower()
    if wanted not in ("auto", "true", "false"):
        raise ConfigError(f"--resident {wanted}: expected auto, true or false.")
    from_files = [key for conf in confs for key in FROM_FILES if conf["data"].get(key)]
    effects = [key for conf in confs for key in EFFECTS if conf["data"].get(key)]
    if wanted == "true" and from_files:
        raise ConfigError(
            f"{from_files[0]} is not available with recordings in memory: set --resident false, or "
            f"leave {from_files[0]} out."
        )
    resident = wanted == "true" or (wanted == "auto" and device.type != "cpu" and not from_files)
    if effects and not resident:
        raise ConfigError(
            f"{effects[0]} needs recordings in memory: set --resident true, or --{effects[0]} 0."
        )
    return resident


def build_resident(conf: Config, model: JointModel, device: torch.device) -> ResidentExamples:
    """Training examples of the first set, made on the device that holds its recordings."""
    data = conf["data"]
    dataset = build_dataset(conf, "train")
    check_fit(model, dataset)
    n_samples = round(data["segment_sec"] * model.sample_rate)
    options = {key: data[key] for key in (*SAMPLING, *EFFECTS) if key in data}
    mixture_db = (float(data.get("mixture_db_min", 0)), float(data.get("mixture_db_max", 0)))
    augmentation = Augmentation(
        **options,
        stem_gain=stem_gain(data),
        mixture_db=mixture_db,
        balance_db=float(data.get("balance_db", Augmentation.balance_db)),
        balance_spread_db=float(data.get("balance_spread_db", Augmentation.balance_spread_db)),
    )
    seed = conf["training"]["seed"]
    return ResidentExamples(dataset, model.pitch_grid, n_samples, seed, device, augmentation)
