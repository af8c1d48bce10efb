"""Task weighting: functions from the unreduced terms to a factor per term.

A strategy that also weights single samples is a :class:`SampleWeighting`: in training it first
receives the model's output and the labels, and returns terms with other weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from ..data.batch import Batch
from ..errors import ConfigError
from ..models.base import JointModel, JointOutput
from ..registry import WEIGHTINGS
from .difficulty import pitch_difficulty, separation_difficulty
from .term import Term

Weighting = Callable[[Mapping[str, Term]], dict[str, float]]


class SampleWeighting(ABC):
    """Base of strategies that also weight the single samples of a batch."""

    @abstractmethod
    def weigh_samples(
        self,
        terms: Mapping[str, Term],
        output: JointOutput,
        batch: Batch,
        model: JointModel,
    ) -> dict[str, Term]:
        """The same terms with other weights; called in training only, once per batch."""

    @abstractmethod
    def __call__(self, terms: Mapping[str, Term]) -> dict[str, float]:
        """Factor per term."""


@WEIGHTINGS.register("fixed")
class FixedWeights:
    """Every term has the weight given in the configuration."""

    def __call__(self, terms: Mapping[str, Term]) -> dict[str, float]:
        """Factor 1 for each term."""
        return dict.fromkeys(terms, 1.0)


@WEIGHTINGS.register("dwa")
class DynamicWeightAverage:
    """Terms that decrease slowly get more weight.

    The rate of a term is its mean over the last window divided by that of the window before; the
    factors are a softmax of the rates divided by ``temperature``, times the number of terms.

    Args:
        temperature: Large values weight all terms equally.
        window: Calls per window.

    References:
        S. Liu, E. Johns, A. Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019,
        equation 7, https://arxiv.org/abs/1803.10704
    """

    def __init__(self, temperature: float = 2.0, window: int = 100) -> None:
        self.temperature = temperature
        self.window = window
        self._sums: dict[str, float] = {}
        self._calls = 0
        self._history: list[dict[str, float]] = []

    def __call__(self, terms: Mapping[str, Term]) -> dict[str, float]:
        """Factor per term; their mean is 1."""
        if torch.is_grad_enabled():
            for name, term in terms.items():
                self._sums[name] = self._sums.get(name, 0.0) + float(term.mean().detach())
            self._calls += 1
            if self._calls == self.window:
                means = {name: total / self.window for name, total in self._sums.items()}
                self._history = [*self._history[-1:], means]
                self._sums, self._calls = {}, 0
        if len(self._history) < 2:
            return dict.fromkeys(terms, 1.0)
        before, last = self._history
        rates = torch.tensor([abs(last[n]) / max(abs(before[n]), 1e-12) for n in terms])
        factors = len(rates) * torch.softmax(rates / self.temperature, 0)
        return dict(zip(terms, factors.tolist(), strict=True))


class FrameWeights(NamedTuple):
    """Weights of frames for the terms on pitch and on sources, ``(batch, frames)`` each."""

    pitch: torch.Tensor
    sources: torch.Tensor


@torch.no_grad()
def hard_sample_weights(
    difficulty: FrameWeights,
    quality: FrameWeights,
    beta_pitch: float = 1.0,
    beta_sources: float = 1.0,
    low: float = 0.1,
    high: float = 3.0,
) -> FrameWeights:
    """Frame weights from the difficulty ``d`` of each task and the quality ``q`` of its labels.

    ``w_pitch = q_pitch (1 + beta_pitch d_pitch (1 - d_sources))``: pitch is hard although the
    separation is good. ``w_sources = q_sources (1 + beta_sources d_sources (1 + d_pitch) / 2)``:
    the separation is poor, most of all where it impairs the pitch. A task's weights are divided by
    their mean over its labelled frames (``q > 0``), then clipped; other frames have weight 0.

    Args:
        difficulty: Difficulty in [0, 1]; 0 where a label is missing.
        quality: Quality in [0, 1]; 1 for true labels, 0 for none.
        beta_pitch, beta_sources: Emphasis of hard samples; 0 uses the quality only.
        low, high: Bounds of a weight.

    Example:
        >>> import torch
        >>> from asteroid_joint.losses.weighting import FrameWeights, hard_sample_weights
        >>> known, easy = torch.ones(1, 2), torch.zeros(1, 2)
        >>> hard = FrameWeights(torch.tensor([[0.0, 1.0]]), easy)
        >>> weights = hard_sample_weights(hard, FrameWeights(known, known)).pitch
        >>> [round(w, 2) for w in weights[0].tolist()]
        [0.67, 1.33]
    """
    d_pitch, d_sources = difficulty
    pitch = quality.pitch * (1 + beta_pitch * d_pitch * (1 - d_sources))
    sources = quality.sources * (1 + beta_sources * d_sources * (1 + d_pitch) / 2)
    return FrameWeights(_normalised(pitch, low, high), _normalised(sources, low, high))


def _normalised(weights: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Scale to mean 1 over labelled frames, then clip; unlabelled frames stay 0."""
    labelled = weights > 0
    mean = weights.sum() / labelled.sum().clamp_min(1)
    bounded = (weights / mean.clamp_min(1e-8)).clamp(low, high)
    return torch.where(labelled, bounded, torch.zeros_like(weights))


@WEIGHTINGS.register("dwhs")
class HardSampleWeights(SampleWeighting):
    """Dynamic weights on hard samples: each task learns most where it causes the error.

    See :func:`hard_sample_weights`. Terms per frame get the weight of each frame, terms per example
    the mean over its frames; terms on vocal activity are not changed. The published formulas are
    not known to us: the name and the aim are the paper's, the weights are ours.

    Args:
        beta_pitch, beta_sources: See :func:`hard_sample_weights`.
        warmup_calls: Number of batches at the start that are weighted by quality only.

    Raises:
        ConfigError: If a value is below 0.

    References:
        H. Wei et al., "MAJL: A Model-Agnostic Joint Learning Framework for Music Source Separation
        and Pitch Estimation", 2025, https://arxiv.org/abs/2501.03689 (the idea).
    """

    def __init__(
        self, beta_pitch: float = 1.0, beta_sources: float = 1.0, warmup_calls: int = 0
    ) -> None:
        if min(beta_pitch, beta_sources, warmup_calls) < 0:
            raise ConfigError("beta_pitch, beta_sources and warmup_calls must not be negative.")
        self.beta_pitch = beta_pitch
        self.beta_sources = beta_sources
        self.warmup_calls = warmup_calls
        self._calls = 0

    def __call__(self, terms: Mapping[str, Term]) -> dict[str, float]:
        """Factor 1 for each term: the weights are those of the samples."""
        return dict.fromkeys(terms, 1.0)

    @torch.no_grad()
    def weigh_samples(
        self,
        terms: Mapping[str, Term],
        output: JointOutput,
        batch: Batch,
        model: JointModel,
    ) -> dict[str, Term]:
        """See :class:`SampleWeighting`."""
        self._calls += 1
        if self._calls <= self.warmup_calls:
            return dict(terms)
        quality = batch_quality(batch)
        hard_sources = separation_difficulty(output, batch, model)
        hard_pitch = torch.zeros_like(hard_sources)
        if output.pitch_logits is not None:
            hard_pitch = pitch_difficulty(output.pitch_logits, batch["f0_hz"], model.pitch_grid)
        weights = hard_sample_weights(
            FrameWeights(hard_pitch, hard_sources), quality, self.beta_pitch, self.beta_sources
        )
        # the terms' weights include the quality already
        factors = {
            "f0_hz": weights.pitch / quality.pitch.clamp_min(1e-8),  # (B, N)
            "sources": weights.sources / quality.sources.clamp_min(1e-8),
        }
        return {
            name: _scaled(term, factors[term.label]) if term.label in factors else term
            for name, term in terms.items()
        }


def batch_quality(batch: Batch) -> FrameWeights:
    """Quality of the labels of each frame, 0 for missing ones."""
    known = (~torch.isnan(batch["f0_hz"])).float()  # (B, N)
    pitch = known * batch.get("q_f0_hz", torch.ones_like(known)).to(known)
    has_sources = batch["has_sources"].to(known)  # (B,)
    sources = has_sources * batch.get("q_sources", torch.ones_like(has_sources)).to(known)
    return FrameWeights(pitch, sources[:, None].expand_as(known))


def _scaled(term: Term, factors: torch.Tensor) -> Term:
    """Multiply a term's weights by those of the frames ``(B, N)``."""
    if not term.framewise:
        factors = factors.mean(1, keepdim=True)  # (B, 1)
    between = [1] * (term.weights.ndim - 2)
    factors = factors.reshape(len(factors), *between, -1)  # (B, 1, ..., N or 1)
    return term._replace(weights=term.weights * factors.to(term.weights))
