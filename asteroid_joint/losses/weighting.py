"""Task weighting: callables from the unreduced terms to a factor per term.

A strategy sees the unreduced terms, so that it may also look at single samples.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .joint import Term

Weighting = Callable[[Mapping[str, "Term"]], dict[str, float]]


class FixedWeights:
    """Every term counts with the weight of the configuration."""

    def __call__(self, terms: Mapping[str, "Term"]) -> dict[str, float]:
        """Factor 1 for each term."""
        return dict.fromkeys(terms, 1.0)


class DynamicWeightAverage:
    """Terms that fall slowly get more weight.

    The rate of a term is its mean over the last window over its mean in the window before; the
    factors are a softmax of the rates over ``temperature``, times the number of terms.

    Args:
        temperature: Large values weight all terms alike.
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

    def __call__(self, terms: Mapping[str, "Term"]) -> dict[str, float]:
        """Factor per term, their mean is 1."""
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


WEIGHTINGS: dict[str, Callable[[], Weighting]] = {
    "fixed": FixedWeights,
    "dwa": DynamicWeightAverage,
}
