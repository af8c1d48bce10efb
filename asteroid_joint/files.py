"""Atomic writing of files and folders, names that every system takes, checksums."""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError

UNPORTABLE = re.compile(r'[<>:"|?*\\\x00-\x1f]')  # characters that Windows has in no name
DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(?=\.|$)", re.IGNORECASE
)
PAUSES_SEC = (0.05, 0.2, 0.75)  # scanners of viruses and indexers hold a new file for so long


def portable_name(name: str) -> str:
    """A name of a file or folder that can be copied to any system.

    Windows has no file called ``a|b``, ``CON`` or ``end.``: what it forbids becomes ``_``, names of
    devices get one, dots and spaces at the end are left out.

    Example:
        >>> [portable_name(name) for name in ("a|b", "con.live", "Why...", "?", "Motörhead 日本")]
        ['a_b', 'con_.live', 'Why', '_', 'Motörhead 日本']
    """
    plain = UNPORTABLE.sub("_", name).rstrip(" .")
    return DEVICES.sub(lambda device: device[0].rstrip() + "_", plain, count=1) or "_"


def native_path(path: Path) -> str | bytes:
    """Convert a path for libsndfile's wrapper: names on POSIX need not be valid UTF-8."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def replace_file(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Move a file to where another may be, as ``os.replace`` does; with patience on Windows.

    Windows replaces no file that a program has open. What has it open for a moment only is waited
    for; a player that goes on is named as the likely reason.

    Raises:
        OSError: If it cannot be moved; both files are as they were.
    """
    for pause_sec in PAUSES_SEC:
        try:
            Path(source).replace(target)
            return
        except PermissionError as err:
            if getattr(err, "winerror", None) is None:  # other systems mean it
                raise
            time.sleep(pause_sec)
    try:
        Path(source).replace(target)
    except PermissionError as err:
        err.strerror = f"{os.fspath(target)} is open in another program, close it there"
        raise


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file completely or not at all.

    Args:
        path: File to write, in an existing folder. An existing file is replaced at the end.

    Yields:
        Path to write to: the same name in a hidden folder beside the file. Every call has its own
        folder, so any number of processes can write the same file; the last one wins.

    Raises:
        OSError: If the file cannot be written; an existing file is then left unchanged.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "song.txt") as part:
        ...         size = part.write_text("la la")
        ...     os.listdir(folder)
        ['song.txt']
    """
    path = Path(path)
    # the file's own name may already use all of the 255 bytes that file systems allow
    prefix = f".{path.name[:40]}.part-"
    with tempfile.TemporaryDirectory("", prefix, path.parent, ignore_cleanup_errors=True) as hidden:
        part = Path(hidden) / path.name
        yield part
        replace_file(part, path)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file completely or not at all; see :func:`atomic_write`."""
    with atomic_write(path) as part:
        part.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    r"""Write a file in UTF-8, with ``\n`` at line ends; see :func:`atomic_write`."""
    write_bytes(path, text.encode())


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Create a folder with all of its contents or not at all.

    Args:
        path: Folder to create, which must not exist yet; missing parents are created.

    Yields:
        Path of an empty folder beside it, ``.<name>.part``. Only one process at a time may fill it:
        existing contents are taken for those of a killed process and removed.

    Raises:
        OSError: If the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        DataError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as err:
        raise DataError(f"{path} cannot be read: {err.strerror or err}.") from err
    return digest.hexdigest()
