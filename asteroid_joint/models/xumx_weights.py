"""Weights of Asteroid's ``XUMX``, converted to arguments and tensors of ours."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.torch_version import TorchVersion

from ..errors import CheckpointError
from ..registry import MODELS
from .model_file import MODEL_KEYS, read_model_file

WINDOWS = ("encoder.0.window", "decoder.window")  # stored, but no weights
# numbers and a version that Asteroid's recipe leaves in its files; data, though pickled as objects
_SCALAR = np.float64(0).__reduce__()[0]
PLAIN_OBJECTS: list[Any] = [
    TorchVersion,
    np.dtype,
    np.dtypes.Int64DType,
    np.dtypes.Float64DType,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


class XUMXWeights(NamedTuple):
    """Arguments and weights of a model of Asteroid's.

    Attributes:
        sources: Names of the stems, in Asteroid's order.
        model_args: Further arguments of :class:`~asteroid_joint.models.JointXUMX`.
        state_dict: Its weights without those of the heads.
    """

    sources: list[str]
    model_args: dict[str, Any]
    state_dict: dict[str, torch.Tensor]


def read_xumx(separator: Any) -> XUMXWeights:
    """Read a separator trained with Asteroid's ``XUMX``.

    Args:
        separator: File, hub id or URL, a model dictionary, or the model itself.

    Raises:
        CheckpointError: If it cannot be used.
    """
    conf = separator
    if isinstance(separator, nn.Module):
        name, state = type(separator).__name__, separator.state_dict()
        args: Any = getattr(separator, "get_model_args", dict)
        conf = {"model_name": name, "state_dict": state, "model_args": args()}
    elif isinstance(separator, str | os.PathLike):
        with torch.serialization.safe_globals(PLAIN_OBJECTS):
            conf = read_model_file(os.fspath(separator))
    if not isinstance(conf, Mapping) or not MODEL_KEYS <= conf.keys():
        raise CheckpointError(f"A model dictionary needs the keys {sorted(MODEL_KEYS)}.")
    if conf["model_name"] in MODELS:
        raise CheckpointError(
            f"These weights belong to {conf['model_name']}, not to Asteroid's XUMX: load them with "
            "load_model."
        )
    try:
        state = dict(conf["state_dict"])
        windows = [state.pop(name) for name in WINDOWS if name in state]
        return XUMXWeights(*_arguments(conf["model_args"], windows), state)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise CheckpointError(f"These are not usable weights of Asteroid's XUMX: {reason}") from err


def _arguments(
    args: Mapping[str, Any], windows: list[torch.Tensor]
) -> tuple[list[str], dict[str, Any]]:
    """Sources and arguments of ours from those of ``XUMX``, whose defaults may be left out."""
    n_fft, rate = int(args.get("in_chan", 4096)), float(args.get("sample_rate", 44100))
    if args.get("window_length", n_fft) != n_fft or args.get("spec_power", 1) != 1:
        raise ValueError("window_length must be in_chan, and spec_power 1.")
    hann = torch.hann_window(n_fft)
    if not all(w.shape == hann.shape and torch.allclose(w.cpu().float(), hann) for w in windows):
        raise ValueError("their window is not a Hann window.")
    max_bin = args.get("max_bin") or n_fft // 2 + 1
    return list(args["sources"]), {
        "sample_rate": int(rate),
        "in_channels": int(args.get("nb_channels", 2)),
        "n_fft": n_fft,
        "hop_length": int(args.get("n_hop", 1024)),
        "bandwidth_hz": (int(max_bin) - 0.5) * rate / n_fft,  # midway to the next bin
        "hidden_size": int(args.get("hidden_size", 512)),
        "nb_layers": int(args.get("nb_layers", 3)),
        "bidirectional": bool(args.get("bidirectional", True)),
    }
