"""Pitch networks over spectra: a small convolutional one, and one in the style of RMVPE.

References:
    H. Wei, X. Cao, T. Dan, Y. Chen, "RMVPE: A robust model for vocal pitch estimation in polyphonic
    music", INTERSPEECH 2023, https://arxiv.org/abs/2306.15412 (the style; layers are ours).
"""

from collections.abc import Sequence

import torch

from ...masknn.harmonic import LocalPitchHead
from ...masknn.residual_unet import ResidualUNet, init_convolutions
from ..djcm import PitchHead
from .base import SpectralEstimator, register_estimator

POWER = 0.3  # compression of magnitudes
LEVEL_FLOOR = 1e-4  # magnitude; silence is not divided by less


@register_estimator("cnn")
class PitchCNN(SpectralEstimator):
    """Small network: harmonic stack and convolutions, no recurrence. OURS.

    Magnitudes are normalised by their mean over the segment, so level does not matter.

    Args:
        n_fft, hop_length, sample_rate: See :class:`SpectralEstimator`.
        harmonics, channels, context_chan: See
            :class:`~asteroid_joint.masknn.harmonic.LocalPitchHead`.
    """

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int = 160,
        sample_rate: int = 16000,
        harmonics: Sequence[float] = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10),
        channels: Sequence[int] = (12, 12),
        context_chan: int = 128,
    ) -> None:
        super().__init__(n_fft, hop_length, sample_rate)
        self._args = {
            "n_fft": n_fft,
            "hop_length": hop_length,
            "sample_rate": sample_rate,
            "harmonics": tuple(harmonics),
            "channels": tuple(channels),
            "context_chan": context_chan,
        }
        self.head = LocalPitchHead(
            n_fft, n_fft // 2 + 1, self.pitch_grid, harmonics, channels, context_chan
        )

    def from_magnitude(self, mag: torch.Tensor) -> torch.Tensor:
        level = mag.mean((1, 2), keepdim=True) + LEVEL_FLOOR
        return self.head((mag / level + 1e-3).pow(POWER)[:, None])


@register_estimator("rmvpe")
class RMVPE(SpectralEstimator):
    """In the style of RMVPE: log-mel spectrum, deep residual U-Net, bidirectional GRU.

    Not the published network, which has four residual blocks per level and 90 million parameters,
    but of its shape: a U-Net that pools time and frequency five times, one map of its output per
    frame, a recurrent layer over frames.

    Args:
        n_fft, hop_length, sample_rate: See :class:`SpectralEstimator`.
        n_mels: Bands between 30 Hz and half the rate, divisible by 2 per level; with twice as many
            the lowest would be narrower than a bin of the transform.
        channels: Features per level.
        hid_chan: Recurrent features per direction.
    """

    filters: torch.Tensor

    def __init__(
        self,
        n_fft: int = 2048,
        hop_length: int = 320,
        sample_rate: int = 16000,
        n_mels: int = 128,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        hid_chan: int = 256,
    ) -> None:
        super().__init__(n_fft, hop_length, sample_rate)
        from torchaudio.functional import melscale_fbanks  # late: it has been seen not to load

        self._args = {
            "n_fft": n_fft,
            "hop_length": hop_length,
            "sample_rate": sample_rate,
            "n_mels": n_mels,
            "channels": tuple(channels),
            "hid_chan": hid_chan,
        }
        with torch.device("cpu"):  # it looks at numbers, which another default may not have
            filters = melscale_fbanks(n_fft // 2 + 1, 30.0, sample_rate / 2, n_mels, sample_rate)
        self.register_buffer("filters", filters, persistent=False)  # (F, n_mels)
        self.unet = ResidualUNet(1, 1, n_mels, channels, [(2, 2)] * len(channels), act="relu")
        self.head = PitchHead(n_mels, self.pitch_grid.n_bins, hid_chan)
        init_convolutions(self)

    def from_magnitude(self, mag: torch.Tensor) -> torch.Tensor:
        log_mel = (mag @ self.filters).clamp_min(1e-5).log()  # (B, N, n_mels)
        return self.head(self.unet(log_mel[:, None]))
