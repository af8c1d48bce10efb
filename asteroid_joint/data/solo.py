"""Solo singing with pitch labels: voices to mix with other accompaniment.

    <data_dir>/[train|valid|test/][<singer>/]<name>.wav, and beside it <name>.f0.csv,
    <name>.csv or <name>_f0.csv

WAV may be FLAC, Ogg or MP3. A label file lists time in seconds and frequency in Hz (0 or less =
unvoiced, ``nan`` = unknown) in even steps; a voice without one is used for its sound. The folder of
a file names its singer. Without folders named after the sides, a singer's name decides on the side:
about one in ten is for validation and one for the test.
"""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import AUDIO, AudioFile, f0_from_file, files_of_side
from .licences import dataset_infos
from .recordings import Recordings

LABELS = (".f0.csv", ".csv", "_f0.csv")


@DATASETS.register("solo")
class SoloVoice(Recordings):
    """One side of a folder of solo singing; the accompaniment is silence.

    Args:
        data_dir: Folder to search for audio files, at any depth. Of a recording in several
            formats the WAV is used.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.
        whole_side: Side that the whole folder is for, whatever its folders are called.

    Raises:
        DataError: If there are no files, or their formats differ.
    """

    sources = JointDataset.sources
    infos = dataset_infos(
        "folder of solo singing",
        author="see the folder",
        license="see the folder",
        title="Solo singing",
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        whole_side: str = "",
    ) -> None:
        self._whole_side = whole_side
        super().__init__(data_dir, side, sample_rate, n_channels)

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        top, paths = files_of_side(self.root, side, AUDIO, self._whole_side)
        if not paths:
            raise DataError(
                f"{top} contains no .wav files for the {side} side, nor .flac, .ogg or .mp3: give "
                "another folder."
            )
        best = {path.with_suffix(""): path for path in sorted(paths, key=_rank, reverse=True)}
        return top, [(path, None) for path in paths if best[path.with_suffix("")] == path]

    def clip(self, file: AudioFile) -> Clip:
        """See :meth:`Recordings.clip`; the folder is the singer's."""
        folders = file.path.relative_to(self.top).parts[:-1]
        return super().clip(file)._replace(singer=folders[-1] if folders else "")

    @property
    def rest_weights(self) -> np.ndarray:
        """0, as there is no accompaniment."""
        return np.zeros(len(self))

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        voice, _ = super().read(index, start, n_samples)
        return voice, np.stack([voice, np.zeros_like(voice)])

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return f0_from_file(_label(self._files[index].path), times)

    def unlabelled(self) -> list[tuple[AudioFile, Path]]:
        """Voices without F0, each with the file in which :mod:`.agreed` is to write it."""
        return [
            (file, file.path.with_name(f"{file.path.stem}_f0.csv"))
            for file in self._files
            if _label(file.path) is None
        ]


def _rank(path: Path) -> int:
    return AUDIO.index(path.suffix.lower())


def _label(path: Path) -> Path | None:
    """File of F0 beside a recording."""
    labels = (path.with_name(path.stem + ending) for ending in LABELS)
    return next((label for label in labels if label.is_file()), None)
