"""How far a song is: a bar on a terminal, a sentence now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

EVERY_SEC = 30.0  # between two sentences
Say = Callable[[str], object]


@contextlib.contextmanager
def show_progress(label: str, say: Say | None) -> Iterator[Callable[[float, float | None], None]]:
    """Show the progress of a song on standard error.

    Args:
        label: What the bar, and every sentence, begins with.
        say: Prints a sentence if standard error is no terminal; ``None`` shows nothing anywhere.

    Yields:
        Function to call with the seconds done and the total seconds (``None``: not known).
    """
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    hidden = None if say and sys.stderr else True  # None: unless it is a terminal
    with tqdm(desc=label, total=1.0, bar_format=form, disable=hidden, leave=False) as bar:

        def update(done_sec: float, total_sec: float | None) -> None:
            bar.total = max(done_sec, total_sec or 0.0)
            bar.update(done_sec - bar.n)

        yield _sentences(label, say) if bar.disable and say else update


def _sentences(label: str, say: Say) -> Callable[[float, float | None], None]:
    """A sentence every ``EVERY_SEC``, so that a long song is known to be alive."""
    last = time.monotonic()

    def update(done_sec: float, total_sec: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SEC:
            last = time.monotonic()
            total = "" if total_sec is None else f" of {max(total_sec, done_sec):.0f}"
            say(f"{label}: {done_sec:.0f}{total} s are done.")

    return update
