"""Workers for test_jobs.py: in a module, so that other processes find them by name."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asteroid_joint.errors import AudioError


def die() -> None:
    """As the system ends a process that needs too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Squares:
    """Squares, with the process that found them; notes every worker that is made.

    Args:
        folder: Of the notes.
        error: Raised where a worker is made.
        together: Workers that wait for one another before they do anything.
    """

    folder: Path
    error: str = ""
    together: int = 1

    def __call__(self) -> Callable[[object], object]:
        if self.error:
            raise AudioError(self.error)
        with open(self.folder / "made.txt", "a") as file:
            file.write(f"{os.getpid()}\n")

        def square(item: object) -> object:
            while len((self.folder / "made.txt").read_text().split()) < self.together:
                time.sleep(0.02)
            if item == "fatal":
                die()
            if item == "killed":
                try:
                    (self.folder / "killed").touch(exist_ok=False)
                    die()
                except FileExistsError:
                    return "alive", 0
            if item == "user":
                raise AudioError("This one holds no sample: remove it.")
            if item == "unsendable":
                return threading.Lock()
            return item * item, os.getpid()  # type: ignore[operator]

        return square
