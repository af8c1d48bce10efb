"""Pitch of a voice that is separate already: in memory, file to file, on the command line."""

import shutil
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
import torch
from fake_models import FourStems, Halves
from test_song_files import RATE, Singer, music, names

from asteroid_joint import DJCM, JointCascade
from asteroid_joint.cli import main
from asteroid_joint.errors import AudioError, ConfigError
from asteroid_joint.inference.fast.graph_runner import GraphRunner
from asteroid_joint.inference.fast.torch_runner import TorchRunner
from asteroid_joint.inference.load import ready_pitch_runner
from asteroid_joint.inference.separate import separate_file
from asteroid_joint.inference.track import MixtureFeed, track_file
from asteroid_joint.inference.voice_pitch import VoicePitch, pitch_part
from asteroid_joint.inference.voice_stream import PitchStream, track_voice
from asteroid_joint.models.pretrained import load


@pytest.fixture(scope="module")
def tiny() -> DJCM:
    torch.manual_seed(0)
    return DJCM.from_preset("tiny").eval()


def test_the_pitch_part_of_a_djcm_is_that_of_the_model(tiny):
    """Given the voice that the model itself finds, at the level of the mixture."""
    part = pitch_part(tiny)
    wav = torch.randn(1, 8000)
    with torch.no_grad():
        spectrum = tiny.front_end.analyse(wav)
        level = spectrum.level
        own = part.forward_joint(wav).pitch_logits
        mag = tiny.front_end.compress(spectrum.magnitude[..., : tiny.front_end.n_freqs], level)
        expected = tiny.pitch_head(tiny.pitch_net(mag[:, None]))
    # the model's own frame after the end of the recording has a little influence
    assert (own - expected[:, : own.shape[1]]).abs().mean() < 0.01 * own.std()
    assert float(part.voicing_threshold) == float(tiny.voicing_threshold)
    assert part.sources == ("vocals",)


def test_parts_of_other_models():
    cascade = JointCascade.from_preset("tiny").eval()
    part = pitch_part(cascade)
    wav = torch.randn(1, 16000)
    with torch.no_grad():
        torch.testing.assert_close(part.forward_joint(wav).pitch_logits, cascade.estimator(wav))
    whole = pitch_part(Halves())
    torch.testing.assert_close(
        whole.forward_joint(wav).pitch_logits, Halves().forward_joint(wav).pitch_logits
    )
    with pytest.raises(ConfigError, match="^This FourStems estimates no pitch: choose another"):
        pitch_part(FourStems())


@pytest.mark.parametrize("rate", [RATE, 44100])
@pytest.mark.parametrize("n_samples", [1, 320, 25 * RATE + 11])
def test_blocks_do_not_show(tiny, rate, n_samples):
    part = pitch_part(tiny)
    wav = np.random.default_rng(0).normal(0, 0.1, (2, n_samples)).astype("f4")
    whole = track_voice(part, wav, rate)
    stream = PitchStream(part, rate)
    parts = [stream.push(wav[:, k : k + 7001])[0] for k in range(0, n_samples, 7001)]
    rows = np.concatenate([*parts, stream.finish()[0]])
    np.testing.assert_allclose(rows, whole.rows(), rtol=1e-3, atol=1e-4)
    assert len(whole) == max(int(np.ceil(n_samples / rate / 0.02 - 1e-6)), 1)


def test_a_given_voice_out_of_phase_has_its_pitch(tiny):
    wav = np.random.default_rng(3).uniform(-0.5, 0.5, 3 * RATE).astype(np.float32)
    curves = [track_voice(tiny, np.stack([wav, sign * wav]), RATE) for sign in (1, -1)]
    np.testing.assert_allclose(curves[1].confidence, curves[0].confidence, atol=1e-4)
    assert len(curves[0]) == len(curves[1]) and curves[0].confidence.max() > 0


def test_a_voice_that_is_none(tiny):
    for wrong in (np.zeros((1, 0)), np.zeros((1, 2, 3))):
        with pytest.raises(ValueError, match="^Expected"):
            track_voice(pitch_part(tiny), wrong, RATE)


def gated(seconds: float = 3.0, rate: int = RATE) -> np.ndarray:
    """A loud A3 in every other half second."""
    wav = music(seconds, 1, 0.5, rate)
    wav[:, np.arange(wav.shape[1]) // (rate // 2) % 2 == 1] *= 0.001
    return wav


class SingerPart(VoicePitch):
    """The pitch of ``Singer``: A3 where the voice is loud."""

    def __init__(self) -> None:
        super().__init__(pitch_part(Singer()).estimator)


@pytest.fixture
def voice(tmp_path):
    sf.write(tmp_path / "vocals.wav", gated().T, RATE, subtype="PCM_16")
    return tmp_path / "vocals.wav"


def test_a_voice_gets_all_files_but_stems(voice, tmp_path):
    options = {"notes": True, "plot": True, "f0_formats": ["csv", "npy"]}
    done = track_file(SingerPart(), voice, tmp_path / "out", notes_formats=["labels"], **options)
    assert (
        names(done.folder)
        == sorted(done.files)
        == sorted(["f0.csv", "f0.npy", "notes.csv", "notes.labels.txt", "notes.mid", "picture.png"])
    )
    assert done.n_notes == 3 and done.voiced == pytest.approx(0.5, abs=0.02)
    assert done.seconds == 3.0 and done.warning is None
    whole = separate_file(Singer(), voice, tmp_path / "sep", f0_formats=["csv"])
    assert (whole.folder / "f0.csv").read_text() == (done.folder / "f0.csv").read_text()
    with pytest.raises(AudioError, match="exists already: give --overwrite to replace it"):
        track_file(SingerPart(), voice, tmp_path / "out")


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_with_its_song(voice, tmp_path, rate):
    """Lyrics are the song's, and notes are found with it, whatever its rate and channels."""
    song = tmp_path / "song.flac"
    sf.write(song, np.tile(gated(3.0, rate), (2, 1)).T, rate)
    (tmp_path / "song.lrc").write_text("[00:00]hey\n")
    done = track_file(
        SingerPart(), voice, tmp_path / "out", mixture=song, notes_formats=["ultrastar", "csv"]
    )
    text = (done.folder / "ultrastar.txt").read_text()
    assert "#TITLE:song\n" in text and "#MP3:song.flac\n" in text and " hey\n" in text
    assert done.warning is None and done.n_notes == 3
    two = {"two_pass_viterbi": True, "notes_formats": ["csv"], "overwrite": True}
    again = track_file(SingerPart(), voice, tmp_path / "out", mixture=song, **two)
    assert again.n_notes == 3


@pytest.mark.parametrize(("seconds", "how"), [(5.0, "2.0 s longer"), (1.0, "2.0 s shorter")])
def test_a_song_of_another_length(voice, tmp_path, seconds, how):
    sf.write(tmp_path / "song.wav", gated(seconds).T, RATE)
    done = track_file(SingerPart(), voice, tmp_path / "out", mixture=tmp_path / "song.wav")
    assert done.warning.endswith(
        f"song.wav is {how} than the voice: give the song that it is from."
    )


def test_bad_input_leaves_nothing(voice, tmp_path):
    (tmp_path / "song.wav").write_bytes(b"not audio")
    for more in ({"mixture": tmp_path / "song.wav"}, {"mixture": tmp_path / "none.wav"}):
        with pytest.raises(AudioError):
            track_file(SingerPart(), voice, tmp_path / "out", **more)
    with pytest.raises(ConfigError, match="^Unknown F0 format"):
        track_file(SingerPart(), voice, tmp_path / "out", f0_formats=["mp3"])
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_the_song():
    """Neither the song nor the queue between it and the voice is held."""

    class Reader:
        sample_rate, n_channels = 48000, 2

        def blocks(self):
            for _ in range(300):
                yield np.zeros((2, 48000), np.float32)

    feed = MixtureFeed(Reader(), 44100)
    tracemalloc.start()
    for _ in range(150):
        assert feed.take(44100).shape == (2, 44100)
    assert feed.longer_sec() == pytest.approx(150, abs=0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


# On the command line


def test_the_command(voice, tmp_path, weights, capsys):
    other = shutil.copy(voice, tmp_path / "other.wav")
    where = ["-o", str(tmp_path / "out"), "--model", str(weights), "--device", "cpu"]
    bad = str(tmp_path / "none.wav")
    call = ["pitch", str(voice), bad, str(other), *where, "--notes", "--f0-format", "ds"]
    assert main(call) == 1
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "out" / n) for n in ("vocals", "other")]
    assert said.err == f"asteroid-joint: There is no file {bad}.\n"
    assert names(tmp_path / "out" / "other") == ["f0.ds", "notes.csv", "notes.mid"]
    one = ["pitch", str(voice), *where, "--overwrite", "--mixture", str(other)]
    assert main(one) == 0
    assert main([*call, "--fmin", "9000"]) == 2
    assert capsys.readouterr().err.startswith("asteroid-joint: This model finds no pitch at 9000")
    knobs = ["--fmin", "80", "--fmax", "900", "--octave", "-1", "--hop", "10", "--note-least", "60"]
    knobs += ["--voicing-threshold", "0.3", "--note-split", "more"]
    assert main(["pitch", str(other), *where, "--overwrite", *knobs]) == 0
    rows = np.loadtxt(tmp_path / "out" / "other" / "f0.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(rows[:, 0], 0.01 * np.arange(len(rows)), atol=1e-6)
    assert rows[:, 1].min() >= 40 - 0.001 and rows[:, 1].max() <= 450.001


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["b.wav", "--mixture", "c.wav"], "--mixture is the song of one voice: give one VOICE"),
        (["--f0-format", "mp3"], "Unknown F0 format 'mp3'"),
        (["--two-pass-viterbi", "--decoder", "argmax"], "--two-pass-viterbi replaces --decoder"),
        (
            ["--voicing-threshold", "2"],
            "The voicing threshold is 2: give a number between 0 and 1.",
        ),
        (["--fmin", "500", "--fmax", "80"], "The range of pitch is 500 to 80 Hz: give the lower"),
        (["--note-least", "1"], "The shortest note is 1 ms: give 10 to 2000 ms."),
        (["--model", "nobody"], "There is no model 'nobody'"),
    ],
)
def test_wrong_calls_are_one_sentence(tmp_path, capsys, options, sentence):
    assert main(["pitch", "a.wav", *options, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"asteroid-joint: {sentence}")
    assert said.err.count("\n") == 1


def test_shipped_models_have_a_pitch_part():
    part = pitch_part(load("pop"))
    assert sum(p.numel() for p in part.parameters()) < 1_500_000
    with pytest.raises(ConfigError, match="estimates no pitch: choose another model"):
        ready_pitch_runner("vocal_detection_unet_mir1k", "cpu")


def test_the_graph_of_the_pitch_part_hears_what_torch_hears():
    """Shipped for those who have no torch, and for who has: it is there 5 seconds earlier."""
    graph, plain = (ready_pitch_runner("pop", "cpu", runtime=name) for name in ("auto", "torch"))
    assert isinstance(graph, GraphRunner) and isinstance(plain, TorchRunner)
    sec = np.arange(6 * RATE) / RATE
    hz = 220 * 2 ** (np.sin(2 * np.pi * 5 * sec) / 24 + np.floor(sec) / 6)  # vibrato, steps
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    wav = sum(0.2 / k * np.sin(k * phase) for k in range(1, 12)) * (sec % 1 < 0.8)
    found, expected = (track_voice(runner, wav, RATE) for runner in (graph, plain))
    assert 0.2 < expected.voiced.mean() < 1
    assert (found.voiced == expected.voiced).mean() > 0.999
    both = found.voiced & expected.voiced
    cents = 1200 * np.abs(np.log2(found.hz[both] / expected.hz[both]))
    assert (cents < 1).mean() > 0.999
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)
