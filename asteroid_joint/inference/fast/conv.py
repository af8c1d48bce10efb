"""Convolutions for inference on a CPU: packed weights, and tiling along time.

Everything here works on *rows*: contiguous ``(B, N, F, D)`` tensors, which are channels-last maps.

A 3x3 convolution costs nine multiplications per pair of channels. Along time we use the method of
Toom and Cook ("Winograd convolution"): eight frames are combined linearly into eight others, each
is convolved along frequency only (1x3), and six output frames are combined from the eight results.
This is exact up to rounding and needs four multiplications instead of nine; the combinations act on
whole frames, contiguous memory, and cost little. It pays off from about 64 channels.

References:
    A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
    https://arxiv.org/abs/1509.09308
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from ...optional import has_bfloat16

TILE = 6  # output frames per tile; TILE + 2 input frames
# Evaluation points; infinity is the eighth. 1 must be first: its row carries the bias. Numbers and
# their reciprocals keep rounding small: 124 dB below the result per layer in float32, 43 in
# bfloat16 (52 without the method).
POINTS = (1.0, -1.0, 0.0, 2.0, -2.0, 0.5, -0.5)
CHUNK_BYTES = 12 << 20  # of a map's tiles at a time: stays in the third level cache


def toom_cook() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Matrices of a length-3 filter with ``TILE`` outputs, in float64.

    Returns:
        ``(to_points, taps, from_points)``: ``(8, 8)`` for the input frames, ``(8, 3)`` for
        the filter, ``(6, 8)`` for the output: the correlation of ``d`` with ``g`` is
        ``from_points @ ((taps @ g) * (to_points @ d))``.
    """
    size = TILE + 2
    to_points, taps, from_points = (
        torch.zeros(*shape, dtype=torch.float64)
        for shape in ((size, size), (size, 3), (TILE, size))
    )
    for row, point in enumerate(POINTS):
        others = [p for p in POINTS if p != point]
        to_points[row, : size - 1] = _polynomial(others)
        scale = math.prod(point - other for other in others)
        taps[row] = torch.tensor([point**j / scale for j in range(3)])
        from_points[:, row] = torch.tensor([point**i for i in range(TILE)])
    to_points[-1] = _polynomial(POINTS)
    taps[-1, -1] = from_points[-1, -1] = 1.0
    return to_points, taps, from_points


def _polynomial(roots: Sequence[float]) -> torch.Tensor:
    """Coefficients of the monic polynomial with these roots, constant term first."""
    coefficients = torch.ones(1, dtype=torch.float64)
    for root in roots:
        shifted = functional.pad(coefficients, (1, 0))
        coefficients = shifted - root * functional.pad(coefficients, (0, 1))
    return coefficients


def have_onednn() -> bool:
    """Whether the fused oneDNN operators of PyTorch's CPU back end are available."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_convolution_pointwise_"
    )


def have_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulation would only be slow."""
    return have_onednn() and has_bfloat16(torch.device("cpu"))


class PackedLinear:
    """``x @ weight.T + bias``, optionally added to another tensor.

    Args:
        weight: ``(out, in)``.
        bias: ``(out,)`` or ``None``.
        dtype: Type of inputs, outputs and the packed weight.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype).contiguous()
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.packed = have_onednn()
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __deepcopy__(self, memo: dict) -> "PackedLinear":
        """Constants are shared: a packed weight cannot be copied."""
        return self

    def __call__(self, x: torch.Tensor, plus: torch.Tensor | None = None) -> torch.Tensor:
        """``(..., in)`` to ``(..., out)``; ``plus`` ``(..., out)`` is added."""
        if not self.packed:
            out = functional.linear(x, self.weight, self.bias)
            return out if plus is None else out.add_(plus)
        linear = torch.ops.mkldnn._linear_pointwise
        if plus is None:
            return linear(x, self.weight, self.bias, "none", [], "")
        return linear.binary(x, plus, self.weight, self.bias, "add")


class PackedConv:
    """A convolution with stride 1 on rows, with bias and leaky ReLU, or added to other rows.

    Args:
        weight: ``(out, in, kernel over N, kernel over F)``, zero-padded to keep the size over F;
            over N too, unless ``kernel over N`` is 1.
        bias: ``(out,)`` or ``None``.
        dtype: Type of inputs, outputs and the packed weight.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.padding = [weight.shape[2] // 2, weight.shape[3] // 2]
        self.onednn = have_onednn()
        self.packed_for: int | None = None  # frequencies

    def __deepcopy__(self, memo: dict) -> "PackedConv":
        """Constants are shared: a packed weight cannot be copied."""
        return self

    def __call__(self, x: torch.Tensor, slope: float) -> torch.Tensor:
        """Rows ``(B, N, F, in)`` to new rows; negative results are multiplied by ``slope``."""
        maps = x.permute(0, 3, 1, 2)
        if self._pack(maps):
            out = torch.ops.mkldnn._convolution_pointwise(
                maps, self.weight, self.bias, self.padding, [1, 1], [1, 1], 1,
                "leaky_relu", [slope], "",
            )  # fmt: skip
        else:
            out = functional.conv2d(maps, self.weight, self.bias, padding=self.padding)
            functional.leaky_relu_(out, slope)
        return out.permute(0, 2, 3, 1)

    def _pack(self, maps: torch.Tensor) -> bool:
        """Convert the weight to oneDNN's layout, once per model.

        The layout depends on the width of the maps, which the constructor does not know: weights
        packed for another width are reordered at each call, which takes longer than the
        convolution.
        """
        if self.onednn and self.packed_for != maps.shape[3]:
            weight = self.weight if self.packed_for is None else self.weight.to_dense()
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
                weight.to_mkldnn(), self.padding, [1, 1], [1, 1], 1, list(maps.shape)
            )
            self.packed_for = maps.shape[3]
        return self.onednn

    def add_to(self, out: torch.Tensor, x: torch.Tensor) -> None:
        """Add the convolution of rows ``x`` to rows ``out``, in place."""
        maps, target = x.permute(0, 3, 1, 2), out.permute(0, 3, 1, 2)
        if self._pack(maps):
            torch.ops.mkldnn._convolution_pointwise_.binary(
                target, maps, self.weight, self.bias, self.padding, [1, 1], [1, 1], 1,
                "add", 1.0, None, [], None,
            )  # fmt: skip
        else:
            target.add_(functional.conv2d(maps, self.weight, self.bias, padding=self.padding))


class TiledConv:
    """A 3x3 convolution by the method described in the module's docstring.

    Args:
        weight: ``(out, in, 3, 3)``.
        bias: ``(out,)`` or ``None``.
        dtype: Type of inputs, outputs and the packed weights.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        to_points, taps, from_points = toom_cook()
        self.to_points, self.from_points = to_points.to(dtype), from_points.to(dtype)
        self.out_chan, self.in_chan = weight.shape[:2]
        along_freq = torch.einsum("kt,oitf->koif", taps, weight.detach().double())[:, :, :, None]
        self.convs = [
            # frame k of the eight is a polynomial's value at point k: a constant shows at 1 only
            PackedConv(part.to(weight.dtype), bias if k == 0 else None, dtype)
            for k, part in enumerate(along_freq)
        ]

    def n_tiles(self, n_freqs: int, dtype: torch.dtype) -> int:
        """Tiles to process at a time."""
        widest = max(self.in_chan, self.out_chan)
        return max(1, CHUNK_BYTES // ((TILE + 2) * n_freqs * widest * dtype.itemsize))

    def __call__(self, rows: torch.Tensor, workspace: "Workspace") -> torch.Tensor:
        """Convolve some tiles.

        Args:
            rows: ``(TILE * K + 2, F, in)`` for K tiles, with one frame of context on either side.
            workspace: Memory for the results.

        Returns:
            ``(TILE, K, F, out)``: frame ``TILE * k + i`` is at ``[i, k]``. In the workspace,
            overwritten by the next call.
        """
        freqs, flat = rows.shape[1], rows.flatten(1)
        tiles = (rows.shape[0] - 2) // TILE
        points = workspace.get("points", (TILE + 2, tiles, freqs, self.in_chan), rows)
        values = workspace.get("values", (TILE + 2, tiles, freqs, self.out_chan), rows).zero_()
        result = workspace.get("result", (TILE, tiles, freqs, self.out_chan), rows)
        for k in range(tiles):
            frames = flat[TILE * k : TILE * k + TILE + 2]
            torch.mm(self.to_points, frames, out=points.flatten(2)[:, k])
        for conv, point, value in zip(self.convs, points, values, strict=True):
            conv.add_to(value[:, None], point[:, None])
        torch.mm(self.from_points, values.flatten(1), out=result.flatten(1))
        return result


class Workspace:
    """Memory reused by all layers: fresh pages cost as much as the arithmetic on them.

    A model must therefore not run in two threads at a time.
    """

    def __init__(self) -> None:
        self._memory: dict[str, torch.Tensor] = {}

    def get(self, name: str, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """Uninitialised memory of this shape with the type of ``like``; overwritten by next use."""
        numel = math.prod(shape)
        held = self._memory.get(name)
        if held is None or held.numel() < numel or held.dtype != like.dtype:
            held = self._memory[name] = torch.empty(numel, dtype=like.dtype, device=like.device)
        return held[:numel].view(*shape)
