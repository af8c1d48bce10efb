"""U-Net of "valid" convolutions: without padding, so that the output is smaller than the input.

The caller provides context beyond the borders. With ``depth`` poolings and ``multiple = 2 **
depth``, along either axis::

    input = multiple * b + 4 * (multiple - 1) + 2        b: size of the deepest map
    output = multiple * b - 2 * (multiple - 1)
    context = (input - output) / 2 = 3 * (multiple - 1) + 1

Excerpts that begin at multiples of ``multiple`` pool the same pairs. Hence they agree, up to
rounding, wherever their outputs overlap, and outputs joined there equal those of a single pass.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

SLOPE = 0.2  # of leaky ReLU; OURS


def crop(x: torch.Tensor, n_frames: int, n_freqs: int) -> torch.Tensor:
    """The middle of ``(B, D, N, F)``: ``(B, D, n_frames, n_freqs)``."""
    frame, freq = (x.shape[2] - n_frames) // 2, (x.shape[3] - n_freqs) // 2
    return x[:, :, frame : frame + n_frames, freq : freq + n_freqs]


def reflected(first: int, count: int, length: int) -> torch.Tensor:
    """Indices of positions ``first`` to ``first + count - 1`` in a sequence with reflect padding.

    Args:
        first: Position, possibly before the beginning.
        count: Number of positions.
        length: Length of the sequence; it is mirrored repeatedly, without repeating its ends.

    Example:
        >>> reflected(-2, 7, 3).tolist()
        [2, 1, 0, 1, 2, 1, 0]
    """
    period = max(2 * (length - 1), 1)
    place = torch.arange(first, first + count).remainder(period)
    return torch.minimum(place, period - place) if length > 1 else place


def convolution(in_chan: int, out_chan: int, act: nn.Module) -> nn.Sequential:
    """A valid 3x3 convolution and its activation."""
    return nn.Sequential(nn.Conv2d(in_chan, out_chan, 3), act)


class DownBlock(nn.Module):
    """Max-pooling by two, then a convolution."""

    def __init__(self, in_chan: int, out_chan: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.conv = convolution(in_chan, out_chan, nn.LeakyReLU(SLOPE, inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, in_chan, N, F)`` to ``(B, out_chan, N / 2 - 2, F / 2 - 2)``."""
        return self.conv(self.pool(x))


class Bottleneck(nn.Module):
    """Convolution over the whole frequency axis and its transpose, concatenated to the input.

    Args:
        n_chan: Channels of the map and (OURS) between the two convolutions.
        n_freqs: Frequency positions of the map.
    """

    def __init__(self, n_chan: int, n_freqs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(n_chan, n_chan, (1, n_freqs)),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.ConvTranspose2d(n_chan, n_chan, (1, n_freqs)),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, D, N, F)`` to ``(B, 2 D, N, F)``."""
        return torch.cat([x, self.layers(x)], 1)


class UpBlock(nn.Module):
    """Transposed convolution to twice the size, concatenation of a cropped skip, convolution.

    Args:
        in_chan: Channels of the level below.
        skip_chan: Channels of the skip.
        out_chan: Channels of either convolution.
    """

    def __init__(self, in_chan: int, skip_chan: int, out_chan: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(in_chan, out_chan, 2, stride=2), nn.LeakyReLU(SLOPE, inplace=True)
        )
        self.conv = convolution(out_chan + skip_chan, out_chan, nn.LeakyReLU(SLOPE, inplace=True))

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """``(B, in_chan, N, F)`` to ``(B, out_chan, 2 N - 2, 2 F - 2)``."""
        x = self.up(x)
        return self.conv(torch.cat([x, crop(skip, x.shape[2], x.shape[3])], 1))


class ValidUNet(nn.Module):
    """Features per frequency bin and frame, for at least the requested number of bins.

    Args:
        channels: Channels of the first convolution, then of the one after each pooling.
        n_freqs: Smallest number of output bins.

    Attributes:
        multiple: See the module's docstring, in frames.
        context: Frames that the input needs on either side of the output.
        reach: Frames on either side that an output can depend on; more than ``context`` away from
            the borders.
        in_freqs, out_freqs: Bins of input and output; the output begins ``context`` bins higher.
        out_chan: Channels of the output: those of the first convolution and the input itself.

    References:
        D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice: A
        Multi-Task Approach", LVA/ICA 2018, https://arxiv.org/abs/1804.01650, section 3.2; the
        width between the bottleneck's convolutions, the slope and the initial weights are OURS.

    Example:
        >>> net = ValidUNet((2, 3, 4), n_freqs=17)
        >>> net(torch.zeros(1, 1, net.out_size(10) + 2 * net.context, net.in_freqs)).shape
        torch.Size([1, 3, 10, 18])
    """

    def __init__(self, channels: Sequence[int], n_freqs: int) -> None:
        super().__init__()
        self.multiple = 2 ** (len(channels) - 1)
        self.context = 3 * (self.multiple - 1) + 1
        self.reach = self.context + self.multiple - 1
        self.out_freqs = self.out_size(n_freqs)
        self.in_freqs = self.out_freqs + 2 * self.context
        self.out_chan = channels[0] + 1
        deepest = (self.out_freqs + 2 * (self.multiple - 1)) // self.multiple
        self.first = convolution(1, channels[0], nn.ReLU(inplace=True))
        pairs = list(zip(channels, channels[1:], strict=False))
        self.downs = nn.ModuleList(DownBlock(a, b) for a, b in pairs)
        self.bottleneck = Bottleneck(channels[-1], deepest)
        widths = [2 * channels[-1], *channels[-2::-1]]  # inputs of the decoder's blocks
        self.ups = nn.ModuleList(
            UpBlock(below, chan, chan) for below, chan in zip(widths, widths[1:], strict=False)
        )
        init_valid(self)

    def out_size(self, at_least: int) -> int:
        """The smallest possible output size that is not below ``at_least``."""
        lost = 2 * (self.multiple - 1)
        return math.ceil((at_least + lost) / self.multiple) * self.multiple - lost

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 1, N + 2 context, in_freqs)`` to ``(B, out_chan, N, out_freqs)``.

        ``N`` is one of the sizes that :meth:`out_size` returns.
        """
        skips = [self.first(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        y = self.bottleneck(skips.pop())
        for up in self.ups:
            y = up(y, skips.pop())
        return torch.cat([y, crop(x, y.shape[2], y.shape[3])], 1)


def init_valid(module: nn.Module) -> None:
    """Initialise weights to preserve variance through leaky ReLU, and biases with zero.

    Kernels of transposed convolutions do not overlap: an output has one tap per input channel.
    """
    gain = nn.init.calculate_gain("leaky_relu", SLOPE)
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_channels))
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
