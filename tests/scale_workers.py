"""Workers for test_scale.py: in a module, so that other processes find them by name."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asteroid_joint.engine import pseudo_teacher
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


write_piece = pseudo_teacher.write_piece


def write_and_die(path: Path, *args: object, **facts: object) -> None:
    """As a plugin: note what is written, and die before or after it where a file asks for that."""
    top = path.parent.parent.parent
    for when in ("before", "after"):
        if when == "after":
            write_piece(path, *args, **facts)  # type: ignore[arg-type]
            with open(top / "written.txt", "a") as file:
                file.write(f"{path.name}\n")
        try:
            (top / f"die_{when}").unlink()
        except FileNotFoundError:
            continue
        die()


if os.environ.get("SCALE_WORKERS_ARE_MORTAL"):
    pseudo_teacher.write_piece = write_and_die
