"""A voice that is separate already, in blocks, to its pitch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dsp.downmix import StreamDownmix
from ..dsp.overlap_add import Window
from .curve import PitchCurve
from .fast.runner import Runner
from .knobs import PitchKnobs, knobbed_rows, tuned_runner
from .options import BATCH, DECODER, WINDOW_SEC
from .stream import OverlapAdd, PitchTrack, Resampler, WindowRunner, plan_windows

if TYPE_CHECKING:
    from ..models.base import JointModel


class PitchStream:
    """A voice in blocks to rows of F0, in constant memory; no audio comes out.

    Args:
        model: From :func:`~asteroid_joint.inference.voice_pitch.pitch_part`.
        sample_rate: Sample rate of the voice in Hz.
        decoder: Name in ``DECODERS``.
        batch_size: Windows per batch.
        window_sec: Window length in seconds.
        pitch_track: Decodes logits into rows; by default with ``decoder``.
    """

    def __init__(
        self,
        model: "Runner | JointModel",
        sample_rate: int,
        *,
        decoder: str = DECODER,
        batch_size: int = BATCH,
        window_sec: float = WINDOW_SEC,
        pitch_track: PitchTrack | None = None,
    ) -> None:
        self._runner = WindowRunner(model, batch_size)
        runner = self._runner.runner
        track = pitch_track or PitchTrack(runner, decoder)
        self._windowing = OverlapAdd(runner, plan_windows(runner, window_sec), track)
        self._sample_rate = sample_rate
        self._downmix: StreamDownmix | None = None  # its channels are not known before a block
        self._down = Resampler(sample_rate, runner.sample_rate, 1)
        self._n_samples = 0  # at the model's rate

    def push(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add ``(C, T)``; returns final rows of F0 and of activity, as in ``Chunk``."""
        if self._downmix is None:
            self._downmix = StreamDownmix(len(block), self._sample_rate)
        voice, _ = self._downmix.push(block, None)  # (T',)
        return self._run(self._windowing.cut(self._resampled(voice[None])))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the remaining rows."""
        held = np.zeros(0, np.float32) if self._downmix is None else self._downmix.finish()[0]
        rest = np.concatenate([self._resampled(held[None]), self._down.finish()], 1)
        if self._n_samples + rest.shape[1] == 0:  # too short for one sample at the model's rate
            rest = np.zeros((1, 1), np.float32)
        return self._run([*self._windowing.cut(rest), self._windowing.cut_rest()])

    def _resampled(self, samples: np.ndarray) -> np.ndarray:
        samples = self._down.push(samples)
        self._n_samples += samples.shape[1]
        return samples

    def _run(self, windows: Iterable[Window]) -> tuple[np.ndarray, np.ndarray]:
        f0, activity = [np.zeros((0, 4))], [np.zeros((0, 2))]
        for window, _, logits, active in self._runner.push(windows):
            rows = self._windowing.rows(window, logits, active)
            f0.append(rows[0])
            activity.append(rows[1])
        return np.concatenate(f0), np.concatenate(activity)


def track_voice(
    model: "Runner | JointModel",
    voice: np.ndarray,
    sample_rate: int,
    *,
    decoder: str = DECODER,
    **knobs: Any,
) -> PitchCurve:
    """Pitch curve of a voice in memory.

    Args:
        model: From :func:`~asteroid_joint.inference.voice_pitch.pitch_part`.
        voice: ``(n_samples,)`` or ``(n_channels, n_samples)``; 1.0 is full scale.
        sample_rate: Hz.
        decoder: Name in ``DECODERS``.
        **knobs: Fields of :class:`~asteroid_joint.inference.knobs.PitchKnobs` to set.

    Raises:
        ConfigError: If a knob is out of range.
        ValueError: If the voice is empty or has more than two axes.
    """
    asked = PitchKnobs(**knobs)
    voice = np.asarray(voice, np.float32)
    if voice.ndim not in (1, 2) or voice.size == 0:
        raise ValueError(f"Expected (n_channels, n_samples), received {voice.shape}.")
    stream = PitchStream(tuned_runner(model, asked), sample_rate, decoder=decoder)
    rows = np.concatenate([stream.push(np.atleast_2d(voice))[0], stream.finish()[0]])
    return PitchCurve.from_rows(knobbed_rows(rows, asked, voice.shape[-1] / sample_rate))
