"""One song of the page, file to files."""

import os
from pathlib import Path

from ...inference.separate import Progress, separate_file
from ...models.base import JointModel


def process(
    model: JointModel, path: str | os.PathLike, folder: str | os.PathLike, progress: Progress
) -> tuple[list[Path], str | None]:
    """Separate a song and write down what was sung.

    Args:
        model: Any joint model.
        path: The song.
        folder: Where a folder with the files is made.
        progress: Called with the seconds done and in all; what it raises ends the work.

    Returns:
        The files: one WAV file per stem and, of a model that reads pitch, ``f0.csv``,
        ``notes.csv`` and ``notes.mid``; and one sentence if the input was cut off or damaged.

    Raises:
        AudioError: One sentence on why the song cannot be separated.
    """
    done = separate_file(model, path, folder, notes=model.has_pitch, progress=progress)
    return [done.folder / name for name in done.files], done.warning
