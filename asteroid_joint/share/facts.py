"""Facts about registered models and model files, as plain Python values.

Building every preset of every model takes seconds, even without weights. The results are therefore
stored in ``sizes.json``, for ``asteroid-joint list``; ``python -m asteroid_joint.share.facts``
updates it, and a test compares it with the models.
"""

import inspect
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..files import write_text
from ..models.base import JointModel
from ..models.model_file import read_model_file
from ..models.pretrained import full_name, model_path
from ..registry import MODELS

TOP = "asteroid_joint"
SIZES = Path(__file__).with_name("sizes.json")
ADDRESS = re.compile(r"https?://[^\s)>,]+|arXiv \d{4}\.\d{5}")
TITLE = re.compile(r'"([^"]+)",? ?([^"]*?)(?=https?://|$)', re.DOTALL)


def describe_model(name: str, stored: bool = False) -> dict[str, Any]:
    """Facts about a registered model.

    Args:
        name: Registered name, in any spelling: ``"DJCM"``, ``"djcm"``, ``"joint_xumx"``.
        stored: Read the facts about presets, without their arguments, from ``sizes.json`` if it
            lists the model.

    Returns:
        ``name``, ``summary``, ``paper`` (``title``, ``venue``, ``url``) and ``presets``, each with
        ``parameters``, ``sample_rate`` (Hz), ``n_channels``, ``sources``, ``has_pitch``,
        ``hop_sec``, ``n_bins`` and ``arguments``.

    Raises:
        ConfigError: If there is no such model; the message lists the known ones.

    Example:
        >>> import asteroid_joint
        >>> describe_model("djcm")["presets"]["paper"]["parameters"]
        46733003
    """
    model_class = MODELS[registered_name(name)]
    sizes = json.loads(SIZES.read_text(encoding="utf-8")) if stored else {}
    known = sizes.get(model_class.__name__)
    presets = known or {preset: _preset(model_class, preset) for preset in model_class.presets}
    if stored:
        for preset in presets.values():
            preset.pop("arguments", None)
    return {
        "name": model_class.__name__,
        "summary": (inspect.getdoc(model_class) or "").split("\n\n")[0].replace("\n", " "),
        "paper": _paper(model_class),
        "presets": presets,
    }


def registered_name(name: str) -> str:
    """Registered name of a model in another spelling; other names are returned unchanged."""
    wanted = name.replace("_", "").lower()
    return next((known for known in MODELS if known.lower() == wanted), name)


def describe_weights(name: str | os.PathLike) -> dict[str, Any]:
    """Facts stored in a model file.

    Args:
        name: Short or long name of shipped weights, a file, a folder, or anything that Asteroid
            can download.

    Returns:
        Facts of :func:`describe_content`, and ``name``, ``file`` and ``megabytes``.

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
    return {
        "name": Path(long_name).stem,
        "file": path,
        "megabytes": size,
        **describe_content(conf),
    }


def describe_content(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Facts from the content of a model file, in one form for files of any origin.

    Args:
        conf: See :func:`asteroid_joint.models.model_file.read_model_file`.

    Returns:
        ``model``, ``preset``, ``parameters``, ``sample_rate`` (Hz), ``n_channels``, ``sources``,
        ``has_pitch``, ``hop_sec``, ``n_bins``, ``voicing_threshold``, ``task``, ``dataset``,
        ``split``, ``licences``, ``recipe``, ``run``, ``averaged``, ``evaluations`` (each with
        ``dataset``, ``side``, ``split``, ``sample_rate``, ``n_clips``, ``metrics``), ``versions``,
        ``arguments`` and ``training_config``; empty if not stored.

    Raises:
        CheckpointError: If the model is not known or its arguments do not fit.
    """
    model = _without_weights(conf)
    infos = conf.get("infos") or {}
    config = infos.get("training_config") or {}
    data = config.get("data") or {}
    threshold = conf["state_dict"].get("voicing_threshold")
    return {
        "model": conf["model_name"],
        "preset": (config.get("model") or {}).get("preset", ""),
        **_interface(model),
        "voicing_threshold": None if threshold is None else round(float(threshold), 4),
        "task": conf.get("task", ""),
        "dataset": conf.get("dataset") or data.get("dataset", ""),
        "split": data.get("split", ""),
        "licences": [_licence(licence) for licence in conf.get("licenses") or []],
        "recipe": infos.get("recipe") or (config.get("main_args") or {}).get("recipe", ""),
        "run": dict(infos.get("run_facts") or {}),
        "averaged": infos.get("averaged"),
        "evaluations": list(infos.get("evaluations") or []),
        "versions": dict(infos.get("software_versions") or {}),
        "arguments": dict(conf["model_args"]),
        "training_config": config,
    }


def _without_weights(conf: Mapping[str, Any]) -> JointModel:
    """The model of a file, without its weights."""
    name = conf["model_name"]
    if name not in MODELS:
        raise CheckpointError(
            f"There is no joint model called {name!r} (known: {', '.join(sorted(MODELS))}): "
            "if it is your own, first import the module that registers it (--plugins)."
        )
    try:
        return _on_meta(MODELS[name], dict(conf["model_args"]))
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise CheckpointError(f"The stored arguments do not fit {name}: {reason}") from err


def _licence(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Licence of the data as Asteroid stores it, with our keys."""
    return {
        "title": stored.get("title", ""),
        "author": stored.get("author", ""),
        "licence": stored.get("license", ""),
        "link": stored.get("license_link") or stored.get("title_link") or "",
        "non_commercial": bool(stored.get("non_commercial", False)),
    }


def _preset(model_class: type[JointModel], preset: str) -> dict[str, Any]:
    model = _on_meta(model_class, model_class.presets[preset])
    return {**_interface(model), "arguments": model.get_model_args()}


def _on_meta(model_class: type[JointModel], arguments: dict[str, Any]) -> JointModel:
    """A model without weights, fast to build at any size."""
    import torch

    with torch.device("meta"):
        return model_class(**arguments)


def _interface(model: JointModel) -> dict[str, Any]:
    """Size, input and outputs of a model."""
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "sample_rate": int(model.sample_rate),
        "n_channels": int(model.in_channels),
        "sources": list(model.sources),
        "has_pitch": bool(model.has_pitch),
        "hop_sec": float(model.pitch_grid.hop),
        "n_bins": model.pitch_grid.n_bins,
    }


def _paper(model_class: type) -> dict[str, str]:
    """The first reference of the class, or of its module, which gives the title."""
    empty = {"title": "", "venue": "", "url": ""}
    module = sys.modules[model_class.__module__]
    for text in (inspect.getdoc(module), inspect.getdoc(model_class)):
        references = (text or "").partition("References:")[2]
        address = ADDRESS.search(references)
        if address is None:
            continue
        title = TITLE.search(" ".join(references[: address.start()].split()))
        url = re.sub(r"^arXiv ", "https://arxiv.org/abs/", address[0].rstrip("."))
        if title is None:
            return {**empty, "url": url}
        return {"title": title[1], "venue": title[2].strip(" ,"), "url": url}
    return empty


def main() -> None:
    """Update ``sizes.json``."""
    ours = [name for name in sorted(MODELS) if MODELS[name].__module__.startswith(TOP + ".")]
    sizes = {name: describe_model(name)["presets"] for name in ours}
    for presets in sizes.values():
        for preset in presets.values():
            del preset["arguments"]
    write_text(SIZES, json.dumps(sizes, indent=1) + "\n")


if __name__ == "__main__":
    main()
