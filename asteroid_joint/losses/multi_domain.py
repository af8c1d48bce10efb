"""Multi-domain loss of the X-scheme: magnitudes and waveforms, of sources and of their sums.

References:
    R. Sawata, S. Uhlich, S. Takahashi, Y. Mitsufuji, "All for One and One for All: Improving Music
    Separation by Bridging Networks", ICASSP 2021, https://arxiv.org/abs/2010.04228
    R. Sawata, N. Takahashi, S. Uhlich, S. Takahashi, Y. Mitsufuji, "The Whole Is Greater than the
    Sum of Its Parts: Improving Music Source Separation by Bridging Networks", EURASIP J. Audio,
    Speech, Music Process. 2024:39, https://arxiv.org/abs/2305.07855
"""

from typing import Any

import torch
from torch import nn

from ..data.batch import Batch, has_label
from ..errors import ConfigError
from ..models.base import JointModel, JointOutput
from ..registry import LOSSES
from .combination import CombinationLoss
from .magnitudes import SourceMagnitudes
from .term import Term


def _per_source(x: torch.Tensor) -> torch.Tensor:
    """Mean over all but batch and source: ``(B, S, ...)`` to ``(B, S)``."""
    return x.reshape(*x.shape[:2], -1).mean(-1)


def frequency_loss(estimates: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared error of magnitudes, with equal weight for all bins.

    Args:
        estimates: Linear magnitudes ``(batch, n_src, ..., frames, freqs)``.
        targets: The same shape.

    Returns:
        ``(batch, n_src)``.
    """
    return _per_source((estimates - targets).square())


def time_loss(
    estimates: torch.Tensor, targets: torch.Tensor, mixture: torch.Tensor, eps: float = 1e-10
) -> torch.Tensor:
    """Weighted SDR: one minus the cosines of estimate and target, and of the residuals.

    With the residuals ``n = x - y`` and ``m = x - e`` of mixture ``x``, the cosine of ``e`` and
    ``y`` is weighted in proportion to the energy of ``y``, that of ``m`` and ``n`` to the energy of
    ``n``. 0 is perfect, 2 the worst. A silent target needs no special case.

    Args:
        estimates: Waveforms ``(batch, n_src, n_channels, time)``.
        targets: The same shape.
        mixture: ``(batch, n_channels, time)``.
        eps: Energy that is added, for silence.

    Returns:
        ``(batch, n_src)``, the mean over channels.

    References:
        H.-S. Choi et al., "Phase-Aware Speech Enhancement with Deep Complex U-Net", ICLR 2019,
        https://arxiv.org/abs/1903.03107 (weighted SDR).
    """

    def energy(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(-1)

    def cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        norms = (eps + energy(x)).sqrt() * (eps + energy(y)).sqrt()
        return (x * y).sum(-1) / (norms + eps)

    mixture = mixture[:, None]  # (B, 1, C, T)
    rest = mixture - targets
    share = energy(targets) / (energy(targets) + energy(rest) + eps)  # (B, S, C)
    alike = share * cosine(targets, estimates)
    return _per_source(1 - alike - (1 - share) * cosine(rest, mixture - estimates))


class MultiDomainLoss(nn.Module):
    """Frequency loss plus ``coefficient`` times time loss, of sources or of all their sums.

    Magnitudes are added like waveforms: as in the authors' code, the reference of a sum is the sum
    of the sources' magnitudes, not the magnitude of the sum. Computed in 32 bits (64 for inputs
    in 64), even under automatic mixed precision.

    Args:
        combination: Whether to evaluate sums of sources: see
            :class:`~asteroid_joint.losses.CombinationLoss`.
        coefficient: Weight of the time loss.
        frequency, time: Domains; the authors' networks without this loss use only the first.
        trim: Samples at either end that the time loss ignores. The authors use 200, and 0 in their
            port to Asteroid.
        eps: See :func:`time_loss`.

    Example:
        >>> import torch
        >>> from asteroid_joint.losses import MultiDomainLoss
        >>> sources, magnitudes = torch.ones(1, 4, 2, 80), torch.ones(1, 4, 2, 3, 9)
        >>> loss = MultiDomainLoss(combination=True)
        >>> loss(sources, sources, sources.sum(1), magnitudes, magnitudes).shape
        torch.Size([1, 14])
    """

    def __init__(
        self,
        combination: bool = False,
        coefficient: float = 10.0,
        frequency: bool = True,
        time: bool = True,
        trim: int = 0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__()
        if not frequency and not time:
            raise ConfigError("A multi-domain loss needs a domain: frequency, time or both.")
        if trim < 0:
            raise ConfigError(f"Expected trim to be 0 samples or more, received {trim}.")
        self.coefficient = coefficient
        self.frequency = frequency
        self.time = time
        self.trim = trim
        self.eps = eps
        self.frequency_loss = CombinationLoss(frequency_loss) if combination else frequency_loss
        self.time_loss = CombinationLoss(time_loss) if combination else time_loss

    def forward(
        self,
        estimates: torch.Tensor | None,
        targets: torch.Tensor | None,
        mixture: torch.Tensor | None = None,
        est_magnitudes: torch.Tensor | None = None,
        magnitudes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compare estimates with targets; a domain that is off needs no tensors.

        Args:
            estimates: Waveforms ``(batch, n_src, n_channels, time)``.
            targets: The same for the true sources.
            mixture: ``(batch, n_channels, time)``; by default the sum of the targets.
            est_magnitudes: ``(batch, n_src, n_channels, frames, freqs)``.
            magnitudes: The same for the true sources.

        Returns:
            ``(batch, n_subsets)``, or ``(batch, n_src)`` without combination; its mean is the loss.
            Signals of unequal length (samples, frames) are compared up to the shorter length.
        """
        parts = []
        if self.frequency:
            a, b = _aligned("magnitudes", est_magnitudes, magnitudes, axis=-2)
            with torch.autocast(a.device.type, enabled=False):
                parts.append(self.frequency_loss(a, b))
        if self.time:
            a, b = _aligned("waveforms", estimates, targets, axis=-1)
            with torch.autocast(a.device.type, enabled=False):
                x = b.sum(1) if mixture is None else _full_precision(mixture)
                length = min(a.shape[-1], x.shape[-1])
                inside = slice(self.trim, length - self.trim)
                if length <= 2 * self.trim:
                    raise ValueError(f"trim={self.trim} leaves nothing of {length} samples.")
                value = self.time_loss(a[..., inside], b[..., inside], x[..., inside], self.eps)
                parts.append(self.coefficient * value)
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


@LOSSES.register("multi_domain")
class MultiDomainTerm(SourceMagnitudes):
    """:class:`MultiDomainLoss` of a joint model, per example and subset.

    ``loss: {multi_domain: 1.0}`` with ``loss_args: {multi_domain_combination: true}`` is the
    X-scheme's loss; ``{multi_domain_time: false}`` that of the networks it starts from.

    The mixture is the model's input times its ``mixture_scale``, so that sources add up to it under
    any convention.

    Args:
        n_fft, hop_length: See :class:`~asteroid_joint.losses.magnitudes.SourceMagnitudes`.
        mixture_of_targets: Use the sum of the targets as the mixture, as Asteroid's X-UMX does.
        **options: Arguments of :class:`MultiDomainLoss`.
    """

    def __init__(
        self,
        n_fft: int | None = None,
        hop_length: int | None = None,
        mixture_of_targets: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(n_fft, hop_length)
        self.mixture_of_targets = mixture_of_targets
        self.loss = MultiDomainLoss(**options)

    def __call__(self, output: JointOutput, batch: Batch, model: JointModel) -> Term:
        """``(B, K)`` values; ``(B, S)`` without combination."""
        targets = batch["sources"].nan_to_num()  # (B, S, C, T)
        estimates = output.stems()
        est_magnitudes = magnitudes = mixture = None
        if self.loss.frequency:
            est_magnitudes, magnitudes = self.compared(output, batch, model)
        if not self.mixture_of_targets:
            mixture = model.mixture_scale * batch["mixture"]
        values = self.loss(estimates, targets, mixture, est_magnitudes, magnitudes)
        return Term(values, has_label(batch, "sources", values))


def _full_precision(x: torch.Tensor) -> torch.Tensor:
    """At least 32 bits."""
    return x if x.dtype == torch.float64 else x.float()


def _aligned(
    kind: str, estimates: torch.Tensor | None, targets: torch.Tensor | None, axis: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in full precision, cropped along ``axis`` to the shorter length.

    Raises:
        ValueError: If one is missing, or they differ in another axis.
    """
    if estimates is None or targets is None:
        raise ValueError(f"The multi-domain loss needs {kind} of both estimates and targets.")
    length = min(estimates.shape[axis], targets.shape[axis])
    a, b = (_full_precision(x).narrow(axis, 0, length) for x in (estimates, targets))
    if a.shape != b.shape:
        raise ValueError(
            f"Estimated {kind} are {tuple(estimates.shape)} and true ones {tuple(targets.shape)}: "
            "they must have the same sources, channels and frequencies."
        )
    return a, b
