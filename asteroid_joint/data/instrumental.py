"""Instrumental music: accompaniment, and the certainty that nobody sings.

    <data_dir>/...<name>.ogg, and optionally split.json

``split.json`` lists the files of ``train``, ``valid`` and ``test``, relative to the folder; files
that it does not name are not used. Without it the folders ``train``, ``valid`` and ``test`` are the
sides, and where there are none, a tenth of the pieces, drawn by a seed, is for validation and
another for the test. Pieces of one album may then be on two sides: write a ``split.json`` to keep
albums together.

Of a piece only the excerpt in demand is read, however long it is.
"""

import json
import random
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import AUDIO, SIDES, AudioFile, files_below
from .licences import dataset_infos
from .recordings import Recordings

SPLIT_FILE = "split.json"


@DATASETS.register("instrumental")
class Instrumental(Recordings):
    """One side of a folder of music in which nobody sings: F0 and activity are 0.

    Args:
        data_dir: Folder to search for audio files, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.
        seed: Seed of the sides, where neither ``split.json`` nor folders tell them.
        excerpt_sec: Of a longer piece on the sides for validation and test, only this much from
            its middle counts; 0 = all of it.
        train_sec: Likewise for training, where time or memory is short.

    Raises:
        DataError: If there is no music for the side, files are missing, or their formats differ.
    """

    sources = JointDataset.sources
    infos = dataset_infos(
        "folder of instrumental music",
        author="see the folder",
        license="see the folder",
        title="Instrumental music",
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        seed: int = 0,
        excerpt_sec: float = 0.0,
        train_sec: float = 0.0,
    ) -> None:
        self._seed = seed
        self._excerpt_sec = train_sec if side == "train" else excerpt_sec
        super().__init__(data_dir, side, sample_rate, n_channels)

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        if (self.root / SPLIT_FILE).is_file():
            paths = [self.root / name for name in _listed(self.root / SPLIT_FILE)[side]]
        elif any((self.root / name).is_dir() for name in SIDES):
            paths = _music(self.root / side)
        else:
            paths = seeded_sides(_music(self.root), self._seed)[side]
        if not paths:
            raise DataError(
                f"{self.root} contains no music for the {side} side: give another folder."
            )
        return self.root, [(path, None) for path in paths]

    def clip(self, file: AudioFile) -> Clip:
        """See :meth:`Recordings.clip`; nobody sings, and long pieces may be cut."""
        clip = super().clip(file)
        most = round(self._excerpt_sec * self.sample_rate) or clip.n_samples
        return clip._replace(n_samples=min(clip.n_samples, most))

    @property
    def voice_weights(self) -> np.ndarray:
        """0, as there is no voice."""
        return np.zeros(len(self))

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        length = self.clips[index].n_samples
        left = max(length - start, 0)
        before = (self._files[index].length_at(self.sample_rate) - length) // 2
        music, _ = super().read(
            index, before + start, left if n_samples is None else min(n_samples, left)
        )
        return music, np.stack([np.zeros_like(music), music])

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """0 at all times: unvoiced."""
        return np.zeros(len(times), np.float32)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """0 at all times."""
        return np.zeros(len(times), np.float32)


def seeded_sides(paths: list[Path], seed: int) -> dict[str, list[Path]]:
    """Sides of pieces: a tenth each, but one at least, for validation and test, in random order."""
    paths = sorted(paths)
    random.Random(seed).shuffle(paths)
    tenth = max(1, len(paths) // 10)
    return {
        "valid": paths[:tenth],
        "test": paths[tenth : 2 * tenth],
        "train": paths[2 * tenth :],
    }


def _music(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if path.suffix.lower() in AUDIO]


def _listed(path: Path) -> dict[str, list[str]]:
    """Names of the files of every side."""
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
        return {side: [str(name) for name in split[side]] for side in SIDES}
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} must list the files of train, valid and test, relative to its folder: "
            "correct it, or remove it."
        ) from err
