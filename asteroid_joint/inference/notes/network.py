"""The network that detects note onsets: a small stack of convolutions over time.

    features (B, D, N + 2 * REACH) -> residual dilated convolutions -> log-odds (B, 2, N)

No convolution pads: an output frame depends only on ``REACH`` frames on either side, so processing
a recording in blocks gives the same result as processing it whole. This module is for training:
:mod:`.odds` computes the trained network.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import CheckpointError
from ...files import atomic_write
from .odds import DILATIONS, WEIGHTS, read_state
from .odds import REACH as REACH

OUTPUTS = ("onset", "sung")


class CueNet(nn.Module):
    """Log-odds that a note begins with a frame, and that the frame is sung.

    Args:
        n_features: Features per frame.
        hid_chan: Channels of the hidden layers.
        dropout: Dropout probability in training.

    Shape:
        ``(batch, n_features, frames + 2 * REACH)`` to ``(batch, 2, frames)``, in the order of
        ``OUTPUTS``.

    References:
        S. Bai, J. Z. Kolter, V. Koltun, "An empirical evaluation of generic convolutional and
        recurrent networks for sequence modeling", 2018, https://arxiv.org/abs/1803.01271
        (dilated residual convolutions; ours are not causal).

    Example:
        >>> CueNet(10)(torch.zeros(1, 10, 100 + 2 * REACH)).shape
        torch.Size([1, 2, 100])
    """

    def __init__(self, n_features: int, hid_chan: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.n_features = n_features
        self.enter = nn.Sequential(
            nn.BatchNorm1d(n_features), nn.Conv1d(n_features, hid_chan, 3), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(hid_chan),
                nn.Conv1d(hid_chan, hid_chan, 3, dilation=dilation),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Conv1d(hid_chan, hid_chan, 1),
            )
            for dilation in DILATIONS
        )
        self.leave = nn.Conv1d(hid_chan, len(OUTPUTS), 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = self.enter(features)  # (B, C, N + 2 * (REACH - 1))
        for dilation, block in zip(DILATIONS, self.blocks, strict=True):
            x = x[..., dilation:-dilation] + block(x)
        return self.leave(x)  # (B, 2, N)


def save_cue_net(network: CueNet, path: Path, about: str) -> None:
    """Write the weights of a network to ``path`` in half precision.

    Args:
        network: The trained network.
        path: File to write.
        about: One line on its training data.
    """
    state = {
        key: (value.half() if value.is_floating_point() else value).numpy()
        for key, value in network.state_dict().items()
    }
    with atomic_write(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, about=about, **state)


@cache
def load_cue_net(path: Path = WEIGHTS) -> CueNet:
    """The trained network in ``.eval()``, read once.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    state = read_state(path)
    try:
        network = CueNet(state["enter.1.weight"].shape[1])
        del state["about"]
        network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    except (KeyError, RuntimeError, TypeError) as err:
        raise CheckpointError(
            f"The weights {path}, which detect notes, cannot be read: install the package again."
        ) from err
    return network.eval().requires_grad_(False)
