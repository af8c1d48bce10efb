"""Facts about the registered models, from the classes themselves: nothing is written twice."""

import inspect
import re
import sys
from typing import Any

from ..models.base import JointModel
from ..registry import MODELS

ADDRESS = re.compile(r"https?://[^\s)>,]+|arXiv \d{4}\.\d{5}")
TITLE = re.compile(r'"([^"]+)",? ?([^"]*?)(?=https?://|$)', re.DOTALL)


def describe_model(name: str) -> dict[str, Any]:
    """Everything about a registered model, in plain Python values.

    Args:
        name: Registered name, in any spelling: ``"DJCM"``, ``"djcm"``, ``"joint_xumx"``.

    Returns:
        ``name``, ``summary``, ``paper`` (``title``, ``venue``, ``url``), ``hub_entry`` and
        ``presets``: of each its ``parameters``, ``sample_rate`` (Hz), ``n_channels``, ``sources``,
        ``has_pitch``, ``hop_sec``, ``n_bins`` and ``arguments``.

    Raises:
        ConfigError: If there is no such model; the message names those there are.

    Example:
        >>> import asteroid_joint
        >>> describe_model("djcm")["presets"]["paper"]["parameters"]
        46733003
    """
    model_class = MODELS[registered_name(name)]
    return {
        "name": model_class.__name__,
        "summary": (inspect.getdoc(model_class) or "").split("\n\n")[0].replace("\n", " "),
        "paper": _paper(model_class),
        "hub_entry": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", model_class.__name__).lower(),
        "presets": {preset: _preset(model_class, preset) for preset in model_class.presets},
    }


def registered_name(name: str) -> str:
    """A registered model's name for another spelling of it; anything else as it is."""
    wanted = name.replace("_", "").lower()
    return next((known for known in MODELS if known.lower() == wanted), name)


def count_parameters(model_class: type[JointModel], arguments: dict[str, Any]) -> int:
    """Parameters of a model that is never filled with numbers."""
    return sum(p.numel() for p in on_meta(model_class, arguments).parameters())


def on_meta(model_class: type[JointModel], arguments: dict[str, Any]) -> JointModel:
    """A model of shapes alone: made in a moment, however large."""
    import torch

    with torch.device("meta"):
        return model_class(**arguments)


def _preset(model_class: type[JointModel], preset: str) -> dict[str, Any]:
    model = on_meta(model_class, model_class.presets[preset])
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        **interface(model),
        "arguments": model.get_model_args(),
    }


def interface(model: JointModel) -> dict[str, Any]:
    """What goes in and comes out of a model."""
    return {
        "sample_rate": int(model.sample_rate),
        "n_channels": int(model.in_channels),
        "sources": list(model.sources),
        "has_pitch": bool(model.has_pitch),
        "hop_sec": float(model.pitch_grid.hop),
        "n_bins": model.pitch_grid.n_bins,
    }


def _paper(model_class: type) -> dict[str, str]:
    """The first reference of the class, or of its module; the latter knows the title."""
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
