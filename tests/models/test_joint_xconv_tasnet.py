"""Conv-TasNet against its published sizes and Asteroid's norms; frames, lengths and bridges."""

import pytest
import torch
from asteroid.masknn.norms import ChanLN, GlobLN
from torch.utils.flop_counter import FlopCounterMode

from asteroid_joint import JointXConvTasNet
from asteroid_joint.errors import ConfigError
from asteroid_joint.models.joint_xconv_tasnet import (
    ConvTasNet,
    PooledPitchHead,
    TemporalBlock,
)

STEREO = {"in_channels": 2, "sources": ("vocals", "drums", "bass", "other")}


def n_params(module):
    return sum(p.numel() for p in module.parameters())


def make(**kwargs):
    torch.manual_seed(0)
    return JointXConvTasNet.from_preset("tiny", **kwargs).eval()


# ------------------------------------------------------------------ one network


@pytest.mark.parametrize(
    ("n_src", "n_blocks", "expected"),
    [(1, 8, 8_655_424), (4, 8, 8_852_032), (4, 10, 10_977_872), (1, 10, 10_781_264)],
)
def test_sizes_of_the_published_network(n_src, n_blocks, expected):
    with torch.device("meta"):
        assert n_params(ConvTasNet(2, n_src, n_blocks=n_blocks)) == expected


def test_sizes_of_the_presets():
    with torch.device("meta"):
        paper = JointXConvTasNet.from_preset("paper", pitch=False)
        apart = JointXConvTasNet.from_preset("paper", pitch=False, bridges=())
        assert n_params(paper) == n_params(apart) == 4 * 8_655_424
        assert n_params(JointXConvTasNet.from_preset("joint", pitch=False)) == 8_852_032
        joint = JointXConvTasNet.from_preset("paper")
        assert n_params(joint.nets) == n_params(paper)
        assert 1e6 < n_params(JointXConvTasNet.from_preset("small")) < 3e6
        # the pitch head's share of the arithmetic
        with FlopCounterMode(display=False) as separator:
            paper.nets[0].blocks(torch.zeros(1, 256, 441))
        with FlopCounterMode(display=False) as head:
            joint.pitch_head(torch.zeros(1, 256, 441), 10)
    assert head.get_total_flops() < 0.01 * 4 * separator.get_total_flops()


@torch.no_grad()
def test_norms_are_those_of_the_paper():
    x = 3 * torch.randn(2, 8, 50) + 1
    net, ours, paper = ConvTasNet(1, 1, 8, bn_chan=8), TemporalBlock(4, 8, 3, 1), GlobLN(8)
    torch.testing.assert_close(ours.layers[2](x), paper(x), atol=1e-5, rtol=1e-5)
    normed = net.norm(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(normed, ChanLN(8)(x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_frames_are_centred_at_multiples_of_the_stride():
    net = ConvTasNet(1, 1, 6, stride=10, bn_chan=4, hid_chan=4, n_blocks=1, n_repeats=1)
    net.encoder.weight.fill_(1.0)
    for sample in (0, 9, 10, 57, 99):
        wav = torch.zeros(1, 1, 100)
        wav[..., sample] = 1
        touched = net.encode(wav)[0, 0].nonzero().flatten().tolist()
        assert touched == [sample // 10, sample // 10 + 1]


@pytest.mark.parametrize("n_samples", [1, 9, 10, 11, 95, 100, 101])
@torch.no_grad()
def test_encoder_and_decoder_can_be_inverse_at_any_length(n_samples):
    """Filters plus and minus a unit impulse survive the ReLU; two frames see each sample."""
    net = ConvTasNet(1, 1, 40, stride=10, bn_chan=4, hid_chan=4, n_blocks=1, n_repeats=1)
    impulses = torch.cat([torch.eye(20), -torch.eye(20)])[:, None]  # (n_filters, 1, 20)
    net.encoder.weight.copy_(impulses)
    net.decoder.weight.copy_(0.5 * impulses)
    net.mask.weight.fill_(0.25)
    wav = torch.randn(2, 1, n_samples)
    encoded = net.encode(wav)
    assert encoded.shape == (2, 40, -(-n_samples // 10) + 1)
    all_pass = torch.ones(2, 4, encoded.shape[-1])
    torch.testing.assert_close(net.decode(encoded, all_pass, n_samples), wav[:, None])


@torch.no_grad()
def test_stages_follow_each_other():
    net = ConvTasNet(2, 3, 8, bn_chan=6, hid_chan=7, n_blocks=3, n_repeats=2)
    dilations = [block.layers[3].dilation[0] for block in net.blocks]
    assert dilations == [1, 2, 4, 1, 2, 4]
    assert net(torch.randn(2, 2, 333)).shape == (2, 3, 2, 333)


# ------------------------------------------------------------------ the joint model


@pytest.mark.parametrize("n_samples", [1, 5, 321, 4001])
@torch.no_grad()
def test_shapes_in_stereo(n_samples):
    for joint in (False, True):
        model = make(joint=joint, bridges=(), **STEREO)
        out = model.forward_joint(torch.randn(2, 2, n_samples))
        assert out.sources.shape == (2, 4, 2, n_samples)
        assert out.pitch_logits.shape == (2, model.pitch_grid.n_frames(n_samples), 360)
        assert out.magnitudes is None


@pytest.mark.parametrize("ratio", [2, 3, 44])
@torch.no_grad()
def test_pitch_frames_are_centred(ratio):
    head = PooledPitchHead(4, ratio, 360, 8)
    ramp = torch.arange(20.0 * ratio + 1)[None, None]
    pooled = head.pool(ramp)[0, 0]
    inside = torch.arange(1, 20) * float(ratio)
    torch.testing.assert_close(pooled[1:20], inside)


@torch.no_grad()
def test_there_are_enough_pitch_frames_at_any_length():
    model = make()  # 16 samples per encoder frame, 320 per pitch frame
    head, grid = model.pitch_head, model.pitch_grid
    for n_samples in (1, 15, 16, 17, 319, 320, 321, 336, 337, 640, 641, 3199, 3200, 3201):
        encoded = model.nets[0].encode(torch.zeros(1, 1, n_samples))
        n_frames = grid.n_frames(n_samples)
        assert head(torch.zeros(1, 8, encoded.shape[-1]), n_frames).shape[1] == n_frames


@torch.no_grad()
def test_no_pitch():
    assert make(pitch=False).forward_joint(torch.randn(1, 3000)).pitch_logits is None


@pytest.mark.parametrize("bridges", [(), ("bottleneck",), ("mask",), ("bottleneck", "mask")])
@torch.no_grad()
def test_sources_depend_on_each_other_where_bridged(bridges):
    model, wav = make(bridges=bridges), 0.1 * torch.randn(1, 6400)
    before = model.forward_joint(wav)
    for p in model.nets[1].parameters():
        p.add_(0.1 * torch.randn_like(p))
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


def test_options_that_contradict_each_other():
    with pytest.raises(ConfigError, match="bridges=()"):
        make(joint=True)
    with pytest.raises(ConfigError, match="pitch_hop 100 must be a multiple of stride 16"):
        make(pitch_hop=100)
    with pytest.raises(ConfigError, match="no bridge decoder"):
        make(bridges=("decoder",))


@torch.no_grad()
def test_audio_stays_in_32_bits_under_mixed_precision():
    model, wav = make(), 0.1 * torch.randn(1, 6400)
    with torch.autocast("cpu", torch.bfloat16):
        out = model.forward_joint(wav)
    full = model.forward_joint(wav)
    assert out.sources.dtype == out.pitch_logits.dtype == torch.float32
    torch.testing.assert_close(out.sources, full.sources, atol=0.02, rtol=0.1)
