"""Live streams: windows, latency, pipes, sound cards, and how they end."""

import errno
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import child_env
from fake_models import FourStems, Halves

from asteroid_joint import DJCM, VocalDetectionUNet
from asteroid_joint.apps.live import sound_card as card
from asteroid_joint.apps.live.feed import Feed, Gap
from asteroid_joint.apps.live.formats import SAMPLE_FORMATS
from asteroid_joint.apps.live.meter import Durations, Meter
from asteroid_joint.apps.live.outputs import F0Output, Outputs, VoiceOutput
from asteroid_joint.apps.live.pcm import PcmInput, PcmKind, read_wav_header
from asteroid_joint.apps.live.plan import FADE_SEC, LivePlan
from asteroid_joint.apps.live.separator import LiveSeparator
from asteroid_joint.apps.live.session import Stop, run_session
from asteroid_joint.cli import main
from asteroid_joint.errors import AudioError, ConfigError, UserError
from asteroid_joint.inference.knobs import PitchKnobs
from asteroid_joint.inference.separate import separate_array, separate_at_once
from asteroid_joint.inference.stream import Chunk
from asteroid_joint.models.base import JointModel

RATE = 16000


def noise(n_channels: int, n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n_channels, n_samples)).astype("f4")


@pytest.fixture(scope="module")
def tiny() -> DJCM:
    torch.manual_seed(0)
    return DJCM.from_preset("tiny").eval()


def heard_live(
    model: JointModel, wav: np.ndarray, rate: int, plan: LivePlan, decoder: str = "argmax"
) -> Chunk:
    """What a live stream gives of a recording that is in memory."""
    return separate_at_once(LiveSeparator(model, rate, len(wav), plan, decoder=decoder), wav)


# What is given out


@torch.inference_mode()
def by_hand(
    model: DJCM, wav: np.ndarray, context: int, block: int, lookahead: int
) -> tuple[np.ndarray, np.ndarray]:
    """Voice ``(T,)`` and F0 ``(N, 3)`` from windows that are cut one by one from the whole signal.

    Each sample is a weighted sum over all windows, by a weight that is written down for it.
    """
    n, fade, hop = len(wav), int(FADE_SEC * RATE), 320
    n_blocks = max(n - lookahead, 0) // block  # those whose lookahead is there
    shift = min(lookahead, fade)  # the fade ends so far behind the border
    voice, rows = np.zeros(n), []
    for k in range(n_blocks + 1):
        last = k == n_blocks
        start = max(0, k * block - context)
        end = n if last else (k + 1) * block + lookahead
        if end == start:
            continue
        out = model.forward_joint(torch.from_numpy(wav[None, start:end]))
        weight = np.zeros(end - start)
        for t in range(start, end):
            into = (t - (k * block + shift - fade) + 0.5) / fade if k else 1.0
            beyond = (t - ((k + 1) * block + shift - fade) + 0.5) / fade if not last else 0.0
            rise = np.sin(np.pi / 2 * np.clip(into, 0, 1)) ** 2
            weight[t - start] = rise * np.cos(np.pi / 2 * np.clip(beyond, 0, 1)) ** 2
        voice[start:end] += weight * out.sources[0, 0].numpy()
        for frame in range(k * block // hop, -(-n // hop) if last else (k + 1) * block // hop):
            hz, confidence, voiced = model.decode_pitch(out.pitch_logits[0])
            rows.append([x[frame - start // hop].item() for x in (hz, confidence, voiced)])
    return voice, np.array(rows)


@pytest.mark.parametrize("lookahead", [0, 100, 1600, 5000])
@pytest.mark.parametrize("n_samples", [100, 4800, 6400, 14400 + 77])
def test_a_stream_is_the_model_on_the_same_windows(tiny, lookahead, n_samples):
    """Against an independent slow computation, in pieces of odd sizes."""
    wav = noise(1, n_samples)
    plan = LivePlan.of(tiny, 0.1, lookahead / RATE, 0.22)
    assert (plan.context, plan.block, plan.lookahead) == (3520, 1600, lookahead)
    stream = LiveSeparator(tiny, RATE, 1, plan)
    chunks = [stream.push(wav[:, at : at + 997]) for at in range(0, n_samples, 997)]
    chunks.append(stream.finish())
    voice, f0 = by_hand(tiny, wav[0], 3520, 1600, lookahead)
    rows = np.concatenate([c.f0 for c in chunks])
    np.testing.assert_array_equal(rows[:, 0], np.arange(len(f0)) * 320 / RATE)
    np.testing.assert_allclose(rows[:, 1:], f0, rtol=1e-5)
    stems = np.concatenate([c.stems for c in chunks], 2)
    np.testing.assert_allclose(stems[0, 0], voice, atol=1e-5)
    np.testing.assert_allclose(stems.sum(0), wav, atol=1e-6)


@pytest.mark.parametrize("hop_ms", [None, 10.0, 11.6])
def test_knobs_of_pitch_do_not_show_how_a_stream_was_cut(tiny, hop_ms):
    """In pieces of any size the rows of one piece; with all of the future those of separate."""
    wav = noise(1, 2 * RATE + 77)
    asked = {"fmin_hz": 100.0, "octave": -1, "voicing_threshold": 0.1, "hop_ms": hop_ms}

    def rows(plan: LivePlan, step: int) -> np.ndarray:
        stream = LiveSeparator(tiny, RATE, 1, plan, knobs=PitchKnobs(**asked)).again()
        chunks = [stream.push(wav[:, at : at + step]) for at in range(0, wav.shape[1], step)]
        return np.concatenate([c.f0 for c in [*chunks, stream.finish()]])

    short = LivePlan.of(tiny, 0.1, 0.1, 0.22)
    whole = rows(short, wav.shape[1])
    assert len(whole) == -(-wav.shape[1] // round(RATE * (hop_ms or 20.0) / 1000))
    np.testing.assert_allclose(rows(short, 997), whole, rtol=1e-5)
    expected = separate_array(tiny, wav, RATE, gate=False, **asked).f0
    np.testing.assert_allclose(rows(LivePlan.of(tiny, 0.1, 3.0, 3.0), 1600), expected, rtol=1e-4)


@pytest.mark.parametrize("decoder", ["argmax", "viterbi"])
def test_with_all_of_the_future_it_is_what_separate_gives(tiny, decoder):
    wav = noise(2, 40000)
    whole = separate_array(tiny, wav, 22050, decoder=decoder, gate=False)
    live = heard_live(tiny, wav, 22050, LivePlan.of(tiny, 0.1, 2.0, 1.0), decoder)
    for ours, theirs in zip(live, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_more_future_is_nearer_to_separate(tiny):
    wav = noise(1, 2 * RATE)
    whole = separate_array(tiny, wav, RATE, gate=False)
    errors = []
    for lookahead in (0.0, 0.2, 1.2):
        live = heard_live(tiny, wav, RATE, LivePlan.of(tiny, 0.2, lookahead, 2.0))
        errors.append(float(np.square(live.stems[0] - whole.stems[0]).sum()))
        assert live.f0.shape == whole.f0.shape
    assert errors[0] > errors[1] > errors[2]


def test_a_model_with_bounded_context_loses_nothing():
    torch.manual_seed(0)
    model = VocalDetectionUNet.from_preset("tiny").eval()
    seconds = model.context_samples / model.sample_rate
    wav = noise(1, int(2.2 * model.context_samples) + 4 * model.window_multiple + 11)
    plan = LivePlan.of(model, 0.1, seconds, seconds)
    assert plan.block % model.window_multiple == plan.context % model.window_multiple == 0
    live = heard_live(model, wav, int(model.sample_rate), plan)
    with torch.no_grad():
        out = model.forward_joint(torch.from_numpy(wav))
    np.testing.assert_allclose(live.stems[0, 0], out.sources[0, 0].numpy(), atol=1e-5)
    probability = model.sung_probability(out)[0].numpy()
    np.testing.assert_allclose(live.activity[:, 1], probability, atol=1e-5)


def test_silence_is_silent_and_has_no_pitch(tiny):
    live = heard_live(tiny, np.zeros((1, RATE), "f4"), RATE, LivePlan.of(tiny, 0.1, 0.1))
    assert not live.stems.any() and not live.f0[:, 2:].any()


def roughness(wav: np.ndarray, borders: np.ndarray) -> float:
    """Energy of the second difference about borders, over that everywhere else."""
    bend = np.square(np.diff(wav, 2))
    near = np.zeros(len(bend), bool)
    for border in borders:
        near[border - 3 : border + 1] = True
    return float(bend[near].mean() / bend[~near].mean())


@pytest.mark.parametrize("lookahead", [0.0, 0.1])
def test_blocks_of_a_stationary_sound_join_without_a_step(tiny, lookahead):
    """And would not without the fade."""
    sec = np.arange(int(2.5 * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * hz * sec) for hz in (97.3, 221.7, 333.1, 540.9))
    plan = LivePlan.of(tiny, 0.1, lookahead, 0.5)
    borders = np.arange(RATE, 2 * RATE, plan.block)
    faded, butt = (
        heard_live(tiny, (0.1 * chord).astype("f4")[None], RATE, p).stems[0, 0, : 2 * RATE]
        for p in (plan, replace(plan, fade=0))
    )
    assert roughness(faded, borders) < 1.2 < roughness(butt, borders)


# Latency, memory, speed


@pytest.mark.parametrize("rate", [RATE, 44100])
@pytest.mark.parametrize("lookahead", [0.0, 0.25])
def test_latency_is_what_the_plan_says(rate, lookahead):
    """A frame's line and a sample's stem come when they should: by the clock of what was pushed."""
    model, step = Halves(), rate // 1000
    plan = LivePlan.of(model, 0.1, lookahead, 0.2)
    stream = LiveSeparator(model, rate, 1, plan)
    wav = noise(1, 2 * rate)
    f0_wait, stem_wait, n_given = [], [], 0
    for at in range(0, wav.shape[1], step):
        chunk = stream.push(wav[:, at : at + step])
        heard_sec = (at + step) / rate
        f0_wait += list(heard_sec - chunk.f0[:, 0])
        if chunk.mixture.shape[1]:
            stem_wait.append(heard_sec - n_given / rate)
            n_given += chunk.mixture.shape[1]
    resampling, all_else = (0.0, 0.0) if rate == RATE else (0.041, 0.12)
    assert plan.f0_latency_sec <= max(f0_wait) + 1e-9 <= plan.f0_latency_sec + 0.0011 + resampling
    assert plan.stem_latency_sec <= max(stem_wait) + 1e-9
    assert max(stem_wait) <= plan.stem_latency_sec + 0.0011 + all_else


def held_bytes(thing: object, seen: set[int]) -> int:
    """Bytes of all arrays and lists that an object holds."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, torch.Tensor):
        return thing.numel() * thing.element_size()
    parts: list = []
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, (list, tuple, set)):
        parts = list(thing)
    elif hasattr(thing, "__dict__") and not isinstance(thing, (type, ModuleType, torch.nn.Module)):
        parts = list(vars(thing).values())
    return sys.getsizeof(thing) + sum(held_bytes(part, seen) for part in parts)


def test_memory_does_not_grow():
    model = Halves()
    stream = LiveSeparator(model, 44100, 2, LivePlan.of(model, 0.1, 0.1, 0.3))
    sizes, wav = [], noise(2, 44100)
    for _ in range(30):
        stream.push(wav)
        model.windows.clear()
        sizes.append(held_bytes(stream, set()))
    assert max(sizes[5:]) < 1.2 * min(sizes[5:])


def test_durations_and_meter_against_numpy():
    durations, values = Durations(), np.random.default_rng(0).lognormal(-3, 1, 5000)
    for value in values:
        durations.add(value)
    for part in (0.5, 0.95):
        assert durations.quantile(part) == pytest.approx(np.quantile(values, part), rel=0.03)
    assert durations.most == values.max() and durations.total == pytest.approx(values.sum())
    meter = Meter(0.5)
    for factor in [0.1] * 100 + [2.0] * 10:
        meter.receive(0.5)
        meter.count(0.5 * factor, 1)
    assert meter.recent_factor == pytest.approx(2.0)
    assert meter.real_time_factor == pytest.approx((100 * 0.1 + 10 * 2.0) / 110)


@pytest.mark.parametrize("name", ["block", "lookahead", "context"])
@pytest.mark.parametrize("seconds", [-1.0, 61.0, float("nan")])
def test_sizes_that_make_no_sense_are_refused(name, seconds):
    with pytest.raises(ConfigError, match=f"--{name} is in seconds"):
        LivePlan.of(Halves(), **{f"{name}_sec": seconds})


# Pipes


@pytest.mark.parametrize("name", SAMPLE_FORMATS)
def test_pcm_formats_are_those_of_libsndfile(name):
    subtypes = {"u8": "PCM_U8", "s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32"}
    wav = noise(3, 100).astype("f8")
    wav[:, 0], wav[:, 1] = 1.0, -1.0
    file = io.BytesIO()
    subtype = subtypes.get(name, "FLOAT")
    sf.write(file, wav.T, RATE, subtype, "LITTLE", "RAW")
    kind = PcmKind(RATE, 3, name)
    decoded = kind.decode(file.getvalue())
    file.seek(0)
    read = sf.read(file, channels=3, samplerate=RATE, subtype=subtype, format="RAW", dtype="f4")[0]
    np.testing.assert_allclose(decoded, read.T, atol=1e-7)
    assert kind.encode(decoded) == kind.encode(kind.decode(kind.encode(decoded)))
    np.testing.assert_allclose(kind.decode(kind.encode(wav)), wav, atol=1 / 127)
    if name in ("u8", "s16le", "s24le"):
        assert kind.encode(decoded) == file.getvalue()


def piped(data: bytes) -> int:
    """A pipe that gives these bytes in odd pieces, then ends."""
    out, into = os.pipe()

    def fill() -> None:
        with open(into, "wb", buffering=0) as file:
            for at in range(0, len(data), 1013):
                file.write(data[at : at + 1013])

    threading.Thread(target=fill, daemon=True).start()
    return out


def heard(source: PcmInput) -> np.ndarray:
    source.start()
    return np.concatenate(list(source.feed.sounds(lambda: False)), 1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
def test_wav_headers_of_pipes(subtype, form):
    """Also those that do not know the length, and with something behind the samples."""
    wav, file = noise(2, 3001), io.BytesIO()
    sf.write(file, wav.T, 22050, subtype, format=form)
    expected = sf.read(io.BytesIO(file.getvalue()), dtype="f4")[0].T
    data = bytearray(file.getvalue())
    if form != "RF64":  # whose size is elsewhere: all that follows counts as sound
        data += b"LIST\x04\x00\x00\x00abcd"
    source = PcmInput(piped(bytes(data)), None)
    assert (source.kind.sample_rate, source.kind.n_channels) == (22050, 2)
    np.testing.assert_allclose(heard(source), expected, atol=1e-7)
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    endless = bytes(data[: len(file.getvalue())])
    np.testing.assert_allclose(heard(PcmInput(piped(endless), None)), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"ID3\x03" + bytes(100), "no WAV header"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "damaged or cut off"),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00", "damaged or cut off"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt \xf0\xff\xff\xff" + bytes(99), "damaged or cut off"),
        (
            b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00"
            + struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8)
            + b"data\x00\x00\x00\x00",
            "format 7 with 8 bits",
        ),
    ],
)
def test_what_is_no_wav_stream_is_said(data, sentence):
    with pytest.raises(UserError, match=sentence):
        read_wav_header(io.BytesIO(data).read)


def test_bad_pcm_is_said():
    kind = PcmKind(RATE, 2, "f32le")
    wav = noise(2, 5000)
    source = PcmInput(piped(kind.encode(wav[:, :10]) + b"abc"), kind)
    assert heard(source).shape == (2, 10)
    assert "3 bytes too many" in source.warning
    header = io.BytesIO()
    sf.write(header, wav.T, RATE, format="WAV")
    with pytest.raises(UserError, match="omit --sample-format"):
        PcmInput(piped(header.getvalue()), kind)
    for rate, channels in ((0, 1), (44100, 0), (44100, 999)):
        with pytest.raises(UserError):
            PcmKind(rate, channels, "s16le")


def test_a_slow_taker_makes_a_pipe_wait():
    """Nothing is lost, and no more than a few reads are held."""
    kind, wav = PcmKind(RATE, 1, "s16le"), noise(1, 500_000)
    source = PcmInput(piped(kind.encode(wav)), kind)
    source.start()
    time.sleep(0.3)
    assert source.feed._queue.qsize() <= 4
    got = np.concatenate(list(source.feed.sounds(lambda: False)), 1)
    np.testing.assert_allclose(got, wav, atol=2e-5)


# Outputs and sessions


def test_lines_and_voice_are_there_at_once(tmp_path):
    rows = np.array([[0.0, 220.0, 0.9, 1.0], [0.02, 110.5, 0.1, 0.0]])
    with pytest.raises(UserError, match="--overwrite"):
        (tmp_path / "there").touch()
        F0Output(str(tmp_path / "there"))
    csv = F0Output(str(tmp_path / "f0.csv"))
    csv.write(rows)
    assert (tmp_path / "f0.csv").read_text().splitlines() == [
        "time,frequency,confidence,voiced",
        "0.000000,220.000,0.900000,1",
        "0.020000,110.500,0.100000,0",
    ]
    lines = F0Output(str(tmp_path / "f0.jsonl"), "jsonl")
    lines.write(rows)
    assert [json.loads(line) for line in (tmp_path / "f0.jsonl").read_text().splitlines()] == [
        {"time": 0.0, "frequency": 220.0, "confidence": 0.9, "voiced": True},
        {"time": 0.02, "frequency": 110.5, "confidence": 0.1, "voiced": False},
    ]
    voice = VoiceOutput(str(tmp_path / "v.raw"), PcmKind(RATE, 2, "s16le"))
    voice.write(np.array([[0.5, 2.0], [-0.5, -2.0]]))
    assert np.fromfile(tmp_path / "v.raw", "<i2").tolist() == [16384, -16384, 32767, -32768]
    with pytest.raises(UserError, match="raw PCM"):
        VoiceOutput(str(tmp_path / "v.wav"), PcmKind(RATE, 2, "s16le"))
    with pytest.raises(AudioError, match="No space left"):
        F0Output("/dev/full")


class Player:
    """A source that has all its sound at once."""

    name, hint, warning = "a player", "", None

    def __init__(self, wav: np.ndarray, rate: int = RATE) -> None:
        self.kind = PcmKind(rate, len(wav), "f32le")
        self.feed = Feed(10)
        self.feed.put(wav)
        self.closed = False

    def start(self) -> None:
        self.feed.end()

    def close(self) -> None:
        self.closed = True


def session(tmp_path: Path, source, model=None, stop=None, **sizes) -> tuple[list[str], Path]:
    model = model or Halves()
    plan = LivePlan.of(model, **{"block_sec": 0.1, "lookahead_sec": 0.1, **sizes})
    said: list[str] = []
    voice = VoiceOutput(str(tmp_path / "v.raw"), source.kind, True)
    outputs = Outputs(F0Output(str(tmp_path / "f0.csv"), overwrite=True), voice)
    separator = LiveSeparator(model, source.kind.sample_rate, source.kind.n_channels, plan)
    run_session(separator, source, outputs, said.append, stop or Stop())
    return said, tmp_path


def test_a_session_gives_all_and_says_how_it_was(tmp_path):
    wav = noise(2, 30000)
    said, folder = session(tmp_path, source := Player(wav))
    assert source.closed
    got = np.fromfile(folder / "v.raw", "<f4").reshape(-1, 2).T
    assert got.shape == wav.shape  # half of the downmix, and of what deviates from it
    assert np.sqrt(np.mean((got - wav / 2) ** 2)) < 0.02
    assert len((folder / "f0.csv").read_text().splitlines()) == 1 + -(-30000 // 320)
    assert said[0].startswith("received 1.9 s in 18 blocks of 0.10 s; the input ended")
    assert "F0 0.20 s" in said[1] and "real-time factor 0." in said[1] and len(said) == 2


class Slow(Halves):
    """Needs longer than real time."""

    def estimate(self, wav):
        time.sleep(0.13)
        return super().estimate(wav)


def test_a_machine_that_falls_behind_is_told_once(tmp_path):
    said, _ = session(tmp_path, Player(noise(1, 6 * RATE)), Slow(), block_sec=0.1)
    assert [s for s in said if "falls behind" in s] == said[:1]
    assert "slower than real time" in said[-1]


def test_nothing_heard_is_an_end_too(tmp_path):
    said, folder = session(tmp_path, Player(np.zeros((1, 0), "f4")))
    assert said == ["received 0.0 s in 0 blocks of 0.10 s; the input ended."]
    assert (folder / "f0.csv").read_text() == "time,frequency,confidence,voiced\n"


def test_stopping_finishes_what_was_heard(tmp_path):
    source, stop = Player(noise(1, RATE)), Stop()
    source.start = lambda: None  # never ends
    threading.Timer(0.5, lambda: setattr(stop, "reason", "stopped by hand")).start()
    said, folder = session(tmp_path, source, stop=stop)
    assert "received 1.0 s" in said[0] and "stopped by hand" in said[0]
    assert len((folder / "f0.csv").read_text().splitlines()) == 51


# Sound cards, with a library that is made up: no test machine has one


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeStream:
    """Calls back as PortAudio does, as fast as it can; the last period overflows."""

    def __init__(self, *, callback, finished_callback, blocksize, channels, samplerate, **_):
        if samplerate == 12345:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.args = callback, finished_callback, blocksize, channels
        self.n_periods = 30
        self.thread = threading.Thread(target=self.run)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        callback, finished, blocksize, channels = self.args
        for k in range(self.n_periods):
            sound = np.full((blocksize, channels), (k + 1) / 100, "f4")
            status = SimpleNamespace(input_overflow=k == self.n_periods - 1)
            callback(sound, blocksize, None, status)
        finished()

    def close(self) -> None:
        self.thread.join()


DEVICES = [
    {"index": 0, "name": "Out", "max_input_channels": 0, "default_samplerate": 48000.0},
    {"index": 1, "name": "Mic", "max_input_channels": 2, "default_samplerate": 48000.0},
]


def query_devices(device=None, kind=None):
    if kind is None:
        return DEVICES
    if device not in (None, 1, "Mic"):
        raise ValueError(f"No input device matching {device!r}")
    return DEVICES[1]


@pytest.fixture
def sound(monkeypatch) -> SimpleNamespace:
    library = SimpleNamespace(
        InputStream=FakeStream,
        PortAudioError=PortAudioError,
        query_devices=query_devices,
        default=SimpleNamespace(device=(1, 0)),
    )
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def test_a_sound_card_is_heard_until_it_is_unplugged(sound, tmp_path):
    source = card.SoundCard("default", None, 2)
    assert source.kind == PcmKind(48000, 2, "f32le") and source.name == "Mic"
    said: list[str] = []
    model = Halves()
    separator = LiveSeparator(model, 48000, 2, LivePlan.of(model, 0.1, 0.1))
    f0 = F0Output(str(tmp_path / "f0.csv"))
    with pytest.raises(AudioError, match="Mic has stopped recording: is it unplugged"):
        run_session(separator, source, Outputs(f0, None), said.append, Stop())
    assert "received 0.3 s" in said[-3] and "it failed" in said[-3]
    assert "the sound card reported 1 overruns" in said[-1]


def test_what_a_sound_card_loses_is_counted_and_becomes_one_gap(sound):
    source = card.SoundCard("Mic")
    source.feed = Feed(3)
    period = (np.ones((480, 1), "f4"), 480, None, SimpleNamespace(input_overflow=False))
    taken = []
    for _ in range(8):
        source._callback(*period)
    taken.append(source.feed._queue.get_nowait())
    source._callback(*period)  # there is room, but not all that waits is worked on
    assert source.n_lost == 6 * 480
    taken += [source.feed._queue.get_nowait() for _ in range(2)]
    source._callback(*period)
    taken += [source.feed._queue.get_nowait() for _ in range(2)]
    assert taken[3] == Gap(6 * 480) and source.feed.idle and source.n_lost == 6 * 480
    assert [item.shape for item in taken[:3] + taken[4:]] == [(1, 480)] * 4


def test_times_stay_true_across_a_gap(tmp_path):
    """After it a stream begins that knows nothing of what was before."""
    before, after, gap = noise(1, 10000), noise(1, 7000, seed=1), 3 * RATE + 5
    source = Player(before)
    source.feed.offer(Gap(gap))
    source.feed.put(after)
    said, folder = session(tmp_path, source)
    voice = np.fromfile(folder / "v.raw", "<f4")
    silence = np.zeros(gap)
    np.testing.assert_allclose(voice, np.r_[before[0] / 2, silence, after[0] / 2], atol=1e-6)
    times = np.loadtxt(folder / "f0.csv", delimiter=",", skiprows=1)[:, 0]
    expected = np.r_[np.arange(0, 10000, 320), 10000 + gap + np.arange(0, 7000, 320)] / RATE
    np.testing.assert_allclose(times, expected, atol=1e-6)
    assert "received 1.1 s" in said[0] and "F0 0.20 s, voice 0.20 s" in said[1]


def test_sound_cards_are_listed(sound, capsys, monkeypatch):
    assert main(["stream", "--list-devices"]) == 0
    out = capsys.readouterr().out
    assert "1 * Mic  (2 channels, 48000 Hz)" in out and "Out" not in out
    monkeypatch.setattr(sound, "query_devices", lambda *_: [])
    assert main(["stream", "--list-devices"]) == 2
    assert "no sound card" in capsys.readouterr().err


def test_what_is_missing_for_sound_cards_is_one_sentence(sound, capsys, monkeypatch, weights):
    with pytest.raises(UserError, match="no sound card 'Moog'.*--list-devices"):
        card.SoundCard("Moog")
    with pytest.raises(UserError, match="Mic does not record 2 channels at 12345 Hz"):
        card.SoundCard("1", 12345, 2)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["stream", "--list-devices"]) == 2
    assert "pip install 'asteroid-joint[live]'" in capsys.readouterr().err

    def no_portaudio(*_):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(card, "optional", no_portaudio)
    assert main(["stream", "--input", "default", "--model", str(weights)]) == 2
    assert "apt install libportaudio2" in capsys.readouterr().err


# The command


def start(weights: Path, *options: str, **pipes: object) -> subprocess.Popen:
    argv = [sys.executable, "-W", "ignore", "-m", "asteroid_joint.cli", "stream"]
    argv += ["--model", str(weights), "--block", "0.1", "--lookahead", "0.1", "--device", "cpu"]
    kinds = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*argv, *options], env=child_env(), **{**kinds, **pipes})


RAW = ("--sample-format", "s16le", "--rate", "22050", "--channels", "2")


def test_the_command_end_to_end(weights, tmp_path):
    """WAV through a pipe; lines come while sound still goes in; SIGTERM ends it in good order."""
    wav, file = noise(2, 3 * 22050), io.BytesIO()
    sf.write(file, wav.T, 22050, "PCM_16", format="WAV")
    with start(weights, "--voice", str(tmp_path / "v.raw")) as process:
        process.stdin.write(file.getvalue()[:100_000])
        process.stdin.flush()
        lines = [process.stdout.readline().decode() for _ in range(21)]
        process.send_signal(signal.SIGTERM)
        rest, err = process.stdout.read().decode(), process.stderr.read().decode()
    assert process.returncode == 0 and "Traceback" not in err
    assert lines[0] == "time,frequency,confidence,voiced\n" and lines[20].startswith("0.380000,")
    n_samples = (100_000 - 44) // 4
    seconds = n_samples / 22050
    assert len(lines) + rest.count("\n") - 1 == -(-round(seconds * 16000) // 320)
    assert os.path.getsize(tmp_path / "v.raw") == 4 * n_samples
    assert "receiving the input: 22050 Hz, 2 channels, s16le" in err
    assert f"received {seconds:.1f} s" in err and "stopped by SIGTERM" in err
    assert "real-time factor" in err


def main_on(monkeypatch: pytest.MonkeyPatch, data: bytes, *options: object) -> int:
    """Run the command here, with standard input from a pipe."""
    pipe = piped(data)
    stdin = SimpleNamespace(isatty=lambda: False, fileno=lambda: pipe)
    monkeypatch.setattr(sys, "stdin", stdin)
    return main(["stream", "--block", "0.1", "--lookahead", "0.1", *map(str, options)])


def test_a_reader_that_leaves_ends_it(weights, monkeypatch, capfd):
    data = PcmKind(22050, 2, "s16le").encode(noise(2, 22050))
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    out, into = os.pipe()
    threading.Thread(target=lambda: (os.read(out, 100), os.close(out)), daemon=True).start()
    options = ("--model", weights, "--format", "jsonl", "--f0", f"/dev/fd/{into}")
    assert main_on(monkeypatch, data, *RAW, *options) == 0
    assert "the reader of the F0 has closed it" in capfd.readouterr().err
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_the_voice_goes_to_standard_output(weights, monkeypatch, capfdbinary):
    kind = PcmKind(22050, 2, "s16le")
    data = kind.encode(noise(2, 22050))
    assert main_on(monkeypatch, data, *RAW, "--voice", "-", "--model", weights) == 0
    out = capfdbinary.readouterr().out
    assert len(out) == len(data) and 1e-3 < np.abs(kind.decode(out)).max() <= 1


def test_standard_output_that_is_closed_is_told(weights, monkeypatch, capfd):
    def closed(*_: object, **__: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("asteroid_joint.apps.live.outputs.open", closed, raising=False)
    data = PcmKind(22050, 2, "s16le").encode(noise(1, 22050))
    assert main_on(monkeypatch, data, *RAW, "--model", weights) == 2
    assert capfd.readouterr().err == (
        "asteroid-joint: Standard output cannot be written: Bad file descriptor.\n"
    )


def test_a_bad_sample_ends_it_with_code_1(weights, monkeypatch, capfd):
    kind, wav = PcmKind(22050, 2, "f32le"), noise(2, 22050)
    wav[0, 15000] = np.inf
    options = ("--sample-format", "f32le", *RAW[2:], "--model", weights)
    assert main_on(monkeypatch, kind.encode(wav), *options) == 1
    out, err = capfd.readouterr()
    assert "it failed" in err
    assert "At 0.680 s, the input has an invalid sample" in err.splitlines()[-1]
    assert out.startswith("time,frequency")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--sample-format", "s16le"], "give --rate"),
        (["--rate", "44100"], "--rate is for raw PCM: add --sample-format"),
        (["--channels", "2"], "--channels is for raw PCM"),
        (["--input", "default", "--sample-format", "u8"], "A sound card has no --sample-format"),
        (["--f0", "-", "--voice", "-"], "cannot both go to standard output"),
        (["--f0", "a", "--voice", "a"], "cannot both go to a"),
        (["--decoder", "no"], "Unknown pitch decoder 'no'"),
        (["--model", "no"], "There is no model 'no'"),
        (["--fmin", "0"], "A limit of the pitch is 0 Hz: give a frequency above 0."),
        (["--fmin", "9000"], "This model finds no pitch at 9000 Hz and above: it knows 32 to"),
        (["--hop", "0.5"], "The hop is 0.5 ms: give 1 to 1000 ms."),
        (["--block", "0"], "--block is in seconds, above 0"),
        ([], "Nothing is piped in"),
    ],
)
def test_wrong_calls_are_one_sentence(options, sentence, weights, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: "piped" in sentence))
    assert main(["stream", "--model", str(weights), *options]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


def test_a_model_without_pitch_gives_its_voice(tmp_path, monkeypatch, capsys):
    ready = "asteroid_joint.inference.load.ready_model"
    monkeypatch.setattr(ready, lambda *_, **__: FourStems().eval())
    wav, file = noise(2, 44100), io.BytesIO()
    sf.write(file, wav.T, 44100, "FLOAT", format="WAV")
    by_torch = ("--runtime", "torch")
    assert main_on(monkeypatch, file.getvalue(), *by_torch) == 2
    assert "does not estimate pitch" in capsys.readouterr().err
    assert main_on(monkeypatch, file.getvalue(), *by_torch, "--voice", tmp_path / "v.raw") == 0
    voice = np.fromfile(tmp_path / "v.raw", "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(voice, 0.4 * wav, atol=1e-6)
    assert "voice" in capsys.readouterr().err
