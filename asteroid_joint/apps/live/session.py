"""A live stream from its first sample to its last: source, model, outputs and messages."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

PUSH_SEC = 0.01  # seconds; short pushes, so that a block starts as soon as it is complete
LOUDEST = 1e4  # largest plausible sample; full scale is 1
Say = Callable[[str], None]


class Source(Protocol):
    """Source of sound: :class:`PcmInput` or :class:`SoundCard`."""

    name: str
    kind: PcmKind
    feed: Feed
    warning: str | None
    hint: str  # what to do about invalid samples

    def start(self) -> None:
        """Start delivering sound."""

    def close(self) -> None:
        """Stop delivering sound."""


class Stop:
    """Whether the stream should stop, and the reason in words."""

    def __init__(self) -> None:
        self.reason = ""

    def __call__(self) -> bool:
        return bool(self.reason)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop on SIGINT or SIGTERM; a second signal has its usual effect."""
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
    """Process sound until it ends, ``stop`` becomes true or the reader of an output closes it.

    Args:
        separator: A fresh separator; it cannot be used again.
        source: Source of the sound, started and closed here.
        outputs: Open outputs; the caller closes them.
        say: Receives messages for the user, during the stream and at its end.
        stop: Ends the stream as the end of the input does: received sound is still processed.

    Returns:
        Latency and speed.

    Raises:
        AudioError: If the source fails or an output cannot be written, after the summary.
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


@dataclass
class _Session:
    """Feeds a separator and writes what it returns; see :func:`run_session`."""

    separator: LiveSeparator
    source: Source
    outputs: Outputs
    say: Say
    meter: Meter
    began_sec: float = 0.0  # sound that earlier separators received
    gaps_sec: float = 0.0
    n_given: int = 0  # samples of the voice that this separator has returned
    warned_slow: bool = False
    warned_lost: bool = False

    def __post_init__(self) -> None:
        self.rate = self.source.kind.sample_rate
        self.step = max(round(PUSH_SEC * self.rate), 1)

    def take(self, item: Item) -> None:
        """Process sound or a gap."""
        if isinstance(item, Gap):
            self._pass(item.n_samples)
            return
        for at in range(0, item.shape[1], self.step):
            samples = item[:, at : at + self.step]
            self._check(samples)
            self.meter.receive(samples.shape[1] / self.rate)
            self._give(self._timed(partial(self.separator.push, samples)))
        self._warn()

    def finish(self) -> None:
        """Process the sound that is still waiting for more."""
        if self.meter.received_sec > self.began_sec:
            self._give(self._timed(self.separator.finish), last=True)

    def _pass(self, n_samples: int) -> None:
        """Write a gap: no F0 lines and a silent voice; then continue with a new separator."""
        self.finish()
        self.separator = self.separator.again()
        self.n_given = 0
        self.began_sec = self.meter.received_sec
        self.gaps_sec += n_samples / self.rate
        if self.outputs.voice is not None:
            n_channels = self.source.kind.n_channels
            for at in range(0, n_samples, self.rate):
                n = min(self.rate, n_samples - at)
                self.outputs.voice.write(np.zeros((n_channels, n)))

    def _check(self, samples: np.ndarray) -> None:
        good = (np.abs(samples) <= LOUDEST).all(0)  # false for NaN, too
        if not good.all():
            at_sec = self.meter.received_sec + self.gaps_sec + int(np.argmin(good)) / self.rate
            raise AudioError(
                f"At {at_sec:.3f} s, {self.source.name} has an invalid sample (NaN, infinite or "
                f"far above full scale): {self.source.hint}."
            )

    def _timed(self, work: Callable[[], Chunk]) -> Chunk:
        before = self.separator.n_blocks
        started = time.perf_counter()
        chunk = work()
        n_blocks = self.separator.n_blocks - before
        if n_blocks:
            self.meter.count(time.perf_counter() - started, n_blocks)
        return chunk

    def _give(self, chunk: Chunk, last: bool = False) -> None:
        """Write results; the last ones do not count as latency."""
        if self.outputs.f0 is not None and len(chunk.f0):
            rows = chunk.f0 + (self.began_sec, 0, 0, 0)
            if not last:
                self.meter.give_f0(float(rows[0, 0]))
            self.outputs.f0.write(rows + (self.gaps_sec, 0, 0, 0))
        n_samples = chunk.mixture.shape[1]
        if self.outputs.voice is not None and n_samples:
            if not last:
                self.meter.give_voice(self.began_sec + self.n_given / self.rate)
            self.outputs.voice.write(chunk.stems[self.separator.voice])
            self.n_given += n_samples

    def _warn(self) -> None:
        factor = self.meter.recent_factor
        if factor > 1 and not self.warned_slow:
            self.warned_slow = True
            self.say(
                f"this machine needs {factor:.2f} s for a second of sound and falls behind: raise "
                f"--block (now {self.meter.block_sec:.2f}), or lower --context or --lookahead."
            )
        if _lost(self.source) and not self.warned_lost:
            self.warned_lost = True
            self.say(f"sound was lost at {self.meter.received_sec:.1f} s: {_lost(self.source)}.")

    def summary(self, reason: str) -> None:
        """Report how the stream went."""
        meter, source = self.meter, self.source
        self.say(
            f"received {meter.received_sec:.1f} s in {meter.computing.n} blocks of "
            f"{meter.block_sec:.2f} s; {reason}."
        )
        if meter.computing.n:
            self.say(f"{meter.latency()}; real-time factor {meter.real_time_factor:.2f}.")
        if meter.real_time_factor > 1:
            self.say("this is slower than real time: part of a live input would have been lost.")
        if _lost(source):
            self.say(f"sound was lost: {_lost(source)}.")
        if source.warning:
            self.say(source.warning)


def _lost(source: Source) -> str:
    """Sound that a sound card lost, in words; empty if none."""
    n_lost, n_overruns = getattr(source, "n_lost", 0), getattr(source, "n_overruns", 0)
    parts = []
    if n_lost:
        seconds = n_lost / source.kind.sample_rate
        parts.append(f"{seconds:.2f} s arrived faster than they were processed")
    if n_overruns:
        parts.append(f"the sound card reported {n_overruns} overruns of unknown length")
    return "; ".join(parts)
