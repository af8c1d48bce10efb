"""A live stream through a joint model: the chain of ``separate`` with other windows.

Downmix, resampling, full band and the complementary stem are those of
:class:`~asteroid_joint.inference.stream.StreamSeparator`. Added here are the windows of
:class:`~asteroid_joint.apps.live.plan.LivePlan`, and pitch that is decoded window by window.

The stems of two blocks are cross-faded: the end of a window, which is its lookahead, fades into the
next. Butt-joined, they would have a step at every border.

Nothing is held back to judge DC and downmix: a voice out of phase is heard up to half a second
after its first sound.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...dsp.overlap_add import CrossFader, Window, WindowPlan
from ...dsp.roles import VOICE
from ...inference.fast.runner import Runner
from ...inference.knobs import KnobbedRows, PitchKnobs, tuned_runner
from ...inference.stream import Chunk, StreamSeparator, Windowing, WindowRunner
from .plan import LivePlan

if TYPE_CHECKING:
    from ...models.base import JointModel


class LiveWindows(Windowing):
    """One window per block, cut as soon as its lookahead is complete; counts the joined ones.

    Args: see :class:`LiveSeparator`.
    """

    def __init__(self, runner: Runner, plan: LivePlan, decoder: str) -> None:
        self.n_blocks = 0
        self._runner, self._plan, self._decoder = runner, plan, decoder
        self._held = np.zeros((runner.in_channels, 0), np.float32)
        self._held_from = 0  # position of the first held sample
        self._next = 0  # start of the next block
        self._next_frame = 0
        # a window is final up to its lookahead, or up to the fade where that is longer
        outer = max(plan.lookahead - plan.fade, 0)
        self._fader = CrossFader(
            WindowPlan(plan.block, outer, plan.fade, plan.hop_length, 0, plan.hop_length),
            runner.library,
        )

    def cut(self, samples: np.ndarray) -> Iterator[Window]:
        plan = self._plan
        self._held = np.concatenate([self._held, samples], 1)
        while self._held_from + self._held.shape[1] >= self._next + plan.block + plan.lookahead:
            end = self._next + plan.block + plan.lookahead - self._held_from
            yield Window(self._held_from, self._held[:, :end].copy(), False)
            self._next += plan.block
            keep = max(self._held_from, self._next - plan.context)
            self._held = self._held[:, keep - self._held_from :].copy()
            self._held_from = keep

    def cut_rest(self) -> Window:
        return Window(self._held_from, self._held, True)

    def join(self, window: Window, sources: np.ndarray) -> np.ndarray:
        return self._fader.push(window.start, sources, window.last)

    def rows(
        self, window: Window, logits: np.ndarray, activity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.n_blocks += 1
        grid, hop = self._runner.pitch_grid, self._plan.hop_length
        n_samples = window.samples.shape[1]
        end = grid.n_frames(n_samples)
        if not window.last:
            end = (n_samples - self._plan.lookahead) // hop
        offset = window.start // hop
        block = slice(self._next_frame - offset, end)
        time = grid.frame_to_sec(np.arange(self._next_frame, offset + end))
        self._next_frame = offset + end
        rows, active = np.zeros((0, 4)), np.zeros((0, 2))
        if len(logits) and len(time):
            f0 = self._runner.decode_pitch(logits, self._decoder)
            rows = np.stack([time, *(field[block] for field in f0)], 1)
        if len(activity):
            active = np.stack([time, activity[block]], 1)
        return rows, active


class LiveSeparator(StreamSeparator):
    """Push a live stream, receive F0 and stems with bounded latency.

    The output does not depend on how the signal was divided for pushing. Memory use is that of one
    window, however long the stream is.

    Args:
        model: Any joint model; it runs on the device of its weights.
        sample_rate: Sample rate of the stream in Hz.
        n_channels: Number of channels of the stream.
        plan: Lengths of the windows; by default :meth:`LivePlan.of` the model.
        decoder: Name in ``DECODERS``; it sees the whole window including the lookahead.
        knobs: What to change of F0. A hop of its own delays F0 by up to a frame of the model.

    Attributes:
        plan: Lengths of the windows.
        voice: Index of the voice in ``Chunk.stems``.

    Example:
        >>> import numpy as np
        >>> from asteroid_joint import DJCM
        >>> model = DJCM.from_preset("tiny")
        >>> stream = LiveSeparator(model, 16000, 1, LivePlan.of(model, 0.2, 0.1))
        >>> [len(stream.push(np.zeros((1, 1600), np.float32)).f0) for _ in range(6)]
        [0, 0, 10, 0, 10, 0]
    """

    def __init__(
        self,
        model: "Runner | JointModel",
        sample_rate: int,
        n_channels: int,
        plan: LivePlan | None = None,
        *,
        decoder: str = "argmax",
        knobs: PitchKnobs | None = None,
    ) -> None:
        knobs = knobs or PitchKnobs()
        runner = tuned_runner(model, knobs)
        self.plan = plan = plan or LivePlan.of(runner)
        self.voice = runner.sources.index(VOICE)
        self._windows = LiveWindows(runner, plan, decoder)
        self._rows, self._rate = KnobbedRows(knobs), sample_rate
        form = model, sample_rate, n_channels, plan
        self._again = partial(LiveSeparator, *form, decoder=decoder, knobs=knobs)
        super().__init__(
            runner, sample_rate, n_channels, batch_size=1, windowing=self._windows, look_ahead=0
        )

    def push(self, block: np.ndarray) -> Chunk:
        """See :meth:`StreamSeparator.push`; F0 is as the knobs say."""
        chunk = super().push(block)
        return chunk._replace(f0=self._rows.push(chunk.f0))

    def finish(self) -> Chunk:
        """See :meth:`StreamSeparator.finish`."""
        chunk = super().finish()
        rows = self._rows.push(chunk.f0)
        rest = self._rows.finish(self._n_samples / self._rate)
        return chunk._replace(f0=np.concatenate([rows, rest]))

    @property
    def n_blocks(self) -> int:
        """Number of blocks that the model has processed."""
        return self._windows.n_blocks

    def warm_up(self) -> None:
        """Run the model once on noise: the first run is slow and would delay the stream."""
        n_samples = self.plan.context + self.plan.block + self.plan.lookahead
        shape = int(self.model.in_channels), n_samples
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, shape).astype(np.float32)
        list(WindowRunner(self.model, 1).push([Window(0, noise, True)]))

    def again(self) -> "LiveSeparator":
        """A new separator with the same settings, for the sound after a gap."""
        return self._again()
