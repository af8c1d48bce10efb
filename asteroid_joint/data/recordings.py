"""Base of datasets with one file per recording and no stems."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .base import Clip, JointDataset
from .files import AudioFile, audio_file, check_side, common_format, read_stretch
from .segments import TOLERANCE_SEC, read_segments


class Recordings(JointDataset):
    """One side of a folder of recordings; a subclass finds them.

    Args:
        data_dir: Folder to search, at any depth.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        sample_rate: Hz to resample to; ``None`` keeps the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` keeps them.

    Class attributes:
        tolerance_sec: How far a segment of activity may extend beyond the audio.

    Raises:
        DataError: If files differ in a rate or number of channels that is kept.
    """

    sources: tuple[str, ...] = ()  # there are none, so they fit any model
    tolerance_sec = TOLERANCE_SEC

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
    ) -> None:
        check_side(side)
        self.root = Path(data_dir).expanduser()
        self.top, found = self.find(side)
        self._files = [audio_file(path) for path, _ in found]
        self._labels = [label for _, label in found]
        self.sample_rate, self.n_channels = common_format(self._files, sample_rate, n_channels)
        self.clips = [self.clip(file) for file in self._files]

    @abstractmethod
    def find(self, side: str) -> tuple[Path, Sequence[tuple[Path, Path | None]]]:
        """Find the recordings of a side below ``root``.

        Returns:
            The folder that clip names are relative to, and audio files, each with its file of
            vocal activity or ``None``.

        Raises:
            DataError: If there are none.
        """

    def clip(self, file: AudioFile) -> Clip:
        """Facts of a recording, named after its path, with an unknown singer."""
        relative = file.path.relative_to(self.top).with_suffix("")
        name = "_".join(relative.parts)  # a slash is reserved for the parts of a blend
        return Clip(name, name, "", file.length_at(self.sample_rate))

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`; there are no sources."""
        files = [self._files[index]]
        return read_stretch(files, self.sample_rate, self.n_channels, start, n_samples)[0], None

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        label = self._labels[index]
        if label is None:
            return None
        length_sec = self._files[index].length_sec
        return read_segments(label, length_sec, self.tolerance_sec).active_at(times)
