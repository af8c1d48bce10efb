"""Runs a joint model in PyTorch."""

import json
from collections.abc import Iterator

import numpy as np
import torch

from ...models.base import JointModel, check_activity
from .half import is_marked
from .runner import Runner, RunnerOutput


class TorchRunner(Runner):
    """See :class:`~asteroid_joint.inference.fast.runner.Runner`.

    Args:
        model: Any joint model; it runs in evaluation mode on the device of its weights.
    """

    library = torch

    def __init__(self, model: JointModel) -> None:
        self.model = model
        self.name = type(model).__name__
        self.sources = tuple(model.sources)
        self.sample_rate, self.in_channels = int(model.sample_rate), int(model.in_channels)
        self.pitch_grid, self.has_pitch = model.pitch_grid, model.has_pitch
        self.voicing_threshold = float(model.voicing_threshold)
        self.context_samples = model.context_samples
        self.window_multiple = model.window_multiple
        self.window_samples = model.window_samples

    @torch.inference_mode()
    def run(self, wav: np.ndarray) -> RunnerOutput:
        model, was_training = self.model, self.model.training
        model.eval()
        try:
            out = model.forward_joint(torch.from_numpy(wav).to(self._device))
        finally:
            model.train(was_training)
        n = len(wav)
        probability = model.sung_probability(out)
        return RunnerOutput(
            (out.stems().float().cpu() / model.mixture_scale).numpy(),
            _array(out.pitch_logits, (n, 0, 0)),
            _array(probability, (n, 0)),
            out.activity_logits is not None,
        )

    def decode_pitch(
        self, pitch_logits: np.ndarray, decoder: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits = torch.from_numpy(pitch_logits).to(self._device)
        hz, confidence, voiced = self.model.decode_pitch(logits, decoder)
        return hz.cpu().numpy(), confidence.cpu().numpy(), voiced.cpu().numpy()

    def activations(self, pitch_logits: np.ndarray) -> np.ndarray:
        return torch.sigmoid(torch.from_numpy(pitch_logits)).numpy()

    def check_activity(self) -> None:
        check_activity(self.model)

    def identity(self) -> Iterator[bytes]:
        yield json.dumps(self.model.get_model_args(), default=str).encode()
        yield b"bfloat16" if is_marked(self.model) else b""
        for name, values in self.model.state_dict().items():
            yield name.encode()
            yield values.detach().cpu().contiguous().numpy().tobytes()

    @property
    def _device(self) -> torch.device:
        return self.model.voicing_threshold.device


def _array(values: torch.Tensor | None, nothing: tuple[int, ...]) -> np.ndarray:
    """Float32 on the CPU; of the shape ``nothing`` if there are no values."""
    return np.zeros(nothing, np.float32) if values is None else values.float().cpu().numpy()
