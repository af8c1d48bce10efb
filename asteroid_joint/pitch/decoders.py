"""Decoders: activations over pitch bins to F0 in Hz and confidence.

A decoder is any callable ``(probabilities (..., n_frames, n_bins), grid) -> F0``; register one with
``@DECODERS.register("name")``. Voicing is decided afterwards: ``confidence > threshold``.
Activations are tensors, or arrays where an exported graph runs; results are of the same kind.
"""

from typing import Any, NamedTuple

import numpy as np

from ..dsp.library import library_of, like
from ..registry import DECODERS
from .grid import PitchGrid
from .viterbi import COST_PER_OCTAVE, best_path

REACH = 4  # bins on either side of the maximum that enter the local average (DJCM, CREPE)


class F0(NamedTuple):
    """Decoded pitch: ``hz`` (always positive) and ``confidence`` in [0, 1], both ``(..., N)``."""

    hz: Any
    confidence: Any


def local_average(probabilities: Any, centre: Any, grid: PitchGrid) -> F0:
    """Activation-weighted mean of the cents around a bin, and the activation of that bin.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        centre: Bins, ``(..., n_frames)``.
        grid: Pitch grid of the model.
    """
    library = library_of(probabilities)
    take = np.take_along_axis if library is np else library.take_along_dim
    reach = like(np.arange(-REACH, REACH + 1), centre)
    bins = centre[..., None] + reach  # (..., N, 9)
    inside = (bins >= 0) & (bins < grid.n_bins)
    bins = library.clip(bins, 0, grid.n_bins - 1)
    weight = take(probabilities, bins, -1) * inside + 1e-12 * (reach == 0)
    mean_bin = (weight * bins).sum(-1) / weight.sum(-1)
    confidence = take(probabilities, centre[..., None], -1)[..., 0]
    return F0(grid.bin_to_hz(mean_bin), confidence)


@DECODERS.register("argmax")
def decode_argmax(probabilities: Any, grid: PitchGrid) -> F0:
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
    probabilities: Any,
    grid: PitchGrid,
    cost_per_octave: float = COST_PER_OCTAVE,
    chunk_frames: int = 512,
    context_frames: int = 64,
) -> F0:
    """Most likely smooth path through the bins, refined by the local average.

    The prior on jumps is Laplacian: a jump costs ``cost_per_octave`` nepers times its size, so the
    maximum over the previous bin takes two running maxima instead of a bins x bins table. Long
    tensors are decoded in parallel chunks with ``context_frames`` of context on both sides. Where
    there is a voice, paths coalesce well within that and the result is that of one pass, which
    arrays are decoded in; on pure noise it may differ near the seams.

    Args:
        probabilities: ``(..., n_frames, n_bins)`` in [0, 1].
        grid: Pitch grid of the model.
        cost_per_octave: Penalty of a jump in nepers per octave.
        chunk_frames: Frames per chunk.
        context_frames: Frames of context on either side of a chunk.

    Returns:
        :class:`F0`; the confidence is the activation of the path's bin.
    """
    cost = cost_per_octave * grid.cents_per_bin / 1200  # nepers per bin
    if isinstance(probabilities, np.ndarray):
        curves = probabilities.reshape(-1, *probabilities.shape[-2:])  # (B, N, P)
        path: Any = np.stack([best_path(curve, cost) for curve in curves])
    else:
        from .parallel_viterbi import best_paths

        path = best_paths(probabilities, cost, chunk_frames, context_frames)
    return local_average(probabilities, path.reshape(probabilities.shape[:-1]), grid)
