"""Layers in the form in which ONNX has them, for graphs that take inputs of any length."""

import torch
from torch import nn
from torch.nn import functional

from ..masknn.residual_unet import FrequencyFold


class GraphLSTM(nn.Module):
    """An LSTM of one layer as one operator; it only computes in the exported graph.

    PyTorch's exporter would unroll it over the frames where their number is not fixed.

    Args:
        like: Batch-first LSTM whose weights are used.
    """

    weight_in: torch.Tensor
    weight_hidden: torch.Tensor
    bias: torch.Tensor

    def __init__(self, like: nn.LSTM) -> None:
        super().__init__()
        self.hid_chan = like.hidden_size
        self.n_directions = 2 if like.bidirectional else 1
        ends = ("_l0", "_l0_reverse")[: self.n_directions]

        def stacked(name: str) -> torch.Tensor:
            """``(directions, 4 hid_chan, ...)``."""
            return torch.stack([_gates(getattr(like, name + end)) for end in ends])

        biases = torch.cat([stacked("bias_ih"), stacked("bias_hh")], 1)
        self.register_buffer("weight_in", stacked("weight_ih"), persistent=False)
        self.register_buffer("weight_hidden", stacked("weight_hh"), persistent=False)
        self.register_buffer("bias", biases, persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        """``(B, N, D)`` to ``(B, N, directions * hid_chan)``, and no states."""
        batch, frames, _ = x.shape
        hidden = torch.onnx.ops.symbolic(
            "LSTM",
            (x.transpose(0, 1), self.weight_in, self.weight_hidden, self.bias),
            {
                "hidden_size": self.hid_chan,
                "direction": "bidirectional" if self.n_directions == 2 else "forward",
            },
            dtype=x.dtype,
            shape=(frames, self.n_directions, batch, self.hid_chan),
        )
        out = hidden.permute(2, 0, 1, 3)  # (B, N, directions, hid_chan)
        return out.reshape(batch, frames, self.n_directions * self.hid_chan), None

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether a layer can be replaced."""
        plain = isinstance(layer, nn.LSTM) and layer.num_layers == 1 and layer.batch_first
        return bool(plain and layer.bias and not layer.proj_size)


def _gates(weight: torch.Tensor) -> torch.Tensor:
    """PyTorch's order of gates (input, forget, cell, output) to ONNX's."""
    gate_in, forget, cell, out = weight.detach().chunk(4, 0)
    return torch.cat([gate_in, out, forget, cell])


class GraphFold(FrequencyFold):
    """A :class:`FrequencyFold` that always pads, be it by nothing: no branch on a length."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See :class:`FrequencyFold`."""
        x = functional.pad(x, (0, 0, 0, -x.shape[2] % self.time_factor))
        batch, chan, frames, freqs = x.shape
        x = x.reshape(batch, chan, frames, freqs // self.fold, self.fold)
        x = x.permute(0, 1, 4, 2, 3)
        return x.reshape(batch, chan * self.fold, frames, freqs // self.fold)
