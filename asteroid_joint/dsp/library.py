"""NumPy or PyTorch: the chain behind ``separate`` is written once and computes with either.

Where PyTorch runs the model, the transforms are PyTorch's, too, so that results stay what they were
to the last bit; without it, as with an exported graph, everything is NumPy's. The two agree to the
rounding of float32.
"""

from typing import Any

import numpy as np


def library_of(array: Any) -> Any:
    """The module whose array it is, ``numpy`` or ``torch``; torch is not imported for NumPy's.

    Example:
        >>> library_of(np.zeros(3)).__name__
        'numpy'
    """
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def like(values: np.ndarray, array: Any) -> Any:
    """Values as an array of the library, and on the device, of another."""
    return (
        values
        if isinstance(array, np.ndarray)
        else library_of(array).as_tensor(values, device=array.device)
    )


def hann_window(n_samples: int, library: Any = np) -> Any:
    """Periodic Hann window, ``(n_samples,)`` float32."""
    if library is np:
        return np.hanning(n_samples + 1)[:-1].astype(np.float32)
    return library.hann_window(n_samples)
