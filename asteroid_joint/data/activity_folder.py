"""Recordings with labels of vocal activity only: no stems, no pitch.

    <data_dir>/[train|valid|test/]...<name>.wav, and <name>.activity.csv beside it

A label file has start and end in seconds of what is sung, see :mod:`.segments`; no rows = nothing
is; no file = unknown. Where there are no folders named after the sides, a name decides on the side
as in :mod:`.solo`: that of the folder that a recording is in, else its own.
"""

from pathlib import Path

from ..errors import DataError
from ..registry import DATASETS
from .files import files_of_side
from .licences import DETECTION, dataset_infos
from .recordings import AUDIO, Recordings

LABELS = ".activity.csv"


@DATASETS.register("activity_folder")
class ActivityFolder(Recordings):
    """One side of a folder of recordings.

    Args:
        data_dir: Folder that is searched for audio files, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.

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

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        """See :meth:`Recordings.find`."""
        top, paths = files_of_side(self.root, side, AUDIO)
        if not paths:
            raise DataError(
                f"{top} contains no recordings for the {side} side: give another folder."
            )
        pairs = [(path, _beside(path)) for path in paths]
        if all(label is None for _, label in pairs):
            raise DataError(
                f"No {side} recording in {top} has labels: put <name>{LABELS} beside <name>.wav."
            )
        return top, pairs


def _beside(path: Path) -> Path | None:
    label = path.with_name(path.stem + LABELS)
    return label if label.is_file() else None
