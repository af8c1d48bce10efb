"""Overlapping chunks inside a model, for networks that expect a fixed number of frames.

Chunks start at multiples of one step, counted from the first sample. A sample's result depends only
on the chunks that contain it, so a recording cut at multiples of the step, with ``context`` on
either side, gives the same result as the whole recording.
"""

from collections.abc import Sequence

import torch

from ..errors import ConfigError


class Chunks:
    """A plan of chunks of ``n_frames`` frames, and the cross-fade between them.

    Neighbours are joined by a linear cross-fade. Chunks start at a frame, so that the frames of two
    chunks coincide. The last chunk contains the remaining samples.

    Args:
        n_frames: Frames per chunk.
        overlap: Fraction of a chunk that the next one overlaps, 0 to 0.75. Above 0.5, more than two
            chunks are averaged.
        hop_length: Samples per frame.
        shortest: Smallest overlap in samples: the window length of the transform.

    Raises:
        ConfigError: If ``overlap`` is out of range or a chunk is shorter than two such overlaps.

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

    def join(self, chunks: Sequence[torch.Tensor], length: int, dim: int, per: int) -> torch.Tensor:
        """Weighted mean of the results of consecutive chunks.

        Args:
            chunks: Results of any shape.
            length: Size of the mean along ``dim``; its other axes are those of a chunk.
            dim: Time axis.
            per: Samples per entry of that axis: 1, or ``hop_length``.
        """
        shape = [1] * chunks[0].ndim
        shape[dim] = -1
        size = list(chunks[0].shape)
        size[dim] = length
        total = chunks[0].new_zeros(size)
        weights = chunks[0].new_zeros(length)
        for k, chunk in enumerate(chunks):
            start, n = k * self.step // per, chunk.shape[dim]
            # at the middle of a sample, so that no weight is zero
            position = torch.arange(n, device=chunk.device, dtype=chunk.dtype) * per + 0.5
            weight = torch.minimum(position, self.length - position).div(self.ramp).clamp_max(1)
            total.narrow(dim, start, n).add_(chunk * weight.view(shape))
            weights.narrow(0, start, n).add_(weight)
        return total / weights.view(shape)
