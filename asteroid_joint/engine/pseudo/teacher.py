"""A trained joint model as a teacher: its estimates for a mixture and for a voice."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ...errors import ConfigError
from ...files import sha256
from ...inference.fast.fuse import optimize_for_inference
from ...models.pretrained import load_model
from ...optional import pick_device
from ...pitch import PitchGrid, decode_argmax
from .rules import HeardPitch, frame_level_db

SECOND_CENTS = 300  # from the first pitch: closer activations belong to it


class Melody(NamedTuple):
    """F0 in Hz, its activation and that of a second pitch, ``(N,)`` each."""

    hz: np.ndarray
    confidence: np.ndarray
    second: np.ndarray


class Heard(NamedTuple):
    """A teacher's output: stems ``(S, C, T)`` and the melody of the first."""

    stems: np.ndarray
    melody: Melody


class Teacher:
    """A trained joint model that makes labels.

    Args:
        path: Model file.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        CheckpointError: If it cannot be loaded.
        ConfigError: If it has no pitch output.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        self.path, self.device_asked = path, device
        self.model = load_model(path)
        if not self.model.has_pitch:
            raise ConfigError(
                f"{path} estimates no pitch: give a model that separates and estimates pitch."
            )
        self.checksum = sha256(path)
        self.grid = self.model.pitch_grid
        self.voicing_threshold = float(self.model.voicing_threshold)
        self.device = pick_device(device)
        on_cpu = self.device.type == "cpu"
        fast = optimize_for_inference(self.model) if on_cpu else self.model
        self._run = fast.to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, wav: np.ndarray) -> Heard:
        """Separate ``(C, T)`` and estimate the pitch of its voice."""
        out = self._run.forward_joint(self._tensor(wav))
        stems = np.array(out.stems()[0].float().cpu())  # a copy: the memory is reused
        return Heard(stems, self._melody(out.pitch_logits))

    @torch.inference_mode()
    def listen(self, voice: np.ndarray) -> Melody:
        """Estimate the pitch of a solo voice ``(C, T)``.

        A cascade's estimator receives it directly; other models process it like a mixture.
        """
        if hasattr(self._run, "listen"):
            return self._melody(self._run.listen(self._tensor(voice)))
        return self(voice).melody

    def hear_pitch(self, mixture: np.ndarray, sources: np.ndarray) -> HeardPitch:
        """Estimates from the true voice, the first of ``sources``, and from the separated one."""
        return compare_pitch(self.listen(sources[0]), self(mixture).melody, sources[0], self.grid)

    def _tensor(self, wav: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(wav)[None].to(self.device)  # (B=1, C, T)

    def _melody(self, logits: torch.Tensor | None) -> Melody:
        assert logits is not None
        active = logits[0].float().sigmoid().cpu()  # (N, P)
        f0 = decode_argmax(active, self.grid)
        return Melody(f0.hz.numpy(), f0.confidence.numpy(), self._second(active))

    def _second(self, active: torch.Tensor) -> np.ndarray:
        """Largest activation ``(N,)`` away from the strongest pitch and its octaves."""
        bins = torch.arange(active.shape[1])
        cents = (bins - active.argmax(1, keepdim=True)).abs() * self.grid.cents_per_bin  # (N, P)
        other = (cents > SECOND_CENTS) & ((cents - 1200).abs() > 100)
        return np.array(torch.where(other, active, torch.zeros_like(active)).amax(1))


def compare_pitch(true: Melody, own: Melody, voice: np.ndarray, grid: PitchGrid) -> HeardPitch:
    """Combine the melody of a true voice ``(C, T)`` and that of the separated voice."""
    return HeardPitch(*true, own.hz, frame_level_db(voice, grid))
