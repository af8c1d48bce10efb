"""How near two outputs are, and models whose weights hide no mistake."""

import pytest
import torch
from torch import nn

from asteroid_joint.inference.fast.conv import have_bfloat16

needs_bfloat16 = pytest.mark.skipif(
    not have_bfloat16(), reason="this processor has no bfloat16 arithmetic"
)


def randomise(module):
    """Weights and statistics as after training: nothing is 0 or 1, some scales are negative."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2.0),
                (layer.weight.data, -0.5, 1.5),
                (layer.bias.data, -0.5, 0.5),
            ):
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
        if isinstance(layer, nn.PReLU):
            layer.weight.data.fill_(0.3)
    return module.eval()


def error(estimate, reference):
    return float((estimate - reference).abs().max() / reference.abs().max())


def snr_db(estimate, reference):
    return float(10 * torch.log10(reference.square().sum() / (estimate - reference).square().sum()))
