"""Two-pass Viterbi over a whole song, in memory that hardly grows with its length.

The first pass computes the scores of all paths frame by frame, keeps those before each block of
frames and writes the activations to a temporary file. The second pass goes backwards: it recomputes
a block at a time from the kept scores and follows the best path. An hour takes about 1 MB of memory
and 260 MB of disk.
"""

import os
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from .decoders import F0, local_average
from .grid import PitchGrid
from .viterbi import COST_PER_OCTAVE, Viterbi, log_likelihoods

BLOCK = 1024  # frames between kept scores


class WholeSongViterbi:
    """Finds the most likely path through all activations that are pushed.

    It is the path of :func:`~asteroid_joint.pitch.decoders.decode_viterbi` without chunks.

    Args:
        grid: Pitch grid of the model.
        folder: Folder of the temporary file, which has no name and vanishes with the process.
        cost_per_octave: Penalty of a jump in nepers per octave.
        library: ``numpy`` or ``torch``, whose arrays come out.

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
        ...     hz = np.concatenate([part.hz for part in viterbi.finish()])
        >>> bool((hz < 110).all())  # bin 100 is 100.6 Hz: the outlier in the middle is bridged
        True
    """

    def __init__(
        self,
        grid: PitchGrid,
        folder: str | os.PathLike,
        cost_per_octave: float = COST_PER_OCTAVE,
        library: Any = np,
    ) -> None:
        self._grid = grid
        self._library = library
        self._viterbi = Viterbi(grid.n_bins, cost_per_octave * grid.cents_per_bin / 1200)
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
        for row in log_likelihoods(rows):
            if self._n_frames % BLOCK == 0:
                self._kept.append(self._score)
            self._score = self._viterbi.step(self._score, row)
            self._n_frames += 1

    def finish(self) -> Iterator[F0]:
        """Yield the decoded curve from its beginning, in parts of some seconds."""
        path = self._path()
        self._file.seek(0)
        for at in range(0, self._n_frames, BLOCK):
            rows = self._read(min(BLOCK, self._n_frames - at))
            centre = path[at : at + BLOCK].astype(np.int64)
            library = self._library
            yield local_average(library.asarray(rows), library.asarray(centre), self._grid)

    def _path(self) -> np.ndarray:
        """Bins ``(n_frames,)`` of the best path, found from its end."""
        path = np.zeros(self._n_frames, np.int16)
        following = None
        for k in reversed(range(len(self._kept))):
            start = k * BLOCK
            n = min(BLOCK, self._n_frames - start)
            self._file.seek(start * self._grid.n_bins * 4)
            score, scores = self._kept[k], []
            for row in log_likelihoods(self._read(n)):
                score = self._viterbi.step(score, row)
                scores.append(score)
            for at in reversed(range(n)):
                following = self._viterbi.back(scores[at], following)
                path[start + at] = following
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
