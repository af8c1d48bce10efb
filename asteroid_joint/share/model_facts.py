"""Facts about the registered models, from the classes themselves.

Making every preset of every model takes seconds, even without numbers in them. What that gives is
kept in ``sizes.json``, for ``asteroid-joint list``; ``python -m asteroid_joint.share.model_facts``
renews it, and a test compares it with the models.
"""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from ..models.base import JointModel
from ..registry import MODELS

TOP = "asteroid_joint"
SIZES = Path(__file__).with_name("sizes.json")
ADDRESS = re.compile(r"https?://[^\s)>,]+|arXiv \d{4}\.\d{5}")
TITLE = re.compile(r'"([^"]+)",? ?([^"]*?)(?=https?://|$)', re.DOTALL)


def describe_model(name: str, stored: bool = False) -> dict[str, Any]:
    """Everything about a registered model, in plain Python values.

    Args:
        name: Registered name, in any spelling: ``"DJCM"``, ``"djcm"``, ``"joint_xumx"``.
        stored: Take what is known of the presets from ``sizes.json``, where that has the model;
            their arguments are left out.

    Returns:
        ``name``, ``summary``, ``paper`` (``title``, ``venue``, ``url``) and ``presets``: of each
        its ``parameters``, ``sample_rate`` (Hz), ``n_channels``, ``sources``, ``has_pitch``,
        ``hop_sec``, ``n_bins`` and ``arguments``.

    Raises:
        ConfigError: If there is no such model; the message names those there are.

    Example:
        >>> import asteroid_joint
        >>> describe_model("djcm")["presets"]["paper"]["parameters"]
        46733003
    """
    model_class = MODELS[registered_name(name)]
    known = json.loads(SIZES.read_text()).get(model_class.__name__) if stored else None
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
    """A registered model's name for another spelling of it; anything else as it is."""
    wanted = name.replace("_", "").lower()
    return next((known for known in MODELS if known.lower() == wanted), name)


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


def main() -> None:
    """Write ``sizes.json`` anew."""
    ours = [name for name in sorted(MODELS) if MODELS[name].__module__.startswith(TOP + ".")]
    sizes = {name: describe_model(name)["presets"] for name in ours}
    for presets in sizes.values():
        for preset in presets.values():
            del preset["arguments"]
    SIZES.write_text(json.dumps(sizes, indent=1) + "\n")


if __name__ == "__main__":
    main()
