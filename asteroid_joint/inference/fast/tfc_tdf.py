"""The TFC-TDF U-Net for inference: see :mod:`asteroid_joint.inference.fast.fuse`.

Maps are *rows* here, contiguous ``(N, F, D)`` tensors, one example at a time. At full resolution a
map of the paper's network takes 64 MB, and running layer after layer would be memory-bound. A block
therefore runs as a stream: some frames pass through all of its layers while they are in the cache,
and each convolution keeps the two frames that it needs again.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ...masknn.dual_path import DualPath, ImprovedDualPath, ResidualLSTM
from ...masknn.tfc_tdf import TFCTDF, Maps, TFCTDFNet
from .conv import TILE, PackedConv, PackedLinear, TiledConv, Workspace
from .unet import affine

TILED_FROM = 1 << 22  # frequencies * channels in * out; in the cache a plain convolution is fast
STREAM_BYTES = 3 << 20  # of a map's frames on their way through a block
POSITIONS = 1 << 14  # of the sequences in a batch of a recurrent layer


def folded(unit: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight ``(out, in, ...)`` and bias of a convolution and the BatchNorm after it."""
    layer, norm = cast(nn.Conv2d, unit[0]), cast(nn.BatchNorm2d, unit[1])
    scale, shift = affine(norm)  # float64
    weight = layer.weight.double()
    if isinstance(layer, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    assert layer.bias is not None
    weight = weight * scale[:, None, None, None]
    return weight.to(layer.weight.dtype), (layer.bias * scale + shift).to(layer.weight.dtype)


class FrameConv:
    """3x3 convolution, BatchNorm, ReLU (``unit``) of frames with one frame of context."""

    def __init__(
        self, unit: nn.Sequential, n_freqs: int, dtype: torch.dtype, workspace: Workspace
    ) -> None:
        weight, bias = folded(unit)
        self.workspace = workspace
        wide = n_freqs * weight.shape[0] * weight.shape[1] >= TILED_FROM
        if wide and dtype == torch.float32:  # the products saved cost 9 dB in bfloat16
            self.conv: TiledConv | PackedConv = TiledConv(weight, bias, dtype)
        else:
            self.conv = PackedConv(weight, bias, dtype)
            self.conv.padding = [0, 1]

    def __call__(self, rows: torch.Tensor, out: torch.Tensor) -> None:
        """``(n + 2, F, D)`` to ``out (n, F, D)``; n is divisible by ``TILE``."""
        if isinstance(self.conv, TiledConv):
            tiles = out.unflatten(0, (-1, TILE)).transpose(0, 1)  # (TILE, K, F, D)
            torch.clamp_min(self.conv(rows, self.workspace), 0, out=tiles)
        else:
            out.copy_(self.conv(rows[None], 0.0)[0])


class FrameTDF:
    """Dense layers along frequency, added to their input in place."""

    def __init__(self, tdf: nn.Sequential, dtype: torch.dtype, workspace: Workspace) -> None:
        linears = cast(nn.Linear, tdf[0]), cast(nn.Linear, tdf[3])
        norms = cast(nn.BatchNorm2d, tdf[1]), cast(nn.BatchNorm2d, tdf[4])
        self.linears = [PackedLinear(linear.weight, None, dtype) for linear in linears]
        affines = [affine(norm) for norm in norms]
        # channels share the weight, so their factors are applied before it, not folded into it
        self.scales = [scale.to(dtype)[:, None] for scale, _ in affines]  # (D, 1)
        self.shifts = [shift.to(dtype)[:, None] for _, shift in affines]
        self.workspace = workspace

    def __call__(self, rows: torch.Tensor) -> None:
        """Rows ``(n, F, D)``."""
        n, freqs, chan = rows.shape
        across = self.workspace.get("across", (n, chan, freqs), rows)
        torch.mul(rows.transpose(1, 2), self.scales[0], out=across)
        hidden = self.linears[0](across).add_(self.shifts[0]).relu_()  # (n, D, F / bottleneck)
        dense = self.linears[1](hidden.mul_(self.scales[1])).add_(self.shifts[1]).relu_()
        rows.add_(dense.transpose(1, 2))


class FusedTFCTDF:
    """A :class:`TFCTDF` block as a stream of frames."""

    def __init__(self, block: TFCTDF, dtype: torch.dtype, workspace: Workspace) -> None:
        n_freqs = cast(nn.Linear, block.tdf[0]).in_features

        def convs(units: nn.Sequential) -> list[FrameConv]:
            return [FrameConv(cast(nn.Sequential, u), n_freqs, dtype, workspace) for u in units]

        self.shortcut = convs(block.shortcut)[0]
        self.convs = [*convs(block.before), *convs(block.after)]
        self.n_before = len(block.before)
        self.tdf = FrameTDF(block.tdf, dtype, workspace)
        self.workspace = workspace
        self.stream_bytes = STREAM_BYTES

    def __call__(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """Rows ``(N, F, D)`` to rows ``out`` of the same shape, other memory."""
        frames, freqs, chan = x.shape
        n = max(1, self.stream_bytes // (freqs * chan * x.dtype.itemsize * TILE)) * TILE
        n = min(n, -(-frames // TILE) * TILE)
        delay = len(self.convs) - 1  # of the block's output, frames
        held = x.new_zeros(len(self.convs), 2, freqs, chan)  # frames that convolutions need again
        buffers = [self.workspace.get(f"rows{k}", (n + 2, freqs, chan), x) for k in range(2)]
        short = self.workspace.get("short", (n, freqs, chan), x)
        for start in range(0, frames + delay, n):
            _read(x, start - 1, buffers[0])
            for k, conv in enumerate(self.convs):
                source, target = buffers[k % 2], buffers[(k + 1) % 2]
                first = start - k  # first frame of the result
                conv(source, target[2:])
                if k + 1 == self.n_before:
                    self.tdf(target[2:])
                if k == delay:
                    break
                # zeros beyond the map's ends
                target[2 : 2 + max(0, -first)].zero_()
                target[2 + max(0, frames - first) :].zero_()
                target[:2] = held[k + 1]
                held[k + 1] = target[n:]
            _read(x, start - delay - 1, source)
            self.shortcut(source, short)
            skip, end = max(0, delay - start), min(n, frames + delay - start)
            torch.add(
                short[skip:end],
                target[2 + skip : 2 + end],
                out=out[start - delay + skip : start - delay + end],
            )


def _read(x: torch.Tensor, start: int, out: torch.Tensor) -> None:
    """Copy frames of ``x`` from ``start`` on to ``out``, zeros beyond its ends."""
    first, end = max(0, start), min(x.shape[0], start + out.shape[0])
    if end <= first:
        out.zero_()
        return
    out[: first - start].zero_()
    out[first - start : end - start] = x[first:end]
    out[end - start :].zero_()


class FusedSequences:
    """A :class:`ResidualLSTM`, for some sequences at a time: their gates stay in the cache.

    Args:
        layer: The plain layers; converted to ``dtype`` in place.
        dtype: Type of the recurrence; the residual path stays float32.
    """

    def __init__(self, layer: ResidualLSTM, dtype: torch.dtype) -> None:
        self.norm = layer.norm
        self.linear = PackedLinear(layer.linear.weight, layer.linear.bias, dtype)
        self.lstm = layer.lstm.to(dtype)
        self.dtype = dtype

    def __call__(self, x: torch.Tensor) -> None:
        """Contiguous sequences ``(B, L, D)``, in place."""
        for some in x.split(max(1, POSITIONS // x.shape[1])):
            hidden = self.norm(some.transpose(1, 2)).transpose(1, 2)
            some.add_(self.linear(self.lstm(hidden.to(self.dtype))[0].contiguous()))


class FusedDualPaths:
    """Replaces an :class:`ImprovedDualPath`, on rows; ``dtype`` as in :class:`FusedSequences`."""

    def __init__(self, paths: ImprovedDualPath, dtype: torch.dtype) -> None:
        self.n_heads = paths.n_heads
        self.layers = [
            (FusedSequences(layer.over_time, dtype), FusedSequences(layer.over_freq, dtype))
            for layer in (cast(DualPath, module) for module in paths.layers)
        ]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """``(N, F, D)`` to the same."""
        heads = rows.float().unflatten(-1, (self.n_heads, -1))  # (N, F, heads, D')
        x = heads.permute(2, 0, 1, 3).contiguous()  # (heads, N, F, D')
        for over_time, over_freq in self.layers:
            x = x.transpose(1, 2).contiguous()  # (heads, F, N, D')
            over_time(x.flatten(0, 1))
            x = x.transpose(1, 2).contiguous()  # (heads, N, F, D')
            over_freq(x.flatten(0, 1))
        return x.permute(1, 2, 0, 3).flatten(2).to(rows.dtype)  # (N, F, D)


class FusedTFCTDFNet(nn.Module):
    """Replaces a :class:`TFCTDFNet`; same inputs and outputs, in float32."""

    def __init__(self, net: TFCTDFNet, dtype: torch.dtype | None, workspace: Workspace) -> None:
        super().__init__()
        self.factor = net.factor
        self.dtype = dtype or torch.float32
        self.workspace = workspace
        self.paths = FusedDualPaths(net.paths, self.dtype)

        def fuse(blocks: Sequence[nn.Module]) -> list[FusedTFCTDF]:
            return [FusedTFCTDF(cast(TFCTDF, b), self.dtype, workspace) for b in blocks]

        def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> PackedLinear:
            return PackedLinear(weight, bias, self.dtype)

        weight, bias = folded(net.first)
        self.first = linear(weight[:, :, 0, 0], bias)
        self.encoder, self.decoder = fuse(list(net.encoder)), fuse(list(net.decoder))
        self.bottom = fuse([net.bottom])[0]
        self.downs, self.ups = [], []
        for unit in net.downs:
            weight, bias = folded(cast(nn.Sequential, unit))
            self.downs.append(linear(weight.permute(0, 2, 3, 1).flatten(1), bias))  # (out, 4 in)
        for unit in net.ups:
            weight, bias = folded(cast(nn.Sequential, unit))
            weight = weight.permute(2, 3, 0, 1)  # (time, freq, out, in)
            self.ups.append(linear(weight.flatten(0, 2), bias.repeat(4)))
        self.last = linear(net.last.weight[:, :, 0, 0], net.last.bias)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> Maps:
        """See :class:`TFCTDFNet`."""
        frames = x.shape[2]
        x = functional.pad(x, (0, 0, 0, -frames % self.factor))
        parts = zip(*(self._one(item.permute(1, 2, 0)) for item in x.to(self.dtype)), strict=True)
        output, latent, decoded = (
            (torch.stack(part) if len(part) > 1 else part[0][None]).permute(0, 3, 1, 2).float()
            for part in parts
        )
        return Maps(output[:, :, :frames], latent, decoded[:, :, :frames])

    def _one(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows ``(N, F, in_chan)`` to output, latent and last map, rows each."""
        x = _in_chunks(lambda chunk: self.first(chunk.contiguous()).relu_(), rows)
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=True):
            y = torch.empty_like(x)
            block(x, y)
            skips.append(y)
            x = _in_chunks(lambda chunk, down=down: down(_corners(chunk)).relu_(), y, 2)
        latent = torch.empty_like(x)
        self.bottom(x, latent)
        latent = x = self.paths(latent)
        for up, block, skip in zip(self.ups, self.decoder, reversed(skips), strict=True):
            x = self._up(up, x, skip)
            block(x, skip)  # the skip is no longer needed
            x = skip
        return _in_chunks(self.last, x), latent, x

    def _up(self, up: PackedLinear, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Transposed convolution, ReLU, times the skip: ``(N, F, D)`` to ``(2 N, 2 F, D')``."""
        out = torch.empty_like(skip)
        n = _chunk_frames(skip)
        for start in range(0, x.shape[0], n):
            corners = up(x[start : start + n]).unflatten(-1, (2, 2, -1))  # (n, F, time, freq, D')
            target = out[2 * start : 2 * (start + n)]
            parts = target.unflatten(0, (-1, 2)).unflatten(2, (-1, 2))  # (n, time, F, freq, D')
            torch.clamp_min(corners.transpose(1, 2), 0, out=parts)
            target.mul_(skip[2 * start : 2 * (start + n)])
        return out


def _chunk_frames(x: torch.Tensor) -> int:
    """Frames of a map per chunk, an even number."""
    return max(1, STREAM_BYTES // (2 * x[0].numel() * x.dtype.itemsize)) * 2


def _in_chunks(function, x: torch.Tensor, stride: int = 1) -> torch.Tensor:  # noqa: ANN001
    """Apply ``function`` to some frames of ``x`` at a time; it returns one frame per ``stride``."""
    n = _chunk_frames(x)
    first = function(x[:n])
    out = first.new_empty(x.shape[0] // stride, *first.shape[1:])
    out[: len(first)] = first
    for start in range(n, x.shape[0], n):
        out[start // stride : (start + n) // stride] = function(x[start : start + n])
    return out


def _corners(rows: torch.Tensor) -> torch.Tensor:
    """Rows ``(N, F, D)`` to ``(N / 2, F / 2, 4 D)``: what a 2x2 kernel with stride 2 sees."""
    corners = rows.unflatten(0, (-1, 2)).unflatten(2, (-1, 2))  # (N / 2, 2, F / 2, 2, D)
    return corners.transpose(1, 2).flatten(2)
