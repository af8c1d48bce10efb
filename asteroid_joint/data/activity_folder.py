"""Recordings with labels of vocal activity only: no stems, no pitch.

    <data_dir>/[train|valid|test/]...<name>.wav, and <name>.activity.csv beside it

A label file lists start and end of singing in seconds, see :mod:`.segments`; no rows = no singing;
no file = unknown. Without folders named after the sides, the name of a recording's folder, else its
own, decides on its side, as in :mod:`.solo`.
"""

from pathlib import Path

from ..errors import DataError
from ..registry import DATASETS
from .files import AUDIO, files_of_side
from .licences import DETECTION, dataset_infos
from .recordings import Recordings

LABELS = ".activity.csv"


@DATASETS.register("activity_folder")
class ActivityFolder(Recordings):
    """One side of a folder of recordings.

    Args:
        data_dir: Folder to search for audio files, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.

    Raises:
        DataError: If there are no recordings, none has labels, or their formats differ.
    """

    infos = dataset_infos(
        "folder of recordings with vocal activity",
        author="see the folder",
        license="see the folder",
        task=DETECTION,
        title="Recordings with vocal activity",
    )

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        top, paths = files_of_side(self.root, side, AUDIO)
        if not paths:
            raise DataError(
                f"{top} contains no recordings for the {side} side: give another folder."
            )
        labels = [path.with_name(path.stem + LABELS) for path in paths]
        pairs = [(p, x if x.is_file() else None) for p, x in zip(paths, labels, strict=True)]
        if all(label is None for _, label in pairs):
            raise DataError(
                f"No {side} recording in {top} has labels: put <name>{LABELS} beside <name>.wav."
            )
        return top, pairs
