"""Pitch heads on a harmonic stack of a spectrogram with a logarithmic frequency axis.

On a logarithmic axis a change of pitch is a shift, so one set of convolution weights serves every
pitch; stacking copies shifted by harmonic intervals aligns all partials of a candidate at one
position. A network need not learn either from (little) data.

References:
    R. M. Bittner et al., "Deep salience representations for F0 estimation in polyphonic music",
    ISMIR 2017 (harmonic CQT).
"""

from collections.abc import Sequence

import torch
from torch import nn

from ..pitch import PitchGrid, cents_to_hz, hz_to_cents
from .heads import RARE_LOGIT
from .residual_unet import Pool, ResidualUNet

HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10)  # multiples of a candidate's frequency
KERNEL = (3, 9)  # frames, pitch bins
CONTEXT_KERNEL, DILATION = 5, 4  # frames; the second layer of the correction is dilated


class HarmonicStack(nn.Module):
    """Linear-frequency maps to one map over pitch bins per harmonic.

    The logarithmic axis extends the grid on both sides; triangular filters are as wide as the
    coarser of the two axes. Harmonic shifts are rounded to whole bins.

    Args:
        n_fft: Length of the spectrogram's transform in samples.
        n_freqs: Number of its lowest bins that are the input.
        grid: Pitch grid of the output.
        harmonics: Multiples of the candidate's frequency; fractions are sub-harmonics.
    """

    filters: torch.Tensor

    def __init__(
        self, n_fft: int, n_freqs: int, grid: PitchGrid, harmonics: Sequence[float]
    ) -> None:
        super().__init__()
        shifts = [round(hz_to_cents(h, 1.0) / grid.cents_per_bin) for h in harmonics]
        self.offsets = [shift - min(*shifts, 0) for shift in shifts]
        self.n_bins = grid.n_bins
        n_log = grid.n_bins + max(self.offsets)
        bins = torch.arange(n_log, dtype=torch.float64) + min(*shifts, 0)
        centre = grid.bin_to_hz(bins) * n_fft / grid.sample_rate  # in linear bins
        spacing = centre * (cents_to_hz(grid.cents_per_bin, 1.0) - 1)
        distance = (torch.arange(n_freqs)[:, None] - centre).abs() / spacing.clamp_min(1.0)
        filters = (1 - distance).clamp_min(0.0)  # (F, log bins)
        filters = filters / filters.sum(0).clamp_min(1e-6)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 1, N, F)`` to ``(B, K, N, P)``, one map per harmonic."""
        log_spectrum = x[:, 0] @ self.filters  # (B, N, log bins)
        return torch.stack([log_spectrum[..., o : o + self.n_bins] for o in self.offsets], 1)


class HarmonicPitchHead(nn.Module):
    """Harmonic stack, a small residual U-Net over (frame, pitch bin), a recurrent correction.

    The U-Net's map already contains logits; the recurrent layer sees whole frames and adds what
    needs context: octave decisions and voicing.

    Args:
        n_fft, n_freqs, grid, harmonics: See :class:`HarmonicStack`.
        channels, pools, fold, hid_chan, act: See
            :class:`~asteroid_joint.masknn.residual_unet.ResidualUNet`.
        context_chan: Recurrent features per direction of the correction.
    """

    def __init__(
        self,
        n_fft: int,
        n_freqs: int,
        grid: PitchGrid,
        harmonics: Sequence[float] = HARMONICS,
        channels: Sequence[int] = (24, 32, 48),
        pools: Sequence[Pool] = ((1, 2), (2, 2), (1, 2)),
        fold: int = 3,
        hid_chan: int = 128,
        act: str = "relu",
        context_chan: int = 128,
    ) -> None:
        super().__init__()
        self.stack = HarmonicStack(n_fft, n_freqs, grid, harmonics)
        self.norm = nn.BatchNorm2d(len(harmonics))
        self.unet = ResidualUNet(
            len(harmonics), 1, grid.n_bins, channels, pools, fold, hid_chan, act
        )
        self.project = nn.Linear(grid.n_bins, context_chan)
        self.context = nn.LSTM(context_chan, context_chan, batch_first=True, bidirectional=True)
        self.correct = nn.Linear(2 * context_chan, grid.n_bins)
        nn.init.constant_(self.correct.bias, -4.0)  # nearly all targets are zero

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Non-negative map ``(B, 1, N, F)`` to logits ``(B, N, P)``."""
        logits = self.unet(self.norm(self.stack(x)))[:, 0]  # (B, N, P)
        context = self.context(self.project(logits))[0]
        return (logits + self.correct(context)).float()


class LocalPitchHead(nn.Module):
    """Harmonic stack, convolutions over (frame, pitch bin), a correction by neighbouring frames.

    Like :class:`HarmonicPitchHead` but without recurrence, so that a network of bounded context
    keeps that property.

    Args:
        n_fft, n_freqs, grid, harmonics: See :class:`HarmonicStack`.
        channels: Features of each convolution.
        context_chan: Features of the correction.

    Attributes:
        reach: Frames on either side that an output depends on.
    """

    def __init__(
        self,
        n_fft: int,
        n_freqs: int,
        grid: PitchGrid,
        harmonics: Sequence[float] = HARMONICS,
        channels: Sequence[int] = (12, 12),
        context_chan: int = 128,
    ) -> None:
        super().__init__()
        self.stack = HarmonicStack(n_fft, n_freqs, grid, harmonics)
        self.norm = nn.BatchNorm2d(len(harmonics))
        padding = (KERNEL[0] // 2, KERNEL[1] // 2)
        layers: list[nn.Module] = []
        for below, chan in zip((len(harmonics), *channels), channels, strict=False):
            layers += [nn.Conv2d(below, chan, KERNEL, padding=padding), nn.ReLU()]
        self.convs = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 1))
        side = CONTEXT_KERNEL // 2
        self.correct = nn.Sequential(
            nn.Conv1d(grid.n_bins, context_chan, CONTEXT_KERNEL, padding=side),
            nn.ReLU(),
            nn.Conv1d(
                context_chan,
                context_chan,
                CONTEXT_KERNEL,
                padding=side * DILATION,
                dilation=DILATION,
            ),
            nn.ReLU(),
            nn.Conv1d(context_chan, grid.n_bins, 1),
        )
        nn.init.constant_(self.correct[-1].bias, RARE_LOGIT)  # type: ignore[arg-type]
        self.reach = len(channels) * padding[0] + side * (1 + DILATION)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Non-negative map ``(B, 1, N, F)`` to logits ``(B, N, P)``."""
        logits = self.convs(self.norm(self.stack(x)))[:, 0]  # (B, N, P)
        return (logits + self.correct(logits.transpose(1, 2)).transpose(1, 2)).float()
