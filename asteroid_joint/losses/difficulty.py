"""Difficulty of the frames of a batch for a model, for strategies that weight single samples.

Both measures are between 0 and 1, have no gradient, and are 0 where labels are missing.
"""

import torch
from torch.nn import functional

from ..data.batch import Batch
from ..dsp.stft import STFT, magnitude
from ..models.base import JointModel, JointOutput
from ..pitch import PitchGrid

REACH = 2  # bins on either side of the true one that count as correct: almost 50 cents
MIXTURE_SHARE = 0.1  # of its mean magnitude in the denominator, so that silence is not hard
WINDOW_HOPS = 4  # shortest window; the next power of two is used


@torch.no_grad()
def pitch_difficulty(
    pitch_logits: torch.Tensor, f0_hz: torch.Tensor, grid: PitchGrid
) -> torch.Tensor:
    """Distance of the pitch activations from certainty.

    Args:
        pitch_logits: ``(batch, frames, n_bins)``.
        f0_hz: ``(batch, frames)``, 0 = unvoiced, NaN = unknown.
        grid: Pitch grid of the model.

    Returns:
        ``(batch, frames)``: for a voiced frame, 1 minus the greatest activation within 40 cents of
        the true bin; for an unvoiced one, the greatest activation.
    """
    active = pitch_logits.float().sigmoid()  # (B, N, P)
    voiced = f0_hz > 0  # False for NaN
    bins = grid.hz_to_bin(torch.where(voiced, f0_hz, torch.full_like(f0_hz, 100.0)))
    bins = bins.round().clamp(0, grid.n_bins - 1)
    distance = (torch.arange(grid.n_bins, device=bins.device) - bins[..., None]).abs()  # (B, N, P)
    right = (active * (distance <= REACH)).amax(-1)
    hard = torch.where(voiced, 1 - right, active.amax(-1))
    return torch.where(torch.isnan(f0_hz), torch.zeros_like(hard), hard)


@torch.no_grad()
def separation_difficulty(output: JointOutput, batch: Batch, model: JointModel) -> torch.Tensor:
    """Relative error of the voice's magnitudes per frame.

    Args:
        output: Output of the model.
        batch: Batch with the true sources, where they are known.
        model: Model whose frames are used.

    Returns:
        ``(batch, frames)``: the sum of absolute errors divided by the sum of the true voice and a
        tenth of the mixture's mean, at most 1.
    """
    grid = model.pitch_grid
    mixture = model.mixture_scale * batch["mixture"]  # (B, C, T)
    voice = batch["sources"][:, 0].nan_to_num()  # (B, C, T)
    wavs = torch.stack([output.stems()[:, 0].to(voice), voice, mixture], 1)  # (B, K, C, T), K = 3
    n_fft = 1 << (WINDOW_HOPS * grid.hop_length - 1).bit_length()
    missing = max(0, n_fft // 2 + 1 - wavs.shape[-1])  # of what reflect padding needs
    with torch.autocast(wavs.device.type, enabled=False):
        stft = STFT(n_fft, grid.hop_length).to(wavs.device)
        mags = magnitude(stft(functional.pad(wavs.float(), (0, missing))))  # (B, K, C, N, F)
    mags = mags[..., : grid.n_frames(voice.shape[-1]), :]
    error = (mags[:, 0] - mags[:, 1]).abs().sum((1, 3))  # (B, N)
    true, mixed = mags[:, 1].sum((1, 3)), mags[:, 2].sum((1, 3))
    hard = error / (true + MIXTURE_SHARE * mixed.mean(-1, keepdim=True) + 1e-8)
    return hard.clamp(max=1.0) * batch["has_sources"][:, None]
