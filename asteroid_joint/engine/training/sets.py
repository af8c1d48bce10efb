"""The sets that a model is trained on, each with its own kinds of labels.

The groups ``data`` and ``data_args`` describe the first set. ``more_data`` describes further ones
by name: keys of ``data`` that differ, and in addition

- ``data_args``: constructor arguments of its dataset, independent of those of the first set;
- ``batch_size``: ``training.batch_size`` by default;
- ``valid``: whether to validate on its validation side, too; ``false`` by default.

Every step takes a batch of each set. ``hide`` names labels to hide on the training side of a set.
"""

import zlib
from typing import Any

from ...errors import ConfigError
from .config import Config

OWN_KEYS = ("data_args", "batch_size", "valid")  # of a further set; all others are keys of `data`


def further_sets(conf: Config) -> dict[str, Config]:
    """Configurations of the sets after the first, by name; each as if it were the only one.

    The seed of a set's sampling depends on its name, but not on the other sets.

    Raises:
        ConfigError: If the description of a set is not valid.
    """
    return {
        name: set_config(conf, name, described)
        for name, described in (conf.get("more_data") or {}).items()
    }


def set_config(conf: Config, name: str, described: Any) -> Config:
    """The configuration in which ``described`` is the only set; see :func:`further_sets`."""
    if not isinstance(described, dict):
        raise ConfigError(f"The set {name} is {described!r}: describe it by keys (dataset: ...).")
    unknown = [key for key in described if key not in OWN_KEYS and key not in conf["data"]]
    if unknown:
        raise ConfigError(
            f"The set {name} has no key {unknown[0]!r}: give {', '.join(OWN_KEYS)} and keys of "
            "data, and put other arguments of its dataset into data_args."
        )
    filled = fill_in(described, conf["data"], f"the set {name}")
    own = {key: value for key, value in filled.items() if key not in OWN_KEYS}
    training = dict(conf["training"])
    training["seed"] = int(training["seed"]) + zlib.crc32(name.encode())
    if "batch_size" in filled:
        training["batch_size"] = filled["batch_size"]
        if not isinstance(filled["batch_size"], int) or filled["batch_size"] < 1:
            raise ConfigError(f"The set {name} needs a batch_size of at least 1.")
    return {
        **{group: values for group, values in conf.items() if group != "more_data"},
        "data": {**conf["data"], "hide": [], "extra_nonvocal": {}, **own},
        "data_args": filled.get("data_args") or {},
        "training": training,
    }


def fill_in(value: Any, data: dict[str, Any], where: str) -> Any:
    """Replace ``"$key"`` anywhere in ``value`` by that key of ``data``, an option of run.sh.

    Raises:
        ConfigError: If there is no such key.
    """
    if isinstance(value, dict):
        return {k: fill_in(v, data, where) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fill_in(v, data, where) for v in value]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in data:
            raise ConfigError(f"{where}: there is no key {value[1:]!r} in data.")
        return data[value[1:]]
    return value
