"""From the thread that records to the thread that separates: a queue of bounded length."""

import queue
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ...errors import AudioError

POLL_SEC = 0.1  # seconds; the longest time that a request to stop waits while nothing arrives


class Gap(NamedTuple):
    """Stands for this many samples of lost sound."""

    n_samples: int


Item = np.ndarray | Gap  # sound is (C, T)


class Feed:
    """Sound ``(C, T)``, and gaps in it, on their way from a source.

    Args:
        most: Largest number of items in the queue.
    """

    def __init__(self, most: int) -> None:
        self.closed = False
        self._queue: queue.Queue[Item | None] = queue.Queue(most)
        self._error: AudioError | None = None

    @property
    def idle(self) -> bool:
        """Whether the queue is empty."""
        return self._queue.empty()

    def put(self, item: Item | None) -> None:
        """Add an item, ``None`` for the end; waits while the queue is full and the feed is open."""
        while not self.closed:
            try:
                self._queue.put(item, timeout=POLL_SEC)
            except queue.Full:
                continue
            return

    def offer(self, item: Item) -> bool:
        """Add an item if there is room for it; returns whether there was."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def end(self, error: AudioError | None = None) -> None:
        """Nothing follows, because of ``error`` if there is one."""
        self._error = error
        self.put(None)

    def close(self) -> None:
        """Accept nothing more."""
        self.closed = True

    def sounds(self, stopped: Callable[[], bool]) -> Iterator[Item]:
        """Yield items until they end or ``stopped`` returns true, then those still in the queue.

        Raises:
            AudioError: The error of the source, after everything that it delivered.
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
