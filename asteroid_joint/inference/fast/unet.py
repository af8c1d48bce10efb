"""The residual U-Net for inference: see :mod:`asteroid_joint.inference.fast.fuse`.

Maps are *rows* here, contiguous ``(B, N, F, D)`` tensors.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from ...masknn.residual_unet import ResidualConvBlock, UNetDecoder, UNetEncoder
from .conv import TILE, PackedConv, PackedLinear, TiledConv, Workspace

TILED_FROM = 1 << 20  # frequencies * channels in * channels out; below, overhead eats the saving
CHUNK_BYTES = 256 << 10  # of a map per elementwise step


def affine(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift per channel that a BatchNorm in evaluation mode applies."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps) * norm.weight
    return scale, norm.bias - norm.running_mean * scale


def slope_of(activation: nn.Module) -> float:
    """Slope of a ReLU or PReLU for negative inputs."""
    return float(activation.weight) if isinstance(activation, nn.PReLU) else 0.0


class FusedBlock:
    """A :class:`ResidualConvBlock` on rows, optionally with the BatchNorm and ReLU after it.

    Args:
        block: The plain block.
        parts: Channels of each input, as if they were concatenated.
        then: BatchNorm that, with a ReLU, is the only consumer of the output.
        dtype: Type of the rows.
        workspace: Shared memory.
    """

    def __init__(
        self,
        block: ResidualConvBlock,
        parts: Sequence[int],
        then: nn.BatchNorm2d | None,
        dtype: torch.dtype,
        workspace: Workspace,
    ) -> None:
        scale, shift = affine(block.norm1)
        self.norms = [
            (s.to(dtype), b.to(dtype))
            for s, b in zip(scale.split(list(parts)), shift.split(list(parts)), strict=True)
        ]
        self.slopes = slope_of(block.act1), slope_of(block.act2)
        self.in_chan, self.out_chan = block.conv1.in_channels, block.conv1.out_channels
        out_scale = torch.ones(self.out_chan, dtype=torch.float64)
        out_shift = torch.zeros(self.out_chan, dtype=torch.float64)
        if then is not None:
            out_scale, out_shift = affine(then)
        self.then_relu = then is not None
        scale, shift = affine(block.norm2)
        first = block.conv1.weight * scale[:, None, None, None]
        last = block.conv2.weight * out_scale[:, None, None, None]
        self._plain: list | None = [(first.to(dtype), shift), (last.to(dtype), None)]
        self._convs: list = []  # created once the width of the maps is known
        self.identity = (out_scale.to(dtype), out_shift.to(dtype))
        self.shortcuts: list[PackedLinear] = []
        if isinstance(block.shortcut, nn.Conv2d):
            weight = block.shortcut.weight[:, :, 0, 0] * out_scale[:, None]
            assert block.shortcut.bias is not None
            bias = block.shortcut.bias * out_scale + out_shift
            for k, part in enumerate(weight.split(list(parts), 1)):
                self.shortcuts.append(PackedLinear(part, bias if k == 0 else None, dtype))
        self.workspace = workspace

    def __call__(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Rows ``(B, N, F, D)`` per part to rows ``(B, N, F, out_chan)``."""
        out = self._shortcut(parts)
        if self._plain is not None:
            wide = out.shape[2] * self.in_chan * self.out_chan >= TILED_FROM
            conv: type = TiledConv if wide else PackedConv
            self._convs = [conv(*arguments, out.dtype) for arguments in self._plain]
            self._plain = None
        if isinstance(self._convs[0], TiledConv):
            for item in range(out.shape[0]):
                self._run_tiled([part[item] for part in parts], out[item])
            return out
        active = self.workspace.get("active", (*out.shape[:3], self.in_chan), out)
        for item in range(out.shape[0]):
            self._activate([part[item] for part in parts], active[item])
        first, last = self._convs
        last.add_to(out, first(active, self.slopes[1]))
        return out.relu_() if self.then_relu else out

    def _shortcut(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        if not self.shortcuts:
            scale, shift = self.identity
            return torch.addcmul(shift, parts[0], scale) if self.then_relu else parts[0].clone()
        out = None
        for part, linear in zip(parts, self.shortcuts, strict=True):
            out = linear(part, out)
        assert out is not None
        return out

    def _activate(self, parts: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        """Normalise and activate ``(N, F, D)`` parts, side by side into ``(N, F, in_chan)``."""
        start = 0
        for part, (scale, shift) in zip(parts, self.norms, strict=True):
            target = out[..., start : start + part.shape[-1]]
            start += part.shape[-1]
            rows = max(1, CHUNK_BYTES // (part.shape[1] * part.shape[2] * part.itemsize))
            for x, y in zip(part.split(rows), target.split(rows), strict=True):
                torch.addcmul(shift, x, scale, out=y)
                functional.leaky_relu_(y, self.slopes[0])

    def _run_tiled(self, parts: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        """Both convolutions of one item: parts ``(N, F, D)``; ``out`` contains the shortcut."""
        first, last = self._convs
        frames, freqs = out.shape[:2]
        padded = -(-frames // TILE) * TILE + 2
        active = self.workspace.get("active", (padded, freqs, self.in_chan), out)
        hidden = self.workspace.get("hidden", (padded, freqs, self.out_chan), out)
        for rows in (active, hidden):
            rows[0].zero_()
        active[frames + 1 :].zero_()
        self._activate(parts, active[1 : frames + 1])
        step = TILE * first.n_tiles(freqs, out.dtype)
        for start in range(0, frames, step):
            result = first(active[start : start + step + 2], self.workspace)
            target = hidden[start + 1 : start + 1 + TILE * result.shape[1]]
            torch.ops.aten.leaky_relu.out(result, self.slopes[1], out=_tiles(target))
        hidden[frames + 1 :].zero_()
        step = TILE * last.n_tiles(freqs, out.dtype)
        for start in range(0, frames, step):
            result = last(hidden[start : start + step + 2], self.workspace)
            target = out[start : start + step]
            whole = target.shape[0] // TILE
            _tiles(target[: TILE * whole]).add_(result[:, :whole])
            if target.shape[0] > TILE * whole:
                rest = target[TILE * whole :]
                rest.add_(result[: rest.shape[0], whole])
            if self.then_relu:
                target.relu_()


def _tiles(rows: torch.Tensor) -> torch.Tensor:
    """View of frames ``(TILE * K, F, D)`` as ``(TILE, K, F, D)``."""
    return rows.unflatten(0, (-1, TILE)).transpose(0, 1)


def rows_of(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Maps ``(B, D, N, F)`` to rows, without a copy if they are channels-last."""
    return x.to(dtype).permute(0, 2, 3, 1).contiguous()


class FusedEncoder(nn.Module):
    """Replaces a :class:`UNetEncoder`; same inputs and outputs."""

    def __init__(
        self, encoder: UNetEncoder, dtype: torch.dtype | None, workspace: Workspace
    ) -> None:
        super().__init__()
        self.dtype = dtype or torch.float32
        self.pools = encoder.pools
        self.blocks = [
            FusedBlock(block, [block.conv1.in_channels], None, self.dtype, workspace)
            for block in (cast(ResidualConvBlock, module) for module in encoder.blocks)
        ]

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See :class:`UNetEncoder`."""
        x, skips = rows_of(x, self.dtype), []
        for block, (time, freq) in zip(self.blocks, self.pools, strict=True):
            x = block([x])  # (B, N, F, D)
            skips.append(x.permute(0, 3, 1, 2))
            x = _halve(_halve(x, 2, freq), 1, time)
        return x.permute(0, 3, 1, 2), skips


def _halve(x: torch.Tensor, dim: int, factor: int) -> torch.Tensor:
    """Maximum over groups of ``factor`` neighbours; an incomplete group is dropped."""
    size = x.shape[dim] // factor * factor
    if factor == 1:
        return x
    groups = x.narrow(dim, 0, size).unflatten(dim, (size // factor, factor)).unbind(dim + 1)
    out = torch.maximum(groups[0], groups[1])
    for group in groups[2:]:
        torch.maximum(out, group, out=out)
    return out


class FusedUp:
    """BatchNorm, ReLU and a transposed convolution whose stride is its kernel.

    Args:
        up: The plain layers.
        done: Whether the previous block already includes BatchNorm and ReLU.
        dtype: Type of the rows.
    """

    def __init__(self, up: nn.Sequential, done: bool, dtype: torch.dtype) -> None:
        norm, conv = cast(nn.BatchNorm2d, up[0]), cast(nn.ConvTranspose2d, up[2])
        weight = conv.weight.permute(2, 3, 1, 0)  # (time, freq, out, in)
        self.factors = weight.shape[:2]
        self.linear = PackedLinear(weight.flatten(0, 2), None, dtype)
        self.norm = None if done else tuple(part.to(dtype) for part in affine(norm))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Rows ``(B, N, F, in)`` to rows ``(B, N time, F freq, out)``."""
        if self.norm is not None:
            x = torch.addcmul(self.norm[1], x, self.norm[0]).relu_()
        batch, frames, freqs, _ = x.shape
        time, freq = self.factors
        y = self.linear(x)
        if time > 1:
            y = y.view(batch, frames, freqs, time, -1).transpose(2, 3)
        return y.reshape(batch, frames * time, freqs * freq, -1)


class FusedDecoder(nn.Module):
    """Replaces a :class:`UNetDecoder`; same inputs and outputs."""

    def __init__(
        self, decoder: UNetDecoder, dtype: torch.dtype | None, workspace: Workspace
    ) -> None:
        super().__init__()
        self.dtype = dtype or torch.float32
        ups = [cast(nn.Sequential, up) for up in decoder.ups]
        norms = [cast(nn.BatchNorm2d, up[0]) for up in ups]
        self.paths, self.frames = decoder.paths, decoder.frames  # in float32
        recurrent = not all(isinstance(m, nn.Identity) for m in (self.paths, self.frames))
        self.recurrent = recurrent

        def fuse(
            block: ResidualConvBlock, parts: Sequence[int], then: nn.BatchNorm2d | None
        ) -> FusedBlock:
            return FusedBlock(block, parts, then, self.dtype, workspace)

        bottom = decoder.latent.conv1.in_channels
        self.latent = fuse(decoder.latent, [bottom], None if recurrent else norms[0])
        self.ups: list[FusedUp] = []
        self.blocks: list[FusedBlock] = []
        for k, (up, block) in enumerate(zip(ups, decoder.blocks, strict=True)):
            self.ups.append(FusedUp(up, k > 0 or not recurrent, self.dtype))
            half = cast(nn.ConvTranspose2d, up[2]).out_channels
            then = norms[k + 1] if k + 1 < len(norms) else None
            self.blocks.append(fuse(cast(ResidualConvBlock, block), [half, half], then))
        self.after = fuse(decoder.after, [decoder.after.conv1.in_channels], None)
        self.out = PackedLinear(decoder.out.weight[:, :, 0, 0], decoder.out.bias, self.dtype)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """See :class:`UNetDecoder`; the maps are float32."""
        x = self.latent([rows_of(x, self.dtype)])
        if self.recurrent:
            maps = x.permute(0, 3, 1, 2).float()
            x = rows_of(self.frames(self.paths(maps)), self.dtype)
        for up, block, skip in zip(self.ups, self.blocks, reversed(list(skips)), strict=True):
            x = block([up(x), rows_of(skip, self.dtype)])
        return self.out(self.after([x])).permute(0, 3, 1, 2).float()
