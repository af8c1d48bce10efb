"""Magnitudes of estimated and true sources, for the terms that compare them."""

import torch
from torch.nn import functional

from ..data.batch import Batch
from ..dsp.stft import STFT, magnitude
from ..models.base import JointModel, JointOutput

N_FFT, HOP_LENGTH = 4096, 1024  # samples; defaults: those of X-UMX at 44.1 kHz


class SourceMagnitudes:
    """Base of terms that compare magnitudes.

    Estimated magnitudes are the model's if it returns those of all sources, otherwise the STFT of
    its waveforms.

    Args:
        n_fft: Transform length in samples; by default the model's (attribute or constructor
            argument), or else 4096. If it differs from the model's, the model's magnitudes are
            not used.
        hop_length: Distance of frames in samples; likewise, or else 1024.
    """

    def __init__(self, n_fft: int | None = None, hop_length: int | None = None) -> None:
        self.n_fft = n_fft
        self.hop_length = hop_length
        self._stft: STFT | None = None

    def compared(
        self, output: JointOutput, batch: Batch, model: JointModel
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimated and true magnitudes, ``(batch, n_src, n_channels, frames, freqs)`` each.

        One may have a frame more than the other. Missing labels are zeros.
        """
        n_fft, hop_length, own = self._resolution(model)
        targets = batch["sources"].nan_to_num()  # (B, S, C, T)
        magnitudes = self._magnitudes(targets, n_fft, hop_length)  # (B, S, C, N, F)
        est_magnitudes = output.magnitudes
        if not own or est_magnitudes is None or est_magnitudes.shape[1] < targets.shape[1]:
            est_magnitudes = self._magnitudes(output.stems(), n_fft, hop_length)
        elif est_magnitudes.ndim == 4:  # mono
            est_magnitudes = est_magnitudes[:, :, None]
        return est_magnitudes, magnitudes

    def _resolution(self, model: JointModel) -> tuple[int, int, bool]:
        """``n_fft``, ``hop_length`` and whether these agree with the model's, as far as known."""
        arguments = model.get_model_args()
        found, own = [], True
        for name, default in (("n_fft", N_FFT), ("hop_length", HOP_LENGTH)):
            of_model = getattr(model, name, arguments.get(name))
            found.append(getattr(self, name) or of_model or default)
            own = own and found[-1] == (of_model or found[-1])
        return found[0], found[1], own

    def _magnitudes(self, wav: torch.Tensor, n_fft: int, hop_length: int) -> torch.Tensor:
        """``(B, S, C, T)`` to ``(B, S, C, N, F)``; short signals are zero-padded to a window."""
        if self._stft is None or (self._stft.n_fft, self._stft.hop_length) != (n_fft, hop_length):
            self._stft = STFT(n_fft, hop_length)
        missing = max(0, n_fft // 2 + 1 - wav.shape[-1])  # of what reflect padding needs
        with torch.autocast(wav.device.type, enabled=False):
            wav = functional.pad(wav.float(), (0, missing))
            return magnitude(self._stft.to(wav.device)(wav))
