"""VocalDetectionUNet: the paper's table, excerpts without a seam, phase refinement, its loss."""

import math

import numpy as np
import pytest
import torch
from contract_checks import fixed_batch
from fake_models import Halves

from asteroid_joint import JointOutput, VocalDetectionUNet
from asteroid_joint.data import Collate, JointExample
from asteroid_joint.dsp.griffin_lim import reach, refine_phase
from asteroid_joint.dsp.overlap_add import (
    CrossFader,
    FrameJoiner,
    WindowCutter,
    WindowPlan,
)
from asteroid_joint.dsp.stft import STFT
from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.inference.stream import PitchTrack, StreamSeparator
from asteroid_joint.losses import build_loss
from asteroid_joint.masknn.valid_unet import ValidUNet, reflected
from asteroid_joint.models import vocal_detection_unet
from asteroid_joint.pitch import PitchGrid

RATE = 16000  # Hz, of ``tiny``


def tiny(**overrides) -> VocalDetectionUNet:
    torch.manual_seed(0)
    return VocalDetectionUNet.from_preset("tiny", **overrides).eval()


def tones(n_samples: int, seed: int = 0) -> torch.Tensor:
    """A steady tone, a rising one and noise, ``(1, time)``."""
    sec = torch.arange(n_samples) / RATE
    noise = torch.randn(n_samples, generator=torch.Generator().manual_seed(seed))
    rising = torch.sin(2 * math.pi * (200 + 5 * sec) * sec)
    return (0.1 * noise + 0.3 * torch.sin(2 * math.pi * 330 * sec) + 0.2 * rising)[None]


# The paper's network

TABLE = {  # frequency x time x channels, as in the paper
    "first": (348, 220, 16),
    "downs.0": (172, 108, 32),
    "downs.1": (84, 52, 64),
    "downs.2": (40, 24, 128),
    "downs.3": (18, 10, 256),
    "bottleneck.layers.0": (1, 10, 256),
    "bottleneck.layers.2": (18, 10, 256),
    "bottleneck": (18, 10, 512),
    "ups.0.up": (36, 20, 128),
    "ups.0": (34, 18, 128),
    "ups.1": (66, 34, 64),
    "ups.2": (130, 66, 32),
    "ups.3": (258, 130, 16),
    "": (258, 130, 17),
}


def test_every_shape_of_the_papers_table():
    model = VocalDetectionUNet.from_preset("paper").eval()
    seen = {}

    def remember(name):
        def hook(module, inputs, output):
            seen[name] = tuple(output.shape)

        return hook

    for name in TABLE:
        model.network.get_submodule(name).register_forward_hook(remember(name))
    inputs = []
    model.network.register_forward_pre_hook(lambda _, args: inputs.append(tuple(args[0].shape)))
    with torch.no_grad():
        out = model.forward_joint(torch.randn(1, 130 * 256))
    assert inputs == [(1, 1, 222, 350)]  # (B, D, N, F)
    found = {name: (shape[3], shape[2], shape[1]) for name, shape in seen.items()}
    assert found == TABLE
    assert out.magnitudes.shape == (1, 2, 130, 257)
    assert out.activity_logits.shape == (1, 130)
    assert out.sources.shape == (1, 2, 130 * 256)
    assert (model.sample_rate, model.stft.n_fft, model.stft.hop_length) == (22050, 512, 256)
    assert not model.has_pitch and out.pitch_logits is None


def test_the_papers_parameters_are_those_of_the_table():
    def conv(below: int, above: int, taps: int) -> int:
        return below * above * taps + above

    widths = (16, 32, 64, 128, 256)
    down = sum(conv(a, b, 9) for a, b in zip((1, *widths), widths, strict=False))
    bottleneck = 2 * conv(256, 256, 18)
    up = conv(512, 128, 4) + sum(conv(2 * w, w, 4) for w in (64, 32, 16))
    up += sum(conv(2 * w, w, 9) for w in (128, 64, 32, 16))
    heads = conv(17, 2, 1) + conv(17, 1, 258)
    model = VocalDetectionUNet.from_preset("paper")
    assert sum(p.numel() for p in model.parameters()) == down + bottleneck + up + heads == 3453863


@pytest.mark.parametrize(("depth", "context"), [(2, 10), (3, 22), (4, 46)])
def test_sizes_of_valid_networks(depth, context):
    net = ValidUNet([2] * (depth + 1), 33)
    assert (net.multiple, net.context) == (2**depth, context)
    for wanted in (1, 2, 3, 17, 18, 19):
        size = net.out_size(wanted)
        assert wanted <= size < wanted + net.multiple
        with torch.no_grad():
            out = net(torch.randn(1, 1, size + 2 * context, net.in_freqs))
        assert out.shape == (1, 3, size, net.out_freqs)


def test_an_output_depends_on_nothing_beyond_reach():
    torch.manual_seed(0)
    net = ValidUNet([2, 2, 2], 9).double()
    n_frames = net.out_size(60)
    x = torch.rand(1, 1, n_frames + 2 * net.context, net.in_freqs, dtype=torch.float64)
    x.requires_grad_()
    furthest = 0
    for frame in range(20, 20 + net.multiple):
        (grad,) = torch.autograd.grad(net(x)[0, :, frame].sum(), x)
        used = grad.abs().sum((0, 1, 3)).nonzero()[:, 0] - net.context - frame
        furthest = max(furthest, -int(used.min()), int(used.max()))
    assert net.context < furthest <= net.reach


def test_excerpts_agree_where_their_poolings_do():
    torch.manual_seed(0)
    net = ValidUNet([2, 3, 4], 17)
    n_frames, context = net.out_size(40), net.context
    x = torch.rand(1, 1, n_frames + 2 * context, net.in_freqs)
    with torch.no_grad():
        whole = net(x)
        part = net(x[:, :, 8 : 8 + net.out_size(12) + 2 * context])
        shifted = net(x[:, :, 9 : 9 + net.out_size(12) + 2 * context])
    torch.testing.assert_close(part, whole[:, :, 8 : 8 + part.shape[2]])
    assert (shifted - whole[:, :, 9 : 9 + part.shape[2]]).abs().max() > 1e-3  # other poolings


@pytest.mark.parametrize(("length", "before", "after"), [(1, 3, 4), (2, 5, 6), (7, 20, 1)])
def test_reflected_is_numpys_reflection(length, before, after):
    index = reflected(-before, before + length + after, length)
    expected = np.pad(np.arange(length), (before, after), "reflect")
    np.testing.assert_array_equal(index.numpy(), expected)


# The model


def test_masks_of_one_give_the_mixture_back_to_the_last_sample():
    for iterations in (0, 3):
        model = tiny(griffin_lim_iterations=iterations, mixture_scale=2.0)
        with torch.no_grad():
            model.mask_head.weight.zero_()
            model.mask_head.bias.copy_(torch.tensor([50.0, -50.0]))
        for n_samples in (321, 640, 5000, 41600, 41601):
            wav = tones(n_samples)
            with torch.no_grad():
                vocals, rest = model(wav)[0]
            torch.testing.assert_close(vocals, 2 * wav[0], atol=1e-4, rtol=0)
            assert rest.abs().max() < 1e-6


def test_magnitudes_are_masks_of_the_mixture_and_the_phase_is_its():
    model = tiny(griffin_lim_iterations=0)
    wav = tones(9000)
    spec = model.stft(torch.nn.functional.pad(wav, (0, -9000 % 320)))[:, None]
    with torch.no_grad():
        out = model.forward_joint(wav)
    n_frames = model.pitch_grid.n_frames(9000)
    masks = out.magnitudes / spec[:, :, :n_frames].abs().clamp_min(1e-6)
    assert (masks >= 0).all() and (masks <= 1).all() and masks.std() > 0.01
    masks = torch.cat([masks, masks[:, :, -1:]], 2)  # a frame more behind the end
    expected = model.stft.inverse(masks * spec, 29 * 320)[..., :9000]
    torch.testing.assert_close(out.sources, expected, atol=1e-5, rtol=0)


def test_a_recording_goes_on_as_its_mirror_image():
    model = tiny(griffin_lim_iterations=0)
    wav = tones(3 * RATE)
    hop, before = model.stft.hop_length, 4 * model.window_multiple
    longer = torch.cat([wav[:, 1 : before + 1].flip(1), wav], 1)
    with torch.no_grad():
        short, long = model.forward_joint(wav), model.forward_joint(longer)
    n, first = 60, before // hop  # frames
    torch.testing.assert_close(
        short.activity_logits[:, :n], long.activity_logits[:, first : first + n], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        short.magnitudes[:, :, :n], long.magnitudes[:, :, first : first + n], atol=1e-4, rtol=0
    )


def test_short_excerpts_are_one_long_pass(monkeypatch):
    model = tiny()
    wav = tones(5 * RATE)
    with torch.no_grad():
        expected = model.forward_joint(wav)
        monkeypatch.setattr(vocal_detection_unet, "EXCERPT", 32)
        out = model.forward_joint(wav)
    for a, b in zip(out, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_frames", [1, 128, 130, 131, 146, 147, 512, 514, 515, 1026, 1027])
def test_excerpts_cover_every_frame_once(n_frames):
    model = tiny()
    excerpts = [*model._excerpts(n_frames)]
    assert [start for start, _ in excerpts] == [512 * k for k in range(len(excerpts))]
    assert sum(count for _, count in excerpts) == n_frames
    assert len(excerpts) == max(1, math.ceil((n_frames - 2) / 512))


def test_a_training_segment_is_one_pass_without_waste():
    model = tiny().train()
    sizes = []
    model.network.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[2]))
    for n_frames in (130, 129, 131):
        model.forward_joint(tones(n_frames * 320))
    assert sizes == [222, 222, 238]


def test_griffin_lim_is_for_evaluation():
    model, wav = tiny(), tones(8000)
    plain = tiny(griffin_lim_iterations=0)
    with torch.no_grad():
        refined, expected = model(wav), plain(wav)
        assert (refined - expected).abs().max() > 1e-4
        # BatchNorm of the pitch head is the only other difference of the two modes
        torch.testing.assert_close(model.train()(wav), expected)


def test_each_loss_trains_its_own_head_and_the_network():
    model = tiny().train()
    batch = fixed_batch(model, 8000)
    for term, own, other in (
        ("log_magnitude", model.mask_head, model.activity_head),
        ("activity", model.activity_head, model.mask_head),
    ):
        model.zero_grad()
        loss = build_loss({term: 1.0})
        loss(model.forward_joint(batch["mixture"]), batch, model)["loss"].backward()
        assert own.weight.grad.any() and model.network.first[0].weight.grad.any()
        assert other.weight.grad is None or not other.weight.grad.any()


def test_the_pitch_head_finds_a_tone():
    """It must leave "nothing is voiced" within few steps; a dense head does not."""
    model = tiny(pitch_head={"harmonics": (1, 2, 3), "channels": (6,), "context_chan": 16}).train()
    batch = fixed_batch(model, 9600)
    loss = build_loss({"pitch": 1.0}, {"pitch_alpha": 5.0})
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss(model.forward_joint(batch["mixture"]), batch, model)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        f0_hz, _, _ = model.eval().decode_pitch(model.forward_joint(batch["mixture"]).pitch_logits)
    sung = batch["f0_hz"] > 0
    cents = 1200 * torch.log2(f0_hz[sung] / batch["f0_hz"][sung])
    assert (cents.abs() < 50).float().mean() > 0.9


def test_sources_begin_with_vocals():
    with pytest.raises(ConfigError, match="begin with vocals"):
        VocalDetectionUNet.from_preset("tiny", sources=("drums", "vocals"))


# Windows that do not show

LONG = 40 * RATE + 77  # samples


@pytest.fixture(scope="module")
def whole():
    """A model with all heads, 40 s of sound, and what one pass over them gives."""
    model, wav = tiny(griffin_lim_iterations=4), tones(LONG)
    with torch.no_grad():
        out = model.forward_joint(wav)
    return model, wav, out


@pytest.mark.parametrize("window_sec", [5.0, 10.0])
def test_windows_are_one_pass(whole, window_sec):
    model, wav, expected = whole
    out = separate_array(model, wav.numpy(), RATE, window_sec=window_sec, gate=False)
    vocals = expected.sources[0, 0].numpy()
    assert np.abs(out.stems[0, 0] - vocals).max() < 1e-5
    assert np.abs(out.stems[1, 0] - (wav[0].numpy() - vocals)).max() < 1e-5
    activity = torch.sigmoid(expected.activity_logits[0]).numpy()
    assert out.activity.shape == (len(activity), 2)
    assert np.abs(out.activity[:, 1] - activity).max() < 1e-5
    hz, confidence, _ = (x.numpy() for x in model.decode_pitch(expected.pitch_logits[0]))
    assert np.abs(out.f0[:, 2] - confidence).max() < 1e-5
    np.testing.assert_allclose(out.f0[:, 1], hz, rtol=1e-4)


def test_windows_join_the_logits_of_one_pass(whole):
    model, wav, expected = whole
    logits = []

    class Remember(PitchTrack):
        def push(self, frames, last=False):
            logits.append(frames)
            return super().push(frames, last)

    track = Remember(model, "argmax")
    stream = StreamSeparator(model, RATE, 1, window_sec=5.0, pitch_track=track)
    for at in range(0, LONG, 30011):
        stream.push(wav[:, at : at + 30011].numpy())
    stream.finish()
    assert len(logits) > 10
    assert np.abs(np.concatenate(logits) - expected.pitch_logits[0].numpy()).max() < 1e-5


def test_less_context_or_another_grid_shows(whole):
    """The bounds are not so generous that the two tests above could not fail."""
    model, wav, expected = whole
    enough = model.context_samples, model.window_multiple
    for context, multiple in ((0, enough[1]), (RATE // 4, enough[1]), (enough[0], 320)):
        try:
            model.context_samples, model.window_multiple = context, multiple
            out = separate_array(model, wav[:, : 12 * RATE].numpy(), RATE, window_sec=4.9)
        finally:
            model.context_samples, model.window_multiple = enough
        inner = slice(0, 9 * RATE)  # the end is another one
        error = out.stems[0, 0, inner] - expected.sources[0, 0, inner].numpy()
        assert np.abs(error).max() > 1e-4, (context, multiple)


class Neighbours(Halves):
    """The voice is the mean of samples around each; frames count how far the mean reaches."""

    side = 700  # samples

    def __init__(self, context_samples: int | None):
        super().__init__()
        self.context_samples, self.window_multiple = context_samples, 480

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        out = super().estimate(wav)
        kernel = torch.full((1, 1, 2 * self.side + 1), 1 / (2 * self.side + 1))
        vocals = torch.nn.functional.conv1d(wav, kernel, padding=self.side)
        return out._replace(sources=torch.cat([vocals, wav - vocals], 1))


def test_any_model_of_bounded_context_can_ask_for_exact_windows():
    """Also one whose windows may start between frames: they then start where frames do, too."""
    wav = tones(3 * RATE + 5).numpy()
    for rate in (RATE, 44100):
        whole = separate_array(Neighbours(700), wav, rate, window_sec=60)
        exact = separate_array(Neighbours(700), wav, rate, window_sec=0.5)
        faded = separate_array(Neighbours(None), wav, rate, window_sec=0.1)
        assert np.abs(exact.stems - whole.stems).max() < 1e-6
        np.testing.assert_array_equal(exact.f0, whole.f0)
        assert np.abs(faded.stems - whole.stems).max() > 1e-4


def test_plans_are_rounded_to_the_grid_and_never_all_context():
    plan = WindowPlan.exact(10000, context=3000, multiple=480, hop_length=320)
    assert (plan.multiple, plan.outer, plan.length) == (960, 3840, 10560)
    assert WindowPlan.exact(1, 3000, 480, 320).step == 960
    assert WindowPlan.exact(1000, 0, 1, 320).overlap == 0


@pytest.mark.parametrize("n_samples", [1, 5439, 5440, 5760, 5761, 7000, 20000, 50011])
def test_exact_windows_rebuild_the_signal_and_the_frames(n_samples):
    plan = WindowPlan.exact(5440, 700, 320, 160)
    wav = np.random.default_rng(0).standard_normal((1, n_samples)).astype("f4")
    cutter, fader, joiner = WindowCutter(plan, 1), CrossFader(plan), FrameJoiner(plan)
    windows = [w for at in range(0, n_samples, 701) for w in cutter.push(wav[:, at : at + 701])]
    out, frames = [], []
    for w in [*windows, cutter.finish()]:
        assert w.start % 320 == 0
        out.append(fader.push(w.start, w.samples, w.last))
        index = w.start // 160 + np.arange((w.samples.shape[1] - 1) // 160 + 1)
        frames.append(joiner.push(w.start, w.samples.shape[1], index[:, None], w.last))
    np.testing.assert_array_equal(np.concatenate(out, 1), wav)
    assert np.concatenate(frames)[:, 0].tolist() == list(range((n_samples - 1) // 160 + 1))


# Phase refinement


def distances(target: torch.Tensor, stft: STFT, length: int, iterations: range) -> list[float]:
    """From the target to the magnitudes of the waveform, both halves of the spectrum counted."""
    generator = torch.Generator().manual_seed(1)
    phase = 2 * math.pi * torch.rand(target.shape, generator=generator, dtype=target.dtype)
    twice = torch.full((target.shape[-1],), 2.0, dtype=target.dtype)
    twice[0] = twice[-1] = 1.0
    found = []
    for n_iter in iterations:
        wav = refine_phase(target, phase, stft, length, n_iter)
        found.append(float(((stft(wav).abs() - target).square() * twice).sum()))
    return found


@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 32), (64, 16)])
def test_griffin_lim_never_moves_away(n_fft, hop_length):
    stft = STFT(n_fft, hop_length).double()
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 41, n_fft // 2 + 1, generator=generator, dtype=torch.float64)
    found = distances(target, stft, 40 * hop_length, range(12))
    assert all(b <= a for a, b in zip(found, found[1:], strict=False))
    assert found[-1] < 0.7 * found[0]


def test_what_is_consistent_stays():
    stft = STFT(64, 32).double()
    wav = torch.randn(2, 3, 640, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spec = stft(wav)
    for n_iter in (0, 1, 10):
        again = refine_phase(spec.abs(), spec.angle(), stft, 640, n_iter)
        torch.testing.assert_close(again, wav, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("hop_length", "expected"), [(32, 128), (16, 176), (24, 176)])
def test_refinement_reaches_as_far_as_it_says(hop_length, expected):
    stft, n_iter = STFT(64, hop_length).double(), 3
    generator = torch.Generator().manual_seed(0)
    target, phase = torch.rand(2, 1, 101, 33, generator=generator, dtype=torch.float64)
    moved = target.clone()
    moved[:, 50] *= 2
    change = refine_phase(moved, phase, stft, 100 * hop_length, n_iter)
    change -= refine_phase(target, phase, stft, 100 * hop_length, n_iter)
    changed = change[0].abs().gt(1e-9).nonzero()[:, 0]
    furthest = int((changed - 50 * hop_length).abs().max())
    assert reach(stft, n_iter) == expected
    assert expected - 16 < furthest <= expected  # windows fade out


# The loss


def with_sources(sources: np.ndarray | None, n_samples: int, grid: PitchGrid):
    mixture = np.zeros((1, n_samples), np.float32)
    examples = [JointExample(mixture, sources), JointExample(mixture)]
    return Collate(2, grid.hop_length)(examples)


def test_log_magnitude_by_hand():
    """One frame and frequency of two, by hand: the mean of (log 2)^2 and (log 3 - log 2)^2."""
    model = tiny()
    sources = tones(3200).numpy()[None].repeat(2, 0)  # (S, C, T)
    batch = with_sources(sources, 3200, model.pitch_grid)
    true = model.stft(batch["sources"][:1, :, 0])[:, :, :10].abs()  # (1, S, N, F)
    magnitudes = true.clone()
    magnitudes[0, 0] = 2 * (1 + true[0, 0]) - 1  # log(1 + x) is log 2 higher
    magnitudes[0, 1, :5] = 3 * (1 + true[0, 1, :5]) - 1
    output = JointOutput(torch.zeros(2, 2, 3200), magnitudes=magnitudes.expand(2, -1, -1, -1))
    loss = build_loss({"log_magnitude": 1.0})
    values, weights, *_ = loss.terms["log_magnitude"](output, batch, model)
    assert values.shape == weights.shape == (2, 2)
    expected = torch.tensor([math.log(2) ** 2, 0.5 * math.log(3) ** 2])
    torch.testing.assert_close(values[0], expected, atol=1e-5, rtol=0)
    assert weights.tolist() == [[1, 1], [0, 0]]  # the second example has no sources
    total = loss(output, batch, model)["loss"]
    torch.testing.assert_close(total, expected.mean(), atol=1e-5, rtol=0)


def test_log_magnitude_of_models_that_give_waveforms_only():
    model = tiny()
    batch = with_sources(tones(3200).numpy()[None].repeat(2, 0), 3200, model.pitch_grid)
    term = build_loss({"log_magnitude": 1.0}).terms["log_magnitude"]
    exact = term(JointOutput(batch["sources"][:, :, 0].nan_to_num()), batch, model).values
    silent = term(JointOutput(torch.zeros(2, 2, 3200)), batch, model).values
    expected = torch.log1p(model.stft(batch["sources"][0, :, 0]).abs()).square().mean((1, 2))
    assert exact[0].abs().max() < 1e-10
    torch.testing.assert_close(silent[0], expected, atol=1e-4, rtol=1e-4)


def test_without_sources_the_gradient_is_zero_and_not_nan():
    model = tiny().train()
    batch = with_sources(None, 3200, model.pitch_grid)
    loss = build_loss({"log_magnitude": 1.0})
    value = loss(model.forward_joint(tones(3200).expand(2, -1)), batch, model)["loss"]
    value.backward()
    assert float(value.detach()) == 0.0
    assert not model.mask_head.weight.grad.any()
