"""Runs an exported graph in onnxruntime, without torch."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CheckpointError, ConfigError
from ...optional import optional
from ...pitch.grid import PitchGrid
from ...registry import DECODERS
from .runner import Runner, RunnerOutput

NEEDED = ("sources", "sample_rate", "n_channels", "least_samples", "hop_samples", "n_bins")


class GraphRunner(Runner):
    """See :class:`~asteroid_joint.inference.fast.runner.Runner`.

    Args:
        path: What ``asteroid-joint export`` wrote of a model whose graph takes inputs of any
            length.

    Raises:
        CheckpointError: If the file cannot be used.
        UserError: If onnxruntime is not installed.
    """

    library = np

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._session = _session(self.path)
        facts = self._session.get_modelmeta().custom_metadata_map
        outputs = [output.name for output in self._session.get_outputs()]
        if not all(facts.get(key) for key in NEEDED) or "sources" not in outputs:
            raise CheckpointError(
                f"{self.path} is not a graph that takes songs of any length: export it from a DJCM "
                "with asteroid-joint export, or use the model file itself."
            )
        rate = int(facts["sample_rate"])
        self.facts = facts
        self.name = facts.get("model", self.path.stem)
        self.sources = tuple(facts["sources"].split(","))
        self.sample_rate, self.in_channels = rate, int(facts["n_channels"])
        self.pitch_grid = PitchGrid(
            int(facts["hop_samples"]),
            rate,
            int(facts["n_bins"]),
            float(facts["cents_per_bin"]),
            float(facts["bin_0_cents"]),
        )
        self.has_pitch = "pitch_logits" in outputs
        self.voicing_threshold = float(facts["voicing_threshold"])
        reach = facts.get("reach_samples")
        self.context_samples = int(reach) if reach else None
        self.window_multiple = int(facts.get("shift_multiple", 1))
        self.window_samples = int(facts.get("efficient_samples", 0))
        self._least = int(facts["least_samples"])
        self._own_activity = facts.get("own_activity") == "1"
        self._wanted = [n for n in outputs if n in ("sources", "pitch_logits", "activity")]

    def run(self, wav: np.ndarray) -> RunnerOutput:
        n_samples = wav.shape[-1]
        n_frames = self.pitch_grid.n_frames(n_samples)
        padded = np.pad(wav, ((0, 0), (0, 0), (0, max(self._least - n_samples, 0))))
        runs = [self._session.run(self._wanted, {"wav": one[None]}) for one in padded]
        fields = [np.concatenate(field) for field in zip(*runs, strict=True)]
        found = dict(zip(self._wanted, fields, strict=True))
        none = np.zeros((len(wav), 0, 1), np.float32)
        return RunnerOutput(
            found["sources"][..., :n_samples],
            found.get("pitch_logits", none)[:, :n_frames],
            found.get("activity", none[..., 0])[:, :n_frames],
            self._own_activity,
        )

    def decode_pitch(
        self, pitch_logits: np.ndarray, decoder: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        f0 = DECODERS[decoder](self.activations(pitch_logits), self.pitch_grid)
        return f0.hz, f0.confidence, f0.confidence > self.voicing_threshold

    def activations(self, pitch_logits: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # of silence, whose logits are -inf
            return 1 / (1 + np.exp(-pitch_logits))

    def check_activity(self) -> None:
        if "activity" not in self._wanted:
            raise ConfigError(
                f"{self.name} has neither an activity output nor a pitch output to detect singing "
                "with: choose another model, or leave activity out."
            )

    def identity(self) -> Iterator[bytes]:
        yield hashlib.sha256(self.path.read_bytes()).digest()


def _session(path: Path) -> Any:
    onnxruntime = optional("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = n_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime's own kinds have no common base
        raise CheckpointError(
            f"{path} cannot be read as an ONNX graph: correct the path, or export it again."
        ) from err


def n_threads() -> int:
    """Threads that torch would use: OMP_NUM_THREADS, or the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
