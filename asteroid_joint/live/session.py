"""One live stream from its first sample to its last: source, model, outputs, and what is said."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..errors import AudioError
from ..streaming import Chunk
from .engine import LiveSeparator
from .feed import Feed
from .meter import Meter
from .outputs import Gone, Outputs
from .pcm import PcmKind

PIECE_SEC = 0.01  # seconds; what is pushed at a time, so that a block begins when it can
Say = Callable[[str], None]


class Source(Protocol):
    """Where sound comes from: :class:`PcmInput` or :class:`SoundCard`."""

    name: str
    kind: PcmKind
    feed: Feed
    warning: str | None

    def start(self) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class Stop:
    """Whether somebody asked to stop, by a signal or otherwise; and why, in words."""

    def __init__(self) -> None:
        self.reason = ""

    def __call__(self) -> bool:
        return bool(self.reason)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask to stop; a second one ends the process as it did before."""
        numbers = (signal.SIGINT, signal.SIGTERM)

        def ask(number: int, _frame: Any) -> None:
            self.reason = f"stopped by {signal.Signals(number).name}"
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield
        finally:
            restore()


def run_session(
    separator: LiveSeparator, source: Source, outputs: Outputs, say: Say, stop: Stop
) -> Meter:
    """Take sound until it ends, somebody stops it or nobody listens any more.

    Args:
        separator: The chain; used up afterwards.
        source: Is started and closed here.
        outputs: Are written here and closed by the caller.
        say: Gets sentences for the user, while it runs and at the end.
        stop: Ends the stream as if the sound had ended: what was heard is finished.

    Returns:
        What was measured.

    Raises:
        AudioError: If the source fails or an output cannot be written; the summary has been said.
    """
    plan = separator.plan
    meter = Meter(plan.block / plan.sample_rate)
    session = _Session(separator, source, outputs, say, meter)
    source.start()
    try:
        for wav in source.feed.sounds(stop):
            session.take(wav)
        reason = stop.reason or "the input ended"
        session.finish()
    except Gone as gone:
        reason = str(gone)
    except AudioError:
        reason = "it failed"
        raise
    finally:
        source.close()
        session.summary(reason)
    return meter


class _Session:
    def __init__(
        self,
        separator: LiveSeparator,
        source: Source,
        outputs: Outputs,
        say: Say,
        meter: Meter,
    ) -> None:
        self._separator = separator
        self._source = source
        self._outputs = outputs
        self._say = say
        self._meter = meter
        self._voice = separator.voice
        self._n_given = 0  # samples of the voice
        self._step = max(round(PIECE_SEC * source.kind.sample_rate), 1)
        self._warned_slow = self._warned_lost = False

    def take(self, wav: np.ndarray) -> None:
        """Work on ``(C, T)``."""
        for at in range(0, wav.shape[1], self._step):
            piece = wav[:, at : at + self._step]
            self._meter.hear(piece.shape[1] / self._source.kind.sample_rate)
            self._give(self._timed(partial(self._separator.push, piece)))
        self._warn()

    def finish(self) -> None:
        """Work on what waits for more."""
        if self._meter.heard_sec:
            self._give(self._timed(self._separator.finish), last=True)

    def _timed(self, work: Callable[[], Chunk]) -> Chunk:
        before = self._separator.n_blocks
        started = time.perf_counter()
        chunk = work()
        n_blocks = self._separator.n_blocks - before
        if n_blocks:
            self._meter.count(time.perf_counter() - started, n_blocks)
        return chunk

    def _give(self, chunk: Chunk, last: bool = False) -> None:
        """Write what is final; the end, which waits for nothing, does not count as latency."""
        if self._outputs.f0 is not None and len(chunk.f0):
            if not last:
                self._meter.give_f0(float(chunk.f0[0, 0]))
            self._outputs.f0.write(chunk.f0)
        n_samples = chunk.mixture.shape[1]
        if self._outputs.voice is not None and n_samples:
            if not last:
                self._meter.give_voice(self._n_given / self._source.kind.sample_rate)
            self._outputs.voice.write(chunk.stems[self._voice])
            self._n_given += n_samples

    def _warn(self) -> None:
        factor = self._meter.recent_factor
        if factor > 1 and not self._warned_slow:
            self._warned_slow = True
            self._say(
                f"this machine needs {factor:.2f} s for a second of sound and falls behind: raise "
                f"--block (now {self._meter.block_sec:.2f}), or lower --context or --lookahead."
            )
        if _lost(self._source) and not self._warned_lost:
            self._warned_lost = True
            self._say(f"sound was lost at {self._meter.heard_sec:.1f} s: {_lost(self._source)}.")

    def summary(self, reason: str) -> None:
        """Say how it was."""
        meter, source = self._meter, self._source
        self._say(
            f"heard {meter.heard_sec:.1f} s in {meter.computing.n} blocks of "
            f"{meter.block_sec:.2f} s; {reason}."
        )
        if meter.computing.n:
            self._say(f"{meter.latency()}; real-time factor {meter.real_time_factor:.2f}.")
        if meter.real_time_factor > 1:
            self._say("this is slower than real time: a live source would have been lost in part.")
        if _lost(source):
            self._say(f"sound was lost: {_lost(source)}.")
        if source.warning:
            self._say(source.warning)


def _lost(source: Source) -> str:
    """What a sound card lost, in words; empty for nothing."""
    n_lost, n_overruns = getattr(source, "n_lost", 0), getattr(source, "n_overruns", 0)
    parts = []
    if n_lost:
        seconds = n_lost / source.kind.sample_rate
        parts.append(f"{seconds:.2f} s came faster than they were worked on and became silence")
    if n_overruns:
        parts.append(f"{n_overruns} overruns in the sound card, of unknown length")
    return "; ".join(parts)
