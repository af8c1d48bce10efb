"""DTTNet against its published sizes and shapes, its definition, its chunks, its checkpoints."""

import numpy as np
import pytest
import torch
from numerics import error, needs_bfloat16, randomise, snr_db
from torch.nn import functional

from asteroid_joint import JointDTTNet
from asteroid_joint.dsp.chunks import Chunks
from asteroid_joint.errors import CheckpointError, ConfigError
from asteroid_joint.inference.fast import tfc_tdf as fused_tfc_tdf
from asteroid_joint.inference.fast.fuse import optimize_for_inference
from asteroid_joint.inference.fast.tfc_tdf import FusedTFCTDFNet
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.inference.stream import plan_windows
from asteroid_joint.masknn.dual_path import ImprovedDualPath
from asteroid_joint.masknn.tfc_tdf import Maps, TFCTDFNet

HOP = 320  # of the tiny preset, samples


def n_params(module):
    return sum(p.numel() for p in module.parameters())


def make(**kwargs):
    torch.manual_seed(0)
    return randomise(JointDTTNet.from_preset("tiny", **kwargs))


def on_meta(preset, **kwargs):
    with torch.device("meta"):
        return JointDTTNet.from_preset(preset, **kwargs).eval()


# ------------------------------------------------------------------ published sizes and shapes


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("paper", 4_958_468),
        ("paper_drums", 4_958_468),
        ("paper_other", 4_958_468),
        ("paper_bass", 4_184_388),
    ],
)
def test_published_sizes(preset, expected):
    model = on_meta(preset, pitch=False)
    assert n_params(model) == expected and not model.has_pitch
    assert model.sources[1] == "accompaniment"


@pytest.mark.parametrize(
    ("preset", "level_0", "level_1", "bottom"),
    [("paper", 1_113_888, 521_792, 648_544), ("paper_bass", 811_808, 446_272, 629_664)],
)
def test_sizes_of_the_parts(preset, level_0, level_1, bottom):
    net = on_meta(preset, pitch=False).net
    assert [n_params(block) for block in net.encoder] == [level_0, level_1]
    assert [n_params(block) for block in net.decoder] == [level_1, level_0]
    assert (n_params(net.first), n_params(net.last)) == (224, 132)
    assert [n_params(unit) for unit in (*net.downs, *net.ups)] == [8_384, 24_864, 24_768, 8_288]
    assert n_params(net.bottom) == bottom
    assert n_params(net.paths) == 971_904 == 8 * 121_488
    assert sum(buffer.numel() for buffer in net.buffers()) == 5_810


SHAPES = {
    "first": (32, 256, 2048),
    "encoder.0": (32, 256, 2048),
    "downs.0": (64, 128, 1024),
    "encoder.1": (64, 128, 1024),
    "downs.1": (96, 64, 512),
    "bottom": (96, 64, 512),
    "paths": (96, 64, 512),
    "ups.0": (64, 128, 1024),
    "decoder.0": (64, 128, 1024),
    "ups.1": (32, 256, 2048),
    "decoder.1": (32, 256, 2048),
    "last": (4, 256, 2048),
}


class NoRecurrence(torch.nn.Module):
    """Shapes of an LSTM; PyTorch's runs step by step where there is no memory, for a minute."""

    def forward(self, x):
        return x.new_zeros(*x.shape[:2], 192), None


def test_published_shapes():
    net = on_meta("paper").net
    for layer in net.paths.layers:
        layer.over_time.lstm = layer.over_freq.lstm = NoRecurrence()
    seen = {}
    for name in SHAPES:
        net.get_submodule(name).register_forward_hook(
            lambda module, inputs, out, name=name: seen.update({name: tuple(out.shape[1:])})
        )
    with torch.no_grad():
        maps = net(torch.zeros(1, 4, 256, 2048, device="meta"))
    assert seen == SHAPES
    assert maps.latent.shape == (1, *SHAPES["paths"])
    assert maps.decoded.shape == (1, *SHAPES["decoder.1"])


class Same(torch.nn.Module):
    """In the place of the network: gives and keeps what it gets."""

    factor = 4

    def forward(self, x):
        self.x = x
        return Maps(x, x, x)


def paper_without_network():
    model = JointDTTNet(first_chan=4, growth=4, n_paths=0, pitch=False).eval()
    model.net = Same()
    return model


@pytest.mark.parametrize("n_samples", [261_120, 262_144, 259_000])
def test_a_chunk_has_256_frames(n_samples):
    """The authors' 255 hops, ours of 256; others are not rounded here but in the network."""
    model = paper_without_network()
    out = model.forward_joint(torch.zeros(1, 2, n_samples))
    assert model.net.x.shape == (1, 4, 253 if n_samples == 259_000 else 256, 2048)
    assert out.sources.shape == (1, 2, 2, n_samples)
    assert out.magnitudes.shape == (1, 1, 2, -(-n_samples // 1024), 3073)


def test_a_head_has_three_groups_and_twice_its_channels():
    layer = on_meta("paper").net.paths.layers[0].over_time
    assert (layer.norm.num_groups, layer.norm.num_channels) == (3, 48)
    assert (layer.lstm.input_size, layer.lstm.hidden_size) == (48, 96)


# ------------------------------------------------------------------ definitions


def test_heads_share_weights_and_do_not_mix():
    torch.manual_seed(0)
    paths = ImprovedDualPath(32, n_layers=2, n_heads=2).eval()
    x = torch.randn(2, 32, 5, 7)
    with torch.no_grad():
        y = paths(x)
        torch.testing.assert_close(paths(x.roll(16, 1)), y.roll(16, 1))
        other = x.clone()
        other[:, :16] = torch.randn(2, 16, 5, 7)
        torch.testing.assert_close(paths(other)[:, 16:], y[:, 16:])


def test_dual_path_is_time_then_frequency():
    """A change in one frame and position reaches all frames, then all positions."""
    torch.manual_seed(0)
    layer = ImprovedDualPath(16, n_layers=1, n_heads=1).eval().layers[0]
    x = torch.randn(1, 16, 5, 7)
    normed = functional.group_norm(x[:, :, :, 3], 1)  # position 3: (B, D, N)
    time = layer.over_time
    hidden = time.lstm(normed.transpose(1, 2))[0]
    expected = x[:, :, :, 3].transpose(1, 2) + time.linear(hidden)  # (B, N, D)
    seen = {}
    layer.over_freq.register_forward_hook(lambda m, inputs, out: seen.update(x=inputs[0]))
    layer(x)
    torch.testing.assert_close(seen["x"].reshape(5, 7, 16)[:, 3], expected[0])


def test_block_and_skips_follow_the_definition():
    torch.manual_seed(0)
    net = randomise(TFCTDFNet(2, 2, 16, 4, 4, depth=1, n_convs=2, bottleneck=4, n_paths=0))

    def affine(norm, x):
        mean, var = norm.running_mean[:, None, None], norm.running_var[:, None, None]
        scaled = (x - mean) / (var + norm.eps).sqrt()
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    def block(b, x):
        def convs(units, x):
            for conv, norm, _ in units:
                x = affine(norm, functional.conv2d(x, conv.weight, conv.bias, padding=1)).relu()
            return x

        h = convs(b.before, x)
        dense = affine(b.tdf[1], torch.einsum("bdnf,wf->bdnw", h, b.tdf[0].weight)).relu()
        dense = affine(b.tdf[4], torch.einsum("bdnw,fw->bdnf", dense, b.tdf[3].weight)).relu()
        return convs(b.after, h + dense) + convs(b.shortcut, x)

    x = torch.randn(1, 2, 8, 16)
    with torch.no_grad():
        skip = block(net.encoder[0], net.first(x))
        latent = block(net.bottom, net.downs[0](skip))
        decoded = block(net.decoder[0], net.ups[0](latent) * skip)
        maps = net(x)
        torch.testing.assert_close(maps.latent, latent)
        torch.testing.assert_close(maps.decoded, decoded)
        torch.testing.assert_close(maps.output, net.last(decoded))


def spectrum(wav):
    """Paper's transform: ``(C, T)`` to ``(C, N, F)``."""
    window = torch.hann_window(6144)
    return torch.stft(wav, 6144, 1024, window=window, return_complex=True).transpose(1, 2)


def test_network_gets_real_and_imaginary_part_per_channel():
    model = paper_without_network()
    torch.manual_seed(0)
    wav = torch.randn(1, 2, 20_480)
    voice = model(wav)[0, 0]
    left, right = spectrum(wav[0])[:, :20, :2048]
    expected = torch.stack([left.real, left.imag, right.real, right.imag])
    torch.testing.assert_close(model.net.x[0], expected)
    # out comes the same again, without the bins above 14.7 kHz
    before, after = spectrum(wav[0])[:, 4:-4], spectrum(voice)[:, 4:-4]
    torch.testing.assert_close(after[..., :2040], before[..., :2040], atol=0.1, rtol=1e-3)
    assert after[..., 2056:].abs().max() < 1e-3 * before.abs().max()


class Constant(Same):
    """Gives the same real and imaginary part everywhere."""

    def __init__(self, real, imag):
        super().__init__()
        self.parts = real, imag

    def forward(self, x):
        self.x = x
        halves = [
            torch.full_like(half, v) for half, v in zip(x.chunk(2, 1), self.parts, strict=True)
        ]
        return Maps(torch.cat(halves, 1), x, x)


@pytest.mark.parametrize(("real", "imag"), [(0.5, 0.0), (0.0, 0.5)])
def test_mask_scales_and_turns_the_mixture(real, imag):
    model = make(mask=True, pitch=False)
    model.net = Constant(real, imag)
    phase = 2 * torch.pi * 1000 * torch.arange(8000) / 16000
    with torch.no_grad():
        voice = model(phase.cos()[None])[0, 0]
    expected = real * phase.cos() - imag * phase.sin()
    torch.testing.assert_close(voice[2000:-2000], expected[2000:-2000], atol=1e-3, rtol=1e-3)


def test_network_reads_compressed_magnitudes():
    plain, compressed = (make(pitch=False, power=p, fold=1, bottleneck=1) for p in (1.0, 0.3))
    plain.net, compressed.net = Same(), Same()
    wav = torch.randn(1, 8000)
    with torch.no_grad():
        plain(wav), compressed(wav)
    a, b = (torch.complex(m.net.x[0, 0], m.net.x[0, 1]) for m in (plain, compressed))
    torch.testing.assert_close(b.abs(), a.abs() ** 0.3, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(b * a.abs(), a * b.abs(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 8])
def test_frames_are_padded_and_cut(n_frames):
    net = make().net
    x = torch.randn(1, net.first[0].in_channels, n_frames, 32)
    with torch.no_grad():
        maps = net(x)
        padded = net(functional.pad(x, (0, 0, 0, -n_frames % 4)))
    assert maps.output.shape == x.shape and maps.decoded.shape[2] == n_frames
    torch.testing.assert_close(maps.output, padded.output[:, :, :n_frames])


def test_stems_add_up_whatever_the_scale():
    wav = torch.randn(2, 9000)
    for scale in (1.0, 2.0):
        out = make(mixture_scale=scale)(wav)
        torch.testing.assert_close(out.sum(1), scale * wav)


def test_level_norm_follows_the_level():
    model, wav = make(), torch.randn(1, 4000)
    with torch.no_grad():
        loud, quiet = model.forward_joint(wav), model.forward_joint(0.01 * wav)
    torch.testing.assert_close(0.01 * loud.sources, quiet.sources, atol=1e-4, rtol=1e-2)
    torch.testing.assert_close(loud.pitch_logits, quiet.pitch_logits, atol=1e-2, rtol=1e-2)


# ------------------------------------------------------------------ pitch


@pytest.mark.parametrize("source", ["latent", "decoder", "magnitude"])
def test_pitch_loss_reaches_the_separator(source):
    model = make(pitch_from=source).train()
    assert hasattr(model.pitch_head, "mask") is (source != "magnitude")
    model.forward_joint(torch.randn(2, 5000)).pitch_logits.square().mean().backward()
    grads = {name: p.grad for name, p in model.net.named_parameters()}
    before = [g is not None and bool(g.any()) for n, g in grads.items() if n.startswith("paths.")]
    behind = [g is not None and bool(g.any()) for n, g in grads.items() if n.startswith("ups.1")]
    last = grads["last.weight"] is not None and bool(grads["last.weight"].any())
    assert all(before)
    assert any(behind) is (source != "latent")
    assert last is (source == "magnitude")


def test_pitch_head_reads_low_bins_only():
    model = make(pitch_from="magnitude")
    n = model.pitch_head.n_freqs
    assert 5000 <= n * 16000 / 1280 < 5400
    mixture, voice = torch.rand(1, 6, 641), torch.rand(1, 6, 641)
    other = voice.clone()
    other[..., n:] = 7
    with torch.no_grad():
        a, b = (model.pitch_head(None, mixture, v) for v in (voice, other))
    assert torch.equal(a, b)


# ------------------------------------------------------------------ chunks


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75])
def test_joining_chunks_gives_the_signal_back(overlap):
    chunks = Chunks(16, overlap, 10, shortest=40)
    signal = torch.randn(2, 777)
    starts = chunks.starts(777)
    assert starts[-1] + chunks.length >= 777 > starts[-2] + chunks.length
    pieces = [signal[:, s : s + chunks.length] for s in starts]
    torch.testing.assert_close(chunks.join(pieces, 777, -1, 1), signal)
    frames = torch.randn(1, 78, 3)  # frame n at sample 10 n
    pieces = [frames[:, s // 10 : (s + chunks.length) // 10] for s in starts]
    torch.testing.assert_close(chunks.join(pieces, 78, 1, 10), frames)


def test_neighbours_fade_linearly_over_the_overlap():
    chunks = Chunks(16, 0.5, 10, shortest=40)
    out = chunks.join([torch.zeros(160), torch.ones(160)], 240, 0, 1)
    ramp = (torch.arange(80) + 0.5) / 80
    torch.testing.assert_close(out, torch.cat([torch.zeros(80), ramp, torch.ones(80)]))


def test_signal_of_one_chunk_is_one_pass():
    chunked, whole = make(), make(chunk_frames=None)
    wav = torch.randn(1, 16 * HOP)
    with torch.no_grad():
        assert torch.equal(chunked(wav), whole(wav))
        longer = torch.cat([wav, torch.randn(1, 4000)], 1)
        assert not torch.allclose(chunked(longer), whole(longer), atol=1e-3)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("n_samples", [70_000, 61_440, 6000, 700])
def test_streamed_is_what_the_whole_gives(overlap, n_samples):
    """Everywhere, not in the interior only: windows are cut where the model's own chunks are."""
    model = make(overlap=overlap)
    wav = torch.randn(1, n_samples, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model.forward_joint(wav)
    chunk = separate_array(model, wav.numpy(), 16000, window_sec=1.0, gate=False)
    expected = whole.sources[0].numpy()[:, None]
    np.testing.assert_allclose(chunk.stems, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(chunk.stems[1], wav.numpy() - chunk.stems[0])
    f0_hz, confidence, _ = model.decode_pitch(whole.pitch_logits[0])
    assert len(chunk.f0) == len(f0_hz)
    np.testing.assert_allclose(chunk.f0[:, 2], confidence, atol=1e-4)
    if n_samples == 70_000:
        assert len(Chunks(16, overlap, HOP, 1280).starts(n_samples)) > 3
        assert n_samples > plan_windows(model, 1.0).length  # more than one window


def test_windows_are_so_long_that_little_is_computed_twice():
    for overlap in (0.0, 0.5, 0.75):
        model = make(overlap=overlap)
        plan, chunks = plan_windows(model, 1.0), model.chunks
        starts = chunks.starts(plan.length)
        done = sum(min(chunks.length, plan.length - start) for start in starts)
        once = plan.step / chunks.step * chunks.length
        assert done / once <= (1.13 if overlap else 1.25)
        assert plan_windows(model, 60.0).length >= 60 * 16000  # more if asked for


def test_silence_is_silent_in_the_stream():
    chunk = separate_array(make(), np.zeros(30_000, np.float32), 16000)
    assert not chunk.stems.any() and not chunk.f0[:, 3].any()


# ------------------------------------------------------------------ bad sizes


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_heads": 5}, "n_heads 5 does not divide the 12 channels"),
        ({"first_chan": 40, "growth": 8, "n_heads": 1}, "3 groups .* divide the 56 channels"),
        ({"chunk_frames": 18}, "chunk_frames 18 must be divisible by 4"),
        ({"chunk_frames": 4}, "chunk_frames 4 is too few: .* at least 8"),
        ({"overlap": 0.8}, "overlap from 0 to 0.75, received 0.8"),
        ({"n_freqs": 500}, "n_freqs 500 must be divisible by fold 16"),
        ({"n_freqs": 656}, "n_freqs 656 .* at most 641, the bins of n_fft 1280"),
        ({"n_freqs": 480}, "30 frequency positions are not divisible by 4"),
        ({"bottleneck": 9}, "bottleneck 9 leaves nothing of the 8 "),
        (
            {"target": "drums"},
            "Only vocals have a pitch output: give pitch=False with the target drums",
        ),
        (
            {"target": "a/b", "pitch": False},
            "plain stem name other than accompaniment as target, received 'a/b'",
        ),
        ({"target": "accompaniment", "pitch": False}, "received 'accompaniment'"),
        ({"pitch_from": "nothing"}, "pitch_from in .*latent.*received 'nothing'"),
    ],
)
def test_sizes_that_do_not_fit(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        make(**kwargs)


# ------------------------------------------------------------------ the authors' checkpoints

PAPER_LIKE = {
    "sample_rate": 44100, "n_fft": 1024, "hop_length": 256, "n_freqs": 128, "in_channels": 2,
    "first_chan": 16, "growth": 16, "depth": 2, "n_convs": 3, "bottleneck": 8, "n_paths": 2,
    "n_heads": 3, "chunk_frames": 32, "pitch": False,
}  # fmt: skip


def authors_layout(model):
    """A state dictionary as their network writes it, spelt out per part."""
    net, state = model.net, {}

    def put(name, module):
        for key, value in module.state_dict().items():
            state[f"{name}.{key}"] = value

    def block(name, b):
        for ours, theirs in (("before", "tfc1"), ("after", "tfc2"), ("shortcut", "res")):
            for k, unit in enumerate(getattr(b, ours)):
                put(f"{name}.{theirs}.H.{k}", unit)
        put(f"{name}.tdf", b.tdf)

    put("first_conv", net.first)
    put("final_conv.0", net.last)
    block("bottleneck_block1", net.bottom)
    for k in range(2):
        block(f"encoding_blocks.{k}", net.encoder[k])
        block(f"decoding_blocks.{k}", net.decoder[k])
        put(f"ds.{k}", net.downs[k])
        put(f"us.{k}", net.ups[k])
    for k, layer in enumerate(net.paths.layers):
        for path, part in enumerate((layer.over_time, layer.over_freq)):
            name = f"bottleneck_block2.bsrnn.{k}.{path}"
            put(f"{name}.groupnorm", part.norm)
            put(f"{name}.rnn", part.lstm)
            put(f"{name}.fc", part.linear)
    state["window"] = torch.hann_window(model.stft.n_fft)
    state["freq_pad"] = torch.zeros(1, 4, model.stft.n_fft // 2 + 1 - model.n_freqs, 1)
    return state


@pytest.fixture(scope="module")
def authors():
    torch.manual_seed(3)
    model = randomise(JointDTTNet(**PAPER_LIKE))
    state = authors_layout(model)
    assert len(state) == len(model.net.state_dict()) + 2
    return model, state


@pytest.mark.parametrize("form", ["file", "dictionary", "state"])
def test_authors_checkpoint(authors, form, tmp_path):
    model, state = authors
    given = {"state_dict": state, "epoch": 3, "pytorch-lightning_version": "1.9.0"}
    if form == "file":
        torch.save(given, tmp_path / "vocals.ckpt")
        given = tmp_path / "vocals.ckpt"
    again = JointDTTNet.from_separator(
        state if form == "state" else given, hop_length=256, pitch=False, chunk_frames=32
    )
    assert not again.training and again.get_model_args()["n_heads"] == 3
    wav = torch.randn(1, 2, 20_000)
    with torch.no_grad():
        assert torch.equal(again(wav), model(wav))


def test_authors_checkpoint_gets_a_pitch_head(authors):
    model, state = authors
    joint = JointDTTNet.from_separator(state, hop_length=256, chunk_frames=32)
    wav = torch.randn(1, 2, 9000)
    with torch.no_grad():
        out = joint.forward_joint(wav)
        torch.testing.assert_close(out.sources, model(wav))
    assert out.pitch_logits.shape == (1, 36, 360)


def msst_layout(model, n_targets: int):
    """A state dictionary as MSST's ``models/DTTNet.py`` writes it: no bias in any convolution, no
    window, targets side by side in the last one; zeros in the others."""
    state = {k: v for k, v in authors_layout(model).items() if k not in ("window", "freq_pad")}
    convolutions = [k for k, v in state.items() if k.endswith("weight") and v.ndim == 4]
    for name in convolutions:
        del state[name.removesuffix("weight") + "bias"]
    weight = state["final_conv.0.weight"]
    others = [torch.zeros_like(weight)] * (n_targets - 1)
    state["final_conv.0.weight"] = torch.cat([*others, weight])
    return state


@pytest.mark.parametrize("form", ["file", "trainer", "gpus"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_checkpoint_of_msst(form, n_targets, tmp_path):
    torch.manual_seed(4)
    model = randomise(JointDTTNet(**PAPER_LIKE))
    with torch.no_grad():  # what has no bias there
        for module in model.net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.bias.zero_()
    state = msst_layout(model, n_targets)
    if form == "gpus":
        state = {f"module.{key}": value for key, value in state.items()}
    given = {"epoch": 3, "model_state_dict": state} if form == "trainer" else state
    torch.save(given, tmp_path / "model_vocals_dttnet.ckpt")
    n_fft = model.stft.n_fft
    more = {"hop_length": 256, "pitch": False, "chunk_frames": 32, "n_fft": n_fft}
    again = JointDTTNet.from_separator(
        tmp_path / "model_vocals_dttnet.ckpt", source=n_targets - 1, **more
    )
    wav = torch.randn(1, 2, 9000)
    with torch.no_grad():
        assert torch.equal(again(wav), model(wav))
    del more["n_fft"]
    with pytest.raises(CheckpointError, match="^These DTTNet weights do not say their window: "):
        JointDTTNet.from_separator(given, **more)
    with pytest.raises(
        CheckpointError, match=rf"they have {n_targets} target\(s\), so there is no"
    ):
        JointDTTNet.from_separator(given, source=n_targets, n_fft=n_fft, **more)


def test_bad_checkpoints(authors, tmp_path):
    _, state = authors
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04nothing")
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "other.ckpt")
    torch.save({"state_dict": state, "callbacks": {"x": np.random.RandomState}}, tmp_path / "code")
    less = {k: v for k, v in state.items() if k != "us.1.0.bias"}
    wrong = {**state, "window": torch.ones(1024)}
    for given, message in (
        (tmp_path / "none.ckpt", "There is no checkpoint"),
        (tmp_path / "cut.ckpt", "corrupt"),
        (tmp_path / "other.ckpt", "are not DTTNet weights"),
        (tmp_path / "code", "more than plain data"),
        (17, "are not DTTNet weights"),
        (less, r"do not fit DTTNet: .*ups\.1\.0\.bias"),
        (wrong, "window is not a Hann window"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            JointDTTNet.from_separator(given, pitch=False)
        assert "\n" not in str(caught.value)


# ------------------------------------------------------------------ faster, the same


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("stream", [1, 3 << 20])
@pytest.mark.parametrize("frames", [5, 12, 37])
def test_optimised_network_agrees(frames, stream, tiled, monkeypatch):
    """Both ways to convolve; a few frames at a time and all at once; frames that fill nothing."""
    monkeypatch.setattr(fused_tfc_tdf, "TILED_FROM", 0 if tiled else 1 << 60)
    monkeypatch.setattr(fused_tfc_tdf, "STREAM_BYTES", stream)
    torch.manual_seed(0)
    net = TFCTDFNet(4, 2, 32, 8, 4, depth=2, n_convs=2, bottleneck=4, n_paths=1, n_heads=2)
    plain = randomise(torch.nn.Sequential(net))
    fast = optimize_for_inference(plain)
    assert isinstance(fast[0], FusedTFCTDFNet)
    x = torch.randn(2, 4, frames, 32)
    with torch.no_grad():
        for got, want in zip(fast(x), plain(x), strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype
            assert error(got, want) < 1e-5


@pytest.mark.parametrize("source", ["latent", "decoder", "magnitude"])
def test_optimised_model_agrees(source):
    plain = make(pitch_from=source)
    fast = optimize_for_inference(plain)
    with torch.no_grad():
        for shape in ((2, 16123), (30001,), (100,)):
            wav = torch.randn(shape)
            for got, want in zip(fast.forward_joint(wav), plain.forward_joint(wav), strict=True):
                assert (got is None) == (want is None)
                assert want is None or error(got, want) < 1e-5


@needs_bfloat16
def test_bfloat16_is_close():
    plain, wav = make(pitch=False), torch.randn(1, 20_000)
    fast = optimize_for_inference(plain, torch.bfloat16)
    with torch.no_grad():
        assert snr_db(fast(wav)[:, 0], plain(wav)[:, 0]) > 25
