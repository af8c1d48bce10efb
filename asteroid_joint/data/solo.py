"""Solo singing with pitch labels: voices to mix with other accompaniment.

    <data_dir>/[train|valid|test/][<singer>/]<name>.wav, and <name>.csv or <name>.f0.csv beside it

A label file lists time in seconds and frequency in Hz (0 or less = unvoiced) in even steps. The
folder of a file names its singer. Without folders named after the sides, a singer's name decides on
the side: about one in ten is for validation and one for the test.
"""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import AudioFile, f0_from_file, files_of_side
from .licences import dataset_infos
from .recordings import Recordings

LABELS = (".f0.csv", ".csv")


@DATASETS.register("solo")
class SoloVoice(Recordings):
    """One side of a folder of solo singing; the accompaniment is silence.

    Args:
        data_dir: Folder to search for ``.wav`` files, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.

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

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        top, paths = files_of_side(self.root, side, (".wav",))
        if not paths:
            raise DataError(
                f"{top} contains no .wav files for the {side} side: give another folder."
            )
        return top, [(path, None) for path in paths]

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
        wav = self._files[index].path
        label = next((p for s in LABELS if (p := wav.with_suffix(s)).is_file()), None)
        return f0_from_file(label, times)
