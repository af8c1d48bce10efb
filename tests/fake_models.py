"""Small joint models whose output is known, for the tests of ``separate``."""

import torch

from asteroid_joint import JointModel, JointOutput, PitchGrid


class Halves(JointModel):
    """The voice is half of the input, the pitch bin the level at the centre of its frame."""

    def __init__(self, sample_rate: int = 16000, in_channels: int = 1, hop_length: int = 320):
        super().__init__(sample_rate, PitchGrid(hop_length, sample_rate), in_channels)
        self.windows: list[tuple[int, ...]] = []

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        self.windows.append(tuple(wav.shape))
        sources = torch.stack([wav / 2, wav / 2], 1)  # (B, S, C, T)
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        logits = torch.full((len(wav), n_frames, 360), -9.0)
        level = wav[:, 0, :: self.pitch_grid.hop_length].abs().clamp(max=0.99)  # (B, N)
        logits.scatter_(-1, (level * 360).long()[..., None], 9.0)
        return JointOutput(sources[:, :, 0] if self.in_channels == 1 else sources, logits)


class FourStems(JointModel):
    """Four stereo stems at 44.1 kHz, known parts of the input, no pitch."""

    sources = ("drums", "bass", "other", "vocals")
    parts = (0.1, 0.2, 0.3, 0.4)

    def __init__(self) -> None:
        super().__init__(44100, PitchGrid(1024, 44100), in_channels=2, has_pitch=False)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        return JointOutput(torch.stack([part * wav for part in self.parts], 1))
