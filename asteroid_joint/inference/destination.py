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
STEM_ENDINGS = (".stem.mp4", ".stem.m4a")  # a mixture with its stems: MUSDB18, NI Stems
HIDDEN = re.compile(r"\..*\.part-[a-z0-9_]{8}(?:\.(\d+))?", re.DOTALL)  # with a process id
UNLOCKED_SEC = 60.0  # a folder without a lock that is younger may be about to get one


def output_name(path: str | os.PathLike) -> str:
    """Name of the folder for the results of an input: its file name without the extension.

    Names that some systems lack are changed: see :func:`asteroid_joint.files.portable_name`.

    Example:
        >>> output_name("music/song.wav"), output_name("MUSDB18/song.stem.mp4")
        ('song', 'song')
    """
    path = Path(path)
    name = path.name if path.stem in ("", ".", "..") else path.stem
    for ending in STEM_ENDINGS:
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            name = path.name[: -len(ending)]
    return portable_name(name)


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
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if not there.is_dir():
        raise OutputError(
            f"{there} is a file, but the stems of {path} need a folder of that name: choose "
            "another output folder."
        )
    taken = [folder / name for name in names if os.path.exists(folder / name)]
    if os.path.exists(path) and any(file.samefile(path) for file in taken):
        raise AudioError(f"{path} would be overwritten by its own stem: choose another folder.")
    if taken and not overwrite:
        raise _exists_already(taken[0])


def _exists_already(path: Path) -> OutputError:
    return OutputError(f"{path} exists already: give --overwrite to replace it.")


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
            prefix, suffix = f".{name[:40]}.part-", f".{os.getpid()}"
            self.path = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=out_dir))
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
        found = HIDDEN.fullmatch(folder.name)
        if not found or not folder.is_dir():
            continue
        if (folder / LOCK).exists():
            lock = FileLock(folder / LOCK)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue
            lock.release()
        elif not _is_dead(found[1]):
            with contextlib.suppress(OSError):  # gone meanwhile
                if time.time() - folder.stat().st_mtime < UNLOCKED_SEC:
                    continue
        shutil.rmtree(folder, ignore_errors=True)
        n_removed += not folder.exists()
    return n_removed


def _is_dead(process_id: str | None) -> bool:
    """Whether a process of this machine has ended, as far as that can be known."""
    if process_id is None or os.name != "posix":
        return False
    try:
        os.kill(int(process_id), 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def move(
    work: Path, folder: Path, receipt: Mapping[str, Any] | None = None, *, overwrite: bool = True
) -> None:
    """Give the finished files their final names, all at once if the folder is new.

    In an existing folder, files are moved one by one. A receipt then names the input before the
    first file is there, and is complete once all files are.

    Args:
        work: Folder with the finished files.
        folder: Their destination.
        receipt: Facts to leave beside them, including ``input``.
        overwrite: Whether files that are there may be replaced. Otherwise all files are new, or
            none is left: another process may have written some since this one began.

    Raises:
        OutputError: If a file is there that may not be replaced.
        OSError: If a file cannot be moved.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if receipt is not None:
        (work / RECEIPT).write_text(json.dumps(receipt), encoding="ascii")
    if not os.path.lexists(folder):
        try:
            work.rename(folder)
            return
        except OSError:
            if not os.path.lexists(folder):
                raise  # otherwise another process has made it meanwhile
    names = sorted(path.name for path in work.iterdir() if path.name != RECEIPT)
    begun = None
    if receipt is not None:
        begun = work.parent / RECEIPT
        begun.write_text(json.dumps({"input": receipt["input"]}), encoding="ascii")
    if not overwrite:
        _claim(work, folder, names, begun)
    elif begun is not None:
        replace_file(begun, folder / RECEIPT)
    for name in [*names, *[RECEIPT] * (begun is not None)]:
        replace_file(work / name, folder / name)


def _claim(work: Path, folder: Path, names: Iterable[str], begun: Path | None) -> None:
    """Put the begun receipt and files under names that are free into a folder, all or none."""
    claimed: list[Path] = []
    try:
        if begun is not None and not os.path.lexists(folder / RECEIPT):
            begun.replace(folder / RECEIPT)
            claimed.append(folder / RECEIPT)
        for name in names:
            _create(work / name, folder / name)
            claimed.append(folder / name)
        if begun is not None and begun.exists():  # after all: the receipt of another input is there
            begun.replace(folder / RECEIPT)
    except OSError as err:
        for path in claimed:
            path.unlink(missing_ok=True)
        if isinstance(err, FileExistsError):
            raise _exists_already(folder / name) from err
        raise


def _create(source: Path, target: Path) -> None:
    """Give a file a second name that nobody has; an empty file is it where there are no links.

    Raises:
        FileExistsError: If there is a file of that name.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        target.touch(exist_ok=False)
