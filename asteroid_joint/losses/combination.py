"""Combination loss: any loss on sources, also evaluated on sums of sources.

A loss per source treats the errors of the sources as independent; in a sum of sources they cancel
or add up, so a loss on sums distinguishes leakage between sources from added noise. It is used in
training only and adds nothing to the model.

References:
    R. Sawata, S. Uhlich, S. Takahashi, Y. Mitsufuji, "All for One and One for All: Improving Music
    Separation by Bridging Networks", ICASSP 2021, https://arxiv.org/abs/2010.04228
    R. Sawata, N. Takahashi, S. Uhlich, S. Takahashi, Y. Mitsufuji, "The Whole Is Greater than the
    Sum of Its Parts: Improving Music Source Separation by Bridging Networks", EURASIP J. Audio,
    Speech, Music Process. 2024:39, https://arxiv.org/abs/2305.07855
"""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def subsets(n_src: int) -> torch.Tensor:
    """All non-empty proper subsets of the sources; the whole set, the mixture, is excluded.

    Args:
        n_src: Number of sources; a single one counts as a subset.

    Returns:
        ``(n_subsets, n_src)``, 1 where a subset contains a source, otherwise 0. Small subsets come
        first, so the first ``n_src`` of the 2 ** n_src - 2 rows are the sources themselves.

    Example:
        >>> from asteroid_joint.losses.combination import subsets
        >>> subsets(3).int().tolist()
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
    """
    if n_src < 1:
        raise ValueError(f"Expected at least one source, received n_src={n_src}.")
    chosen = [
        [float(source in subset) for source in range(n_src)]
        for size in range(1, max(n_src, 2))
        for subset in itertools.combinations(range(n_src), size)
    ]
    return torch.tensor(chosen)  # (K, S)


class CombinationLoss(nn.Module):
    """Apply a loss to the sums over all :func:`subsets` as if they were sources.

    Warns once if there are two sources, as their only subsets are the sources themselves.

    Args:
        base: ``(estimates, targets, ...) -> loss`` on tensors ``(batch, n_src, ...)``, reduced or
            not; its result is returned, with ``n_subsets`` in place of ``n_src``.

    Example:
        >>> import torch
        >>> from asteroid_joint.losses import CombinationLoss
        >>> loss = CombinationLoss(torch.nn.MSELoss())
        >>> targets = torch.ones(1, 4, 2, 8)
        >>> value = loss(targets + 1, targets)  # 4 sums of one source, 6 of two, 4 of three
        >>> round(float(value), 4), (4 * 1 + 6 * 2**2 + 4 * 3**2) / 14
        (4.5714, 4.571428571428571)
    """

    def __init__(self, base: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.base = base
        self._warned = False

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, n_src, ...)`` to ``(batch, n_subsets, ...)``, in the precision of ``x``."""
        matrix = subsets(x.shape[1]).to(x)  # (K, S)
        if len(matrix) == x.shape[1]:
            return x  # one or two sources: the matrix is the identity
        with torch.autocast(x.device.type, enabled=False):
            rows = matrix @ x.flatten(2)  # (B, S, D) to (B, K, D)
        return rows.reshape(*rows.shape[:2], *x.shape[2:])

    def forward(
        self, estimates: torch.Tensor, targets: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Loss of the sums.

        Args:
            estimates: ``(batch, n_src, ...)``.
            targets: The same shape.
            *args: Passed to the base loss, as ``**kwargs`` are.
        """
        if estimates.shape[1] == 2 and not self._warned:
            self._warned = True
            warnings.warn(
                "With two sources a combination loss is the loss it combines: no sum is left "
                "between a single source and the mixture.",
                UserWarning,
                stacklevel=2,
            )
        return self.base(self.sums(estimates), self.sums(targets), *args, **kwargs)
