"""``manifest.jsonl``: the outcome of every file of a collection, one JSON object per line.

A line is appended and synced to disk as soon as a file is done or has failed; nothing is rewritten,
so the last line about a folder counts. A line truncated by a crash is skipped. The fields:

``input``, ``folder``
    Absolute path of the file, and the folder of its results relative to that of the manifest.
``status``
    ``"done"``, with ``files`` and ``seconds``; or ``"failed"``, with ``reason`` and ``retry``:
    whether the cause lies outside the file, such as a full disk, and ``--resume`` tries again.
``size``, ``mtime_ns``
    Size of the input in bytes and its modification time; a changed input is separated again.
``settings``
    Fingerprint of the options and weights that results depend on.
``time``
    When the line was written, UTC.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...errors import OutputError, UserError

MANIFEST = "manifest.jsonl"
LOCK = ".manifest.lock"


class Manifest:
    """The manifest of an output folder, for one run at a time.

    Args:
        out: Existing output folder.

    Attributes:
        entries: Folder of results to the last line about it.
        made_from: Folder of results to the input they were made from.

    Raises:
        UserError: If another run is using it, or it cannot be read.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp())
        >>> with Manifest(out) as manifest:
        ...     manifest.append({"folder": "song", "status": "done"})
        >>> with Manifest(out) as manifest:
        ...     manifest.entries["song"]["status"]
        'done'
    """

    def __init__(self, out: Path) -> None:
        self.path = out / MANIFEST
        self._lock = FileLock(out / LOCK)
        self.entries: dict[str, dict[str, Any]] = {}
        self.made_from: dict[str, str] = {}

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line of plain values, including ``folder``; it is on disk when this returns.

        Raises:
            OutputError: If it cannot be written.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line = json.dumps({**entry, "time": now}) + "\n"
        try:
            with open(self.path, "ab+") as file:
                if file.tell():  # start a new line after one truncated by a crash
                    file.seek(-1, os.SEEK_END)
                    line = line if file.read(1) == b"\n" else "\n" + line
                file.write(line.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            raise OutputError(f"{self.path} cannot be written: {err.strerror}.") from err
        self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        self.entries[entry["folder"]] = entry
        if entry.get("status") == "done":
            self.made_from[entry["folder"]] = entry.get("input", "")

    def __enter__(self) -> "Manifest":
        try:
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise UserError(
                f"Another run is writing to {self.path.parent}: wait for it, or choose another "
                "folder."
            ) from err
        except (OSError, NotImplementedError) as err:
            reason = getattr(err, "strerror", None) or err
            raise UserError(f"{self._lock.lock_file} cannot be locked: {reason}.") from err
        try:
            for entry in _read(self.path):
                self._note(entry)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        with contextlib.suppress(OSError):  # one that stays does no harm
            Path(self._lock.lock_file).unlink(missing_ok=True)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Entries that are complete."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as err:
        raise UserError(f"{path} cannot be read: {err.strerror}.") from err
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("folder"), str):
            yield entry
