"""Overlapping chunks inside a model: for networks that want a fixed number of frames.

Chunks start at multiples of one step, counted from the first sample. What is made of a sample
depends on the chunks over it and nothing else, so a recording that is cut at multiples of the step,
with ``context`` on either side, gives what the whole recording gives.
"""

from collections.abc import Sequence

import torch

from ..errors import ConfigError


class Chunks:
    """A plan of chunks of ``n_frames`` frames, and the cross-fade between them.

    Neighbours overlap by a linear cross-fade. Chunks start with a frame, so that frames of two
    chunks coincide. The last chunk is as long as what is left.

    Args:
        n_frames: Frames of a chunk.
        overlap: Part of a chunk that the next one covers, 0 to 0.75. Above one half more than two
            chunks are averaged.
        hop_length: Samples per frame.
        shortest: Least overlap in samples; what a window of the transform needs.

    Raises:
        ConfigError: If ``overlap`` is not in its range, or a chunk has not twice the least overlap.

    Example:
        >>> chunks = Chunks(256, 0.5, 1024, shortest=6144)
        >>> chunks.length, chunks.step, chunks.starts(600_000)
        (262144, 131072, [0, 131072, 262144, 393216])
    """

    def __init__(self, n_frames: int, overlap: float, hop_length: int, shortest: int) -> None:
        if not 0 <= overlap <= 0.75:
            raise ConfigError(f"Expected an overlap from 0 to 0.75, received {overlap}.")
        least = -(-shortest // hop_length)  # frames
        if n_frames < 2 * least:
            raise ConfigError(
                f"chunk_frames {n_frames} is too few: a chunk needs at least {2 * least} frames "
                "(two windows)."
            )
        shared = max(round(overlap * n_frames), least)  # frames
        self.hop_length = hop_length
        self.length = n_frames * hop_length
        self.step = (n_frames - shared) * hop_length
        self.ramp = min(shared * hop_length, self.length // 2)
        self.context = (self.length - 1) // self.step * self.step

    def starts(self, n_samples: int) -> list[int]:
        """First samples of the chunks that cover ``n_samples``."""
        n_more = max(0, -(-(n_samples - self.length) // self.step))
        return [k * self.step for k in range(n_more + 1)]

    def join(self, pieces: Sequence[torch.Tensor], length: int, dim: int, per: int) -> torch.Tensor:
        """Weighted mean of what the chunks gave.

        Args:
            pieces: Results of consecutive chunks, of any shape.
            length: Size of the result along ``dim``.
            dim: Axis of time in ``pieces``.
            per: Samples per entry of that axis: 1, or ``hop_length``.

        Returns:
            Like a piece, with ``length`` entries along ``dim``.
        """
        shape = [1] * pieces[0].ndim
        shape[dim] = -1
        size = list(pieces[0].shape)
        size[dim] = length
        total = pieces[0].new_zeros(size)
        weights = pieces[0].new_zeros(length)
        for k, piece in enumerate(pieces):
            start, n = k * self.step // per, piece.shape[dim]
            # at the sample's middle: no weight is zero
            position = torch.arange(n, device=piece.device, dtype=piece.dtype) * per + 0.5
            weight = torch.minimum(position, self.length - position).div(self.ramp).clamp_max(1)
            total.narrow(dim, start, n).add_(piece * weight.view(shape))
            weights.narrow(0, start, n).add_(weight)
        return total / weights.view(shape)
