"""Songs of visitors: one queue, one worker, and folders that are removed after use.

A visitor is identified by a secret token, and a song is found only with its visitor's token. Its
folder is removed when the visitor removes it or closes the page, when nobody has requested it for
some time, and when the server ends; folders of killed servers are removed by the next one.
"""

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from ...errors import UserError
from .access import same_secret
from .uploads import Limits

PREFIX = "asteroid-joint-demo-"  # of the folder with all songs of a server
LOCK = "lock"  # file in it that is locked while the server lives
LEAST_FREE = 2_000_000_000  # free bytes on the disk that accepting a song needs
SWEEP_SEC = 5.0  # seconds between removals of unused songs
Work = Callable[["Song", Callable[[float, "float | None"], None]], None]


class Cancelled(Exception):
    """The song was removed while it was processed."""


@dataclass
class Song:
    """A song of a visitor.

    Attributes:
        id: Secret random name.
        visitor: Token of its owner.
        name: Name given by the visitor.
        folder: Folder of all its files.
        state: ``"arriving"``, ``"waiting"``, ``"working"``, ``"done"`` or ``"failed"``.
        share: Progress from 0 to 1, ``None`` if the length is unknown.
        message: One sentence for the visitor.
        files: Files for download, in order.
        converted: Names of further files, made when they are asked for, and what of.
        view: Data of the plot.
        used: Time of the last request, seconds of a monotonic clock.
        cancelled: Set when the song is removed.
    """

    id: str
    visitor: str
    name: str
    folder: Path
    state: str = "arriving"
    share: float | None = 0.0
    message: str = ""
    files: list[Path] = field(default_factory=list)
    converted: dict[str, Path] = field(default_factory=dict)
    view: dict[str, Any] | None = None
    used: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def upload(self) -> Path:
        """The uploaded file, under a neutral name."""
        return self.folder / "song"

    def in_words(self, text: str) -> str:
        """Replace the paths on the server in a sentence by the visitor's name of the song."""
        return text.replace(str(self.upload), self.name).replace(str(self.folder), "its folder")


class Songs:
    """All songs of a server, and the thread that processes them in the order of arrival.

    Args:
        work: Processes a song and sets its ``files`` and ``view``; its second argument is a
            function to call with the seconds done and in total. A ``UserError`` becomes the song's
            message.
        limits: Limits of the page.
        keep_sec: Seconds after which a song that nobody requests is removed.

    Raises:
        UserError: If no temporary folder can be created.
    """

    def __init__(self, work: Work, limits: Limits, keep_sec: float) -> None:
        remove_leftovers()
        try:
            self.root = Path(tempfile.mkdtemp(prefix=PREFIX))  # readable by this user only
        except OSError as err:
            raise UserError(
                f"No temporary folder can be created ({err.strerror}): set TMPDIR to another."
            ) from err
        self._lock = _lock(self.root)
        self.limits = limits
        self._work = work
        self._keep_sec = keep_sec
        self._songs: dict[str, Song] = {}
        self._queue: list[Song] = []
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._run, self._sweep)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, visitor: str, name: str) -> Song:
        """Register a song that is about to arrive.

        Raises:
            UserError: If the visitor's or the server's limit is reached, or the disk is full.
        """
        with self._changed:
            mine = sum(song.visitor == visitor for song in self._songs.values())
            if mine >= self.limits.songs:
                raise UserError(
                    f"You have {mine} songs here, the most that this page keeps: remove one first."
                )
            busy = sum(song.state not in ("done", "failed") for song in self._songs.values())
            if busy >= self.limits.waiting:
                raise UserError("Too many songs are waiting: try again in some minutes.")
            if shutil.disk_usage(self.root).free < LEAST_FREE:
                raise UserError("The disk of this server is full: try again later.")
            song_id = secrets.token_urlsafe(16)
            song = Song(song_id, visitor, name, self.root / song_id)
            song.folder.mkdir(mode=0o700)
            self._songs[song_id] = song
            return song

    def submit(self, song: Song) -> None:
        """Queue a song that has arrived."""
        with self._changed:
            if song.id in self._songs:
                song.state, song.used = "waiting", time.monotonic()
                self._queue.append(song)
                self._changed.notify_all()

    def find(self, visitor: str, song_id: str) -> Song | None:
        """The visitor's song of this id, if there is one."""
        with self._changed:
            song = self._songs.get(song_id)
            if song is None or not same_secret(song.visitor, visitor):
                return None
            song.used = time.monotonic()
            return song

    def position(self, song: Song) -> int:
        """Number of songs that are processed before this one."""
        with self._changed:
            working = sum(other.state == "working" for other in self._songs.values())
            return working + self._queue.index(song) if song in self._queue else 0

    def remove(self, song: Song) -> None:
        """Remove a song and its files; processing stops soon."""
        with self._changed:
            song.cancelled.set()
            self._songs.pop(song.id, None)
            if song in self._queue:
                self._queue.remove(song)
            if song.state != "working":  # else the worker does it after stopping
                shutil.rmtree(song.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop processing and remove everything."""
        with self._changed:
            self._closing = True
            for song in self._songs.values():
                song.cancelled.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10.0)
        if self._lock is not None:
            self._lock.release()  # first: Windows removes no file that is open
        shutil.rmtree(self.root, ignore_errors=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if self._closing:
                    return
                song = self._queue.pop(0)
                song.state = "working"
            self._do(song)

    def _do(self, song: Song) -> None:
        def progress(done_sec: float, total_sec: float | None) -> None:
            if song.cancelled.is_set():
                raise Cancelled
            song.share = min(done_sec / total_sec, 1.0) if total_sec else None
            song.used = time.monotonic()

        state = "failed"
        try:
            self._work(song, progress)
            state = "done"
        except Cancelled:
            pass
        except UserError as err:
            song.message = song.in_words(str(err))
        except MemoryError:
            song.message = f"{song.name} needs more memory than this server has."
        except Exception as err:  # the page goes on; the operator sees the reason
            song.message = f"Processing {song.name} failed: see the server's log."
            print(f"asteroid-joint: demo: {type(err).__name__}: {err}", file=sys.stderr)
        with self._changed:
            song.state, song.used = state, time.monotonic()
            if song.cancelled.is_set():
                shutil.rmtree(song.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove songs that nobody requests."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, SWEEP_SEC):
                    return
                oldest = time.monotonic() - self._keep_sec
                stale = [
                    song
                    for song in self._songs.values()
                    if song.used < oldest and song.state in ("arriving", "done", "failed")
                ]
                for song in stale:
                    self.remove(song)


def remove_leftovers() -> None:
    """Remove the folders of killed servers, whose locks nobody holds."""
    for root in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            if root.is_symlink() or not (root / LOCK).exists():
                continue
            lock = _lock(root)
            if lock is not None:
                lock.release()
                shutil.rmtree(root, ignore_errors=True)


def _lock(root: Path) -> BaseFileLock | None:
    """Lock a folder by its lock file; ``None`` if that is another process's or user's."""
    if hasattr(os, "getuid") and root.stat().st_uid != os.getuid():
        return None
    lock = FileLock(root / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):  # the last: a file system without locks
        return None
    return lock
