"""The STFT as real matrix products, for runtimes without a Fourier transform.

Replaces :class:`~asteroid_joint.dsp.stft.STFT` in graphs exported from PyTorch. Frames are cut and
overlapped by reshaping and transformed by two matrices, which a graph makes of its own operators:
they are no part of a file. In PyTorch it is slower than the original.
"""

import torch
from torch import nn
from torch.nn import functional

from .stft import STFT

LEAST_WINDOW = 1e-11  # smallest sum of squared windows to divide by, as in torch.istft


class RealSTFT(nn.Module):
    """Gives the results of an :class:`STFT` up to float32 rounding.

    Args:
        like: STFT whose window, length and hop are used.

    Example:
        >>> stft, wav = STFT(64, 24), torch.randn(2, 500)
        >>> same = RealSTFT(stft)
        >>> bool((same(wav) - stft(wav)).abs().max() < 1e-4)
        True
        >>> bool((same.inverse(same(wav), 480) - wav[:, :480]).abs().max() < 1e-4)
        True
    """

    window: torch.Tensor

    def __init__(self, like: STFT) -> None:
        super().__init__()
        self.n_fft, self.hop_length = like.n_fft, like.hop_length
        self.n_blocks = -(-self.n_fft // self.hop_length)  # hops per frame, rounded up
        self.register_buffer("window", like.window.float(), persistent=False)

    def _angles(self) -> torch.Tensor:
        """Phase of every frequency at every sample in radians, ``(n_fft, F)``."""
        sample, freq = torch.arange(self.n_fft), torch.arange(self.n_fft // 2 + 1)
        # reduce the product as an integer, so that the angle is exact
        turns = (sample[:, None] * freq).remainder(self.n_fft)
        return turns.to(self.window) * (2 * torch.pi / self.n_fft)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See :meth:`STFT.forward`: ``(..., T)`` to complex ``(..., N, F)``."""
        flat = wav.reshape(-1, 1, wav.shape[-1])  # (B, 1, T)
        n_frames = wav.shape[-1] // self.hop_length + 1
        half, tail = self.n_fft // 2, self.hop_length * self.n_blocks
        padded = functional.pad(functional.pad(flat, (half, half), mode="reflect"), (0, tail))
        blocks = padded[..., : self.hop_length * (n_frames + self.n_blocks - 1)]
        blocks = blocks.reshape(len(flat), -1, self.hop_length)  # (B, N', hop)
        shifted = [blocks[:, k : k + n_frames] for k in range(self.n_blocks)]
        frames = torch.cat(shifted, -1)[..., : self.n_fft] * self.window  # (B, N, n_fft)
        angles = self._angles()
        spec = torch.complex(frames @ angles.cos(), -(frames @ angles.sin()))  # (B, N, F)
        return spec.reshape(*wav.shape[:-1], *spec.shape[1:])

    def inverse(self, spec: torch.Tensor, length: int) -> torch.Tensor:
        """See :meth:`STFT.inverse`: complex ``(..., N, F)`` to ``(..., length)``."""
        flat = spec.reshape(-1, *spec.shape[-2:])  # (B, N, F)
        freq = torch.arange(self.n_fft // 2 + 1)
        # every bin but the first and the last represents its mirror image, too
        once = (freq == 0) | (2 * freq == self.n_fft)
        weight = (2.0 - once.to(self.window)) / self.n_fft  # (F,)
        real, imag = flat.real * weight, flat.imag * weight
        angles = self._angles()
        frames = real @ angles.cos().T - imag @ angles.sin().T  # (B, N, n_fft)
        added = self._overlap(frames * self.window)  # (B, T)
        ones = torch.ones_like(frames[:1])
        squared = self._overlap(ones * self.window.square())  # (1, T)
        half = self.n_fft // 2
        wav = added / torch.where(squared > LEAST_WINDOW, squared, torch.ones_like(squared))
        wav = functional.pad(wav, (0, max(0, half + length - wav.shape[-1])))
        return wav[:, half : half + length].reshape(*spec.shape[:-2], length)

    def _overlap(self, frames: torch.Tensor) -> torch.Tensor:
        """``(B, N, n_fft)`` to the sum of shifted frames ``(B, T)``."""
        last = self.n_blocks - 1
        padded = functional.pad(frames, (0, self.hop_length * self.n_blocks - self.n_fft))
        blocks = padded.unflatten(-1, (self.n_blocks, self.hop_length))  # (B, N, n_blocks, hop)
        out = functional.pad(blocks[:, :, 0], (0, 0, 0, last))  # (B, N', hop)
        for k in range(1, self.n_blocks):
            out = out + functional.pad(blocks[:, :, k], (0, 0, k, last - k))
        return out.flatten(1)
