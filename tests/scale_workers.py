"""Workers for test_scale.py: in a module, so that other processes find them by name."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asteroid_joint.errors import AudioError


def die() -> None:
    """As the system ends a process that needs too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Squares:
    """Squares, with the node and process that found them; notes every worker that is made."""

    folder: Path
    error: str = ""

    def __call__(self) -> Callable[[object], object]:
        if self.error:
            raise AudioError(self.error)
        with open(self.folder / "made.txt", "a") as file:
            file.write(f"{os.getpid()}\n")

        def square(item: object) -> object:
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
