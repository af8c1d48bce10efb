"""Streaming overlap-add: long signals are cut into windows, their results are joined.

The outer ends of neighbouring windows are discarded, as the model has little context there. The
rest is joined in the middle of the overlap: samples by a cross-fade with weights that add up to
one, frames by switching. Every window starts at a multiple of the pitch hop, so frame ``n`` of a
window is frame ``start / hop + n`` of the signal.

For a model with bounded context, enough can be discarded that the rest is the same in both windows:
there is no fade, and the result equals one pass over the whole signal (:meth:`WindowPlan.exact`).

A signal of up to one window is one window: the result is the model's own, sample for sample.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SHORTEST = 0.4  # smallest length of the last window, relative to the others


@dataclass(frozen=True)
class WindowPlan:
    """Sizes of windows in samples; windows and what is kept of them start and end at frames.

    Attributes:
        length: Length of a window.
        outer: Discarded at either end that has a neighbour.
        fade: Length of the cross-fade; 0 for none.
        multiple: Window starts are multiples of this.
        shortest: The last window starts early enough to be at least this long.
        hop_length: Distance of two frames.
    """

    length: int
    outer: int
    fade: int
    multiple: int
    shortest: int
    hop_length: int

    @classmethod
    def in_seconds(
        cls, window_sec: float, overlap_sec: float, sample_rate: int, multiple: int = 1
    ) -> "WindowPlan":
        """Cross-faded windows of about the given sizes; ``multiple`` is the frames' hop length.

        A quarter of the overlap is discarded on either side, the middle half is cross-faded.

        Raises:
            ValueError: If a window is shorter than twice the overlap.
        """
        if window_sec < 2 * overlap_sec or overlap_sec < 0:
            raise ValueError(
                f"A window ({window_sec} s) must be at least twice the overlap ({overlap_sec} s)."
            )
        quarter = -(-int(overlap_sec * sample_rate) // (4 * multiple)) * multiple
        length = -(-int(window_sec * sample_rate) // multiple) * multiple
        length = max(length, 8 * quarter, multiple)
        shortest = max(4 * quarter, int(SHORTEST * length))
        return cls(length, quarter, 2 * quarter, multiple, shortest, multiple)

    @classmethod
    def exact(cls, length: int, context: int, multiple: int, hop_length: int) -> "WindowPlan":
        """Windows without a fade, for a model with bounded context.

        Args:
            length: Approximate length in samples; increased if little but context would fit.
            context: Samples on either side that an output can depend on.
            multiple: Shift in samples to which the model is equivariant.
            hop_length: Distance of two frames in samples.
        """
        grain = math.lcm(multiple, hop_length)
        outer = -(-context // grain) * grain
        length = max(-(-length // grain) * grain, 2 * outer + grain)
        return cls(length, outer, 0, grain, 2 * outer, hop_length)

    @property
    def overlap(self) -> int:
        """Samples that two neighbouring windows share."""
        return 2 * self.outer + self.fade

    @property
    def step(self) -> int:
        """Distance of two windows in samples."""
        return self.length - self.overlap


class Window(NamedTuple):
    """``samples (C, T)`` from sample ``start`` on; ``last`` if the signal ends with them."""

    start: int
    samples: np.ndarray
    last: bool


class WindowCutter:
    """Cuts a stream ``(C, T)`` into windows; buffers about one window."""

    def __init__(self, plan: WindowPlan, n_channels: int) -> None:
        self.plan = plan
        self._held = np.zeros((n_channels, 0), np.float32)
        self._held_from = 0  # position of the first buffered sample
        self._next = 0  # start of the next window

    def push(self, samples: np.ndarray) -> Iterator[Window]:
        """Add ``(C, T)``; yields the windows that are complete and not the last one."""
        plan = self.plan
        self._held = np.concatenate([self._held, samples], 1)
        # one multiple more, so that the last window never starts where this one does
        while self._held_from + self._held.shape[1] >= self._next + plan.length + plan.multiple:
            at = self._next - self._held_from
            yield Window(self._next, self._held[:, at : at + plan.length].copy(), False)
            self._next += plan.step
            # the signal may end here; the last window would then start earlier
            keep = (self._next + plan.overlap - plan.shortest) // plan.multiple * plan.multiple
            keep = max(self._held_from, keep)
            self._held = self._held[:, keep - self._held_from :].copy()
            self._held_from = keep

    def finish(self) -> Window:
        """The last window, of ``shortest`` to ``length + multiple`` samples if there are enough."""
        end = self._held_from + self._held.shape[1]
        start = max(self._held_from, min(self._next, end - self.plan.shortest))
        start = start // self.plan.multiple * self.plan.multiple
        return Window(start, self._held[:, start - self._held_from :], True)


class CrossFader:
    """Joins the results of consecutive windows, ``(..., T)`` each, into one stream.

    Args:
        plan: Sizes of the windows.
        library: ``numpy`` or ``torch``, which computes the weights.
    """

    def __init__(self, plan: WindowPlan, library: Any = np) -> None:
        self.plan = plan
        ramp = (library.arange(plan.fade) + 0.5) / max(plan.fade, 1)
        rise = library.sin(0.5 * np.pi * ramp) ** 2  # plus its mirror image = 1
        self._rise = np.asarray(rise, np.float32)
        self._tail: np.ndarray | None = None
        self._position = 0  # of the next sample to return

    def push(self, start: int, samples: np.ndarray, last: bool) -> np.ndarray:
        """Add a window that starts at ``start``; returns what is final, ``(..., T)``."""
        first = self._position - start
        end = samples.shape[-1] - (0 if last else self.plan.outer + self.plan.fade)
        out = samples[..., first:end].copy()
        if self._tail is not None:
            n = self._tail.shape[-1]
            out[..., :n] = self._tail * (1 - self._rise) + out[..., :n] * self._rise
        self._tail = None if last else samples[..., end : end + self.plan.fade].copy()
        self._position = start + end
        return out


class FrameJoiner:
    """Joins frames ``(N, ...)`` of consecutive windows, switching in the middle of overlaps."""

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self._next = 0  # frame

    def push(self, start: int, n_samples: int, frames: np.ndarray, last: bool) -> np.ndarray:
        """Add the frames of a window of ``n_samples``; returns those that are final."""
        offset = start // self.plan.hop_length
        end = frames.shape[0]
        if not last:
            end = (n_samples - self.plan.overlap // 2) // self.plan.hop_length
        out = frames[self._next - offset : end]
        self._next = offset + end
        return out


class SampleQueue:
    """First-in, first-out buffer of samples ``(C, T)``."""

    def __init__(self, n_channels: int) -> None:
        self._empty = np.zeros((n_channels, 0), np.float32)
        self._blocks: list[np.ndarray] = []
        self._n_samples = 0

    def __len__(self) -> int:
        return self._n_samples

    def push(self, samples: np.ndarray) -> None:
        """Add ``(C, T)``."""
        self._blocks.append(samples)
        self._n_samples += samples.shape[1]

    def pad(self, n_samples: int) -> None:
        """Add silence until it contains ``n_samples``."""
        self.push(np.zeros((len(self._empty), max(0, n_samples - len(self))), np.float32))

    def take(self, n_samples: int) -> np.ndarray:
        """Remove the oldest ``n_samples``, ``(C, n_samples)``."""
        if n_samples == 0:
            return self._empty
        held = np.concatenate(self._blocks, 1)
        self._blocks = [held[:, n_samples:].copy()]
        self._n_samples -= n_samples
        return held[:, :n_samples]
