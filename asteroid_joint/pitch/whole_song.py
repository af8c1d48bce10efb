"""Two-pass Viterbi over a whole song, in memory that hardly grows with its length.

The first pass computes the scores of all paths frame by frame, keeps those before each block of
frames and writes the activations to a temporary file. The second pass goes backwards: it recomputes
a block at a time from the kept scores and follows the best path. An hour takes about 1 MB of memory
and 260 MB of disk.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import torch

from .decoders import COST_PER_OCTAVE, F0, FLOOR, local_average
from .grid import PitchGrid

BLOCK = 1024  # frames between kept scores


class WholeSongViterbi:
    """Finds the most likely path through all activations that are pushed.

    It is the path of :func:`~asteroid_joint.pitch.decoders.decode_viterbi` without chunks.

    Args:
        grid: Pitch grid of the model.
        folder: Folder of the temporary file, which has no name and vanishes with the process.
        cost_per_octave: Penalty of a jump in nepers per octave.

    Raises:
        OSError: If the file cannot be written.

    References:
        G. D. Forney, "The Viterbi algorithm", Proc. IEEE 61(3), 1973.

    Example:
        >>> grid = PitchGrid(hop_length=320, sample_rate=16000)
        >>> activations = np.zeros((3, 360), np.float32)
        >>> activations[[0, 1, 2], [100, 300, 101]] = 0.9, 0.2, 0.9
        >>> with WholeSongViterbi(grid, tempfile.gettempdir()) as viterbi:
        ...     viterbi.push(activations)
        ...     hz = torch.cat([part.hz for part in viterbi.finish()])
        >>> bool((hz < 110).all())  # bin 100 is 100.6 Hz: the outlier in the middle is bridged
        True
    """

    def __init__(
        self, grid: PitchGrid, folder: str | os.PathLike, cost_per_octave: float = COST_PER_OCTAVE
    ) -> None:
        self._grid = grid
        self._cost = cost_per_octave * grid.cents_per_bin / 1200  # nepers per bin
        self._ramp = self._cost * np.arange(grid.n_bins)
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=os.fspath(folder))
        self._n_frames = 0
        self._score: np.ndarray | None = None  # (P,) of the best paths that end in each bin
        self._kept: list[np.ndarray | None] = []  # scores before every block

    def push(self, activations: np.ndarray) -> None:
        """Append ``(n_frames, n_bins)`` in [0, 1].

        Raises:
            OSError: If the disk is full.
        """
        rows = np.ascontiguousarray(activations, np.float32)
        self._file.write(rows.tobytes())
        for row in _log(rows):
            if self._n_frames % BLOCK == 0:
                self._kept.append(self._score)
            self._score = self._step(self._score, row)
            self._n_frames += 1

    def finish(self) -> Iterator[F0]:
        """Yield the decoded curve from its beginning, in parts of some seconds."""
        path = self._path()
        self._file.seek(0)
        for at in range(0, self._n_frames, BLOCK):
            rows = torch.from_numpy(self._read(min(BLOCK, self._n_frames - at)))
            centre = torch.from_numpy(path[at : at + BLOCK].astype(np.int64))
            yield local_average(rows, centre, self._grid)

    def _step(self, before: np.ndarray | None, row: np.ndarray) -> np.ndarray:
        """Scores after one more frame; the best is 0, so that sums stay exact."""
        if before is None:
            return row - row.max()
        # the cost is proportional to the jump: two running maxima, one from either side
        upwards = np.maximum.accumulate(before + self._ramp) - self._ramp
        downwards = np.maximum.accumulate((before - self._ramp)[::-1])[::-1] + self._ramp
        score = np.maximum(upwards, downwards) + row
        return score - score.max()

    def _path(self) -> np.ndarray:
        """Bins ``(n_frames,)`` of the best path, found from its end."""
        path = np.zeros(self._n_frames, np.int16)
        bins = np.arange(self._grid.n_bins)
        jump: np.ndarray | float = 0.0  # costs to the bin of the following frame
        for k in reversed(range(len(self._kept))):
            start = k * BLOCK
            n = min(BLOCK, self._n_frames - start)
            self._file.seek(start * self._grid.n_bins * 4)
            score, scores = self._kept[k], []
            for row in _log(self._read(n)):
                score = self._step(score, row)
                scores.append(score)
            for at in reversed(range(n)):
                best = int(np.argmax(scores[at] - jump))
                path[start + at] = best
                jump = self._cost * np.abs(bins - best)
        return path

    def _read(self, n_frames: int) -> np.ndarray:
        """The next frames of the file, ``(n_frames, n_bins)``."""
        data = bytearray(self._file.read(n_frames * self._grid.n_bins * 4))
        return np.frombuffer(data, np.float32).reshape(n_frames, -1)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> "WholeSongViterbi":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _log(rows: np.ndarray) -> np.ndarray:
    return np.log(rows + np.float32(FLOOR)).astype(np.float64)
