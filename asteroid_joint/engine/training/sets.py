"""The sets that one model is trained on, each with labels of its own.

The groups ``data`` and ``data_args`` describe the first set. ``more_data`` describes further ones
by name: keys of ``data`` that differ, and of its own

- ``data_args``: constructor arguments of its dataset; those of the first set are not taken over;
- ``batch_size``: ``training.batch_size`` by default;
- ``valid``: whether its validation side is validated on, too; ``false`` by default.

Every step takes a batch of each. ``hide`` names labels that the training side of a set is to keep
to itself.
"""

import zlib
from typing import Any

from ...errors import ConfigError
from .config import Config

OWN_KEYS = ("data_args", "batch_size", "valid")  # of a further set; all others are keys of `data`


def further_sets(conf: Config) -> dict[str, Config]:
    """Configurations of the sets after the first, by name; each reads as if it were the only one.

    Their draws have seeds of their own, by their names: a set draws the same whatever stands
    beside it.

    Raises:
        ConfigError: If one is not described by keys.
    """
    return {
        name: set_config(conf, name, described)
        for name, described in (conf.get("more_data") or {}).items()
    }


def set_config(conf: Config, name: str, described: Any) -> Config:
    """The configuration in which ``described`` is the only set; see :func:`further_sets`."""
    if not isinstance(described, dict):
        raise ConfigError(f"The set {name} is described by keys (dataset: ...), not {described!r}.")
    unknown = [key for key in described if key not in OWN_KEYS and key not in conf["data"]]
    if unknown:
        raise ConfigError(
            f"The set {name} has no key {unknown[0]!r}: it takes {', '.join(OWN_KEYS)} and the "
            "keys of data; arguments of a dataset that are not among these go into data_args."
        )
    filled = fill_in(described, conf["data"], f"the set {name}")
    own = {key: value for key, value in filled.items() if key not in OWN_KEYS}
    training = dict(conf["training"])
    training["seed"] = int(training["seed"]) + zlib.crc32(name.encode())
    if "batch_size" in filled:
        training["batch_size"] = filled["batch_size"]
        if not isinstance(filled["batch_size"], int) or filled["batch_size"] < 1:
            raise ConfigError(f"The set {name} needs a batch_size from 1 on.")
    return {
        **{group: values for group, values in conf.items() if group != "more_data"},
        "data": {**conf["data"], "hide": [], "extra_nonvocal": {}, **own},
        "data_args": filled.get("data_args") or {},
        "training": training,
    }


def is_validated(conf: Config, name: str) -> bool:
    """Whether the validation side of a further set is used."""
    return bool(conf["more_data"][name].get("valid", False))


def fill_in(value: Any, data: dict[str, Any], where: str) -> Any:
    """``"$key"`` anywhere in ``value`` is that key of ``data``, hence an option of run.sh.

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
