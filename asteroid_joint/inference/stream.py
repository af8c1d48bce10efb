"""A stream of audio blocks through a joint model: the chain behind ``separate``.

One class per stage, then the chain of them:

    block -> without DC -> downmix -> model's rate -> windows -> model -> cross-fade -> gate
    -> recording's rate -> (*)
    block -> wait for its estimate -> (*) -> full band -> stems

The stem ``accompaniment`` is by definition the recording minus the other stems and is computed that
way, so stems add up to the recording. Models without it have their stems written as estimated;
these add up if the model's do. A constant part (DC) of the recording goes to the accompaniment, or
else to the last stem that is not the voice.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ..dsp.downmix import DownmixFollower, downmix
from ..dsp.full_band import FullBand
from ..dsp.gate import GateRules, VoiceGate
from ..dsp.offset import OffsetFollower
from ..dsp.overlap_add import CrossFader, FrameJoiner, SampleQueue, Window, WindowCutter, WindowPlan
from ..dsp.roles import COMPLEMENT, VOICE, stem_index
from ..dsp.segments import LOOK_AHEAD, Follower, SegmentStream
from ..errors import ModelOutputError
from ..pitch.whole_song import WholeSongViterbi
from .fast.choice import as_runner
from .fast.runner import Runner
from .options import BATCH, DECODER, WINDOW_SEC

if TYPE_CHECKING:
    from ..models.base import JointModel

OVERLAP_SEC = 1.0  # seconds
CONTEXT_FRAMES = 128  # decoders see this many frames of context on either side


class Chunk(NamedTuple):
    """Results for a span of the recording; consecutive chunks have no gap between them.

    Attributes:
        mixture: ``(n_channels, n_samples)``, the recording.
        stems: ``(n_src, n_channels, n_samples)`` in the order of ``model.sources``.
        f0: ``(n_frames, 4)``: time in seconds, frequency in Hz, confidence, voiced (0 or 1). Its
            frames do not end with the samples of the same chunk.
        activity: ``(n_frames, 2)``: time in seconds, probability that somebody sings; see
            :meth:`JointModel.sung_probability`. Its frames need not end with those of ``f0``.
    """

    mixture: np.ndarray
    stems: np.ndarray
    f0: np.ndarray
    activity: np.ndarray = np.zeros((0, 2))


def plan_windows(model: "Runner | JointModel", window_sec: float) -> WindowPlan:
    """Windows of about ``window_sec``: cross-faded, or butt-joined if context is bounded.

    The latter are longer if the context would take more than half of them, or if the model requires
    it.
    """
    rate, hop_length = int(model.sample_rate), model.pitch_grid.hop_length
    if model.context_samples is None:
        return WindowPlan.in_seconds(window_sec, min(OVERLAP_SEC, window_sec / 4), rate, hop_length)
    length = max(int(window_sec * rate), 4 * model.context_samples, model.window_samples)
    return WindowPlan.exact(length, model.context_samples, model.window_multiple, hop_length)


class Resampler:
    """Streaming resampler of ``(C, T)``; passes samples through if the rates are equal."""

    def __init__(self, from_rate: int, to_rate: int, n_channels: int) -> None:
        import soxr

        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, n_channels, dtype="float32")
        self._n_channels = n_channels

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Add ``(C, T)``; returns finished samples, aligned with the input's first sample."""
        if self._stream is None:
            return samples
        chunk = np.ascontiguousarray(samples.T, dtype=np.float32)
        return self._stream.resample_chunk(chunk, last=last).reshape(-1, self._n_channels).T

    def finish(self) -> np.ndarray:
        """Return the remaining samples."""
        return self.push(np.zeros((self._n_channels, 0), np.float32), last=True)


class WindowRunner:
    """Runs windows through the model in batches.

    Its output for digital silence is replaced by silence without pitch.
    """

    def __init__(self, model: "Runner | JointModel", batch_size: int) -> None:
        self.runner = as_runner(model)
        self.batch_size = batch_size
        self.own_activity = False  # whether the model has an activity output: known after a run
        self._waiting: list[Window] = []

    def push(
        self, windows: Iterable[Window]
    ) -> Iterator[tuple[Window, np.ndarray, np.ndarray, np.ndarray]]:
        """Add windows; yields each with its results.

        Sources are ``(S, C, T)``, logits ``(N, P)``, activity ``(N,)``; outputs that the model
        lacks have no frames.
        """
        for window in windows:
            # the last window may have another length
            if self._waiting and window.samples.shape != self._waiting[0].samples.shape:
                yield from self._run()
            self._waiting.append(window)
            if len(self._waiting) == self.batch_size or window.last:
                yield from self._run()

    def _run(self) -> list[tuple[Window, np.ndarray, np.ndarray, np.ndarray]]:
        windows, self._waiting = self._waiting, []
        wav = np.stack([w.samples for w in windows])  # (B, C, T)
        silent = (wav == 0).all((1, 2))  # (B,)
        sources, logits, activity, self.own_activity = self.runner.run(wav)
        sources[silent] = 0
        logits[silent] = -np.inf
        activity[silent] = 0
        for window, result in zip(windows, sources, strict=True):
            if not np.isfinite(result).all():
                raise ModelOutputError(
                    f"{self.runner.name} gave NaN or infinite samples near "
                    f"{window.start / self.runner.sample_rate:.1f} s: bring the input to a normal "
                    "level."
                )
        return list(zip(windows, sources, logits, activity, strict=True))


class PitchTrack:
    """Decodes a stream of logits into rows of ``f0.csv``."""

    def __init__(self, model: "Runner | JointModel", decoder: str) -> None:
        self.runner = as_runner(model)
        self.decoder = decoder
        self._logits = np.zeros((0, 0), np.float32)  # (N, P), with the context before
        self._first = 0  # first frame of the stored logits
        self._next = 0  # frame to decode next

    def push(self, logits: np.ndarray, last: bool = False) -> np.ndarray:
        """Add ``(N, P)``; returns rows ``(N', 4)`` of the frames whose context is complete."""
        if logits.shape[0]:
            held = self._logits.reshape(len(self._logits), logits.shape[1])
            self._logits = np.concatenate([held, logits])
        end = self._first + len(self._logits) - (0 if last else CONTEXT_FRAMES)
        if not self.runner.has_pitch or end <= self._next:
            return np.zeros((0, 4))
        rows = slice(self._next - self._first, end - self._first)
        hz, confidence, voiced = self.runner.decode_pitch(self._logits, self.decoder)
        time = self.runner.pitch_grid.frame_to_sec(np.arange(self._next, end))
        keep = max(self._first, end - CONTEXT_FRAMES)
        self._logits = self._logits[keep - self._first :].copy()
        self._first, self._next = keep, end
        return np.stack([time, hz[rows], confidence[rows], voiced[rows]], 1)


class WholeSongPitchTrack(PitchTrack):
    """Stores the activations of a song in a file, and decodes them by Viterbi at its end.

    Args:
        model: Any joint model with pitch.
        folder: Folder for the temporary file.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, model: "Runner | JointModel", folder: str | os.PathLike) -> None:
        super().__init__(model, "viterbi")
        grid, library = self.runner.pitch_grid, self.runner.library
        self._viterbi = WholeSongViterbi(grid, folder, library=library)
        self.close = self._viterbi.close  # removes the file

    def push(self, logits: np.ndarray, last: bool = False) -> np.ndarray:
        """Add ``(N, P)``; returns all rows ``(N', 4)`` with the last call, none before."""
        if logits.shape[0]:
            self._viterbi.push(self.runner.activations(logits))
        if not last:
            return np.zeros((0, 4))
        parts = [np.stack([*map(np.asarray, f0)], 1) for f0 in self._viterbi.finish()]
        rows = np.concatenate(parts).astype(np.float64)  # (N', 2)
        voiced = rows[:, 1] > self.runner.voicing_threshold
        times = self.runner.pitch_grid.frame_to_sec(np.arange(len(rows)))
        return np.column_stack([times, rows, voiced])


class ActivityTrack:
    """Adds times to the frames of a stream of activity."""

    def __init__(self, model: "Runner | JointModel") -> None:
        self._grid = model.pitch_grid
        self._next = 0  # frame

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Add ``(N,)``; returns rows ``(N, 2)`` of time and probability."""
        if not len(activity):
            return np.zeros((0, 2))
        frames = np.arange(self._next, self._next + len(activity))
        self._next += len(activity)
        return np.stack([self._grid.frame_to_sec(frames), activity], 1)


class Windowing(Protocol):
    """How a stream is cut into windows for the model, and how the results are joined."""

    def cut(self, samples: np.ndarray) -> Iterable[Window]:
        """Add ``(C, T)`` at the model's rate; yields complete windows."""

    def cut_rest(self) -> Window:
        """The last window."""

    def join(self, window: Window, sources: np.ndarray) -> np.ndarray:
        """Add the sources ``(S, C, T)`` of a window; returns what is final, ``(S, C, T')``."""

    def rows(
        self, window: Window, logits: np.ndarray, activity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add ``(N, P)`` and ``(N,)`` of a window; returns what is final, see :class:`Chunk`."""


class OverlapAdd(Windowing):
    """Overlapping windows of equal length, for recordings.

    Args:
        model: Any joint model.
        plan: Sizes of the windows.
        pitch_track: Decodes the joined logits.
    """

    def __init__(
        self, model: "Runner | JointModel", plan: WindowPlan, pitch_track: PitchTrack
    ) -> None:
        runner = as_runner(model)
        self._cutter = WindowCutter(plan, runner.in_channels)
        self._fader = CrossFader(plan, runner.library)
        self._pitch_joiner, self._activity_joiner = FrameJoiner(plan), FrameJoiner(plan)
        self._pitch_track, self._activity_track = pitch_track, ActivityTrack(runner)

    def cut(self, samples: np.ndarray) -> Iterator[Window]:
        return self._cutter.push(samples)

    def cut_rest(self) -> Window:
        return self._cutter.finish()

    def join(self, window: Window, sources: np.ndarray) -> np.ndarray:
        return self._fader.push(window.start, sources, window.last)

    def rows(
        self, window: Window, logits: np.ndarray, activity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        where = (window.start, window.samples.shape[1])
        logits = self._pitch_joiner.push(*where, logits, window.last)
        activity = self._activity_joiner.push(*where, activity, window.last)
        return self._pitch_track.push(logits, window.last), self._activity_track.push(activity)


class StreamSeparator:
    """The chain: push blocks of a recording, receive chunks of stems.

    Args:
        model: Any joint model, which runs on the device of its weights, or a runner.
        sample_rate: Sample rate of the recording in Hz.
        n_channels: Channels of the recording. If the model has as many, it receives them all;
            otherwise it receives their mean, or what takes its place where voices cancel in it
            (:mod:`~asteroid_joint.dsp.downmix`).
        decoder: Name in ``DECODERS``.
        batch_size: Windows per batch.
        window_sec: Window length in seconds.
        pitch_track: Decodes logits into F0 rows; by default with ``decoder``, some seconds at a
            time.
        windowing: Cuts and joins windows; replaces ``decoder``, ``window_sec`` and ``pitch_track``.
        gate: When the voice is silenced because nobody sings; ``None`` = never. Models without
            voice, or without pitch and activity, have no gate.
        look_ahead: Segments by which the recording is held back to judge DC and downmix, see
            :class:`~asteroid_joint.dsp.segments.SegmentStream`.

    Attributes:
        model: The model.
        complement: Index of the stem that is the recording minus the others, or ``None``.

    Example:
        >>> import numpy as np
        >>> from asteroid_joint import DJCM
        >>> stream = StreamSeparator(DJCM.from_preset("tiny"), 44100, 2)
        >>> _ = stream.push(np.zeros((2, 30000), np.float32))
        >>> stream.finish().stems.shape
        (2, 2, 30000)
    """

    def __init__(
        self,
        model: "Runner | JointModel",
        sample_rate: int,
        n_channels: int,
        *,
        decoder: str = DECODER,
        batch_size: int = BATCH,
        window_sec: float = WINDOW_SEC,
        pitch_track: PitchTrack | None = None,
        windowing: Windowing | None = None,
        gate: GateRules | None = None,
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self._runner = WindowRunner(model, batch_size)
        runner = self._runner.runner
        rate, in_channels = runner.sample_rate, runner.in_channels
        if windowing is None:
            pitch_track = pitch_track or PitchTrack(runner, decoder)
            windowing = OverlapAdd(runner, plan_windows(runner, window_sec), pitch_track)
        self.model = model
        self.complement = stem_index(model.sources, COMPLEMENT)
        self._estimated = [s for s in range(len(model.sources)) if s != self.complement]
        self._in_channels = in_channels
        self._one_to_one = in_channels == n_channels
        self._n_samples = 0  # received
        self._n_model = 0  # samples at the model's rate
        self._est_chan = est_chan = in_channels if self._one_to_one else 1
        n_tracks = len(self._estimated) * est_chan
        self._intake = _Intake(sample_rate, n_channels, not self._one_to_one, look_ahead)
        self._waiting = SampleQueue(3 * n_channels)  # recording, until its estimate is available
        self._ready = SampleQueue(n_tracks)  # estimate at the recording's rate
        self._down = Resampler(sample_rate, rate, est_chan)
        self._windowing = windowing
        self._gate = None
        voice = stem_index(model.sources, VOICE)
        if gate is not None and voice is not None:
            place = self._estimated.index(voice)
            form = (len(self._estimated), est_chan, model.pitch_grid.hop_length, rate)
            self._gate = VoiceGate(gate, place, *form)
        self._up = Resampler(rate, sample_rate, n_tracks)
        self._full_band = None
        if sample_rate != rate or est_chan != n_channels:
            band_hz = None if sample_rate == rate else min(rate, sample_rate) / 2
            self._full_band = FullBand(
                len(self._estimated), n_channels, est_chan, sample_rate, band_hz, runner.library
            )
            self._delayed = SampleQueue(3 * n_channels)  # recording, until its stems are available
        self._rest = _stem_for_offset(model.sources)

    @property
    def own_activity(self) -> bool:
        """Whether ``Chunk.activity`` is an output of the model, not derived from its pitch."""
        return self._runner.own_activity

    def push(self, block: np.ndarray) -> Chunk:
        """Add ``(n_channels, n_samples)`` float32; returns what is final, possibly nothing."""
        self._n_samples += block.shape[1]
        return self._advance(
            self._windowing.cut(self._at_model(self._take(self._intake.push(block))))
        )

    def _take(self, taken: np.ndarray) -> np.ndarray:
        """``(3 C, T)`` to the input of the model at its rate, ``(est_chan, T')``."""
        self._waiting.push(taken)
        recording, offset, weights = _parts(taken)
        wav = recording - offset
        return self._down.push(wav if self._one_to_one else downmix(wav, weights))

    def finish(self) -> Chunk:
        """Return the remaining samples.

        Raises:
            ValueError: If nothing was pushed.
        """
        if self._n_samples == 0:
            raise ValueError("Expected at least one sample, received none.")
        rest = self._take(self._intake.finish())
        rest = self._at_model(np.concatenate([rest, self._down.finish()], 1))
        if self._n_model == 0:  # too short for one sample at the model's rate
            rest = self._at_model(np.zeros((1, 1), np.float32))
        windows = [*self._windowing.cut(rest), self._windowing.cut_rest()]
        return self._advance(windows, last=True)

    def _at_model(self, samples: np.ndarray) -> np.ndarray:
        """Expand ``(est_chan, T)`` to the channels of the model."""
        self._n_model += samples.shape[1]
        return np.broadcast_to(samples, (self._in_channels, samples.shape[1]))

    def _advance(self, windows: Iterable[Window], last: bool = False) -> Chunk:
        """Run windows through the rest of the chain."""
        rows, activity_rows = [np.zeros((0, 4))], [np.zeros((0, 2))]
        for window, sources, logits, activity in self._runner.push(windows):
            estimate = self._windowing.join(window, sources[self._estimated])
            if not self._one_to_one:
                estimate = estimate.mean(1, keepdims=True)
            f0, active = self._windowing.rows(window, logits, activity)
            if self._gate is not None and (self._runner.runner.has_pitch or self.own_activity):
                estimate, f0 = self._gate.push(estimate, f0, active[:, 1], window.last)
            self._ready.push(self._up.push(np.concatenate(estimate)))
            rows.append(f0)
            activity_rows.append(active)
        if last:
            self._ready.push(self._up.finish())
            self._ready.pad(len(self._waiting))  # resamplers round the length
        n = min(len(self._waiting), len(self._ready))
        taken, ready = self._waiting.take(n), self._ready.take(n)
        taken, stems = self._to_full_band(
            taken, ready.reshape(len(self._estimated), self._est_chan, n), last
        )
        mixture, offset, _ = _parts(taken)
        if self.complement is not None:
            stems = np.insert(stems, self.complement, mixture - stems.sum(0), 0)
        elif offset.any():
            stems[self._rest] += offset
        return Chunk(mixture, stems, np.concatenate(rows), np.concatenate(activity_rows))

    def _to_full_band(
        self, taken: np.ndarray, estimate: np.ndarray, last: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """``(3 C, T)`` and ``(S, est_chan, T)`` to ``(3 C, T')`` and ``(S, C, T')``."""
        if self._full_band is None:
            return taken, estimate
        self._delayed.push(taken)
        recording, offset, weights = _parts(taken)
        stems = self._full_band.push(recording - offset, estimate, weights)
        if last:
            stems = np.concatenate([stems, self._full_band.finish()], -1)
        return self._delayed.take(stems.shape[-1]), stems


class _Intake(SegmentStream):
    """Adds to a recording its DC and the weights of its downmix: ``(C, T)`` to ``(3 C, T')``.

    Args:
        sample_rate: Sample rate in Hz.
        n_channels: Channels of the recording.
        mixed_down: Whether the model receives a downmix.
        look_ahead: See :class:`SegmentStream`.
    """

    def __init__(
        self, sample_rate: int, n_channels: int, mixed_down: bool, look_ahead: int
    ) -> None:
        chosen = mixed_down and n_channels > 1
        weights = DownmixFollower(n_channels, sample_rate) if chosen else _Mean(n_channels)
        followers: list[Follower] = [OffsetFollower(n_channels), weights]
        super().__init__(n_channels, sample_rate, followers, look_ahead)


class _Mean(Follower):
    """Even weights."""

    def __init__(self, n_channels: int) -> None:
        self._weights = np.full(n_channels, 1 / n_channels)

    def observe(self, segment: np.ndarray) -> None:
        pass

    def values(self) -> np.ndarray:
        return self._weights


def _parts(taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(3 C, T)`` to recording, DC and weights, ``(C, T)`` each."""
    recording, offset, weights = np.split(taken, 3)
    return recording, offset, weights


def _stem_for_offset(sources: Sequence[str]) -> int:
    """The last stem that is not the voice, if there is one."""
    others = [s for s, name in enumerate(sources) if name != VOICE]
    return others[-1] if others else 0
