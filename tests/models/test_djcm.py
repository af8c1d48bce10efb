"""DJCM and its controls against the published architecture."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from asteroid_joint import DJCM, MMoE, SharedBottom
from asteroid_joint.dsp import STFT
from asteroid_joint.dsp.stft import magnitude
from asteroid_joint.errors import ConfigError
from asteroid_joint.losses import PitchLoss, WaveformLoss
from asteroid_joint.metrics.separation import sdr
from asteroid_joint.models.djcm import PitchHead, PolarFrontEnd
from asteroid_joint.models.djcm_controls import Gate, mix_experts

THIN = {"channels": (2,) * 6}  # the paper's layout with hardly any features


def thin(**kwargs) -> DJCM:
    torch.manual_seed(0)
    return DJCM(separator=THIN, pitch=THIN, **kwargs)


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters() if p.requires_grad)


def on_meta(cls, preset: str):
    with torch.device("meta"):
        return cls.from_preset(preset)


# ------------------------------------------------------------------ size


@pytest.mark.parametrize(
    ("cls", "preset", "parameters"),
    [
        (DJCM, "paper", 46_733_003),
        (SharedBottom, "paper", 40_549_789),
        (MMoE, "paper", 47_784_657),
        (MMoE, "paper_3", 53_968_897),
    ],
)
def test_published_number_of_parameters(cls, preset, parameters):
    assert count(on_meta(cls, preset)) == parameters


def test_modules_of_the_published_size():
    model = on_meta(DJCM, "paper")
    assert count(model.front_end) == 2_050
    assert count(model.separator) == 20_818_658
    assert count(model.pitch_net, model.pitch_head) == 25_912_295
    assert count(model.pitch_head.recurrent) == 4_724_736
    assert count(model.pitch_head.linear) == 369_000


@pytest.mark.parametrize("trunk", ["separator", "pitch_net"])
def test_trunk_stage_by_stage(trunk):
    trunk = getattr(on_meta(DJCM, "paper"), trunk)
    encoder = [9_636, 57_602, 229_890, 918_530, 2_311_810, 2_655_746]
    decoder = [4_574_594, 4_574_594, 2_099_714, 542_082, 135_874, 34_146]
    assert [count(block) for block in trunk.encoder.blocks] == encoder
    assert count(trunk.decoder.latent) == 2_655_746
    stages = zip(trunk.decoder.ups, trunk.decoder.blocks, strict=True)
    assert [count(up, block) for up, block in stages] == decoder
    assert count(trunk.decoder.after) == 18_562


@pytest.mark.parametrize("cls", [DJCM, SharedBottom, MMoE])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_freqs": 1000}, "a number of bins divisible by 64 .*, received 1000"),
        ({"n_freqs": 1000, "separator": {"channels": (2,), "fold": 16}}, "divisible by 32"),
        ({"n_freqs": 2048}, "n_freqs 2048 must be from 1 to 1025, the bins of n_fft 2048"),
        ({"separator": {"channels": (2, 2), "pools": ((1, 2),)}}, "received 1 pools for 2 levels"),
    ],
)
def test_sizes_that_do_not_fit_are_one_sentence_at_once(cls, sizes, message):
    options = {"separator": THIN, **({"pitch": THIN} if cls is DJCM else {}), **sizes}
    with pytest.raises(ConfigError, match=message):
        cls(**options)


# ------------------------------------------------------------------ layers


def test_batch_norm_and_activation_options():
    for model in (on_meta(DJCM, "paper"), on_meta(SharedBottom, "paper"), on_meta(MMoE, "paper")):
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        assert len(norms) > 30
        assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-5)}
        slopes = [m for m in model.modules() if isinstance(m, nn.PReLU)]
        assert {slope.num_parameters for slope in slopes} == {1}
        assert {slope.init for slope in slopes} == {0.25}


def test_initialisation():
    torch.manual_seed(0)
    model = DJCM(separator={"channels": (32, 64)}, pitch={"channels": (32, 64)})
    model.requires_grad_(False)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) > 20
    for layer in convolutions:
        if layer.bias is not None:
            assert not layer.bias.any()
        field = layer.weight[0, 0].numel()
        fans = (layer.weight.shape[0] + layer.weight.shape[1]) * field
        bound = math.sqrt(6 / fans)  # Xavier, uniform
        assert layer.weight.abs().max() <= bound
        if layer.weight.numel() > 2000:
            assert layer.weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    linear = model.pitch_head.linear  # PyTorch's default
    assert linear.weight.abs().max() <= 1 / math.sqrt(1024)
    assert linear.weight.std() == pytest.approx(1 / math.sqrt(3 * 1024), rel=0.02)
    assert linear.bias.any()


def test_time_is_never_pooled_and_frequency_halves():
    model = thin().eval()
    shapes = []
    for block in model.separator.encoder.blocks:
        block.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[2:])))
    with torch.no_grad():
        model(torch.zeros(1, 40960))
    assert shapes == [(128, 1024 >> level) for level in range(6)]


def test_pitch_head_reads_whole_frames_in_both_directions():
    torch.manual_seed(0)
    head = PitchHead(8, 5, hid_chan=3)
    x = torch.randn(1, 1, 6, 8, requires_grad=True)
    head(x)[0, 3].sum().backward()
    assert (x.grad[0, 0].abs().sum(-1) > 0).all()  # frames before and after the third
    assert (x.grad[0, 0].abs().sum(0) > 0).all()  # every bin


# ------------------------------------------------------------------ front end


def test_stft_against_numpy():
    generator = torch.Generator().manual_seed(1)
    wav = torch.randn(4000, generator=generator)
    spec = STFT(2048, 320)(wav[None])[0].numpy()
    padded = np.pad(wav.double().numpy(), 1024, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)  # periodic
    for n in range(len(spec)):
        expected = np.fft.rfft(padded[320 * n : 320 * n + 2048] * window)
        np.testing.assert_allclose(spec[n], expected, atol=1e-3)


def test_silence_has_the_floor_magnitude():
    assert magnitude(torch.zeros(1, 3, 3, dtype=torch.complex64)).unique().tolist() == [
        pytest.approx(1e-5)
    ]


def test_40960_samples_are_128_frames():  # self-check a
    output = thin().eval().forward_joint(torch.zeros(1, 40960))
    assert output.sources.shape == (1, 2, 40960)
    assert output.pitch_logits.shape == (1, 128, 360)
    assert output.magnitudes.shape == (1, 1, 128, 1025)


def test_paper_model_runs():
    torch.manual_seed(0)
    model = DJCM.from_preset("paper").eval()
    with torch.no_grad():
        output = model.forward_joint(0.1 * torch.randn(1, 3000))
    assert output.sources.shape == (1, 2, 3000)
    assert output.pitch_logits.shape == (1, 10, 360)
    assert all(torch.isfinite(field).all() for field in output if field is not None)


def identity_maps(mixture) -> torch.Tensor:
    maps = torch.zeros(1, 4, mixture.magnitude.shape[1], 1024)
    maps[:, 0] = 30.0  # mask 1
    maps[:, 1] = 30.0  # rotation (1, 0)
    return maps


def test_mask_one_gives_the_mixture_back():  # self-check c
    front = PolarFrontEnd(2048, 320, 1024, 1.0, False)
    torch.manual_seed(0)
    time = torch.arange(40960) / 16000
    music = sum(torch.sin(2 * math.pi * f * time) / (n + 1) for n, f in enumerate((220, 440, 900)))
    for wav, floor in ((0.1 * torch.randn(40960), 36.0), (music, 60.0)):
        mixture = front.analyse(wav[None])
        voice = front.voice(mixture, identity_maps(mixture))
        estimate = front.synthesise(voice, 40960)[0]
        assert sdr(wav[:-1].numpy(), estimate[:-1].numpy()) > floor
        assert not voice.magnitude[..., 1024].any()  # Nyquist is silent


def test_four_maps_against_complex_arithmetic():
    front = PolarFrontEnd(64, 16, 32, 1.0, False)
    torch.manual_seed(0)
    mixture = front.analyse(torch.randn(2, 400))
    maps = torch.randn(2, 4, mixture.magnitude.shape[1], 32)
    voice = front.voice(mixture, maps)
    mask, cos, sin, rest = (m.double().numpy() for m in maps.unbind(1))
    mixed = (mixture.magnitude * torch.complex(mixture.cos, mixture.sin)).numpy()[..., :32]
    phase = np.angle(mixed) + np.arctan2(np.tanh(sin), np.tanh(cos))
    level = np.maximum(np.abs(mixed) / (1 + np.exp(-mask)) + rest, 0)
    estimate = (voice.magnitude * torch.complex(voice.cos, voice.sin)).numpy()
    np.testing.assert_allclose(estimate[..., :32], level * np.exp(1j * phase), atol=2e-5)
    assert not estimate[..., 32].any()


def test_mixture_magnitude_is_a_constant_for_the_gradient():
    front = PolarFrontEnd(64, 16, 32, 1.0, False)
    mixture = front.analyse(torch.randn(1, 400))
    magnitude = mixture.magnitude.requires_grad_()
    maps = torch.zeros(1, 4, magnitude.shape[1], 32, requires_grad=True)
    front.voice(mixture, maps).magnitude.sum().backward()
    assert magnitude.grad is None
    assert maps.grad[:, 0].any() and maps.grad[:, 3].any()


def test_equal_zeros_in_the_phase_maps_have_a_finite_gradient():
    front = PolarFrontEnd(64, 16, 32, 1.0, False)
    mixture = front.analyse(torch.randn(1, 400))
    maps = torch.zeros(1, 4, mixture.magnitude.shape[1], 32, requires_grad=True)
    front.synthesise(front.voice(mixture, maps), 400).square().sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_input_normalisation_is_per_bin():
    front = PolarFrontEnd(64, 16, 32, 1.0, False).train()
    features = front.features(front.analyse(torch.randn(3, 2000)))
    assert front.norm.num_features == 33
    torch.testing.assert_close(features.mean((0, 1, 2)), torch.zeros(32), atol=1e-5, rtol=0)
    spread = features.var((0, 1, 2), unbiased=False)
    torch.testing.assert_close(spread, torch.ones(32), atol=1e-2, rtol=0)


# ------------------------------------------------------------------ cascade and gradients


def voiced_batch(n_samples: int) -> dict:
    generator = torch.Generator().manual_seed(3)
    sources = 0.1 * torch.randn(1, 2, 1, n_samples, generator=generator)
    f0_hz = torch.full((1, (n_samples - 1) // 320 + 1), 220.0)
    return {
        "mixture": sources.sum(1),
        "sources": sources,
        "f0_hz": f0_hz,
        "has_sources": torch.tensor([True]),
    }


def test_pitch_network_reads_the_raw_vocal_magnitude():
    model = thin().eval()
    seen = []
    model.pitch_net.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    with torch.no_grad():
        output = model.forward_joint(torch.randn(1, 5000))
    assert torch.equal(seen[0], output.magnitudes[..., :1024])


def test_pitch_loss_reaches_the_separator_but_no_phase_map():  # self-check d
    model, batch = thin(), voiced_batch(8000)
    output = model.forward_joint(batch["mixture"])
    PitchLoss()(output, batch, model).mean().backward()
    first = model.separator.encoder.blocks[0].conv1.weight.grad
    maps = model.separator.decoder.out.weight.grad
    assert first.any()
    assert maps[0].any() and maps[3].any()
    assert not maps[1].any() and not maps[2].any()


def test_detached_cascade_cuts_the_pitch_gradient_only():
    model, batch = thin(detach_cascade=True), voiced_batch(8000)
    output = model.forward_joint(batch["mixture"])
    PitchLoss()(output, batch, model).mean().backward(retain_graph=True)
    assert all(p.grad is None for p in model.separator.parameters())
    assert model.pitch_net.encoder.blocks[0].conv1.weight.grad.any()
    WaveformLoss()(output, batch, model).mean().backward()
    assert model.separator.encoder.blocks[0].conv1.weight.grad.any()


@pytest.mark.parametrize("cls", [SharedBottom, MMoE])
def test_controls_have_no_cascade(cls):
    torch.manual_seed(0)
    model, batch = cls(separator=THIN), voiced_batch(8000)
    output = model.forward_joint(batch["mixture"])
    PitchLoss()(output, batch, model).mean().backward()
    assert all(p.grad is None for p in model.vocal_decoder.parameters())
    assert model.pitch_decoder.latent.conv1.weight.grad.any()
    encoders = [model.encoder] if cls is SharedBottom else model.experts
    assert all(encoder.blocks[0].conv1.weight.grad.any() for encoder in encoders)


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("cls", [DJCM, SharedBottom, MMoE])
def test_sources_add_up_to_the_scaled_mixture(cls, scale):
    model = cls.from_preset("tiny", mixture_scale=scale).eval()
    wav = torch.randn(1, 5000)
    with torch.no_grad():
        torch.testing.assert_close(model(wav).sum(1), scale * wav, atol=1e-5, rtol=1e-5)


def test_level_of_the_input_does_not_matter():
    torch.manual_seed(0)
    model = DJCM.from_preset("tiny").eval()
    wav = 0.1 * torch.randn(1, 16000)
    with torch.no_grad():
        soft, loud = model.forward_joint(wav), model.forward_joint(8 * wav)
    torch.testing.assert_close(loud.sources, 8 * soft.sources, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(loud.pitch_logits, soft.pitch_logits, atol=1e-2, rtol=1e-2)
    with torch.no_grad():  # and the paper's model is not indifferent
        paper = thin().eval()
        soft, loud = paper.forward_joint(wav), paper.forward_joint(8 * wav)
    assert (loud.pitch_logits - soft.pitch_logits).abs().max() > 0.05


def test_small_presets_start_near_the_phase_of_the_mixture():
    torch.manual_seed(0)
    bias = DJCM.from_preset("tiny").separator.decoder.out.bias
    fold = len(bias) // 4
    assert bias[fold : 2 * fold].unique().tolist() == [1.0]
    assert not bias[:fold].any() and not bias[2 * fold :].any()


# ------------------------------------------------------------------ mixture of experts


def test_gate_is_one_weight_per_expert_and_frame():
    torch.manual_seed(0)
    gate = Gate(16, 3)(torch.randn(2, 1, 7, 16))
    assert gate.shape == (2, 7, 3)
    torch.testing.assert_close(gate.sum(-1), torch.ones(2, 7))


@pytest.mark.parametrize(("frames", "factor"), [(8, 1), (4, 2), (5, 2)])
def test_experts_are_mixed_by_frame(frames, factor):
    n_frames = 8 if factor == 1 or frames == 4 else 9
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, frames, 4) for _ in range(2)]
    gate = torch.softmax(torch.randn(2, n_frames, 2), -1)
    mixed = mix_experts(maps, gate)
    for frame in range(frames):
        window = [min(frame * factor + i, n_frames - 1) for i in range(factor)]
        weights = gate[:, window].mean(1)  # (B, K)
        expected = sum(weights[:, k, None, None] * maps[k][:, :, frame] for k in range(2))
        torch.testing.assert_close(mixed[:, :, frame], expected)
