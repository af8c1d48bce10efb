"""Bridging: the networks of all sources share the mean of their hidden features.

References:
    R. Sawata et al., "The Whole Is Greater than the Sum of Its Parts: Improving Music Source
    Separation by Bridging Networks", EURASIP J. Audio Speech Music Process. 2024:39,
    https://arxiv.org/abs/2305.07855.
"""

from collections.abc import Sequence

import torch
from torch import nn

from ..errors import ConfigError


class Bridge(nn.Module):
    """Mean over sources at named points, without parameters.

    Args:
        points: Names of all points in the network.
        active: Points at which sources are bridged; ``None`` for all, ``()`` for none.

    Raises:
        ConfigError: If ``active`` names an unknown point.

    Example:
        >>> import torch
        >>> bridge = Bridge(("encoder", "decoder"), active=("decoder",))
        >>> zeros, ones = torch.zeros(1, 3), torch.ones(1, 3)
        >>> [x[0, 0].item() for x in bridge("encoder", [zeros, ones])]
        [0.0, 1.0]
        >>> [x[0, 0].item() for x in bridge("decoder", [zeros, ones])]
        [0.5, 0.5]
    """

    def __init__(self, points: Sequence[str], active: Sequence[str] | None = None) -> None:
        super().__init__()
        self.points = tuple(points)
        self.active = frozenset(points if active is None else active)
        unknown = sorted(self.active - set(points))
        if unknown:
            raise ConfigError(
                f"There is no bridge {', '.join(unknown)}: choose from {', '.join(points)}."
            )

    def forward(self, point: str, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Replace features of all sources, of one shape, by their mean if the point is active."""
        if point not in self.points:
            raise KeyError(point)
        if point not in self.active:
            return list(features)
        mean = torch.stack(list(features)).mean(0)
        return [mean] * len(features)
