"""Where results go: names, protection from overwriting, and folders that appear when complete.

Everything for one input is written into a hidden folder within the output folder and moved when it
is complete, so no half-written file ever has its final name. The hidden folder is locked while its
process lives, which tells the leftovers of a killed run from what another run is writing.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import AudioError, OutputError, UserError
from ..files import portable_name, replace_file

RECEIPT = ".receipt.json"  # what a run leaves with results until its manifest names them
LOCK = "lock"
HIDDEN = re.compile(r"\..*\.part-[a-z0-9_]{8}", re.DOTALL)
UNLOCKED_SEC = 60.0  # a folder without a lock that is younger may be about to get one


def output_name(path: str | os.PathLike) -> str:
    """Name of the folder for the results of an input: its file name without the extension.

    Names that some systems lack are changed: see :func:`asteroid_joint.files.portable_name`.
    """
    path = Path(path)
    return portable_name(path.name if path.stem in ("", ".", "..") else path.stem)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where they do not exist.

    Raises:
        UserError: If it cannot be created or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as err:
        raise UserError(
            f"{folder} is, or lies below, a file: name a folder for the output."
        ) from err
    except OSError as err:
        raise UserError(f"The folder {folder} cannot be created: {err.strerror}.") from err
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"The folder {folder} cannot be written to: change its permissions.")


def check_destination(folder: Path, names: Iterable[str], overwrite: bool, path: Path) -> None:
    """Refuse to overwrite the input, or earlier results without permission.

    Args:
        folder: Folder for the results.
        names: Names of the files to be written there.
        overwrite: Whether results may be replaced; the input itself never is.
        path: The input.

    Raises:
        AudioError: One sentence on what is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, but the stems of {path} need a folder of that name: choose "
            "another output folder."
        )
    there = [folder / name for name in names if (folder / name).exists()]
    if path.exists() and any(file.samefile(path) for file in there):
        raise AudioError(f"{path} would be overwritten by its own stem: choose another folder.")
    if there and not overwrite:
        raise OutputError(f"{there[0]} exists already: give --overwrite to replace it.")


class HiddenFolder:
    """A temporary folder, removed at the end; ``with`` yields the path to write results to.

    Args:
        out_dir: Existing output folder.
        name: Name of the results.

    Raises:
        OutputError: If it cannot be created.
    """

    def __init__(self, out_dir: Path, name: str) -> None:
        try:  # a name may take all of the 255 bytes that file systems allow
            self.path = Path(tempfile.mkdtemp(prefix=f".{name[:40]}.part-", dir=out_dir))
        except OSError as err:
            raise OutputError(
                f"The folder {out_dir} cannot be written to: {err.strerror}."
            ) from err
        self._lock = FileLock(self.path / LOCK)

    def __enter__(self) -> Path:
        try:
            self._lock.acquire(timeout=0)
            work = self.path / "files"  # mkdtemp's own folder is readable by this user only
            work.mkdir()
        except BaseException:
            self.__exit__()
            raise
        return work

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def remove_leftovers(out_dir: Path) -> int:
    """Remove hidden folders left by killed runs, not those of live runs; return how many."""
    n_removed = 0
    for folder in out_dir.iterdir():
        if not HIDDEN.fullmatch(folder.name) or not folder.is_dir():
            continue
        if (folder / LOCK).exists():
            lock = FileLock(folder / LOCK)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue
            lock.release()
        else:
            with contextlib.suppress(OSError):  # gone meanwhile
                if time.time() - folder.stat().st_mtime < UNLOCKED_SEC:
                    continue
        shutil.rmtree(folder, ignore_errors=True)
        n_removed += not folder.exists()
    return n_removed


def move(work: Path, folder: Path, receipt: Mapping[str, Any] | None = None) -> None:
    """Give the finished files their final names, all at once if the folder is new.

    In an existing folder, files are replaced one by one. The receipt then names the input before
    the first file is replaced, and is complete once all files are there.

    Args:
        work: Folder with the finished files.
        folder: Their destination.
        receipt: Facts to leave beside them, including ``input``.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if receipt is not None:
        (work / RECEIPT).write_text(json.dumps(receipt), encoding="ascii")
    if not folder.exists():
        work.rename(folder)
        return
    if receipt is not None:
        begun = work.parent / RECEIPT
        begun.write_text(json.dumps({"input": receipt["input"]}), encoding="ascii")
        replace_file(begun, folder / RECEIPT)
    for file in sorted(work.iterdir(), key=lambda file: (file.name == RECEIPT, file.name)):
        replace_file(file, folder / file.name)
