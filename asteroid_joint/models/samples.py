"""What people pass to a model as samples, converted to the tensor that its layers take."""

from typing import Any

import numpy as np
import torch

INTEGERS = (torch.int16, torch.int32)  # types with an unambiguous full scale


def as_samples(wav: Any, like: torch.Tensor) -> torch.Tensor:
    """Samples as a floating-point tensor of a model's own precision.

    Args:
        wav: Tensor of any shape, or what NumPy takes for an array, which is copied to the model's
            device; floats of any width with full scale 1.0, or int16 or int32.
        like: A floating-point buffer of the model.

    Returns:
        A tensor of the same shape; ``wav`` itself where nothing has to be converted.

    Raises:
        ValueError: If the type has no full scale.

    Example:
        >>> as_samples(np.array([0, 16384], np.int16), torch.zeros(())).tolist()
        [0.0, 0.5]
    """
    if not isinstance(wav, torch.Tensor):
        wav = _tensor(wav).to(like.device)
    if wav.dtype == like.dtype:
        return wav
    if wav.dtype in INTEGERS:
        return wav.to(like.dtype) / -float(torch.iinfo(wav.dtype).min)
    if not wav.is_floating_point():
        raise ValueError(_refusal(_short(wav.dtype)))
    return wav.to(like.dtype)


def _tensor(wav: Any) -> torch.Tensor:
    """A copy, as arrays may be read-only, reversed, or in the byte order of another machine."""
    try:
        array = np.array(wav)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
    except (TypeError, ValueError) as err:
        raise ValueError(_refusal(type(wav).__name__)) from err


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _refusal(kind: str) -> str:
    return (
        f"Expected samples as floats, int16 or int32, received {kind}: convert them to floats with "
        "full scale 1.0."
    )
