"""From the thread that records to the thread that separates: a queue of bounded length."""

import queue
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ...errors import AudioError

POLL_SEC = 0.1  # seconds; how soon a signal is heeded while nothing arrives


class Gap(NamedTuple):
    """Stands for sound that was lost: so many samples."""

    n_samples: int


Item = np.ndarray | Gap  # sound is (C, T)


class Feed:
    """Sound ``(C, T)``, and gaps in it, on their way from a source.

    Args:
        most: Items that may wait.
    """

    def __init__(self, most: int) -> None:
        self.closed = False
        self._queue: queue.Queue[Item | None] = queue.Queue(most)
        self._error: AudioError | None = None

    def put(self, wav: np.ndarray) -> None:
        """Add sound; waits while the queue is full, and gives it up when the feed is closed."""
        self._put(wav)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    def offer(self, item: Item) -> bool:
        """Add sound or a gap if there is room; whether there was."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def end(self) -> None:
        """Nothing follows."""
        self._put(None)

    def fail(self, error: AudioError) -> None:
        """Nothing follows, for a reason."""
        self._error = error
        self._put(None)

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    def sounds(self, stopped: Callable[[], bool]) -> Iterator[Item]:
        """What arrives, until it ends or ``stopped`` says so; what waits by then is given, too.

        Raises:
            AudioError: What the source failed with, after all that it gave.
        """
        while True:
            self.closed = self.closed or stopped()
            try:
                item = self._queue.get(block=not self.closed, timeout=POLL_SEC)
            except queue.Empty:
                if self.closed:
                    return
                continue
            if item is None:
                if self._error is not None:
                    raise self._error
                return
            yield item

    def _put(self, item: Item | None) -> None:
        while not self.closed:
            try:
                self._queue.put(item, timeout=POLL_SEC)
            except queue.Full:
                continue
            return
