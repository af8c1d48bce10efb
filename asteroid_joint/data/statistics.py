"""Statistics of training data, computed before the training."""

import numpy as np
import torch

from ..dsp.stft import STFT
from ..errors import DataError
from .base import JointDataset

BLOCK_SEC = 30  # part of a clip in memory at a time


def input_statistics(
    dataset: JointDataset, n_fft: int, hop_length: int, max_bin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per bin of the mixtures' magnitude, averaged over channels.

    Args:
        dataset: Dataset, read in blocks of 30 s.
        n_fft: STFT window in samples.
        hop_length: Hop in samples.
        max_bin: Number of lowest bins.

    Returns:
        Two arrays ``(max_bin,)``, float64.

    Raises:
        DataError: If no clip is as long as a window.
    """
    stft = STFT(n_fft, hop_length)
    around = -(-n_fft // hop_length) * hop_length  # what the first and last windows need
    n_block = max(BLOCK_SEC * dataset.sample_rate // hop_length, 1) * hop_length
    count, total, squares = 0, np.zeros(max_bin), np.zeros(max_bin)
    for index, clip in enumerate(dataset.clips):
        for start in range(0, clip.n_samples, n_block):
            before = min(start, around)
            mixture, _ = dataset.read(index, start - before, before + n_block + around)  # (C, T)
            if mixture.shape[-1] < n_fft:
                continue
            mag = stft(torch.from_numpy(mixture)).abs().mean(0)  # (N, F)
            first = before // hop_length
            inside = mag[first : first + n_block // hop_length, :max_bin].double().numpy()
            count, total = count + len(inside), total + inside.sum(0)
            squares += np.square(inside).sum(0)
    if not count:
        raise DataError(
            f"{type(dataset).__name__} has no clip of at least {n_fft} samples: choose a "
            "smaller n_fft."
        )
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
