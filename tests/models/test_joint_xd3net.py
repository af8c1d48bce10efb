"""D3Net against its published sizes and its definition; X-D3Net's bridges, phase and bands."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from asteroid_joint import JointXD3Net
from asteroid_joint.dsp.stft import magnitude
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.masknn.d3 import BASS, DRUMS, OTHER, VOCALS, D2Block, D3Block, D3Net

STEREO = {"in_channels": 2, "sources": ("vocals", "drums", "bass", "other")}


def n_params(module):
    return sum(p.numel() for p in module.parameters())


def make(**kwargs):
    torch.manual_seed(0)
    return JointXD3Net.from_preset("tiny", **kwargs).eval()


def shake_norms(module):
    """Batch norms that do something in evaluation mode."""
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
            torch.nn.init.normal_(norm.bias, 0, 0.3)
    return module.eval()


# ------------------------------------------------------------------ one source's network


@pytest.mark.parametrize(
    ("config", "expected"),
    [(VOCALS, 2_967_407), (OTHER, 2_967_407), (DRUMS, 2_873_284), (BASS, 2_419_822)],
)
def test_sizes_of_the_published_networks(config, expected):
    with torch.device("meta"):
        net = D3Net(2, 2049, 1600, **config)
        assert n_params(net) == expected
        mag = torch.zeros(1, 2, 16, 2049)
        assert net(mag).shape == mag.shape
    assert net.time_factor == 16


def slow_conv(x, weight, bias, dilation):
    """3x3 convolution as a sum over shifted copies."""
    n, f = x.shape[2:]
    padded = functional.pad(x, [dilation] * 4)
    out = bias[:, None, None].expand(len(bias), n, f)
    for i in range(3):
        for j in range(3):
            shifted = padded[:, :, i * dilation : i * dilation + n, j * dilation : j * dilation + f]
            out = out + torch.einsum("bdnf,ed->benf", shifted, weight[:, :, i, j])
    return out


def slow_d2(block, x):
    """The definition: layer ``l`` sums convolutions of all that precedes it, dilation by origin."""
    k, known = block.growth, [x]
    convs = [block.first, *block.layers]
    for layer in range(len(convs)):
        total = 0
        for origin, source in enumerate(known):
            norm, _, conv = convs[origin]
            rows = slice((layer - origin) * k, (layer - origin + 1) * k)
            weight, bias = conv.weight[rows], conv.bias[rows]
            total = total + slow_conv(norm(source).relu(), weight, bias, 2**origin)
        known.append(total)
    return known[-1]


@pytest.mark.parametrize("n_layers", [1, 2, 4])
@torch.no_grad()
def test_d2_block_is_a_multidilated_convolution(n_layers):
    torch.manual_seed(n_layers)
    block = shake_norms(D2Block(5, 3, n_layers))
    x = torch.randn(2, 5, 11, 9)
    torch.testing.assert_close(block(x), slow_d2(block, x), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_d3_block_connects_d2_blocks_alike():
    torch.manual_seed(0)
    block = shake_norms(D3Block(5, 2, n_layers=2, n_blocks=3))
    x = torch.randn(1, 5, 8, 8)
    start = slow_d2(block.first, x)  # three groups of 2
    second = start[:, 2:4] + slow_d2(block.blocks[0], start[:, :2])[:, :2]
    third = start[:, 4:] + slow_d2(block.blocks[0], start[:, :2])[:, 2:]
    third = third + slow_d2(block.blocks[1], second)
    torch.testing.assert_close(block(x), third, atol=1e-4, rtol=1e-4)


def test_bands_must_halve_and_be_there():
    with pytest.raises(ConfigError, match="1600 is more than the 769 bins"):
        D3Net(2, 769, 1600, **VOCALS)
    with pytest.raises(ConfigError, match="low band has 250 bins: expected a multiple of 8"):
        D3Net(2, 2049, 1600, **{**VOCALS, "split": 250})
    with pytest.raises(ConfigError, match="of one odd length"):
        D3Net(1, 9, 8, **{**VOCALS, "high": {**VOCALS["high"], "growth": (2, 2)}})


# ------------------------------------------------------------------ the joint model


def test_sizes_of_the_presets():
    with torch.device("meta"):
        paper = JointXD3Net.from_preset("paper", pitch=False)
        assert n_params(paper) == 4 * 2_967_407
        assert n_params(JointXD3Net.from_preset("paper", pitch=False, bridges=())) == (
            n_params(paper)
        )
        assert n_params(JointXD3Net.from_preset("d3net", pitch=False)) == 11_227_920
        joint = JointXD3Net.from_preset("paper")
        assert n_params(joint.nets) == n_params(paper)
        assert 1e6 < n_params(JointXD3Net.from_preset("small")) < 3.5e6
        # the pitch head's share of the arithmetic
        with FlopCounterMode(display=False) as separator:
            paper.nets[0](torch.zeros(1, 2, 16, 2049))
        with FlopCounterMode(display=False) as head:
            joint.pitch_head(torch.zeros(1, 27, 16, 1600))
    assert head.get_total_flops() < 0.01 * 4 * separator.get_total_flops()


@pytest.mark.parametrize("n_samples", [768, 769, 5121, 6401])
@torch.no_grad()
def test_shapes_in_stereo(n_samples):
    model = make(**STEREO)
    out = model.forward_joint(torch.randn(2, 2, n_samples))
    n_frames = model.pitch_grid.n_frames(n_samples)
    assert out.sources.shape == (2, 4, 2, n_samples)
    assert out.magnitudes.shape == (2, 4, 2, n_frames, 385)
    assert out.pitch_logits.shape == (2, n_frames, 360)
    assert (out.magnitudes >= 0).all()


@torch.no_grad()
def test_magnitudes_in_mono_and_no_pitch():
    out = make(pitch=False).forward_joint(torch.randn(1, 5000))
    assert out.magnitudes.shape == (1, 2, 16, 385)
    assert out.pitch_logits is None
    with pytest.raises(ValueError, match="no pitch output"):
        make(pitch=False).decode_pitch(torch.zeros(1, 3, 360))


@pytest.mark.parametrize("bridges", [(), ("bottom",), ("output",), ("bottom", "output")])
@torch.no_grad()
def test_sources_depend_on_each_other_where_bridged(bridges):
    model, wav = make(bridges=bridges), 0.1 * torch.randn(1, 6400)
    before = model.forward_joint(wav)
    shake_norms(model.nets[1])
    after = model.forward_joint(wav)
    assert not torch.equal(before.sources[:, 1], after.sources[:, 1])
    assert torch.equal(before.sources[:, 0], after.sources[:, 0]) == (not bridges)
    assert torch.equal(before.pitch_logits, after.pitch_logits) == (not bridges)


@torch.no_grad()
def test_bridging_equal_networks_changes_nothing():
    bridged, apart = make(), make(bridges=())
    for model in (bridged, apart):
        model.nets[1].load_state_dict(model.nets[0].state_dict())
    wav = 0.1 * torch.randn(1, 6400)
    torch.testing.assert_close(bridged(wav), apart(wav))


@torch.no_grad()
def test_bins_above_the_networks_keep_the_mixtures_magnitude():
    model, wav = make(n_freqs=320, power=1.0, **STEREO), 0.1 * torch.randn(1, 2, 8000)
    mixture = magnitude(model.stft(wav)[..., :25, :])
    mags = model.forward_joint(wav).magnitudes
    assert mags.shape[-1] == 385
    for source in range(4):
        assert torch.equal(mags[:, source, ..., 320:], mixture[..., 320:])
        assert not torch.isclose(mags[:, source, ..., :320], mixture[..., :320]).all()


@pytest.mark.parametrize("options", [{}, {"power": 1.0}, {"level_norm": True}])
@torch.no_grad()
def test_networks_that_pass_the_mixture_give_the_mixture(options, monkeypatch):
    monkeypatch.setattr(D3Net, "output", lambda self, maps, mag: mag)
    wav = 0.1 * torch.randn(1, 2, 7777)
    stems = make(**options, **STEREO)(wav)
    torch.testing.assert_close(stems, wav[:, None].expand_as(stems), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_level_norm_makes_the_level_of_the_input_irrelevant():
    wav = 0.1 * torch.randn(1, 8000)
    for level_norm in (True, False):
        model = make(level_norm=level_norm)
        soft, loud = model.forward_joint(wav), model.forward_joint(8 * wav)
        same = torch.allclose(loud.sources, 8 * soft.sources, atol=1e-3, rtol=1e-2)
        assert same == level_norm


@torch.no_grad()
def test_training_starts_from_the_statistics_of_the_mixtures():
    model = make(**STEREO)
    wavs = [torch.randn(2, 16000) * torch.linspace(0.1, 1, 16000) for _ in range(2)]
    clips = [SimpleNamespace(n_samples=16000)] * 2
    dataset = SimpleNamespace(
        clips=clips, sample_rate=16000, read=lambda i, start, n: (wavs[i].numpy(), None)
    )
    model.prepare_training(dataset)
    x = torch.cat([model.analyse(wav[None])[0][0].flatten(0, 1) for wav in wavs])  # (C N, F)
    for net in model.nets:
        z = (x - net.in_offset) / net.in_scale
        torch.testing.assert_close(z.mean(0), torch.zeros(385), atol=1e-4, rtol=0)
        torch.testing.assert_close(z.std(0, correction=0), torch.ones(385), atol=1e-3, rtol=0)
    clips[:] = [SimpleNamespace(n_samples=10)]
    wavs[:] = [wavs[0][:, :10]]
    with pytest.raises(DataError, match="no clip of at least 768 samples"):
        model.prepare_training(dataset)


def test_own_networks_need_a_source_and_no_bridge():
    net = make().get_model_args()["network"]
    with pytest.raises(ConfigError, match="bridges=()"):
        make(own_networks={"vocals": net})
    with pytest.raises(ConfigError, match="'drums'"):
        make(own_networks={"drums": net}, bridges=())
    wider = {**net, "final": {"growth": 5, "n_layers": 2}}
    model = make(own_networks={"accompaniment": wider}, bridges=())
    assert [n.gate.in_channels for n in model.nets] == [4, 5]


@torch.no_grad()
def test_audio_stays_in_32_bits_under_mixed_precision():
    model, wav = make(), 0.1 * torch.randn(1, 6400)
    with torch.autocast("cpu", torch.bfloat16):
        out = model.forward_joint(wav)
    full = model.forward_joint(wav)
    assert {field.dtype for field in out if field is not None} == {torch.float32}
    torch.testing.assert_close(out.sources, full.sources, atol=0.02, rtol=0.1)
