"""JointXUMX: the published network, Asteroid's weights, bridges, statistics, Wiener filter."""

import sys

import numpy as np
import pytest
import torch
from torch.torch_version import TorchVersion

from asteroid_joint import JointXUMX, load_model
from asteroid_joint.data import Clip, JointDataset
from asteroid_joint.data.statistics import input_statistics
from asteroid_joint.errors import CheckpointError, ConfigError, DataError, UserError
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.models import joint_xumx

N_FFT, HOP, MAX_BIN, HIDDEN = 512, 128, 200, 12
THEIRS = ("bass", "drums", "vocals", "other")  # the order of Asteroid's recipe
ARGS = {
    "sources": list(THEIRS),
    "window_length": N_FFT,
    "in_chan": N_FFT,
    "n_hop": HOP,
    "hidden_size": HIDDEN,
    "nb_channels": 2,
    "sample_rate": 44100,
    "nb_layers": 2,
    "input_mean": None,
    "input_scale": None,
    "max_bin": MAX_BIN,
    "bidirectional": True,
    "spec_power": 1,
    "return_time_signals": False,
}


def xumx_state(args: dict, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights in the layout of Asteroid's XUMX, written down from its source."""
    generator = torch.Generator().manual_seed(seed)
    n_bins, hidden = args["in_chan"] // 2 + 1, args["hidden_size"]
    channels, max_bin = args["nb_channels"], args["max_bin"]
    hann = torch.hann_window(args["in_chan"])
    state = {"encoder.0.window": hann, "decoder.window": hann.clone()}

    def normal(*shape: int, around: float = 0.0) -> torch.Tensor:
        return around + 0.3 * torch.randn(shape, generator=generator)

    def batch_norm(prefix: str, size: int) -> None:
        state[f"{prefix}.weight"] = normal(size, around=1.0)
        state[f"{prefix}.bias"] = normal(size)
        state[f"{prefix}.running_mean"] = normal(size)
        state[f"{prefix}.running_var"] = normal(size).square() + 0.5
        state[f"{prefix}.num_batches_tracked"] = torch.tensor(7)

    for s in args["sources"]:
        state[f"layer_enc.{s}.enc.0.weight"] = normal(hidden, channels * max_bin)
        batch_norm(f"layer_enc.{s}.enc.1", hidden)
        half = hidden // 2
        for layer in range(args["nb_layers"]):
            for suffix in (f"l{layer}", f"l{layer}_reverse"):
                state[f"layer_lstm.{s}.weight_ih_{suffix}"] = normal(4 * half, hidden)
                state[f"layer_lstm.{s}.weight_hh_{suffix}"] = normal(4 * half, half)
                state[f"layer_lstm.{s}.bias_ih_{suffix}"] = normal(4 * half)
                state[f"layer_lstm.{s}.bias_hh_{suffix}"] = normal(4 * half)
        state[f"layer_dec.{s}.dec.0.weight"] = normal(hidden, 2 * hidden)
        batch_norm(f"layer_dec.{s}.dec.1", hidden)
        state[f"layer_dec.{s}.dec.3.weight"] = normal(channels * n_bins, hidden)
        batch_norm(f"layer_dec.{s}.dec.4", channels * n_bins)
        state[f"mean_scale.input_mean_{s}"] = normal(max_bin)
        state[f"mean_scale.input_scale_{s}"] = normal(max_bin, around=1.0)
        state[f"mean_scale.output_mean_{s}"] = normal(n_bins, around=1.0)
        state[f"mean_scale.output_scale_{s}"] = normal(n_bins, around=1.0)
    return state


def xumx_conf(**changes) -> dict:
    args = {**ARGS, **changes}
    return {"model_name": "XUMX", "model_args": args, "state_dict": xumx_state(args), "infos": {}}


def song(n_samples: int, channels: int = 2, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, channels, n_samples, generator=generator)


def lstm_by_hand(state: dict, source: str, x: np.ndarray) -> np.ndarray:
    """Bidirectional LSTM, ``(N, D)`` to ``(N, D)``, one step after the other."""

    def sigmoid(v: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-v))

    for layer in range(ARGS["nb_layers"]):
        directions = []
        for suffix in (f"l{layer}", f"l{layer}_reverse"):
            w_ih, w_hh, b_ih, b_hh = (
                state[f"layer_lstm.{source}.{name}_{suffix}"].double().numpy()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = c = np.zeros(w_hh.shape[1])
            steps = []
            for frame in x if suffix[-1].isdigit() else x[::-1]:
                i, f, g, o = np.split(w_ih @ frame + b_ih + w_hh @ h + b_hh, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                steps.append(h)
            directions.append(np.stack(steps if suffix[-1].isdigit() else steps[::-1]))
        x = np.concatenate(directions, 1)
    return x


def stems_by_hand(state: dict, wav: torch.Tensor) -> dict[str, np.ndarray]:
    """X-UMX of one stereo song as its description has it, in numpy and frame by frame."""
    state = {k: v.double() for k, v in state.items()}

    def batch_norm(prefix: str, x: np.ndarray) -> np.ndarray:
        mean, var = state[f"{prefix}.running_mean"], state[f"{prefix}.running_var"]
        scale = state[f"{prefix}.weight"] / (var + 1e-5).sqrt()
        return (x - mean.numpy()) * scale.numpy() + state[f"{prefix}.bias"].numpy()

    window = np.hanning(N_FFT + 1)[:-1]
    n_samples = wav.shape[-1]
    padded = np.pad(wav[0].double().numpy(), ((0, 0), (N_FFT // 2, N_FFT // 2)), "reflect")
    starts = range(0, n_samples + 1, HOP)
    spec = np.stack(
        [np.fft.rfft(padded[:, at : at + N_FFT] * window) for at in starts]
    )  # (N, C, F)
    mag = np.abs(spec)
    h, r, stems = {}, {}, {}
    for s in THEIRS:
        x = mag[..., :MAX_BIN] + state[f"mean_scale.input_mean_{s}"].numpy()
        x = (x * state[f"mean_scale.input_scale_{s}"].numpy()).reshape(len(mag), -1)
        x = x @ state[f"layer_enc.{s}.enc.0.weight"].numpy().T
        h[s] = np.tanh(batch_norm(f"layer_enc.{s}.enc.1", x))
    c1 = sum(h.values()) / 4
    for s in THEIRS:
        r[s] = lstm_by_hand(state, s, c1)
    c2 = sum(np.concatenate([h[s], r[s]], 1) for s in THEIRS) / 4
    for s in THEIRS:
        x = batch_norm(f"layer_dec.{s}.dec.1", c2 @ state[f"layer_dec.{s}.dec.0.weight"].numpy().T)
        x = np.maximum(x, 0) @ state[f"layer_dec.{s}.dec.3.weight"].numpy().T
        x = batch_norm(f"layer_dec.{s}.dec.4", x).reshape(len(mag), 2, -1)
        x = x * state[f"mean_scale.output_scale_{s}"].numpy()
        mask = np.maximum(x + state[f"mean_scale.output_mean_{s}"].numpy(), 0)
        frames = np.fft.irfft(mask * spec) * window  # (N, C, n_fft)
        total, weight = np.zeros(padded.shape), np.zeros(padded.shape[1])
        for at, frame in zip(starts, frames, strict=True):
            total[:, at : at + N_FFT] += frame
            weight[at : at + N_FFT] += window**2
        inside = slice(N_FFT // 2, N_FFT // 2 + n_samples)
        stems[s] = total[:, inside] / weight[inside]
    return stems


# ------------------------------------------------------------------ the published network


def test_parameter_counts():
    def count(model: torch.nn.Module) -> int:
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    with torch.device("meta"):
        model = JointXUMX.from_preset("paper", pitch=False)
    assert model.max_bin == 1487
    assert count(model) == 35_573_392
    parts = (model.layer_enc, model.layer_lstm, model.layer_dec)
    assert [count(part["drums"]) for part in parts] == [1_523_712, 4_730_880, 2_631_684]
    assert len(model.state_dict()) == 184 + 1  # Asteroid's 186 but two windows; the threshold
    with torch.device("meta"):
        assert count(JointXUMX.from_preset("paper")) < 1.02 * 35_573_392
        assert count(JointXUMX.from_preset("small")) < 5e6


def test_state_dict_has_the_layout_of_asteroid():
    args = {**ARGS, "in_chan": 4096, "hidden_size": 512, "nb_layers": 3, "max_bin": 1487}
    theirs = {k: v.shape for k, v in xumx_state(args).items() if not k.endswith("window")}
    with torch.device("meta"):
        ours = JointXUMX(pitch=False).state_dict()
    ours.pop("voicing_threshold")
    assert {k: v.shape for k, v in ours.items()} == theirs


def test_numbers_are_those_of_the_description():
    conf = xumx_conf()
    model = JointXUMX.from_separator(conf)
    wav = song(4000)
    with torch.no_grad():
        output = model.forward_joint(wav)
    expected = stems_by_hand(conf["state_dict"], wav)
    assert model.sources == ("vocals", "drums", "bass", "other")
    for n, name in enumerate(model.sources):
        torch.testing.assert_close(
            output.sources[0, n].double(), torch.from_numpy(expected[name]), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("n_samples", [257, 1000, 1024, 1025, 2047, 4096])
@pytest.mark.parametrize("channels", [1, 2])
def test_lengths(n_samples, channels):
    model = JointXUMX.from_preset("tiny", in_channels=channels, activity=True, hop_length=128)
    output = model.eval().forward_joint(song(n_samples, channels))
    n_frames = model.pitch_grid.n_frames(n_samples)
    middle = () if channels == 1 else (2,)
    assert output.sources.shape == (1, 2, *middle, n_samples)
    assert output.pitch_logits.shape == (1, n_frames, 360)
    assert output.activity_logits.shape == (1, n_frames)
    assert output.magnitudes.shape == (1, 2, *middle, n_frames, 513)


def test_magnitudes_are_masked_mixture_and_full_masks_give_it_back():
    model = JointXUMX.from_preset("tiny", in_channels=2).eval()
    wav = song(5000)
    with torch.no_grad():
        for name in model.sources:
            model.layer_dec[name].dec[4].weight.zero_()  # nothing but output_mean is left
        output = model.forward_joint(wav)
        spec = model.stft(wav)
    for s in range(2):
        torch.testing.assert_close(output.sources[:, s], wav, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(output.magnitudes[:, s], spec.abs())


@pytest.mark.parametrize(("nb_layers", "dropout"), [(1, 0.0), (3, 0.4)])
def test_layers_of_one_direction(nb_layers, dropout):
    model = JointXUMX.from_preset("tiny", nb_layers=nb_layers, bidirectional=False)
    lstm = model.layer_lstm["vocals"]
    assert (lstm.hidden_size, lstm.num_layers, lstm.dropout) == (16, nb_layers, dropout)
    assert model.eval()(song(3000, 1)).shape == (1, 2, 3000)


def test_mixed_precision():
    model = JointXUMX.from_preset("tiny", activity=True).eval()
    wav = song(8000, 1)
    with torch.no_grad():
        plain = model.forward_joint(wav)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model.forward_joint(wav)
    for a, b in zip(plain, mixed, strict=True):
        assert b.dtype == torch.float32
        assert float((a - b).norm() / a.norm()) < 0.02


def test_songs_at_44100_hz_in_stereo():
    torch.manual_seed(0)
    model = JointXUMX(hidden_size=16)
    wav = song(3 * 44100 + 17)[0].numpy()
    result = separate_array(model, wav, 44100, window_sec=2.0)
    assert result.stems.shape == (4, *wav.shape)
    assert np.isfinite(result.stems).all()
    assert result.f0.shape == (model.pitch_grid.n_frames(wav.shape[-1]), 4)
    without = JointXUMX(hidden_size=16, pitch=False)
    result = separate_array(without, wav[:1, :50000], 44100)  # mono song, stereo model
    assert result.stems.shape == (4, 1, 50000)
    assert result.f0.shape == (0, 4)


# ------------------------------------------------------------------ bridges and heads


@pytest.mark.parametrize("bridges", [(), ("encoder",), ("decoder",), ("encoder", "decoder")])
def test_bridges_couple_the_sources(bridges):
    torch.manual_seed(0)
    model = JointXUMX.from_preset("tiny", bridges=bridges).eval()
    model(song(6000, 1))[:, 0].square().sum().backward()
    foreign = {
        part: any(
            p.grad is not None and p.grad.any()
            for name, p in model.named_parameters()
            if name.startswith(f"layer_{part}.accompaniment")
        )
        for part in ("enc", "lstm", "dec")
    }
    expected = {"enc": bool(bridges), "lstm": "decoder" in bridges, "dec": False}
    assert foreign == expected


def test_unknown_bridge():
    with pytest.raises(ConfigError, match="no bridge lstm"):
        JointXUMX.from_preset("tiny", bridges=("lstm",))


def test_pitch_hangs_on_what_the_voice_decoder_sees():
    model = JointXUMX.from_preset("tiny", bridges=()).eval()
    model.forward_joint(song(6000, 1)).pitch_logits.square().sum().backward()
    reached = {
        ".".join(name.split(".")[:2])
        for name, p in model.named_parameters()
        if p.grad is not None and p.grad.any()
    }
    separator = {name for name in reached if not name.startswith("pitch_head")}
    assert separator == {
        "layer_enc.vocals",
        "layer_lstm.vocals",
        "mean_scale.input_mean_vocals",
        "mean_scale.input_scale_vocals",
    }


def test_heads_are_options():
    model = JointXUMX.from_preset("tiny", pitch=False)
    output = model(song(3000, 1))
    assert not model.has_pitch and not any("head" in name for name in model.state_dict())
    assert output.shape == (1, 2, 3000)
    output = model.forward_joint(song(3000, 1))
    assert output.pitch_logits is None and output.activity_logits is None


# ------------------------------------------------------------------ weights


def test_weights_of_asteroid_from_a_file(tmp_path):
    """As its recipe writes them: numpy numbers, a version object."""
    conf = xumx_conf()
    conf["model_args"]["max_bin"] = np.int64(MAX_BIN)
    conf["infos"]["software_versions"] = {"torch_version": TorchVersion("1.9.0")}
    path = tmp_path / "xumx.pth"
    torch.save(conf, path)
    plain = JointXUMX.from_separator(xumx_conf(), pitch=False)
    assert not plain.training and not plain.has_pitch
    for file in (path, str(path)):
        again = JointXUMX.from_separator(file, activity=True)
        assert again.activity_head is not None
        for name, value in plain.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name


def test_old_numpy_names_are_data_too(tmp_path):
    path = tmp_path / "xumx.pth"
    conf = xumx_conf()
    conf["model_args"]["max_bin"] = np.int64(MAX_BIN)
    torch.save(conf, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"))
    assert JointXUMX.from_separator(path).max_bin == MAX_BIN


def test_order_of_sources_does_not_matter():
    wav = song(3000)
    first = JointXUMX.from_separator(xumx_conf(), pitch=False)
    conf = xumx_conf()
    conf["model_args"]["sources"] = ["other", "vocals", "bass", "drums"]
    again = JointXUMX.from_separator(conf, pitch=False)
    assert again.sources == first.sources
    torch.testing.assert_close(again(wav), first(wav))
    other = JointXUMX.from_separator(conf, sources=("vocals", "other", "bass", "drums"))
    torch.testing.assert_close(other(wav)[:, 1], first(wav)[:, 3])


def test_weights_of_a_module_and_unusual_stems():
    class XUMX(torch.nn.Module):
        def __init__(self, conf):
            super().__init__()
            self.conf = conf

        def state_dict(self):
            return self.conf["state_dict"]

        def get_model_args(self):
            return self.conf["model_args"]

    conf = xumx_conf(sources=["flute", "vocals"], nb_channels=1)
    model = JointXUMX.from_separator(XUMX(conf))
    assert model.sources == ("vocals", "flute") and model.in_channels == 1
    assert model(song(2000, 1)).shape == (1, 2, 2000)
    with pytest.raises(CheckpointError):
        JointXUMX.from_separator(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sources": ["drums", "bass"]}, "begin with vocals"),
        ({"sources": ["vocals", "vocals"]}, "different plain names"),
        ({"sources": ["vocals", "../other"]}, "plain names"),
        ({"sources": None}, "not iterable"),
        ({"window_length": 256}, "window_length must be in_chan"),
        ({"spec_power": 2}, "spec_power 1"),
        ({"hidden_size": 16}, "size mismatch"),
        ({"nb_layers": 3}, "missing or unknown"),
        ({"sources": ["vocals", "drums", "bass"]}, "missing or unknown"),
    ],
)
def test_weights_that_do_not_fit(change, reason):
    conf = xumx_conf()
    conf["model_args"].update(change)
    with pytest.raises(CheckpointError, match=reason) as err:
        JointXUMX.from_separator(conf)
    assert "\n" not in str(err.value)


def test_other_things_than_weights(tmp_path):
    with pytest.raises(CheckpointError, match="no model file"):
        JointXUMX.from_separator(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match="needs the keys"):
        JointXUMX.from_separator({"state_dict": {}})
    with pytest.raises(CheckpointError, match="load them with load_model"):
        JointXUMX.from_separator(JointXUMX.from_preset("tiny"))
    conf = xumx_conf()
    conf["state_dict"]["decoder.window"] = torch.hamming_window(N_FFT)
    with pytest.raises(CheckpointError, match="not a Hann window"):
        JointXUMX.from_separator(conf)
    path = tmp_path / "evil.pth"
    torch.save({**xumx_conf(), "infos": print}, path)
    with pytest.raises(CheckpointError, match="was not run"):
        JointXUMX.from_separator(path)


def test_hub_id_without_a_network(monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("asteroid.utils.hub_utils.cached_download", no_network)
    with pytest.raises(CheckpointError, match="neither a file nor a model that can be downloaded"):
        JointXUMX.from_separator("r-sawata/XUMX_MUSDB18_music_separation")


def test_file_round_trip(tmp_path):
    model = JointXUMX.from_separator(xumx_conf(), activity=True, bridges=("decoder",))
    path = tmp_path / "joint.pth"
    torch.save(model.serialize(), path)
    again = load_model(path)
    assert again.sources == model.sources and again.bridge.active == {"decoder"}
    for a, b in zip(model.forward_joint(song(3000)), again.forward_joint(song(3000)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("sources", [("drums", "vocals"), (), ("vocals", "vocals"), ("vocals", 1)])
def test_sources_are_checked(sources):
    with pytest.raises(ConfigError, match="begin with vocals"):
        JointXUMX.from_preset("tiny", sources=sources)


@pytest.mark.parametrize("sources", [3, None, "vocals", {"vocals": 1}])
def test_sources_are_a_list(sources):
    with pytest.raises(ConfigError, match="Expected a list of names"):
        JointXUMX.from_preset("tiny", sources=sources)


@pytest.mark.parametrize("name", ["keys", "forward", "training", "setdefault"])
def test_names_that_pytorch_uses_are_refused(name):
    with pytest.raises(ConfigError, match=f"cannot be called {name}, a name that PyTorch uses"):
        JointXUMX.from_preset("tiny", sources=("vocals", name))


# ------------------------------------------------------------------ statistics of the input


class Noise(JointDataset):
    """Stereo noise whose level is known."""

    n_channels = 2

    def __init__(self, lengths=(40000, 9000, 300)):
        rng = np.random.default_rng(0)
        self.wavs = [0.1 * rng.standard_normal((2, n)).astype(np.float32) for n in lengths]
        self.clips = [Clip(f"{n}", "", "", wav.shape[1]) for n, wav in enumerate(self.wavs)]

    def read(self, index, start=0, n_samples=None):
        stop = None if n_samples is None else start + n_samples
        return self.wavs[index][:, start:stop], None


def test_statistics_standardise_the_encoder_input():
    dataset = Noise()
    model = JointXUMX.from_preset("tiny", in_channels=2)
    model.prepare_training(dataset)
    mags = [model.stft(torch.from_numpy(wav)).abs().mean(0) for wav in dataset.wavs[:2]]
    mags = torch.cat(mags)[:, : model.max_bin].double()  # (N, F)
    for name in model.sources:
        shift = model.mean_scale[f"input_mean_{name}"].detach().double()
        scale = model.mean_scale[f"input_scale_{name}"].detach().double()
        x = (mags + shift) * scale
        torch.testing.assert_close(x.mean(0), torch.zeros(513).double(), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            x.std(0, correction=0), torch.ones(513).double(), rtol=1e-4, atol=0
        )


def test_statistics_do_not_depend_on_the_block(monkeypatch):
    dataset = Noise((65000,))
    whole = input_statistics(dataset, 1024, 320, 400)
    monkeypatch.setattr("asteroid_joint.data.statistics.BLOCK_SEC", 1)
    for a, b in zip(whole, input_statistics(dataset, 1024, 320, 400), strict=True):
        assert a.shape == (400,)
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_statistics_of_silence_and_of_nothing():
    model = JointXUMX.from_preset("tiny")
    n = model.max_bin
    model.set_input_statistics(np.zeros(n), np.eye(n)[3])
    scale = model.mean_scale["input_scale_vocals"].detach()
    assert float(scale[3]) == 1 and float(scale.max()) == pytest.approx(1 / joint_xumx.STD_FLOOR)
    model.set_input_statistics(np.zeros(n), np.zeros(n))
    assert all(p.isfinite().all() for p in model.parameters())
    with pytest.raises(ValueError, match=f"Expected .{n},"):
        model.set_input_statistics(np.zeros(n + 1), np.ones(n + 1))
    with pytest.raises(DataError, match="no clip of at least 1024 samples"):
        model.prepare_training(Noise((300,)))


# ------------------------------------------------------------------ Wiener filter


@pytest.mark.parametrize("channels", [1, 2])
def test_wiener_filter(channels):
    torch.manual_seed(0)
    model = JointXUMX.from_preset("tiny", in_channels=channels).eval()
    wav = song(8000, channels)
    with torch.no_grad():
        plain = model.forward_joint(wav)
        model.wiener_iterations = 1
        refined = model.forward_joint(wav)
        silent = model(torch.zeros_like(wav))
        trained = model.train()(wav)
        model.wiener_iterations = 0
    mixture = wav[:, 0] if channels == 1 else wav
    assert refined.sources.shape == plain.sources.shape
    assert not torch.allclose(refined.sources, plain.sources, atol=1e-3)
    assert float((plain.sources.sum(1) - mixture).abs().max()) > 0.05
    torch.testing.assert_close(refined.sources.sum(1), mixture, atol=2e-3, rtol=0)
    assert torch.equal(refined.pitch_logits, plain.pitch_logits)
    assert torch.equal(refined.magnitudes, plain.magnitudes)
    assert silent.abs().max() == 0
    assert trained.isfinite().all()


def test_wiener_filter_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "norbert", None)
    model = JointXUMX.from_preset("tiny", wiener_iterations=1)
    assert model(song(3000, 1)).shape == (1, 2, 3000)  # training needs none
    with pytest.raises(UserError, match=r"norbert is not installed.*\[eval\]"):
        model.eval()(song(3000, 1))


def test_unbounded_masks_are_not_negative():
    model = JointXUMX.from_preset("tiny").eval()
    with torch.no_grad():
        model.mean_scale["output_mean_vocals"].fill_(-100.0)
        model.mean_scale["output_mean_accompaniment"].fill_(3.0)
        vocals, rest = model.forward_joint(song(3000, 1)).magnitudes[0]
    assert not vocals.any()
    assert float(rest.min()) >= 0 and rest.any()
