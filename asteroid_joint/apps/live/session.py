"""One live stream from its first sample to its last: source, model, outputs, and what is said."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np

from ...errors import AudioError
from ...inference.stream import Chunk
from .feed import Feed, Gap, Item
from .meter import Meter
from .outputs import Gone, Outputs
from .pcm import PcmKind
from .separator import LiveSeparator

PUSH_SEC = 0.01  # seconds; what is pushed at a time, so that a block begins when it can
LOUDEST = 1e4  # full scale is 1; what is above is not sound
Say = Callable[[str], None]


class Source(Protocol):
    """Where sound comes from: :class:`PcmInput` or :class:`SoundCard`."""

    name: str
    kind: PcmKind
    feed: Feed
    warning: str | None
    hint: str  # what to do about samples that are no sound

    def start(self) -> None:
        """Start to deliver sound."""

    def close(self) -> None:
        """Deliver no more."""


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
        stop: Ends the stream as if the sound had ended: what was received is finished.

    Returns:
        What was measured.

    Raises:
        AudioError: If the source fails or an output cannot be written; the summary has been said.
    """
    plan = separator.plan
    meter = Meter(plan.block / plan.sample_rate)
    session = _Session(separator, source, outputs, say, meter)
    source.start()
    reason = "it failed"
    try:
        for item in source.feed.sounds(stop):
            session.take(item)
        reason = stop.reason or "the input ended"
        session.finish()
    except Gone as gone:
        reason = str(gone)
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
        self._rate = source.kind.sample_rate
        self._step = max(round(PUSH_SEC * self._rate), 1)
        self._began_sec = 0.0  # sound that earlier chains were given
        self._gaps_sec = 0.0
        self._n_given = 0  # samples of the voice that this chain has given
        self._warned_slow = self._warned_lost = False

    def take(self, item: Item) -> None:
        """Work on sound, or pass a gap."""
        if isinstance(item, Gap):
            self._pass(item.n_samples)
            return
        for at in range(0, item.shape[1], self._step):
            samples = item[:, at : at + self._step]
            self._check(samples)
            self._meter.receive(samples.shape[1] / self._rate)
            self._give(self._timed(partial(self._separator.push, samples)))
        self._warn()

    def finish(self) -> None:
        """Work on what waits for more."""
        if self._meter.received_sec > self._began_sec:
            self._give(self._timed(self._separator.finish), last=True)

    def _pass(self, n_samples: int) -> None:
        """A gap: no lines, a silent voice, and a fresh chain afterwards."""
        self.finish()
        self._separator = self._separator.again()
        self._n_given = 0
        self._began_sec = self._meter.received_sec
        self._gaps_sec += n_samples / self._rate
        if self._outputs.voice is not None:
            n_channels = self._source.kind.n_channels
            for at in range(0, n_samples, self._rate):
                n = min(self._rate, n_samples - at)
                self._outputs.voice.write(np.zeros((n_channels, n)))

    def _check(self, samples: np.ndarray) -> None:
        good = (np.abs(samples) <= LOUDEST).all(0)  # false for NaN, too
        if not good.all():
            at_sec = self._meter.received_sec + self._gaps_sec + int(np.argmin(good)) / self._rate
            raise AudioError(
                f"At {at_sec:.3f} s {self._source.name} has a sample that is no sound (NaN, "
                f"infinite or far above full scale): {self._source.hint}."
            )

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
            rows = chunk.f0 + (self._began_sec, 0, 0, 0)
            if not last:
                self._meter.give_f0(float(rows[0, 0]))
            self._outputs.f0.write(rows + (self._gaps_sec, 0, 0, 0))
        n_samples = chunk.mixture.shape[1]
        if self._outputs.voice is not None and n_samples:
            if not last:
                self._meter.give_voice(self._began_sec + self._n_given / self._rate)
            self._outputs.voice.write(chunk.stems[self._separator.voice])
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
            self._say(f"sound was lost at {self._meter.received_sec:.1f} s: {_lost(self._source)}.")

    def summary(self, reason: str) -> None:
        """Say how it was."""
        meter, source = self._meter, self._source
        self._say(
            f"heard {meter.received_sec:.1f} s in {meter.computing.n} blocks of "
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
        parts.append(f"{seconds:.2f} s came faster than they were worked on")
    if n_overruns:
        parts.append(f"{n_overruns} overruns in the sound card, of unknown length")
    return "; ".join(parts)
