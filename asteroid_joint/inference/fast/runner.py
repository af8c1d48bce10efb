"""What runs a model: arrays in, arrays out. The chain behind ``separate`` knows nothing else of it.

Joint models run in PyTorch (:mod:`.torch_runner`), exported graphs in onnxruntime
(:mod:`.graph_runner`); :mod:`asteroid_joint.inference.load` chooses.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...pitch.grid import PitchGrid
from ...registry import OPERATIONS


class RunnerOutput(NamedTuple):
    """Outputs for a batch of windows; what the model lacks has no frames.

    Attributes:
        sources: ``(B, S, C, T)`` float32; they add up to the input if the model's do.
        pitch_logits: ``(B, N, P)`` float32; their sigmoid is the activation of each bin.
        activity: ``(B, N)`` float32, probability that somebody sings.
        own_activity: Whether it is an output of the model, not derived from the pitch.
    """

    sources: np.ndarray
    pitch_logits: np.ndarray
    activity: np.ndarray
    own_activity: bool


class Runner:
    """A model, ready to run; the base of what runs one.

    Attributes:
        name: Name of the model's class, for messages and file names.
        sources: Names of the stems, in order.
        sample_rate: Hz.
        in_channels: Channels of the input.
        pitch_grid: Frames of all framewise outputs, and pitch bins.
        has_pitch: Whether there is a pitch output.
        voicing_threshold: A frame is voiced if its confidence is above.
        context_samples, window_multiple, window_samples: As in
            :class:`~asteroid_joint.models.base.JointModel`.
        library: ``numpy`` or ``torch``, which the rest of the chain computes with.
    """

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    in_channels: int
    pitch_grid: PitchGrid
    has_pitch: bool
    voicing_threshold: float
    context_samples: int | None
    window_multiple: int
    window_samples: int
    library: Any

    def run(self, wav: np.ndarray) -> RunnerOutput:
        """Run windows ``(B, C, T)`` float32 at ``sample_rate``."""
        raise NotImplementedError

    def decode_pitch(
        self, pitch_logits: np.ndarray, decoder: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits ``(N, P)`` to F0 in Hz, confidence and voiced, ``(N,)`` each.

        Args:
            pitch_logits: Of consecutive frames.
            decoder: Name in ``DECODERS``.
        """
        raise NotImplementedError

    def activations(self, pitch_logits: np.ndarray) -> np.ndarray:
        """Sigmoid of logits ``(N, P)``."""
        raise NotImplementedError

    def check_activity(self) -> None:
        """Refuse a model that cannot detect singing.

        Raises:
            ConfigError: If it has neither an activity output nor pitch.
        """
        raise NotImplementedError

    def identity(self) -> Iterator[bytes]:
        """All that identifies the model and its weights."""
        raise NotImplementedError

    def transcribe(self, audio: Any, sample_rate: float | None = None, **options: Any) -> Any:
        """Stems, pitch and notes of a song: see ``JointModel.transcribe``."""
        return OPERATIONS["transcribe"](self, audio, sample_rate, **options)
