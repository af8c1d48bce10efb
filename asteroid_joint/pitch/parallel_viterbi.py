"""Viterbi on tensors, many chunks of curves at a time; the idea is that of :mod:`.viterbi`."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from .viterbi import FLOOR

FRAMES = 4  # read at a time: rows of one frame lie far apart in memory
MAX_CHUNKS = 384  # decoded in parallel: bounds memory at about 350 MB


def best_paths(
    probabilities: torch.Tensor, cost: float, chunk_frames: int, context_frames: int
) -> torch.Tensor:
    """Most likely paths, decoded in chunks.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        cost: Nepers per bin of a jump.
        chunk_frames: Frames per chunk.
        context_frames: Frames of context on either side of a chunk.

    Returns:
        Bins, ``(B, n_frames)``.
    """
    n_frames, n_bins = probabilities.shape[-2:]
    flat = probabilities.reshape(-1, n_bins)  # (B N, P)
    device = flat.device
    batch, n_chunks = flat.shape[0] // n_frames, -(-n_frames // chunk_frames)
    first = torch.arange(n_chunks, device=device).repeat(batch) * chunk_frames - context_frames
    offset = torch.arange(batch, device=device).repeat_interleave(n_chunks) * n_frames
    last = (n_chunks - 1) * chunk_frames - context_frames  # where the last chunk begins
    length = chunk_frames + 2 * context_frames
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
    return torch.cat(paths, 1).T.reshape(batch, -1)[:, :n_frames]


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
