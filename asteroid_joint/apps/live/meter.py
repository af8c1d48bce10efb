"""Latency of the results and whether the machine keeps up, in constant memory."""

import math
from collections import Counter, deque

STEP = 1.02  # ratio of two neighbouring bins of the histogram
LEAST_SEC = 1e-6  # seconds; shorter times share a bin
RECENT_SEC = 5.0  # seconds of sound over which falling behind is judged


class Durations:
    """Quantiles of any number of durations to within 2 %, and the exact maximum.

    Example:
        >>> durations = Durations()
        >>> for sec in (0.1, 0.1, 0.1, 0.5):
        ...     durations.add(sec)
        >>> round(durations.quantile(0.5), 2), durations.most
        (0.1, 0.5)
    """

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self.most = 0.0
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Add a duration."""
        self.n += 1
        self.total += seconds
        self.most = max(self.most, seconds)
        self._bins[round(math.log(max(seconds, LEAST_SEC), STEP))] += 1

    def quantile(self, part: float) -> float:
        """Quantile, seconds, of a part from 0 to 1; 0 without durations."""
        n_below = 0
        for index, count in sorted(self._bins.items()):
            n_below += count
            if n_below >= part * self.n:
                return min(STEP**index, self.most)
        return 0.0


class Meter:
    """Latency and speed of a live stream.

    Args:
        block_sec: Length of a block, seconds.

    Attributes:
        received_sec: Length of the sound received, seconds.
        computing: Computing times of blocks.
        f0_wait_sec: Longest time from a frame's centre to its line, without computing: measured in
            received sound, which includes resampling.
        voice_wait_sec: The same from an input sample to its sample of the voice.
    """

    def __init__(self, block_sec: float) -> None:
        self.block_sec = block_sec
        self.received_sec = 0.0
        self.computing = Durations()
        self.f0_wait_sec = self.voice_wait_sec = 0.0
        self._recent: deque[float] = deque(maxlen=max(math.ceil(RECENT_SEC / block_sec), 2))

    def receive(self, seconds: float) -> None:
        """Count sound that was received."""
        self.received_sec += seconds

    def count(self, computing_sec: float, n_blocks: int) -> None:
        """Count blocks that were finished together."""
        for _ in range(n_blocks):
            self.computing.add(computing_sec / n_blocks)
            self._recent.append(computing_sec / n_blocks)

    def give_f0(self, time_sec: float) -> None:
        """Count F0 rows that were written, the first of them at ``time_sec``."""
        self.f0_wait_sec = max(self.f0_wait_sec, self.received_sec - time_sec)

    def give_voice(self, time_sec: float) -> None:
        """Count samples of the voice that were written, the first of them at ``time_sec``."""
        self.voice_wait_sec = max(self.voice_wait_sec, self.received_sec - time_sec)

    @property
    def real_time_factor(self) -> float:
        """Computing time over length of the sound; above 1, the machine cannot keep up."""
        return self.computing.total / self.received_sec if self.received_sec else 0.0

    @property
    def recent_factor(self) -> float:
        """Real-time factor of the last ``RECENT_SEC``; 0 until that much was received."""
        if len(self._recent) < (self._recent.maxlen or 0):
            return 0.0
        return sum(self._recent) / len(self._recent) / self.block_sec

    def latency(self) -> str:
        """Latency in words."""
        waits = [("F0", self.f0_wait_sec), ("voice", self.voice_wait_sec)]
        known = ", ".join(f"{name} {sec:.2f} s" for name, sec in waits if sec)
        computing = self.computing
        return (
            f"latency of the windows: {known or 'unknown'}; of computing: median "
            f"{computing.quantile(0.5):.3f} s, 95 % below {computing.quantile(0.95):.3f} s, "
            f"at most {computing.most:.3f} s"
        )
