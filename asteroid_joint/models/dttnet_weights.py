"""Weights of DTTNet: from a checkpoint of the authors' or of MSST to arguments and tensors of ours.

References:
    J. Chen, https://github.com/junyuchen-cjy/DTTNet-Pytorch (Lightning checkpoints).
    R. Solovyev, https://github.com/ZFTurbo/Music-Source-Separation-Training, ``models/DTTNet.py``
    (MSST: the same names; convolutions without bias, several targets, no window).
"""

import os
import pickle
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import CheckpointError
from ..masknn.dual_path import GROUP_CHAN
from .xumx_weights import PLAIN_OBJECTS

CONSTANTS = ("window", "freq_pad")  # stored, but no weights
WRAPPERS = ("state_dict", "model_state_dict", "state")  # where checkpoints keep the weights
PREFIX = "module."  # of models on several GPUs
NAMES = (  # theirs, ours
    (r"^first_conv\.", "first."),
    (r"^final_conv\.0\.", "last."),
    (r"^encoding_blocks\.", "encoder."),
    (r"^decoding_blocks\.", "decoder."),
    (r"^ds\.", "downs."),
    (r"^us\.", "ups."),
    (r"^bottleneck_block1\.", "bottom."),
    (r"^bottleneck_block2\.bsrnn\.(\d+)\.0\.", r"paths.layers.\1.over_time."),
    (r"^bottleneck_block2\.bsrnn\.(\d+)\.1\.", r"paths.layers.\1.over_freq."),
    (r"\.groupnorm\.", ".norm."),
    (r"\.rnn\.", ".lstm."),
    (r"\.fc\.", ".linear."),
    (r"\.tfc1\.H\.", ".before."),
    (r"\.tfc2\.H\.", ".after."),
    (r"\.res\.H\.", ".shortcut."),
)


class DTTNetWeights(NamedTuple):
    """Arguments and weights of a separator of the authors'.

    Attributes:
        model_args: Sizes, as arguments of :class:`~asteroid_joint.models.JointDTTNet`.
        state_dict: Weights of its network.
    """

    model_args: dict[str, Any]
    state_dict: dict[str, torch.Tensor]

    def load_into(self, net: nn.Module) -> None:
        """Load the weights.

        Raises:
            CheckpointError: If names or shapes differ.
        """
        try:
            net.load_state_dict(self.state_dict)
        except RuntimeError as err:
            reason = " ".join(str(err).split())[:200]
            raise CheckpointError(f"The weights do not fit DTTNet: {reason}") from err


def read_dttnet(separator: Any, source: int = 0) -> DTTNetWeights:
    """Read a separator trained with the authors' code or with MSST.

    Args:
        separator: Checkpoint (read as data), its content, or the state dictionary.
        source: Which of several targets to take.

    Returns:
        Arguments and weights; without ``n_fft`` if the checkpoint does not say it, as MSST's.

    Raises:
        CheckpointError: If it cannot be used.
    """
    content = separator
    if isinstance(separator, str | os.PathLike):
        content = _read(os.fspath(separator))
    state = content if isinstance(content, Mapping) else None
    for name in WRAPPERS:
        if state is not None and isinstance(state.get(name), Mapping):
            state = state[name]
    if isinstance(state, Mapping):
        state = {str(key).removeprefix(PREFIX): value for key, value in state.items()}
    if not isinstance(state, Mapping) or "first_conv.0.weight" not in state:
        raise CheckpointError(
            "These are not DTTNet weights: its checkpoints contain a state_dict with "
            "first_conv.0.weight."
        )
    try:
        args = _arguments(state)
        state = _one_target(_with_biases(state), 2 * args["in_channels"], source)
        return DTTNetWeights(args, {_rename(k): v for k, v in state.items() if k not in CONSTANTS})
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as err:
        reason = " ".join(str(err).split())[:200]
        raise CheckpointError(f"These are not usable DTTNet weights: {reason}") from err


def _read(path: str) -> Any:
    """Content of a checkpoint, as data, never as code."""
    if not os.path.isfile(path):
        raise CheckpointError(f"There is no checkpoint {path}: correct the path.")
    try:
        with torch.serialization.safe_globals(PLAIN_OBJECTS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise CheckpointError(
            f"{path} is corrupt or contains more than plain data, and was not run: save only its "
            "state_dict."
        ) from err
    except Exception as err:  # bytes that are no pickle raise what they happen to run into
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint (another kind of file, corrupt or truncated): "
            "correct the path, or download it again."
        ) from err


def _with_biases(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Zero biases for the convolutions of MSST, which have none; ours do, as the authors'."""
    found = dict(state)
    if "first_conv.0.bias" in state:
        return found
    for name, weight in state.items():
        if name.endswith(".weight") and weight.ndim == 4:
            transposed = name.startswith("us.")  # (in, out, 2, 2)
            bias = torch.zeros(weight.shape[int(transposed)], dtype=weight.dtype)
            found.setdefault(name.removesuffix("weight") + "bias", bias)
    return found


def _one_target(
    state: dict[str, torch.Tensor], n_maps: int, source: int
) -> dict[str, torch.Tensor]:
    """Only one of the targets that the last convolution may have side by side."""
    n_targets = len(state["final_conv.0.weight"]) // n_maps
    if not 0 <= source < n_targets:
        raise ValueError(f"they have {n_targets} target(s), so there is no number {source}.")
    rows = slice(source * n_maps, (source + 1) * n_maps)
    last = {k: v[rows] for k, v in state.items() if k.startswith("final_conv.0.")}
    return {**state, **last}


def _rename(name: str) -> str:
    for theirs, ours in NAMES:
        name = re.sub(theirs, ours, name)
    return name


def _arguments(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Sizes derived from the weights."""

    def count(pattern: str) -> int:
        return len({m.group(1) for name in state if (m := re.match(pattern, name))})

    first_chan, n_maps = state["first_conv.0.weight"].shape[:2]
    dense = state["encoding_blocks.0.tdf.0.weight"]  # (width, n_freqs)
    chan = state["bottleneck_block1.res.H.0.0.weight"].shape[0]
    head_chan = state["bottleneck_block2.bsrnn.0.0.groupnorm.weight"].shape[0]
    if head_chan < GROUP_CHAN:
        raise ValueError(f"their heads have {head_chan} channels, fewer than {GROUP_CHAN}.")
    args = {
        "in_channels": n_maps // 2,
        "n_freqs": dense.shape[1],
        "bottleneck": dense.shape[1] // dense.shape[0],
        "first_chan": first_chan,
        "growth": state["ds.0.0.weight"].shape[0] - first_chan,
        "depth": count(r"ds\.(\d+)\."),
        "n_convs": count(r"encoding_blocks\.0\.tfc1\.H\.(\d+)\."),
        "n_paths": count(r"bottleneck_block2\.bsrnn\.(\d+)\."),
        "n_heads": chan // head_chan,
    }
    if "window" in state:
        window, hann = state["window"], torch.hann_window(state["window"].numel())
        if not torch.allclose(window.cpu().float(), hann, atol=1e-5):
            raise ValueError("their window is not a Hann window.")
        args["n_fft"] = window.numel()
    return {name: int(value) for name, value in args.items()}
