"""Configuration: one commented base file, the recipe's file, small overlays, the command line.

It has two levels, as in Asteroid's recipes: ``group: {key: value}``; every key becomes ``--key``.
"""

import argparse
from math import inf
from pathlib import Path
from typing import Any

import yaml

from ...errors import ConfigError, DataError
from ...registry import import_plugins

Config = dict[str, dict[str, Any]]
RANGES: dict[str, tuple[float, float]] = {  # smallest and largest value of a key
    "balance_spread_db": (0, inf),
    "batch_size": (1, inf),
    "draws_per_epoch": (1, inf),
    "ema": (0, 1),
    "epochs": (1, inf),
    "eq_db": (0, inf),
    "gain_db": (0, inf),
    "level_db": (0, inf),
    "max_minutes": (0, inf),
    "num_nodes": (1, inf),
    "num_workers": (0, inf),
    "pitch_semitones": (0, 12),
    "pitch_tempo": (0, 1),
    "remix": (0, 1),
    "rest_speed_semitones": (0, 24),
    "save_minutes": (0, inf),
    "seed": (0, 2**32 - 1),
    "segment_sec": (0.1, inf),
    "silence": (0, 1),
    "speed_semitones": (0, 24),
    "tempo_percent": (0, 49),
    "threads": (0, inf),
    "valid_clips": (0, inf),
}
# groups whose keys are argument names of a model, dataset or loss
OPEN_GROUPS = ("model_args", "data_args", "more_data", "loss", "loss_args", "weighting_args")


def read_config(path: Path) -> Config:
    """Read a two-level YAML file.

    Raises:
        DataError: If it is missing or has another structure.
    """
    try:
        conf = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        raise DataError(f"Cannot read the configuration {path}: {err}") from err
    if not isinstance(conf, dict) or not all(isinstance(v, dict) for v in conf.values()):
        raise DataError(f"{path} must contain groups of keys (group: {{key: value}}).")
    return conf


def recipe_config(recipe_dir: Path) -> Config:
    """``local/conf.yml`` of a recipe over what it shares with others, as far as that exists.

    All recipes share ``_common/base.yml``, those on the same data ``base.yml`` beside them.

    Raises:
        DataError: See :func:`read_config`.
    """
    folder = recipe_dir.resolve()
    shared = folder.parents[1] / "_common" / "base.yml", folder.parent / "base.yml"
    files = [*(path for path in shared if path.is_file()), folder / "local" / "conf.yml"]
    merged: Config = {}
    for conf in map(read_config, files):
        merged.update({group: {**merged.get(group, {}), **keys} for group, keys in conf.items()})
    return merged


def overlay(base: Config, changes: Config, name: str = "overlay") -> Config:
    """Replace values of ``base``; an unknown group or key is an error, not a new option.

    The groups ``model_args`` and ``data_args`` (constructor arguments of the model and the
    dataset), ``more_data`` (further sets by name), ``loss`` / ``loss_args`` (terms by name) and
    ``weighting_args`` may gain keys, and lose those that are ``null`` in ``changes``.

    Raises:
        DataError: If ``changes`` has a group or key that ``base`` lacks.
    """
    merged = {group: dict(values) for group, values in base.items()}
    for group, values in changes.items():
        if group not in merged:
            raise DataError(f"{name}: there is no group {group!r} (known: {', '.join(merged)}).")
        unknown = [k for k in values if k not in merged[group]]
        if unknown and group not in OPEN_GROUPS:
            raise DataError(f"{name}: group {group!r} has no key {', '.join(unknown)}.")
        merged[group].update(values)
        if group in OPEN_GROUPS:  # null removes an argument
            merged[group] = {k: v for k, v in merged[group].items() if v is not None}
    return merged


def parse_recipe_args(recipe_dir: Path, argv: list[str] | None = None) -> Config:
    """``base.yml``, ``conf.yml``, overlays and the command line, each over the ones before.

    Args:
        recipe_dir: Folder that contains ``local/conf.yml``.
        argv: Arguments; those of the process by default. ``--overlay small,debug`` names overlays
            in ``local/`` (or files); every key of the configuration is an option.

    Returns:
        The configuration, with ``main_args`` (``exp_dir``) as in Asteroid's recipes.
    """
    from asteroid.utils import parse_args_as_dict, prepare_parser_from_dict

    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--overlay", default="")
    chosen, rest = first.parse_known_args(argv)
    conf = recipe_config(recipe_dir)
    for name in filter(None, chosen.overlay.split(",")):
        path = Path(name) if Path(name).suffix else recipe_dir / "local" / f"{name}.yml"
        if not path.is_file():
            local = sorted(p.stem for p in (recipe_dir / "local").glob("*.yml"))
            raise ConfigError(
                f"There is no overlay {name!r}: choose one of "
                f"{', '.join(n for n in local if n != 'conf')}, or give a file."
            )
        conf = overlay(conf, read_config(path), path.name)
    # --data_dir sets the key of data, even if an overlay has it among a dataset's arguments
    taken = {"data_args": conf.get("data", {}).keys()}
    scalar = {
        g: {
            k: v
            for k, v in vs.items()
            if not isinstance(v, dict | list) and k not in taken.get(g, ())
        }
        for g, vs in conf.items()
    }
    parser = argparse.ArgumentParser(parents=[first])
    parser.add_argument("--exp_dir", default="exp/tmp", help="folder that everything is written to")
    parser = prepare_parser_from_dict(scalar, parser=parser)
    args = parse_args_as_dict(parser, args=rest)
    main_args = {k: v for k, v in args.items() if not isinstance(v, dict)}
    main_args.update(args.get("main_args", {}))
    merged = {g: {**values, **args.get(g, {})} for g, values in conf.items()}
    merged["main_args"] = {
        "exp_dir": main_args.get("exp_dir", "exp/tmp"),
        "recipe": "/".join(recipe_dir.resolve().parts[-2:]),  # e.g. mir1k/DJCM
    }
    _check_ranges(merged)
    import_plugins(str(merged.get("data", {}).get("plugins") or ""))
    return merged


def _check_ranges(conf: Config) -> None:
    """Refuse values that would fail late or go unnoticed."""
    for values in conf.values():
        for key, (low, high) in RANGES.items():
            value = values.get(key)
            if value is not None and not low <= value <= high:
                upper = "" if high == inf else f" and at most {high}"
                raise ConfigError(f"--{key} {value}: expected at least {low}{upper}.")
