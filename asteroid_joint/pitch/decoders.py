"""Decoders: activations over pitch bins -> F0 in Hz and confidence.

A decoder is any callable ``(probabilities (..., n_frames, n_bins), grid) -> F0``; register one with
``@DECODERS.register("name")``. Voicing is decided afterwards: ``confidence > threshold``.
"""

from typing import NamedTuple

import torch

from ..registry import DECODERS
from .grid import PitchGrid

REACH = 4  # bins on either side of the maximum that enter the local average (DJCM, CREPE)


class F0(NamedTuple):
    """Decoded pitch: ``hz`` (always positive) and ``confidence`` in [0, 1], both ``(..., N)``."""

    hz: torch.Tensor
    confidence: torch.Tensor


def _local_average(probabilities: torch.Tensor, centre: torch.Tensor, grid: PitchGrid) -> F0:
    """Activation-weighted mean of the cents around ``centre`` and the activation at it."""
    reach = torch.arange(-REACH, REACH + 1, device=centre.device)
    bins = centre[..., None] + reach  # (..., N, 9)
    inside = (bins >= 0) & (bins < grid.n_bins)
    bins = bins.clamp(0, grid.n_bins - 1)
    weight = probabilities.gather(-1, bins) * inside + 1e-12 * (reach == 0)
    mean_bin = (weight * bins).sum(-1) / weight.sum(-1)
    confidence = probabilities.gather(-1, centre[..., None])[..., 0]
    return F0(grid.bin_to_hz(mean_bin), confidence)


@DECODERS.register("argmax")
def decode_argmax(probabilities: torch.Tensor, grid: PitchGrid) -> F0:
    """Strongest bin, refined by the activation-weighted mean of the bins around it.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        grid: Grid of the model.

    Returns:
        :class:`F0`; the confidence is the activation of the strongest bin.

    References:
        H. Wei et al., "DJCM", ICASSP 2024, arXiv 2401.03856 (same as CREPE's weighted argmax).
    """
    return _local_average(probabilities, probabilities.argmax(-1), grid)


@DECODERS.register("viterbi")
def decode_viterbi(
    probabilities: torch.Tensor,
    grid: PitchGrid,
    cost_per_octave: float = 2.0,
    chunk_frames: int = 512,
    context_frames: int = 64,
) -> F0:
    """Most likely smooth path through the bins, refined by the local average.

    The prior on jumps is Laplacian: a jump costs ``cost_per_octave`` nepers times its size, so the
    maximisation over the previous bin is two running maxima instead of a bins x bins table. Long
    curves are cut into chunks that are decoded side by side, each with ``context_frames`` of its
    neighbours on both sides; paths coalesce well within that.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        grid: Grid of the model.
        cost_per_octave: Penalty of a jump, nepers per octave.
        chunk_frames: Frames decoded at a time.
        context_frames: Frames of context on either side of a chunk.

    Returns:
        :class:`F0`; the confidence is the activation at the bin of the path.
    """
    batch_shape, (n_frames, n_bins) = probabilities.shape[:-2], probabilities.shape[-2:]
    score = torch.log(probabilities.float() + 1e-3).reshape(-1, n_frames, n_bins)  # (B, N, P)
    n_chunks = -(-n_frames // chunk_frames)
    tail = n_chunks * chunk_frames - n_frames
    padding = (0, 0, context_frames, context_frames + tail)
    score = torch.nn.functional.pad(score, padding)  # a constant: no evidence, path stays
    length = chunk_frames + 2 * context_frames
    chunks = score.unfold(1, length, chunk_frames)  # (B, K, P, N) with K chunks
    chunks = chunks.reshape(-1, n_bins, length).permute(2, 0, 1)  # (N, B K, P)
    path = _viterbi_path(chunks, cost_per_octave * grid.cents_per_bin / 1200)  # (N, B K)
    path = path[context_frames : context_frames + chunk_frames].T  # (B K, N)
    path = path.reshape(-1, n_chunks * chunk_frames)[:, :n_frames].reshape(*batch_shape, n_frames)
    return _local_average(probabilities, path, grid)


def _viterbi_path(log_likelihood: torch.Tensor, cost: float) -> torch.Tensor:
    """Best paths through ``(N, B, P)`` when a jump of d bins costs ``cost * d``; ``(N, B)``.

    max_j score[j] - cost |i - j| is the larger of two cumulative maxima, one from either side.
    """
    n_frames, batch, n_bins = log_likelihood.shape
    ramp = cost * torch.arange(n_bins, dtype=torch.float32, device=log_likelihood.device)  # (P,)
    came_from = torch.empty((n_frames, batch, n_bins), dtype=torch.int16)
    score = log_likelihood[0]
    for n in range(1, n_frames):
        below, from_below = torch.cummax(score + ramp, -1)
        above, from_above = torch.cummax((score - ramp).flip(-1), -1)
        below, above = below - ramp, above.flip(-1) + ramp
        from_above = n_bins - 1 - from_above.flip(-1)
        came_from[n] = torch.where(below >= above, from_below, from_above)
        score = torch.maximum(below, above) + log_likelihood[n]
    path = torch.empty((n_frames, batch), dtype=torch.int64)
    path[-1] = score.argmax(-1)
    for n in range(n_frames - 1, 0, -1):
        path[n - 1] = came_from[n].gather(-1, path[n][:, None])[:, 0]
    return path.to(log_likelihood.device)
