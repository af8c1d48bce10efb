"""Solo singing with pitch labels: voices to be mixed over somebody else's accompaniment.

    <data_dir>/[train|valid|test/][<singer>/]<name>.wav, and <name>.csv or <name>.f0.csv beside it

A label file has the time in seconds and the frequency in Hz (0 or less = unvoiced) in even steps.
The folder that a file is in is taken for its singer. Where there are no folders named after the
sides, a singer's name decides on the side: about one in ten is for validation and one for the test.
"""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..pitch import resample_f0
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import (
    AudioFile,
    audio_file,
    check_side,
    common_format,
    files_of_side,
    read_f0,
    read_stretch,
)
from .licences import dataset_infos

LABELS = (".f0.csv", ".csv")


@DATASETS.register("solo")
class SoloVoice(JointDataset):
    """One side of a folder of solo singing; the accompaniment is silence.

    Args:
        data_dir: Folder that is searched for ``.wav`` files, at any depth.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        sample_rate: Hz that clips are resampled to; ``None`` is the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` leaves them as on disk.

    Raises:
        DataError: If there are no files, or they differ in a format that was to be kept.
    """

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
    ) -> None:
        check_side(side)
        self.root = Path(data_dir).expanduser()
        top, paths = files_of_side(self.root, side, (".wav",))
        if not paths:
            raise DataError(f"{top} holds no .wav file for the {side} side: name another folder.")
        self._files = [audio_file(path) for path in paths]
        self.sample_rate, self.n_channels = common_format(self._files, sample_rate, n_channels)
        self.clips = [_clip(file, top, self.sample_rate) for file in self._files]

    @property
    def rest_weights(self) -> np.ndarray:
        """Nothing here accompanies."""
        return np.zeros(len(self))

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`."""
        voice = read_stretch(
            [self._files[index]], self.sample_rate, self.n_channels, start, n_samples
        )[0]
        return voice, np.stack([voice, np.zeros_like(voice)])

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_at`."""
        wav = self._files[index].path
        label = next((p for s in LABELS if (p := wav.with_suffix(s)).is_file()), None)
        if label is None:
            return None
        label_times, f0_hz = read_f0(label)
        return resample_f0(f0_hz, label_times, times)


def _clip(file: AudioFile, top: Path, sample_rate: int) -> Clip:
    relative = file.path.relative_to(top).with_suffix("")
    name = "_".join(relative.parts)  # a slash in a name stands after the part of a blend
    singer = relative.parts[-2] if len(relative.parts) > 1 else ""
    return Clip(name, name, singer, file.length_at(sample_rate))
