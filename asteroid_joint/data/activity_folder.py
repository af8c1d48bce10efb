"""Recordings with labels of vocal activity only: no stems, no pitch.

    <data_dir>/[train|valid|test/]...<name>.wav, and <name>.activity.csv beside it

A label file has start and end in seconds of what is sung, see :mod:`.segments`; no rows = nothing
is; no file = unknown. Where there are no folders named after the sides, a name decides on the side
as in :mod:`.solo`: that of the folder that a recording is in, else its own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import AudioFile, audio_file, check_side, common_format, files_of_side, read_stretch
from .licences import DETECTION, dataset_infos
from .segments import TOLERANCE_SEC, read_segments

AUDIO = (".wav", ".flac", ".ogg", ".mp3")
LABELS = ".activity.csv"


class Recordings(JointDataset):
    """Recordings and their files of activity; what sets of this kind have in common.

    Args:
        paths: Audio files and their label files, which may be ``None``.
        top: Folder that names of clips are relative to.
        sample_rate: Hz that clips are resampled to; ``None`` is the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` leaves them as on disk.
        tolerance_sec: A segment may end so long after the audio.

    Raises:
        DataError: If files differ in a format that was to be kept.
    """

    sources = ()  # there are none, so they fit any model

    def __init__(
        self,
        paths: Sequence[tuple[Path, Path | None]],
        top: Path,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        tolerance_sec: float = TOLERANCE_SEC,
    ) -> None:
        self.tolerance_sec = tolerance_sec
        self._files = [audio_file(path) for path, _ in paths]
        self._labels = [label for _, label in paths]
        self.sample_rate, self.n_channels = common_format(self._files, sample_rate, n_channels)
        self.clips = [_clip(file, top, self.sample_rate) for file in self._files]

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`; there are no sources."""
        files = [self._files[index]]
        return read_stretch(files, self.sample_rate, self.n_channels, start, n_samples)[0], None

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.activity_at`."""
        label = self._labels[index]
        if label is None:
            return None
        length_sec = self._files[index].length_sec
        return read_segments(label, length_sec, self.tolerance_sec).active_at(times)


@DATASETS.register("activity_folder")
class ActivityFolder(Recordings):
    """One side of a folder of recordings.

    Args:
        data_dir: Folder that is searched for audio files, at any depth.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        sample_rate: Hz that clips are resampled to; ``None`` is the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` leaves them as on disk.

    Raises:
        DataError: If there are no recordings or none has labels, or they differ in a format that
            was to be kept.
    """

    infos = dataset_infos(
        "folder of recordings with vocal activity",
        author="see the folder",
        license="see the folder",
        task=DETECTION,
        title="Recordings with vocal activity",
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
        top, paths = files_of_side(self.root, side, AUDIO)
        if not paths:
            raise DataError(f"{top} holds no recording for the {side} side: name another folder.")
        pairs = [(path, _beside(path)) for path in paths]
        if all(label is None for _, label in pairs):
            raise DataError(
                f"No recording of the {side} side in {top} has a file <name>{LABELS} beside it."
            )
        super().__init__(pairs, top, sample_rate, n_channels)


def _beside(path: Path) -> Path | None:
    label = path.with_name(path.stem + LABELS)
    return label if label.is_file() else None


def _clip(file: AudioFile, top: Path, sample_rate: int) -> Clip:
    relative = file.path.relative_to(top)
    name = "_".join([*relative.parts[:-1], file.path.stem])  # a slash stands after a blend's part
    return Clip(name, name, "", file.length_at(sample_rate))
