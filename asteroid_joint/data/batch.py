"""Examples and batches. A missing label is absent, never zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch


@dataclass
class JointExample:
    """One example.

    Attributes:
        mixture: ``(n_channels, time)`` float32.
        sources: ``(n_src, n_channels, time)`` or ``None``.
        f0_hz: ``(frames,)`` Hz, 0 = unvoiced, NaN = unknown; or ``None``.
        activity: ``(frames,)`` 0 or 1, NaN = unknown; or ``None``.
        name: Clip name.
        song: Song identity, for statistics over songs.
        sources_quality: Reliability of the sources, 0 to 1; 1 = true labels.
        f0_quality: Reliability of F0, ``(frames,)``; ``None`` = true labels.
    """

    mixture: np.ndarray
    sources: np.ndarray | None = None
    f0_hz: np.ndarray | None = None
    activity: np.ndarray | None = None
    name: str = ""
    song: str = ""
    sources_quality: float = 1.0
    f0_quality: np.ndarray | None = None


class Quality(TypedDict, total=False):
    """Reliability of labels, 0 to 1, ``(B,)`` and ``(B, N)``; a batch without it has true ones."""

    q_sources: torch.Tensor
    q_f0_hz: torch.Tensor


class Batch(Quality):
    """Collated examples: missing labels are NaN, as ``has_*`` tells.

    ``mixture`` (B, C, T), ``sources`` (B, S, C, T), ``f0_hz`` and ``activity`` (B, N),
    ``has_sources``, ``has_f0_hz``, ``has_activity`` (B,) bool, ``name`` and ``song`` lists.
    """

    mixture: torch.Tensor
    sources: torch.Tensor
    f0_hz: torch.Tensor
    activity: torch.Tensor
    has_sources: torch.Tensor
    has_f0_hz: torch.Tensor
    has_activity: torch.Tensor
    name: list[str]
    song: list[str]


@dataclass(frozen=True)
class Collate:
    """Stack examples of equal length; missing labels become NaN.

    Args:
        n_src: Number of sources of the model.
        hop_length: Samples per frame.
    """

    n_src: int
    hop_length: int

    def __call__(self, examples: Sequence[JointExample]) -> Batch:
        n_channels, n_samples = examples[0].mixture.shape
        n_frames = (n_samples - 1) // self.hop_length + 1

        def stack(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            missing = np.full(shape, np.nan, np.float32)
            values = [getattr(e, name) for e in examples]
            return torch.from_numpy(
                np.stack([missing if v is None else v for v in values]).astype(np.float32)
            )

        def has(name: str) -> torch.Tensor:
            return torch.tensor([getattr(e, name) is not None for e in examples])

        f0_quality = [np.ones(n_frames) if (q := e.f0_quality) is None else q for e in examples]
        return Batch(
            mixture=stack("mixture", (n_channels, n_samples)),
            sources=stack("sources", (self.n_src, n_channels, n_samples)),
            f0_hz=stack("f0_hz", (n_frames,)),
            activity=stack("activity", (n_frames,)),
            has_sources=has("sources"),
            has_f0_hz=has("f0_hz"),
            has_activity=has("activity"),
            name=[e.name for e in examples],
            song=[e.song for e in examples],
            q_sources=torch.tensor([e.sources_quality for e in examples], dtype=torch.float32),
            q_f0_hz=torch.from_numpy(np.stack(f0_quality).astype(np.float32)),
        )


def has_label(batch: Batch, label: str, like: torch.Tensor) -> torch.Tensor:
    """``has_<label>``, times the quality of sources, as weights of the shape of ``like``."""
    flag = batch[f"has_{label}"].to(like.dtype)  # type: ignore[literal-required]
    if label == "sources" and "q_sources" in batch:
        flag = flag * batch["q_sources"].to(flag)
    return flag.reshape(-1, *[1] * (like.ndim - 1)).expand_as(like)
