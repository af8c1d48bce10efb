"""Windows of a live stream: blocks, the signal around each that the model sees, and the latency.

Block ``k`` is processed once ``lookahead`` seconds beyond its end have arrived. The model sees

    context before | block k | lookahead

and its output for the block is used. This is a complete pass over a short recording, so every model
can be used, including bidirectional ones. A sample waits for the rest of its block and for the
lookahead, hence

    latency of F0    = block + lookahead
    latency of stems = block + max(lookahead, fade)

plus computing. If the input is not at the model's rate, resampling adds 0.04 s to F0 and, with the
full-band filter, 0.12 s to stems; that filter alone, for inputs with other channels than the
model's, 0.06 s. The centring of the model's STFT adds nothing: frames at the end of a block reach
half a transform into the lookahead, or see the reflected signal there, as at the end of a file.

Each second of sound passes through the model (context + block + lookahead) / block times.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from ...inference.fast.runner import Runner
    from ...models.base import JointModel

# Chosen on MIR-1K's validation side (benchmarks/live.py, five clips): compared with whole clips,
# overall accuracy drops by 0.6 points with these, by 1.9 with a lookahead of 0.1. With blocks of
# 0.3 and a context of 2.4 (four clips) it drops by 4.1 without lookahead, by 0.5 with one of 0.5.
# NSDR does not drop from a lookahead of 0.1 on.
BLOCK_SEC = 0.2  # seconds
LOOKAHEAD_SEC = 0.2  # seconds
CONTEXT_SEC = 1.6  # seconds
FADE_SEC = 0.02  # seconds; cross-fade between the stems of two blocks
MOST_SEC = 60.0  # seconds; limit of block, lookahead and context


@dataclass(frozen=True)
class LivePlan:
    """Lengths in samples at the model's rate.

    Attributes:
        context: Maximum of past samples that the model sees before a block.
        block: Samples that each run of the model adds to the output.
        lookahead: Future samples that the model sees after a block.
        fade: Cross-fade between the stems of two blocks.
        hop_length: Distance between two frames.
        sample_rate: Sample rate of the model in Hz.

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
        model: "Runner | JointModel",
        block_sec: float = BLOCK_SEC,
        lookahead_sec: float = LOOKAHEAD_SEC,
        context_sec: float = CONTEXT_SEC,
    ) -> "LivePlan":
        """Convert seconds to lengths that suit the model.

        Args:
            model: Block and context are rounded up to whole frames and to multiples of its
                ``window_multiple``; the lookahead can be any number of samples.
            block_sec: Seconds.
            lookahead_sec: Seconds; 0 is allowed.
            context_sec: Seconds.

        Raises:
            ConfigError: If one is negative, longer than a minute, or (except the lookahead) zero.
        """
        sizes = {"block": block_sec, "lookahead": lookahead_sec, "context": context_sec}
        for name, seconds in sizes.items():
            if not 0 <= seconds <= MOST_SEC or (seconds == 0 and name != "lookahead"):
                least = "from 0" if name == "lookahead" else "above 0 and"
                raise ConfigError(
                    f"--{name} is in seconds, {least} up to {MOST_SEC:g}, not {seconds:g}."
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
        """Latency of F0 without computing and resampling, seconds."""
        return (self.block + self.lookahead) / self.sample_rate

    @property
    def stem_latency_sec(self) -> float:
        """Latency of stems at the model's rate without computing, seconds."""
        return (self.block + max(self.lookahead, self.fade)) / self.sample_rate
