"""F0 labels and the training targets made of them.

One convention everywhere: ``f0_hz`` holds Hz per frame, **0 where the frame is unvoiced and NaN
where it is unknown**. NaN is kept up to the loss, which gives such frames weight 0.
"""

from typing import TYPE_CHECKING

import numpy as np

from .grid import PitchGrid

if TYPE_CHECKING:
    import torch


def resample_f0(f0_hz: np.ndarray, label_times: np.ndarray, frame_times: np.ndarray) -> np.ndarray:
    """Resample an F0 curve without interpolating across unvoiced frames.

    Between two voiced labels the frequency is interpolated on a logarithmic axis; elsewhere the
    nearest label is taken. More than half a label hop before the first or after the last label, the
    result is NaN: unknown, not unvoiced.

    Args:
        f0_hz: ``(n_labels,)`` Hz, 0 = unvoiced, NaN = unknown.
        label_times: ``(n_labels,)`` seconds, increasing.
        frame_times: ``(n_frames,)`` seconds.

    Returns:
        ``(n_frames,)`` float32.

    Raises:
        ValueError: If the first two arguments differ in length or are empty.
    """
    if len(f0_hz) != len(label_times) or len(f0_hz) == 0:
        raise ValueError(
            f"Expected as many times as labels, received {len(label_times)} and {len(f0_hz)}."
        )
    right = np.searchsorted(label_times, frame_times).clip(1, max(len(f0_hz) - 1, 1))
    right = np.minimum(right, len(f0_hz) - 1)
    left = np.maximum(right - 1, 0)
    span = np.maximum(label_times[right] - label_times[left], 1e-9)
    weight = ((frame_times - label_times[left]) / span).clip(0.0, 1.0)
    f_left, f_right = f0_hz[left], f0_hz[right]
    out = np.where(weight < 0.5, f_left, f_right).astype(np.float64)
    both = (f_left > 0) & (f_right > 0)
    out[both] = f_left[both] ** (1 - weight[both]) * f_right[both] ** weight[both]
    slack = 0.5 * (np.median(np.diff(label_times)) if len(label_times) > 1 else 0.0) + 1e-6
    outside = (frame_times < label_times[0] - slack) | (frame_times > label_times[-1] + slack)
    out[outside] = np.nan
    return out.astype(np.float32)


def pitch_targets(
    f0_hz: "torch.Tensor", grid: PitchGrid, blur_cents: float = 0.0
) -> "torch.Tensor":
    """Targets for the classes of a pitch head.

    Args:
        f0_hz: ``(..., n_frames)`` Hz, 0 = unvoiced, NaN = unknown.
        grid: Pitch grid of the model.
        blur_cents: 0 for the one-hot targets of DJCM; otherwise the standard deviation in cents of
            a Gaussian around the true pitch with peak 1, as in CREPE (25 cents).

    Returns:
        ``(..., n_frames, n_bins)`` in [0, 1]; unvoiced and unknown frames are all zero (the caller
        must give the latter weight 0).
    """
    import torch

    voiced = f0_hz > 0  # False for NaN
    bins = grid.hz_to_bin(torch.where(voiced, f0_hz, torch.full_like(f0_hz, 100.0)))  # (..., N)
    grid_bins = torch.arange(grid.n_bins, device=f0_hz.device, dtype=bins.dtype)  # (P,)
    if blur_cents > 0:
        distance = (grid_bins - bins[..., None]) * grid.cents_per_bin  # (..., N, P) cents
        target = torch.exp(-0.5 * (distance / blur_cents) ** 2)
    else:
        nearest = bins.round().clamp(0, grid.n_bins - 1)
        target = (grid_bins == nearest[..., None]).to(bins.dtype)
    return target * voiced[..., None]
