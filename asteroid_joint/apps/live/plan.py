"""How a live stream is cut: blocks, what the model sees around each, and the latency that follows.

The model of this module is a cut by time alone. Block ``k`` is worked on as soon as ``lookahead``
seconds beyond its end have arrived; the model then sees

    context before | block k | lookahead

and what it says of the middle is given out. It is always a whole pass over a short recording, so
any model will do, also one whose layers run backwards in time. A sample waits for the rest of its
block and for the lookahead, hence

    latency of F0    = block + lookahead
    latency of stems = block + max(lookahead, fade)

plus computing. Where the input is not at the model's rate, resampling adds 0.04 s to F0 and, with
the full-band filter, 0.12 s to stems; that filter alone, for channels that the model does not have,
0.06 s. The centring of the model's STFT costs nothing further: frames at the end of a block reach
half a transform into the lookahead. With less lookahead than that they see their own mirror image
there, as at the end of a file.

Work per second of sound is (context + block + lookahead) / block passes over that second.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from ...models.base import JointModel

# Chosen on MIR-1K's validation side (benchmarks/live.py, five clips): against whole clips overall
# accuracy loses 0.6 points with these, 1.9 with a lookahead of 0.1. With blocks of 0.3 and 2.4 of
# context (four clips) it loses 4.1 without a lookahead, 0.5 with one of 0.5. NSDR loses nothing
# from a lookahead of 0.1 on.
BLOCK_SEC = 0.2  # seconds
LOOKAHEAD_SEC = 0.2  # seconds
CONTEXT_SEC = 1.6  # seconds
FADE_SEC = 0.02  # seconds; of the cross-fade between the stems of two blocks
MOST_SEC = 60.0  # seconds; of each of the three: what is more is a song, not a stream


@dataclass(frozen=True)
class LivePlan:
    """Sizes in samples at the model's rate.

    Attributes:
        context: What the model sees before a block, at most.
        block: What is given out at a time.
        lookahead: What the model sees after a block.
        fade: Of the cross-fade between the stems of two blocks.
        hop_length: Distance of two frames.
        sample_rate: Of the model, Hz.

    Example:
        >>> from asteroid_joint import DJCM
        >>> plan = LivePlan.of(DJCM.from_preset("tiny"), block_sec=0.25, lookahead_sec=0.3)
        >>> plan.block, plan.f0_latency_sec, plan.stem_latency_sec
        (4160, 0.56, 0.56)
    """

    context: int
    block: int
    lookahead: int
    fade: int
    hop_length: int
    sample_rate: int

    @classmethod
    def of(
        cls,
        model: "JointModel",
        block_sec: float = BLOCK_SEC,
        lookahead_sec: float = LOOKAHEAD_SEC,
        context_sec: float = CONTEXT_SEC,
    ) -> "LivePlan":
        """Round seconds to what the model can do.

        Args:
            model: Blocks and context are rounded up to whole frames of it, and to its
                ``window_multiple``; the lookahead can be any number of samples.
            block_sec: Seconds.
            lookahead_sec: Seconds; 0 is allowed.
            context_sec: Seconds.

        Raises:
            ConfigError: If one of them is negative, longer than a minute, or but for the lookahead
                zero.
        """
        sizes = {"block": block_sec, "lookahead": lookahead_sec, "context": context_sec}
        for name, seconds in sizes.items():
            if not 0 <= seconds <= MOST_SEC or (seconds == 0 and name != "lookahead"):
                least = "from 0" if name == "lookahead" else "above 0 and"
                raise ConfigError(
                    f"--{name} is in seconds, {least} up to {MOST_SEC:g}; received {seconds:g}."
                )
        rate, hop = int(model.sample_rate), model.pitch_grid.hop_length
        grain = math.lcm(hop, model.window_multiple)

        def whole(seconds: float) -> int:
            return -(-round(seconds * rate) // grain) * grain or grain

        block = whole(block_sec)
        return cls(
            context=whole(context_sec),
            block=block,
            lookahead=round(lookahead_sec * rate),
            fade=min(round(FADE_SEC * rate), block),
            hop_length=hop,
            sample_rate=rate,
        )

    @property
    def f0_latency_sec(self) -> float:
        """Longest wait of a frame, computing and resampling apart, seconds."""
        return (self.block + self.lookahead) / self.sample_rate

    @property
    def stem_latency_sec(self) -> float:
        """Longest wait of a sample of a stem at the model's rate, computing apart, seconds."""
        return (self.block + max(self.lookahead, self.fade)) / self.sample_rate
