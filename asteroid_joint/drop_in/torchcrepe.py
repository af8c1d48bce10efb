"""``torchcrepe.predict``, for programs that call it on a separated voice.

Everything else of torchcrepe (``filter``, ``threshold``, ``decode``, ...) is the library's own, if
it is installed.

References:
    M. Morrison, torchcrepe 0.0.24, ``torchcrepe/core.py`` (arguments, shapes, frames).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..optional import optional
from .pitch import rescaled, track

if TYPE_CHECKING:
    import torch

THRESHOLD = 0.1  # what RVC and others compare the periodicity with
MAX_FMAX = 2006.0  # Hz


def predict(
    audio: "torch.Tensor",
    sample_rate: int,
    hop_length: int | None = None,
    fmin: float = 50.0,
    fmax: float = MAX_FMAX,
    model: str = "full",
    decoder: Any = None,
    return_harmonicity: bool = False,
    return_periodicity: bool = False,
    batch_size: int | None = None,
    device: Any = "cpu",
    pad: bool = True,
) -> Any:
    """Pitch, and periodicity on request, of a voice.

    Args:
        audio: ``(1, n_samples)``.
        sample_rate: Hz.
        hop_length: Samples between frames; 10 ms by default.
        fmin: Lowest pitch in Hz.
        fmax: Highest pitch in Hz.
        model: Accepted and without effect, like ``decoder`` and ``batch_size``.
        decoder: See ``model``.
        return_harmonicity: Same as ``return_periodicity``.
        return_periodicity: Also return the confidence, 0.1 at the model's own threshold.
        batch_size: See ``model``.
        device: Where to compute.
        pad: Whether the first frame is centred at the first sample; otherwise 512 samples of
            16 kHz later, and as many earlier at the end.

    Returns:
        ``(1, 1 + n_samples // hop_length)`` Hz, unvoiced frames bridged, as a tensor beside
        ``audio``; with ``return_periodicity`` a pair of such.

    Raises:
        ConfigError: If the audio, the hop or the range of pitch cannot be used.
    """
    import torch

    hop = sample_rate // 100 if hop_length is None else hop_length
    if not hop > 0:
        raise ConfigError(f"Expected a positive hop_length, received {hop_length}.")
    if not 0 <= fmin < fmax:
        raise ConfigError(f"Expected a range of pitch in Hz, received {fmin} to {fmax}.")
    # as the library, which looks for pitch in this range only
    curve, threshold = track(audio, sample_rate, device, fmin_hz=fmin or None, fmax_hz=fmax)
    n_frames = 1 + audio.shape[-1] // hop
    hz = curve.at(hop / sample_rate, n_frames, "interpolate")
    sure = rescaled(curve.confidence_at(hop / sample_rate, n_frames), threshold, THRESHOLD)
    if not pad:
        margin = round(0.032 * sample_rate / hop)
        stop = max(n_frames - margin, margin + 1)
        hz, sure = hz[margin:stop], sure[margin:stop]
    found = [
        torch.from_numpy(values.astype(np.float32))[None].to(audio.device)
        for values in (np.where(hz > 0, np.clip(hz, fmin, fmax), fmin), sure)
    ]
    return tuple(found) if return_periodicity or return_harmonicity else found[0]


def __getattr__(name: str) -> Any:
    """Whatever else programs use comes from the library itself."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(optional("torchcrepe", "eval"), name)
