"""Three measures of a song: vocals over accompaniment, level, proportion of time with vocals.

References:
    D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice", LVA/ICA 2018,
    https://arxiv.org/abs/1804.01650, section 2.2 and figure 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data.base import JointDataset
from ...data.loudness import WINDOWS_PER_SEC, loud_windows

BLOCK_SEC = 30  # read at a time; whole seconds, which contain whole windows


class SongFacts(NamedTuple):
    """Measurements of a song, whose clips count together; ``None`` where undefined.

    Attributes:
        dataset: Name of the set.
        song: Name of the song.
        seconds: Length.
        vocals_db: Energy of the vocals over that of the accompaniment, dB; ``None`` without stems
            or if one of the two is silent.
        level_db: RMS of the mixture, dBFS; ``None`` for silence.
        vocal_share: Proportion, 0 to 1, of 10 ms windows in which the mean absolute amplitude of
            the vocals is above 5e-4, or without stems, of frames labelled as sung; ``None``
            without either.
    """

    dataset: str
    song: str
    seconds: float
    vocals_db: float | None
    level_db: float | None
    vocal_share: float | None


@dataclass
class _Sums:
    """Sums over the clips of a song; energies are means over channels, summed over time."""

    n_samples: int = 0
    sample_rate: int = 1
    mixture: float = 0.0
    vocals: float = 0.0
    rest: float = 0.0
    has_stems: bool = False
    sung: int = 0  # windows
    known: int = 0  # windows

    def facts(self, dataset: str, song: str) -> SongFacts:
        """Convert the sums to measurements."""
        both = self.has_stems and self.vocals > 0 and self.rest > 0
        return SongFacts(
            dataset,
            song,
            self.n_samples / self.sample_rate,
            10 * float(np.log10(self.vocals / self.rest)) if both else None,
            10 * float(np.log10(self.mixture / self.n_samples)) if self.mixture > 0 else None,
            self.sung / self.known if self.known else None,
        )


def measure_set(
    name: str, datasets: Sequence[JointDataset], progress: Callable[[], object] = lambda: None
) -> list[SongFacts]:
    """Measure all songs of a set, block by block.

    Args:
        name: Name of the set.
        datasets: Splits of the set; their first source is the voice, the sum of the others the
            accompaniment.
        progress: Called after each clip.

    Returns:
        One entry per song, sorted by name.

    Raises:
        DataError: If a file cannot be read.
    """
    songs: dict[str, _Sums] = {}
    for dataset in datasets:
        for index, clip in enumerate(dataset.clips):
            _add_clip(songs.setdefault(clip.song, _Sums()), dataset, index)
            progress()
    return [songs[song].facts(name, song) for song in sorted(songs)]


def _add_clip(sums: _Sums, dataset: JointDataset, index: int) -> None:
    rate, n_samples = dataset.sample_rate, dataset.clips[index].n_samples
    for start in range(0, n_samples, BLOCK_SEC * rate):
        mixture, sources = dataset.read(index, start, BLOCK_SEC * rate)
        sums.mixture += _energy(mixture)
        if sources is None:
            continue
        sums.has_stems = True
        sums.vocals += _energy(sources[0])
        sums.rest += _energy(sources[1:].sum(0))
        loud = loud_windows(sources[0], rate)
        sums.sung += int(loud.sum())
        sums.known += len(loud)
    if not sums.has_stems:
        centres = (np.arange(n_samples * WINDOWS_PER_SEC // rate) + 0.5) / WINDOWS_PER_SEC
        active = dataset.activity_at(index, centres)
        if active is not None:
            sums.sung += int(np.nansum(active))
            sums.known += int(np.isfinite(active).sum())
    sums.n_samples += n_samples
    sums.sample_rate = rate


def _energy(wav: np.ndarray) -> float:
    """Mean over channels of the sum of squares of ``(C, T)``."""
    return float(np.square(wav, dtype=np.float64).sum() / len(wav))
