"""Facts about model files: what is stored beside the weights, in one form whoever wrote it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..models.model_file import read_model_file
from ..models.pretrained import full_name, model_path
from ..registry import MODELS
from .model_facts import interface, on_meta


def describe_weights(name: str | os.PathLike) -> dict[str, Any]:
    """Everything that a model file says of itself, in plain Python values.

    Args:
        name: Of shipped weights, short or long; a file, a folder, or what Asteroid can fetch.

    Returns:
        See :func:`describe`, with ``name``, ``file`` and ``megabytes``.

    Raises:
        CheckpointError: One sentence on why the file cannot be used.

    Example:
        >>> import asteroid_joint
        >>> facts = describe_weights("mir1k")
        >>> facts["model"], facts["parameters"], facts["licences"][0]["title"]
        ('DJCM', 4126325, 'MIR-1K')
    """
    long_name = full_name(os.fspath(name))
    path = model_path(long_name)
    conf = read_model_file(path)
    size = os.path.getsize(path) / 1e6 if os.path.isfile(path) else None
    return {"name": Path(long_name).stem, "file": path, "megabytes": size, **describe(conf)}


def describe(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the content of a model file; what is not stored is empty.

    Args:
        conf: See :func:`asteroid_joint.models.base.read_model_file`.

    Returns:
        ``model``, ``preset``, ``parameters``, ``sample_rate`` (Hz), ``n_channels``, ``sources``,
        ``has_pitch``, ``hop_sec``, ``n_bins``, ``voicing_threshold``, ``task``, ``dataset``,
        ``split``, ``licences``, ``recipe``, ``run``, ``averaged``, ``evaluations`` (of each
        ``dataset``, ``side``, ``split``, ``sample_rate``, ``n_clips``, ``metrics``), ``versions``,
        ``arguments`` and ``training_config``.

    Raises:
        CheckpointError: If the model is not known or its arguments do not fit.
    """
    name = conf["model_name"]
    if name not in MODELS:
        raise CheckpointError(
            f"There is no joint model called {name!r} (known: {', '.join(sorted(MODELS))}); "
            "if it is your own, import the module that registers it first (--plugins)."
        )
    try:
        model = on_meta(MODELS[name], dict(conf["model_args"]))
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise CheckpointError(f"The stored arguments do not fit {name}: {reason}") from err
    infos = conf.get("infos") or {}
    config = infos.get("training_config") or {}
    threshold = conf["state_dict"].get("voicing_threshold")
    return {
        "model": name,
        "preset": (config.get("model") or {}).get("preset", ""),
        "parameters": sum(p.numel() for p in model.parameters()),
        **interface(model),
        "voicing_threshold": None if threshold is None else round(float(threshold), 4),
        "task": conf.get("task", ""),
        "dataset": conf.get("dataset") or (config.get("data") or {}).get("dataset", ""),
        "split": (config.get("data") or {}).get("split", ""),
        "licences": [
            {
                "title": licence.get("title", ""),
                "author": licence.get("author", ""),
                "licence": licence.get("license", ""),
                "link": licence.get("license_link") or licence.get("title_link") or "",
                "non_commercial": bool(licence.get("non_commercial", False)),
            }
            for licence in conf.get("licenses") or []
        ],
        "recipe": infos.get("recipe") or (config.get("main_args") or {}).get("recipe", ""),
        "run": dict(infos.get("run_facts") or {}),
        "averaged": infos.get("averaged"),
        "evaluations": list(infos.get("evaluations") or []),
        "versions": dict(infos.get("software_versions") or {}),
        "arguments": dict(conf["model_args"]),
        "training_config": config,
    }
