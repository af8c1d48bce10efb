"""Optimised models give what plain ones give, BatchNorm statistics and all."""

import copy

import pytest
import torch
from numerics import error, needs_bfloat16, randomise, snr_db
from torch import nn
from torch.nn import functional

from asteroid_joint import MODELS
from asteroid_joint.inference.fast import conv as fast_conv
from asteroid_joint.inference.fast import fuse
from asteroid_joint.inference.fast import unet as fused_unet
from asteroid_joint.inference.fast.conv import (
    PackedConv,
    PackedLinear,
    TiledConv,
    Workspace,
    toom_cook,
)
from asteroid_joint.inference.fast.fuse import (
    FusedDecoder,
    FusedEncoder,
    optimize_for_inference,
)
from asteroid_joint.masknn.residual_unet import ResidualUNet, UNetDecoder

TOLERANCE = 1e-5  # of the largest output; the requirement is 1e-4


def joint_unets():
    return [name for name in ("DJCM", "SharedBottom", "MMoE") if name in MODELS]


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("name", joint_unets())
def test_models_agree(name, preset):
    torch.manual_seed(0)
    plain = randomise(MODELS[name].from_preset(preset))
    fast = optimize_for_inference(plain)
    assert type(fast) is type(plain) and not fast.training
    assert any(isinstance(m, FusedEncoder) for m in fast.modules())
    assert any(isinstance(m, FusedDecoder) for m in fast.modules())
    with torch.no_grad():
        for shape in ((2, 16123), (1, 9000), (30001,), (100,)):
            wav = torch.randn(shape)
            for got, want in zip(fast.forward_joint(wav), plain.forward_joint(wav), strict=True):
                assert (got is None) == (want is None)
                if want is not None:
                    assert got.shape == want.shape and got.dtype == want.dtype
                    assert error(got, want) < TOLERANCE


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("n_frames", [12, 13, 17, 5])
@pytest.mark.parametrize(
    "options",
    [
        {"act": "prelu"},
        {"act": "relu", "pools": ((1, 2), (2, 2)), "hid_chan": 8, "fold": 2},
        {"act": "prelu", "pools": ((2, 1), (1, 3)), "hid_chan": 0, "fold": 4},
    ],
)
def test_trunk_agrees(options, n_frames, tiled, monkeypatch):
    """The paper's trunk at reduced size, both ways to convolve, frames that fill no tile."""
    monkeypatch.setattr(fused_unet, "TILED_FROM", 0 if tiled else 1 << 60)
    monkeypatch.setattr(fast_conv, "CHUNK_BYTES", 1)  # one tile at a time
    torch.manual_seed(0)
    plain = randomise(ResidualUNet(1, 4, 96, channels=(8, 16), **options))
    fast = optimize_for_inference(plain)
    wav = torch.rand(2, 1, n_frames, 96)
    with torch.no_grad():
        assert error(fast(wav), plain(wav)) < TOLERANCE
        assert error(fast(wav[:1]), plain(wav[:1])) < TOLERANCE


def test_without_onednn(monkeypatch):
    monkeypatch.setattr(fast_conv, "have_onednn", lambda: False)
    torch.manual_seed(0)
    plain = randomise(MODELS["DJCM"].from_preset("tiny"))
    wav = torch.randn(9000)
    with torch.no_grad():
        assert error(optimize_for_inference(plain)(wav), plain(wav)) < TOLERANCE


@needs_bfloat16
def test_bfloat16_is_close():
    torch.manual_seed(0)
    plain = randomise(MODELS["DJCM"].from_preset("small"))
    wav = torch.randn(1, 20000)
    with torch.no_grad():
        assert snr_db(optimize_for_inference(plain, torch.bfloat16)(wav), plain(wav)) > 35


def test_bfloat16_is_ignored_where_it_would_be_slow(monkeypatch, caplog):
    monkeypatch.setattr(fuse, "have_bfloat16", lambda: False)
    plain = randomise(MODELS["DJCM"].from_preset("tiny"))
    fast = optimize_for_inference(plain, torch.bfloat16)
    assert "bfloat16" in caplog.text
    wav = torch.randn(9000)
    with torch.no_grad():
        assert error(fast(wav), plain(wav)) < TOLERANCE


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        optimize_for_inference(nn.Linear(1, 1), torch.float64)


def test_original_is_untouched_and_copy_is_not_saved():
    plain = MODELS["DJCM"].from_preset("tiny").train()
    before = copy.deepcopy(plain.state_dict())
    fast = optimize_for_inference(plain)
    fast(torch.randn(9000))
    assert plain.training and all(p.requires_grad for p in plain.parameters())
    assert all(torch.equal(before[k], v) for k, v in plain.state_dict().items())
    plain.serialize()
    with pytest.raises(RuntimeError, match="save the original"):
        fast.serialize()


def test_an_unknown_part_keeps_the_plain_decoder():
    """A decoder that has grown a layer must not lose it."""
    decoder = UNetDecoder((4,), ((1, 2),), 1)
    decoder.novelty = nn.Identity()
    assert type(optimize_for_inference(nn.ModuleList([decoder]))[0]) is UNetDecoder


def test_optimising_twice_is_harmless():
    plain = randomise(MODELS["DJCM"].from_preset("tiny"))
    wav = torch.randn(9000)
    with torch.no_grad():
        twice = optimize_for_inference(optimize_for_inference(plain))
        assert error(twice(wav), plain(wav)) < TOLERANCE


def test_toom_cook_is_exact():
    to_points, taps, from_points = toom_cook()
    signal = torch.randn(to_points.shape[1], dtype=torch.float64)
    kernel = torch.randn(3, dtype=torch.float64)
    want = torch.stack([(signal[i : i + 3] * kernel).sum() for i in range(fast_conv.TILE)])
    got = from_points @ ((taps @ kernel) * (to_points @ signal))
    assert torch.allclose(got, want, atol=1e-12)


def test_convolutions():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 12, 20, 16), torch.randn(24, 16, 3, 3), torch.randn(24)
    want = functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)
    direct = PackedConv(weight, bias, torch.float32)
    assert error(direct(x, 0.2), functional.leaky_relu(want, 0.2)) < 1e-6
    out = torch.ones_like(want).contiguous()
    direct.add_to(out, x)
    assert error(out, want + 1) < 1e-6
    narrower = x[:, :, :13].contiguous()  # the packed layout is for another width
    assert direct(narrower, 0.2).shape == (2, 12, 13, 24)
    tiled = TiledConv(weight, bias, torch.float32)
    rows = functional.pad(x[0], (0, 0, 0, 0, 1, 1))
    result = tiled(rows, Workspace())  # (TILE, K, F, D)
    assert error(result.transpose(0, 1).reshape(want[0].shape), want[0]) < 1e-5


def test_linear():
    torch.manual_seed(0)
    layer, x = nn.Linear(7, 5), torch.randn(2, 3, 7)
    packed = PackedLinear(layer.weight, layer.bias, torch.float32)
    with torch.no_grad():
        assert torch.allclose(packed(x), layer(x), atol=1e-6)
        assert torch.allclose(packed(x, torch.ones(2, 3, 5)), layer(x) + 1, atol=1e-6)
