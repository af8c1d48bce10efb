"""Decoders: activations over pitch bins to F0 in Hz and confidence.

A decoder is any callable ``(probabilities (..., n_frames, n_bins), grid) -> F0``; register one with
``@DECODERS.register("name")``. Voicing is decided afterwards: ``confidence > threshold``.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch

from ..registry import DECODERS
from .grid import PitchGrid

REACH = 4  # bins on either side of the maximum that enter the local average (DJCM, CREPE)
COST_PER_OCTAVE = 2.0  # nepers: Viterbi's penalty for a jump
FLOOR = 1e-3  # added to activations before taking logarithms
FRAMES = 4  # read at a time: rows of one frame lie far apart in memory
MAX_CHUNKS = 384  # decoded in parallel by Viterbi: bounds memory at about 350 MB


class F0(NamedTuple):
    """Decoded pitch: ``hz`` (always positive) and ``confidence`` in [0, 1], both ``(..., N)``."""

    hz: torch.Tensor
    confidence: torch.Tensor


def local_average(probabilities: torch.Tensor, centre: torch.Tensor, grid: PitchGrid) -> F0:
    """Activation-weighted mean of the cents around a bin, and the activation of that bin.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        centre: Bins, ``(..., n_frames)``.
        grid: Pitch grid of the model.
    """
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
        grid: Pitch grid of the model.

    Returns:
        :class:`F0`; the confidence is the activation of the strongest bin.

    References:
        H. Wei et al., "DJCM", ICASSP 2024, arXiv 2401.03856 (same as CREPE's weighted argmax).
    """
    return local_average(probabilities, probabilities.argmax(-1), grid)


@DECODERS.register("viterbi")
def decode_viterbi(
    probabilities: torch.Tensor,
    grid: PitchGrid,
    cost_per_octave: float = COST_PER_OCTAVE,
    chunk_frames: int = 512,
    context_frames: int = 64,
) -> F0:
    """Most likely smooth path through the bins, refined by the local average.

    The prior on jumps is Laplacian: a jump costs ``cost_per_octave`` nepers times its size, so the
    maximum over the previous bin takes two running maxima instead of a bins x bins table. Long
    curves are decoded in parallel chunks with ``context_frames`` of context on both sides. Where
    there is a voice, paths coalesce well within that and the result is that of one pass; on pure
    noise it may differ near the seams.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        grid: Pitch grid of the model.
        cost_per_octave: Penalty of a jump in nepers per octave.
        chunk_frames: Frames per chunk.
        context_frames: Frames of context on either side of a chunk.

    Returns:
        :class:`F0`; the confidence is the activation of the path's bin.
    """
    batch_shape, (n_frames, n_bins) = probabilities.shape[:-2], probabilities.shape[-2:]
    flat = probabilities.reshape(-1, n_bins)  # (B N, P)
    device = flat.device
    batch, n_chunks = flat.shape[0] // n_frames, -(-n_frames // chunk_frames)
    first = torch.arange(n_chunks, device=device).repeat(batch) * chunk_frames - context_frames
    offset = torch.arange(batch, device=device).repeat_interleave(n_chunks) * n_frames
    last = (n_chunks - 1) * chunk_frames - context_frames  # where the last chunk begins
    length = chunk_frames + 2 * context_frames
    cost = cost_per_octave * grid.cents_per_bin / 1200
    paths = []
    most = -(-len(first) // -(-len(first) // MAX_CHUNKS))  # equal groups share their memory
    history = torch.empty(length, n_bins, most, device=device)
    for starts, offsets in zip(first.split(most), offset.split(most), strict=True):
        if len(starts) < most:
            history = torch.empty(length, n_bins, len(starts), device=device)

        def score(n: int, starts=starts, offsets=offsets) -> torch.Tensor:
            """Log-likelihoods of ``FRAMES`` frames from ``n`` on, ``(K, FRAMES, P)``, K chunks."""
            frame = starts[:, None] + torch.arange(n, n + FRAMES, device=device)  # (K, FRAMES)
            rows = (offsets[:, None] + frame.clamp(0, n_frames - 1)).flatten()
            found = flat.index_select(0, rows).float().unflatten(0, frame.shape)
            found.add_(FLOOR).log_()
            if n < context_frames or last + n + FRAMES > n_frames:  # no evidence beyond the ends
                found.mul_(((frame >= 0) & (frame < n_frames))[..., None])
            return found

        with torch.inference_mode():  # less overhead per operation, of which there are many
            path = _viterbi_path(score, history, cost)
        paths.append(path[context_frames : -context_frames or None].clone())
    path = torch.cat(paths, 1).T.reshape(batch, -1)[:, :n_frames]
    return local_average(probabilities, path.reshape(*batch_shape, n_frames), grid)


def _viterbi_path(
    score: Callable[[int], torch.Tensor], history: torch.Tensor, cost: float
) -> torch.Tensor:
    """Best paths when a jump of d bins costs ``cost * d``.

    Args:
        score: Function from a frame's index to log-likelihoods ``(K, FRAMES, P)`` from there on.
        history: Working memory, ``(n_frames, P, K)``: the best score of a path that ends here.
            Bins stand before curves, so that operations run over long rows.
        cost: Nepers per bin.

    Returns:
        ``(n_frames, K)`` bins.
    """
    n_frames, n_bins, n_curves = history.shape
    reach = _ReachableMaximum(history[0], cost)
    for n in range(n_frames):
        if n % FRAMES == 0:
            scores = score(n).permute(1, 2, 0)  # (FRAMES, P, K)
        if n == 0:
            history[0] = scores[0]
            continue
        torch.add(scores[n % FRAMES], reach(history[n - 1]), out=history[n])
        if n % FRAMES == 0:
            history[n] -= history[n].amax(0)  # keeps float32 exact over long curves
    bins = torch.arange(n_bins, device=history.device, dtype=history.dtype)[:, None]  # (P, 1)
    path = history.new_empty(n_frames, n_curves)
    path[-1] = _argmax(history[-1], bins)
    jump = torch.empty_like(history[0])  # (P, K)
    for n in range(n_frames - 1, 0, -1):
        torch.sub(bins, path[n], out=jump)
        torch.add(history[n - 1], jump.abs_(), alpha=-cost, out=jump)
        path[n - 1] = _argmax(jump, bins)
    return path.long()


def _argmax(x: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """Bin of the maximum along the first axis; several times faster than ``argmax``."""
    return torch.where(x >= x.amax(0), bins, 0.0).amax(0)


class _ReachableMaximum:
    """``max_j x[j] - cost |i - j|`` for every bin i of ``(P, K)`` scores.

    Adding a ramp turns the penalty into a constant, so either side is a running maximum. It is
    taken within blocks of about sqrt(P) bins, then from block to block: few and long operations.
    """

    def __init__(self, like: torch.Tensor, cost: float) -> None:
        self.n_bins, n_curves = like.shape
        size = math.isqrt(self.n_bins)
        n_blocks = -(-self.n_bins // size)
        blocks = like.new_empty(n_blocks, size, n_curves)
        self.buffer = blocks.reshape(-1, n_curves)  # (P', K), P' slightly above P
        self.ramp = cost * torch.arange(len(self.buffer), device=like.device)[:, None]
        rows, columns = list(blocks), list(blocks.unbind(1))
        self.upwards = [*pairwise(columns), *((b[-1], a) for b, a in pairwise(rows))]
        rows, columns = rows[::-1], columns[::-1]
        self.downwards = [*pairwise(columns), *((b[0], a) for b, a in pairwise(rows))]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``(P, K)`` to ``(P, K)``, in a buffer that the next call overwrites."""
        buffer, n_bins = self.buffer, self.n_bins
        torch.add(x, self.ramp[:n_bins], out=buffer[:n_bins])
        buffer[n_bins:] = -math.inf
        for before, here in self.upwards:
            torch.maximum(here, before, out=here)
        buffer.sub_(2 * self.ramp)
        buffer[n_bins:] = -math.inf
        for before, here in self.downwards:
            torch.maximum(here, before, out=here)
        return buffer.add_(self.ramp)[:n_bins]
