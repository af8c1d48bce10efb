"""Long audio: windows, full band, file formats, streaming, memory."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from fake_models import FourStems, Halves

from asteroid_joint import DJCM
from asteroid_joint.audio import open_audio, to_pcm24
from asteroid_joint.audio.writing import StemWriter
from asteroid_joint.dsp.full_band import FullBand
from asteroid_joint.dsp.overlap_add import (
    CrossFader,
    FrameJoiner,
    WindowCutter,
    WindowPlan,
)
from asteroid_joint.inference.separate import (
    separate_array,
    separate_at_once,
    separate_file,
)
from asteroid_joint.inference.stream import (
    OverlapAdd,
    PitchTrack,
    StreamSeparator,
    plan_windows,
)

LSB = 2.0**-23  # of 24-bit PCM


def noise(n_channels: int, n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n_channels, n_samples)).astype("f4")


def tone(rate: int, seconds: float, hz: float = 440.0) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def tiny() -> DJCM:
    torch.manual_seed(0)
    return DJCM.from_preset("tiny").eval()


def read_f0(path: Path) -> np.ndarray:
    lines = path.read_text().splitlines()
    assert lines[0] == "time,frequency,confidence,voiced"
    return np.array([[float(field) for field in line.split(",")] for line in lines[1:]])


# Windows


@pytest.mark.parametrize(
    "n_samples", [1, 319, 320, 16000, 16320, 16321, 20000, 31999, 32000, 50011]
)
def test_windows_rebuild_the_signal_and_the_frames(n_samples):
    plan = WindowPlan.in_seconds(1.0, 0.2, 16000, 320)
    cutter, fader, joiner = WindowCutter(plan, 1), CrossFader(plan), FrameJoiner(plan)
    wav = noise(1, n_samples)
    windows = []
    for at in range(0, n_samples, 7001):
        windows += cutter.push(wav[:, at : at + 7001])
    windows.append(cutter.finish())
    assert [w.last for w in windows] == [False] * (len(windows) - 1) + [True]
    assert all(w.start % 320 == 0 for w in windows)
    assert {w.samples.shape[1] for w in windows[:-1]} <= {plan.length}
    assert windows[-1].samples.shape[1] <= plan.length + plan.multiple
    assert windows[-1].samples.shape[1] >= min(n_samples, plan.shortest)
    out, frames = [], []
    for w in windows:
        out.append(fader.push(w.start, w.samples, w.last))
        index = w.start // 320 + np.arange((w.samples.shape[1] - 1) // 320 + 1)
        frames.append(joiner.push(w.start, w.samples.shape[1], index[:, None], w.last))
    np.testing.assert_allclose(np.concatenate(out, 1), wav, atol=1e-7, rtol=0)
    assert np.concatenate(frames)[:, 0].tolist() == list(range((n_samples - 1) // 320 + 1))


def test_a_plan_needs_windows_of_twice_the_overlap():
    with pytest.raises(ValueError, match="twice the overlap"):
        WindowPlan.in_seconds(1.0, 0.6, 16000)


def test_cross_fade_weights_the_two_windows():
    plan = WindowPlan.in_seconds(1.0, 0.2, 16000, 320)
    fader = CrossFader(plan)
    first = fader.push(0, np.ones(plan.length, np.float32), False)
    second = fader.push(plan.step, np.zeros(plan.length, np.float32), True)
    joint = np.concatenate([first, second])
    assert joint.shape[0] == plan.step + plan.length
    assert (np.diff(joint) <= 0).all() and joint[0] == 1 and joint[-1] == 0


# Exactness


@pytest.mark.parametrize("n_samples", [1, 160, 2047, 30000])
def test_mono_at_the_models_rate_is_the_models_own_output(n_samples):
    model, wav = tiny(), noise(1, n_samples)
    out = separate_array(model, wav, 16000, gate=False)  # untrained, it finds nothing voiced
    with torch.no_grad():
        expected = model.forward_joint(torch.from_numpy(wav))
    np.testing.assert_array_equal(out.stems[0, 0], expected.sources[0, 0].numpy())
    hz, confidence, voiced = model.decode_pitch(expected.pitch_logits[0])
    np.testing.assert_allclose(out.f0[:, 1], hz.numpy())
    np.testing.assert_allclose(out.f0[:, 2], confidence.numpy())
    np.testing.assert_array_equal(out.f0[:, 3], voiced.numpy())


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 96000])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 6])
@pytest.mark.parametrize("model_channels", [1, 2])
def test_half_of_the_input_is_half_of_the_input(rate, n_channels, model_channels):
    model = Halves(in_channels=model_channels)
    for n_samples in (1, rate // 100, 3 * rate + 17):
        wav = noise(n_channels, n_samples)
        out = separate_array(model, wav, rate, window_sec=1.28)
        assert out.stems.shape == (2, n_channels, n_samples)
        np.testing.assert_array_equal(out.mixture, wav)
        np.testing.assert_allclose(out.stems.sum(0), wav, atol=1e-6)
    inner = slice(rate // 10, -rate // 10)  # resamplers ring at the ends
    error = (out.stems[0] - wav / 2)[:, inner]
    if rate == 16000 and n_channels in (1, model_channels):
        assert np.abs(error).max() < 1e-6
    assert np.sqrt(np.mean(error**2)) < 0.005  # noise of 0.14 rms


@pytest.mark.parametrize("rate", [16000, 44100])
def test_blocks_and_windows_do_not_show(rate):
    """The stream in any blocks equals the array; long equals short where windows do not matter."""
    wav, model = noise(2, 5 * rate + 3), Halves()
    whole = separate_array(model, wav, rate)
    for size in (997, 3 * rate):
        stream = StreamSeparator(model, rate, 2)
        chunks = [stream.push(wav[:, at : at + size]) for at in range(0, wav.shape[1], size)]
        chunks.append(stream.finish())
        np.testing.assert_allclose(
            np.concatenate([c.stems for c in chunks], 2), whole.stems, atol=1e-5
        )
        np.testing.assert_allclose(np.concatenate([c.f0 for c in chunks]), whole.f0, rtol=1e-4)
    windowed = separate_array(model, wav, rate, window_sec=1.0, batch_size=3)
    np.testing.assert_allclose(windowed.stems, whole.stems, atol=1e-5)
    np.testing.assert_allclose(windowed.f0, whole.f0, rtol=1e-4)
    assert {shape[0] for shape in model.windows} >= {1, 3}  # batches were used


def test_windows_may_be_handed_in():
    """They take the place of those that the other options ask for."""
    wav, model = 0.1 * noise(1, 16000 * 5), tiny()
    windowing = OverlapAdd(model, plan_windows(model, 1.0), PitchTrack(model, "viterbi"))
    given = separate_at_once(StreamSeparator(model, 16000, 1, windowing=windowing), wav)
    asked = separate_array(model, wav, 16000, window_sec=1.0, decoder="viterbi", gate=False)
    for ours, theirs in zip(given, asked, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    usual = separate_array(model, wav, 16000, gate=False)
    assert np.abs(given.stems - usual.stems).max() > 1e-5


def test_windowed_djcm_is_near_one_pass():
    """What windows cost: cross-faded in the middle of their overlap, little."""
    model, wav = tiny(), 0.1 * noise(1, 16000 * 12)
    whole = separate_array(model, wav, 16000, window_sec=20, gate=False)
    cut = separate_array(model, wav, 16000, window_sec=5, gate=False)
    error = cut.stems[0] - whole.stems[0]
    assert np.sum(error**2) < 0.01 * np.sum(whole.stems[0] ** 2)


def test_f0_rows_lie_on_the_grid_of_the_whole_file():
    model = Halves()
    out = separate_array(model, tone(22050, 3.3)[None], 22050, window_sec=1.0)
    n_frames = model.pitch_grid.n_frames(round(3.3 * 16000))
    np.testing.assert_allclose(out.f0[:, 0], np.arange(n_frames) * 0.02)
    assert (out.f0[:, 1] > 0).all() and (out.f0[:, 3] == 1).all()


def test_decoders_look_around_windows():
    """Viterbi in windows finds the path that it finds in one go."""
    model, wav = Halves(), np.repeat(noise(1, 30), 16000, 1)
    whole = separate_array(model, wav, 16000, window_sec=40, decoder="viterbi")
    cut = separate_array(model, wav, 16000, window_sec=4, decoder="viterbi")
    assert len(whole.f0) == len(cut.f0) == model.pitch_grid.n_frames(wav.shape[1])
    assert np.mean(np.isclose(whole.f0[:, 1], cut.f0[:, 1])) > 0.99


# Models of other kinds


def test_four_stereo_stems_at_44100_without_pitch(tmp_path):
    model, wav = FourStems(), noise(2, 100001)
    out = separate_array(model, wav, 44100, window_sec=1.0)
    for part, stem in zip(model.parts, out.stems, strict=True):
        np.testing.assert_allclose(stem, part * wav, atol=1e-6)
    assert out.f0.shape == (0, 4)
    sf.write(tmp_path / "song.wav", wav.T, 48000)
    folder = separate_file(model, tmp_path / "song.wav", tmp_path / "out").folder
    assert sorted(p.name for p in folder.iterdir()) == [
        *("bass.wav", "drums.wav", "other.wav", "vocals.wav")
    ]
    assert sf.info(folder / "drums.wav").frames == 100001


def test_sources_that_sum_to_a_multiple_are_scaled_back():
    """Weights trained on averaged channels estimate twice what is in the mixture."""
    wav = noise(1, 20000)
    torch.manual_seed(0)
    doubled = DJCM.from_preset("tiny", mixture_scale=2.0).eval()
    np.testing.assert_allclose(
        2 * separate_array(doubled, wav, 16000).stems[0],
        separate_array(tiny(), wav, 16000).stems[0],
        rtol=1e-5,
    )


def test_training_mode_is_given_back():
    model = tiny().train()
    separate_array(model, noise(1, 4000), 16000)
    assert model.training


@pytest.mark.parametrize("shape", [(0,), (2, 0), (1, 2, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="n_channels, n_samples"):
        separate_array(Halves(), np.zeros(shape), 16000)


# Full band


def spread(mixture: np.ndarray, estimate: np.ndarray, rate: int, band_hz: float | None):
    """By PyTorch; NumPy has to find the same."""
    found = []
    for library in (torch, np):
        full = FullBand(1, len(mixture), len(estimate), rate, band_hz, library)
        parts = full.push(mixture, estimate[None]), full.finish()
        found.append(np.concatenate(parts, -1)[0])
        assert found[-1].dtype == np.float32
    np.testing.assert_allclose(*found, atol=2e-6)
    return found[0]


def test_a_channel_that_equals_the_downmix_gets_the_estimate_itself():
    voice, rest = tone(44100, 2), noise(1, 88200)[0] * 0.2
    mixture = np.stack([voice + rest] * 2)
    out = spread(mixture, voice[None], 44100, None)
    np.testing.assert_allclose(out, np.stack([voice] * 2), atol=1e-6)


def test_above_the_band_the_mask_goes_on():
    """A voice with a bright top: none of it is lost, none is invented where there is no voice."""
    rng = np.random.default_rng(0)
    burst = np.repeat(np.tile([1.0, 0.0], 4), 22050).astype("f4")  # half a second on, half off
    voice = 0.1 * burst * rng.standard_normal(len(burst)).astype("f4")
    rest = 0.1 * (1 - burst) * rng.standard_normal(len(burst)).astype("f4")
    spectrum = np.fft.rfft(voice)
    spectrum[int(8000 / 44100 * len(voice)) :] = 0  # what a 16 kHz model can know
    low = np.fft.irfft(spectrum, len(voice)).astype("f4")
    out = spread((voice + rest)[None], low[None], 44100, 8000.0)[0]
    assert np.sum((out - voice) ** 2) < 0.1 * np.sum(voice**2)
    assert np.sum((low - voice) ** 2) > 0.5 * np.sum(voice**2)


def test_silent_and_opposite_channels():
    """A silent channel stays silent; channels that cancel in the downmix do not blow up."""
    voice = tone(44100, 1)
    out = spread(np.stack([voice, 0 * voice]), voice[None] / 2, 44100, 8000.0)
    assert not out[1].any()
    inner = slice(4410, -4410)
    np.testing.assert_allclose(out[0][inner], voice[inner], atol=0.01)
    wav = noise(1, 88200)
    for other in (-wav, -0.9999 * wav):
        both = np.concatenate([wav, other])
        out = spread(both, both.mean(0, keepdims=True) / 2, 44100, 8000.0)
        assert np.abs(out).max() < 0.01 and np.isfinite(out).all()
        # the model is given another downmix, in which they do not cancel
        out = separate_array(Halves(), both, 44100).stems
        assert np.abs(out[0] - both / 2)[:, 4410:-4410].max() < 0.01


# Files


@pytest.mark.parametrize(
    ("subtype", "expected", "lsb"),
    [
        ("PCM_U8", "PCM_24", 0.0),
        ("PCM_16", "PCM_24", 0.0),
        ("PCM_24", "PCM_24", 0.0),
        ("PCM_32", "FLOAT", 1e-6),
        ("FLOAT", "FLOAT", 1e-6),
        ("DOUBLE", "FLOAT", 1e-6),
    ],
)
def test_stems_have_the_inputs_form_and_sum(tmp_path, subtype, expected, lsb):
    path = tmp_path / "song.wav"
    sf.write(path, noise(2, 44101).T * 1.99, 44100, subtype=subtype)
    folder = separate_file(tiny(), path, tmp_path / "out").folder
    total = 0.0
    for name in ("vocals", "accompaniment"):
        info = sf.info(folder / f"{name}.wav")
        assert (info.samplerate, info.channels, info.frames) == (44100, 2, 44101)
        assert (info.format, info.subtype) == ("WAV", expected)
        total = total + sf.read(folder / f"{name}.wav", dtype="float64")[0]
    assert np.abs(total - sf.read(path, dtype="float64")[0]).max() <= lsb
    assert read_f0(folder / "f0.csv").shape == (50, 4)  # 44101 samples are 16000 to the model
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["song"]  # no hidden folder


def test_a_file_says_nothing_of_when_it_was_written(tmp_path):
    samples = noise(2, 5000)
    writer = StemWriter(tmp_path / "a.wav", 44100, 2, "FLOAT", None)
    writer.write(samples)
    writer.close()
    data = (tmp_path / "a.wav").read_bytes()
    at = data.index(b"PEAK")
    assert at < data.index(b"data") and data[at + 12 : at + 16] == bytes(4)  # version, then time
    np.testing.assert_array_equal(sf.read(tmp_path / "a.wav", dtype="float32")[0].T, samples)


def test_rounded_stems_neither_clip_nor_lose_the_sum():
    mixture = np.float32([[0.9, -1.0, 1 - LSB, 0.0, 0.25]])
    stems = np.float32([[[-0.7, 0.6, -3.0, 1.5, 0.1]]])
    stems = np.concatenate([stems, mixture[None] - stems])
    out = to_pcm24(mixture, stems, 1) / 2.0**31
    np.testing.assert_array_equal(out.sum(0), mixture)
    assert out.min() >= -1 and out.max() <= 1 - LSB
    assert out[0, 0, 4] == pytest.approx(0.1, abs=LSB)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "aiff", "m4a", "mka"])
def test_other_formats(tmp_path, kind):
    path, wav = tmp_path / f"song.{kind}", np.stack([tone(44100, 2), tone(44100, 2, 660)])
    if kind in ("m4a", "mka"):
        encode(path, wav, "aac" if kind == "m4a" else "pcm_s16le")
    else:
        sf.write(path, wav.T, 44100)
    folder = separate_file(Halves(), path, tmp_path / "out").folder
    info = sf.info(folder / "vocals.wav")
    assert (info.samplerate, info.channels) == (44100, 2)
    assert info.subtype == ("PCM_24" if kind in ("flac", "aiff", "mka") else "FLOAT")
    assert info.frames == pytest.approx(88200, abs=2048 if kind == "m4a" else 0)
    vocals = sf.read(folder / "vocals.wav")[0].T[:, 8820:79380]
    assert np.abs(vocals - wav[:, 8820:79380] / 2).max() < 0.05


def encode(path: Path, wav: np.ndarray, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(wav, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 0
        resampler = av.AudioResampler(stream.format, "stereo", 44100, 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def test_progress_counts_seconds(tmp_path):
    sf.write(tmp_path / "song.wav", noise(1, 5 * 16000).T, 16000)
    seen = []
    separate_file(
        *(Halves(), tmp_path / "song.wav", tmp_path / "out"),
        window_sec=1.0,
        progress=lambda *seconds: seen.append(seconds),
    )
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (5.0, 5.0)


def test_reader_gives_every_sample_of_a_long_file(tmp_path):
    wav = noise(2, 200001)
    sf.write(tmp_path / "a.wav", wav.T, 44100, subtype="FLOAT")
    with open_audio(tmp_path / "a.wav") as reader:
        np.testing.assert_array_equal(np.concatenate([*reader.blocks()], 1), wav)
        assert reader.warning() is None and reader.announced == 200001


def test_memory_does_not_grow_with_the_file(tmp_path, run):
    code = """
import resource, sys
import torch
from asteroid_joint import DJCM
from asteroid_joint.inference.separate import separate_file
torch.set_num_threads(1)
model = DJCM.from_preset("tiny")
for path in sys.argv[2:]:
    separate_file(model, path, sys.argv[1])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    for name, seconds in (("short", 60), ("long", 300)):
        with sf.SoundFile(tmp_path / f"{name}.wav", "w", 22050, 2) as file:
            for second in range(seconds):
                file.write(noise(2, 22050, second).T)
    paths = tmp_path / "out", tmp_path / "short.wav", tmp_path / "long.wav"
    done = run(sys.executable, "-c", code, *paths)
    assert done.returncode == 0, done.stderr
    short, long = map(int, done.stdout.split())  # peak so far: the second includes the first
    assert long < 1.05 * short
