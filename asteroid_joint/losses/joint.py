"""Named loss terms and their weighted sum.

A term is a callable ``(output, batch, model) -> Term`` registered under the name that is also its
key in ``conf.yml`` and in the logs. It returns *unreduced* values and weights of the same shape;
missing labels have weight 0.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch

from ..data.batch import Batch
from ..errors import ConfigError
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES, WEIGHTINGS
from .term import LossTerm, Term
from .weighting import SampleWeighting, Weighting

T = TypeVar("T")


class JointLoss(torch.nn.Module):
    """Sum of named terms.

    Args:
        terms: Name to term.
        weights: Name to weight; the same names.
        weighting: Strategy that turns the unreduced terms into task weights.

    Example:
        >>> from asteroid_joint.losses import build_loss
        >>> sorted(build_loss({"waveform": 1.0, "pitch": 1.0}).terms)
        ['pitch', 'waveform']
    """

    def __init__(
        self,
        terms: Mapping[str, LossTerm],
        weights: Mapping[str, float],
        weighting: Weighting | None = None,
    ) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(f"Terms {sorted(terms)} and weights {sorted(weights)} differ.")
        self.terms = dict(terms)
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.weighting = weighting or WEIGHTINGS["fixed"]()

    def forward(
        self, output: JointOutput, batch: Batch, model: JointModel
    ) -> dict[str, torch.Tensor]:
        """Scalar per term, plus their weighted sum under ``"loss"``."""
        return self.reduce([self.unreduced(output, batch, model)])

    def unreduced(self, output: JointOutput, batch: Batch, model: JointModel) -> dict[str, Term]:
        """The terms of a batch by name; in training, with the weights of single samples."""
        terms = {name: term(output, batch, model) for name, term in self.terms.items()}
        if isinstance(self.weighting, SampleWeighting) and torch.is_grad_enabled():
            return self.weighting.weigh_samples(terms, output, batch, model)
        return terms

    def reduce(self, batches: Sequence[Mapping[str, Term]]) -> dict[str, torch.Tensor]:
        """Scalars as in :meth:`forward` for a step with batches of several datasets.

        A term is the sum of its means over each batch, so a batch without its label does not
        change it.

        Args:
            batches: Result of :meth:`unreduced` for each.
        """
        scale = self.weighting(batches[0] if len(batches) == 1 else _pooled(batches))
        means = [{name: term.mean() for name, term in terms.items()} for terms in batches]
        parts = {name: sum(rest, first) for name, (first, *rest) in _by_name(means).items()}
        total = sum(self.weights[name] * scale[name] * parts[name] for name in parts)
        return {"loss": total, **parts}  # type: ignore[dict-item]


def _by_name(batches: Sequence[Mapping[str, T]]) -> dict[str, list[T]]:
    return {name: [batch[name] for batch in batches] for name in batches[0]}


def _pooled(batches: Sequence[Mapping[str, Term]]) -> dict[str, Term]:
    """All values of each term in one row, as examples may differ in length."""
    return {
        name: Term(
            torch.cat([term.values.flatten() for term in terms]),
            torch.cat([term.weights.flatten() for term in terms]),
        )
        for name, terms in _by_name(batches).items()
    }


def build_loss(
    weights: Mapping[str, float],
    options: Mapping[str, Any] | None = None,
    weighting: str = "fixed",
    weighting_args: Mapping[str, Any] | None = None,
) -> JointLoss:
    """Build a loss from the configuration.

    Args:
        weights: Term name to weight; terms of weight 0 are omitted.
        options: ``<term>_<argument>`` to value, e.g. ``{"pitch_alpha": 10}``.
        weighting: Name in ``WEIGHTINGS``.
        weighting_args: Arguments of the weighting, e.g. ``{"beta_pitch": 2}``.

    Raises:
        ConfigError: If a term, a weighting or an option is unknown.
    """
    used = {name: weight for name, weight in weights.items() if weight}
    left = dict(options or {})
    terms = {}
    for name in sorted(used, key=len, reverse=True):  # pitch_notes_x belongs to pitch_notes
        prefix = f"{name}_"
        arguments = {k[len(prefix) :]: left.pop(k) for k in list(left) if k.startswith(prefix)}
        terms[name] = LOSSES[name](**arguments)
    unknown = [k for k in left if not any(k.startswith(f"{name}_") for name in weights)]
    if unknown:
        raise ConfigError(f"Loss options {unknown} belong to none of the terms {sorted(weights)}.")
    strategy, arguments = WEIGHTINGS[weighting], dict(weighting_args or {})
    known = list(inspect.signature(strategy).parameters)
    if not set(arguments) <= set(known):
        raise ConfigError(
            f"The weighting {weighting!r} takes {', '.join(known) or 'no arguments'}; "
            f"weighting_args has {', '.join(arguments)}."
        )
    return JointLoss(terms, used, strategy(**arguments))
