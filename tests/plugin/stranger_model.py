"""A stranger's joint model: learnt filterbank at 8 kHz, pitch in semitones, activity."""

import torch
from torch import nn
from torch.nn import functional

from asteroid_joint import JointModel, JointOutput, PitchGrid
from asteroid_joint.models import register_model


@register_model
class StrangerNet(JointModel):
    """Masks on a learnt filterbank; frames of 25 ms and bins of a semitone.

    Args:
        sample_rate: Hz.
        hop_length: Samples per frame.
        hid_chan: Width of the recurrent layer.
    """

    presets = {"paper": {}, "tiny": {"hid_chan": 16}}

    def __init__(self, sample_rate: int = 8000, hop_length: int = 200, hid_chan: int = 64) -> None:
        grid = PitchGrid(hop_length, sample_rate, n_bins=60, cents_per_bin=100.0)
        super().__init__(sample_rate, grid)
        n_filters, kernel = 64, 2 * hop_length
        self.encoder = nn.Conv1d(1, n_filters, kernel, stride=hop_length, bias=False)
        self.recurrent = nn.GRU(n_filters, hid_chan, batch_first=True, bidirectional=True)
        self.mask = nn.Linear(2 * hid_chan, n_filters)
        self.pitch = nn.Linear(2 * hid_chan, grid.n_bins)
        self.activity = nn.Linear(2 * hid_chan, 1)
        self.decoder = nn.ConvTranspose1d(n_filters, 1, kernel, stride=hop_length, bias=False)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_samples, hop = wav.shape[-1], self.pitch_grid.hop_length
        tail = self.pitch_grid.n_frames(n_samples) * hop - n_samples
        maps = self.encoder(functional.pad(wav, (hop, tail)))  # (B, D, N)
        hidden = self.recurrent(maps.transpose(1, 2).abs())[0]  # (B, N, D)
        masked = maps * torch.sigmoid(self.mask(hidden)).transpose(1, 2)
        vocals = self.decoder(masked)[..., hop : hop + n_samples]  # (B, 1, T)
        sources = torch.cat([vocals, wav - vocals], 1)  # (B, S, T)
        return JointOutput(sources, self.pitch(hidden), self.activity(hidden)[..., 0])
