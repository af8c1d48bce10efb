"""The Python API for people with songs: load, transcribe, plot, save."""

import re

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import play, sing
from fake_models import FourStems, Halves

import asteroid_joint
from asteroid_joint import DJCM
from asteroid_joint.errors import AudioError, CheckpointError, ConfigError, UserError
from asteroid_joint.inference.separate import separate_array, separate_file
from asteroid_joint.inference.transcription import Transcription
from asteroid_joint.models import pretrained as store

RATE = 22050


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DJCM.from_preset("tiny").eval()


def song(n_channels: int = 2, seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(0)
    n_samples = int(seconds * rate)
    wav = sing(rng, n_samples)[0] + play(rng, n_samples)
    return np.tile(wav, (n_channels, 1)).astype(np.float32)


# ------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_stems_are_as_the_song_and_pitch_as_separate_has_it(model, rate, n_channels):
    wav = song(n_channels, 0.7, rate)
    result = model.transcribe(wav, rate)
    expected = separate_array(model, wav, rate)
    assert list(result.stems) == ["vocals", "accompaniment"]
    for stem, other in zip(result.stems.values(), expected.stems, strict=True):
        assert stem.shape == wav.shape and stem.dtype == np.float32
        np.testing.assert_allclose(stem, other, atol=1e-4)
    np.testing.assert_array_equal(result.mixture, wav)
    np.testing.assert_allclose(sum(result.stems.values()), wav, atol=1e-6)
    assert len(result.f0) == len(expected.f0)
    np.testing.assert_allclose(result.f0.rows()[:, 2], expected.f0[:, 2], atol=1e-4)
    assert result.f0.voiced.dtype == bool
    assert result.seconds == pytest.approx(0.7, abs=1e-3)


def test_the_pitch_and_notes_of_a_known_voice():
    """``Halves`` says the bin that is the level at a frame's centre: here always the same."""
    model = Halves()
    sec = np.arange(32000) / 16000
    wav = 0.05 * sum(np.cos(2 * np.pi * 50 * k * sec) for k in range(1, 9))  # 50 Hz: the frames'
    result = model.transcribe(wav, 16000)
    hz = model.pitch_grid.bin_to_hz(0.4 * 360)
    np.testing.assert_allclose(result.f0.hz, hz, rtol=0.02)  # a bin is 1.2 %
    assert result.f0.voiced.all()
    assert len(result.notes) == 1, result.notes
    note = result.notes[0]
    assert note.pitch_midi == pytest.approx(69 + 12 * np.log2(hz / 440), abs=0.3)
    assert note.offset_sec - note.onset_sec > 1.8


def test_inputs_of_every_kind_give_the_same(model, tmp_path):
    wav = song(2, 0.5)
    integers = (wav * 32767).round().astype(np.int16)
    floats = integers.astype(np.float32) / 32768
    path = tmp_path / "My song.wav"
    sf.write(path, integers.T, RATE, subtype="PCM_16")
    results = [
        model.transcribe(path),
        model.transcribe(str(path)),
        model.transcribe(floats, RATE),
        model.transcribe(floats.astype(np.float64), float(RATE)),
        model.transcribe(integers, RATE),
        model.transcribe(torch.from_numpy(floats).requires_grad_(), RATE),
        model.transcribe(floats.tolist(), RATE),
        model.transcribe(floats.astype(">f8")[:, ::-1].copy()[:, ::-1], RATE),
    ]
    for result in results[1:]:
        for name, stem in results[0].stems.items():
            np.testing.assert_allclose(result.stems[name], stem, atol=1e-6)
    assert [r.title for r in results[:3]] == ["My song", "My song", "song"]
    flat = model.transcribe(floats[0], RATE)
    assert flat.stems["vocals"].shape == (1, wav.shape[1])


def test_a_tensor_of_a_type_that_numpy_lacks(model):
    wav = torch.from_numpy(song(1, 0.3)).bfloat16()
    result, expected = (model.transcribe(w, RATE) for w in (wav, wav.float()))
    np.testing.assert_array_equal(result.stems["vocals"], expected.stems["vocals"])


def test_the_model_is_left_as_it_was(model):
    again = DJCM.from_preset("tiny").train()
    state = {k: v.clone() for k, v in again.state_dict().items()}
    again.transcribe(song(1, 0.3), RATE)
    assert again.training and all(p.requires_grad for p in again.parameters())
    assert all(torch.equal(v, state[k]) for k, v in again.state_dict().items())


def test_weights_that_have_changed_are_heard():
    model = DJCM.from_preset("tiny").eval()
    wav = song(1, 0.3)
    # without the gate: untrained, it may find nothing voiced
    before = model.transcribe(wav, RATE, gate=False).stems["vocals"]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    after = model.transcribe(wav, RATE, gate=False).stems["vocals"]
    assert not np.allclose(before, after, atol=1e-4)


def test_a_model_without_pitch(tmp_path):
    result = FourStems().transcribe(song(2, 0.3), RATE)
    assert list(result.stems) == ["drums", "bass", "other", "vocals"]
    assert len(result.f0) == 0 and result.notes == [] and len(result.activity) == 0
    files = sorted(path.name for path in result.save(tmp_path / "out").iterdir())
    assert files == ["bass.wav", "drums.wav", "other.wav", "picture.png", "vocals.wav"]
    assert "notes" not in repr(result)


@pytest.mark.parametrize("name", asteroid_joint.MODELS)
def test_every_model_transcribes(name):
    if not asteroid_joint.MODELS[name].__module__.startswith("asteroid_joint."):
        pytest.skip("registered by another test")
    model = asteroid_joint.MODELS[name].from_preset("tiny").eval()
    result = model.transcribe(song(2, 0.3), RATE)
    assert list(result.stems) == list(model.sources)
    assert (len(result.f0) > 0) == model.has_pitch


# ------------------------------------------------------------------ files, picture, notebook


def test_save_writes_what_separate_writes(model, tmp_path):
    path = tmp_path / "song.wav"
    sf.write(path, song().T, RATE, subtype="PCM_16")
    folder = model.transcribe(path).save(tmp_path / "new" / "out")
    files = {file.name for file in folder.iterdir()}
    assert files == {
        *("vocals.wav", "accompaniment.wav", "f0.csv"),
        *("notes.csv", "notes.mid", "picture.png"),
    }
    other = separate_file(model, path, tmp_path / "separated").folder
    assert (folder / "f0.csv").read_text().splitlines()[0] == "time,frequency,confidence,voiced"
    for name in ("vocals.wav", "accompaniment.wav"):
        assert sf.info(folder / name).subtype == "PCM_24"
        ours, _ = sf.read(folder / name, dtype="int32")
        theirs, _ = sf.read(other / name, dtype="int32")
        assert np.abs(ours.astype(int) - theirs).max() < 1 << 17  # the same but for 1e-4
    stems = [sf.read(folder / f"{name}.wav", dtype="int32")[0] for name in model.sources]
    assert np.array_equal(sum(x.astype(int) for x in stems), sf.read(path, dtype="int32")[0])
    ours, theirs = (np.loadtxt(f / "f0.csv", delimiter=",", skiprows=1) for f in (folder, other))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[:, [0, 2]], theirs[:, [0, 2]], atol=1e-4)


def test_save_in_other_formats(model, tmp_path, caplog):
    result = model.transcribe(song(1, 0.5), RATE)
    formats = {"f0_formats": ["npy", "rvc"], "notes_formats": ["ultrastar"], "tempo": "auto"}
    folder = result.save(tmp_path / "out", ["stems", "f0", "notes"], **formats)
    assert "notes are on a grid of 120 BPM, give tempo for another." in caplog.text
    files = {file.name for file in folder.iterdir()}
    assert files == {
        *("vocals.wav", "accompaniment.wav", "f0.npy", "f0_coarse.npy", "f0_fine.npy"),
        "ultrastar.txt",
    }
    assert "#VOCALS:vocals.wav\n#INSTRUMENTAL:acc" in (folder / "ultrastar.txt").read_text()
    assert np.load(folder / "f0_fine.npy").shape == (51,)
    for wrong in ({"f0_formats": ["mp3"]}, {"notes_formats": ["mp3"]}, {"tempo": 7}):
        with pytest.raises(UserError, match="(Unknown|The tempo is 7)"):
            result.save(tmp_path / "none", **wrong)
    assert not (tmp_path / "none").exists()


def test_save_replaces_nothing_unasked_and_leaves_nothing_half(model, tmp_path, monkeypatch):
    result = model.transcribe(song(1, 0.3), RATE)
    result.save(tmp_path, ["f0"])
    with pytest.raises(UserError, match="f0.csv exists already: give overwrite=True"):
        result.save(tmp_path, ["f0", "stems"])
    assert [path.name for path in tmp_path.iterdir()] == ["f0.csv"]
    result.save(tmp_path, ["f0", "stems"], overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Transcription, "plot", full)
    with pytest.raises(UserError, match="cannot be written to: No space left"):
        result.save(tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []
    with pytest.raises(ConfigError, match="no such parts.*give some of stems, f0, notes, picture"):
        result.save(tmp_path / "third", "stems")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        result.save(tmp_path / "file", ["f0"])


def test_plot_is_a_figure_that_a_notebook_shows(model, tmp_path):
    from matplotlib.figure import Figure

    figure = model.transcribe(song(), RATE, title="A & B").plot(tmp_path / "picture.png")
    assert isinstance(figure, Figure)
    assert figure._repr_png_()[:4] == b"\x89PNG" == (tmp_path / "picture.png").read_bytes()[:4]
    with pytest.raises(UserError, match="cannot be written"):
        model.transcribe(song(), RATE).plot(tmp_path / "none" / "picture.png")


def test_a_notebook_gets_players_and_a_picture(model):
    result = model.transcribe(song(3, 0.4, 12345), 12345, title="<b>A & B</b>")
    text = result._repr_html_()
    assert len(re.findall("<audio controls", text)) == 2 and "data:image/png;base64," in text
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in text and "<b>A" not in text
    assert "http" not in text  # nothing is loaded from elsewhere
    assert repr(result).startswith("<Transcription of '<b>A & B</b>': 0.4 s, 12345 Hz, 3 channels")


# ------------------------------------------------------------------ bad input


BAD = {
    "nan": (np.array([0.0, np.nan]), 8000, "NaN or infinite samples, the first at 0.000 s"),
    "inf": (np.array([[0.0] * 8000 + [np.inf]]), 8000, "the first at 1.000 s"),
    "beyond float32": (np.array([0.0] * 8000 + [1e300]), 8000, "infinite .* first at 1.000 s"),
    "batch of none": (np.zeros((0, 100)), 8000, r"received \(0, 100\)"),
    "empty": (np.zeros(0), 8000, r"received \(0,\)"),
    "no samples": (np.zeros((2, 0)), 8000, r"received \(2, 0\)"),
    "three axes": (np.zeros((1, 2, 100)), 8000, r"received \(1, 2, 100\)"),
    "a number": (0.5, 8000, r"received \(\)"),
    "transposed": (np.zeros((44100, 2)), 8000, "44100 channels: transpose the array"),
    "ragged": ([[0.0, 1.0], [0.0]], 8000, "received list"),
    "text": (np.array(["a", "b"]), 8000, "Expected samples as floats"),
    "bytes": (np.zeros(100, np.uint8), 8000, "received uint8: convert them"),
    "complex": (np.zeros(100, complex), 8000, "received complex128"),
    "none": (None, 8000, "received"),
    "missing rate": (np.zeros(100), None, "give sample_rate=44100"),
    "zero rate": (np.zeros(100), 0, "whole number of Hz"),
    "negative rate": (np.zeros(100), -44100, "whole number of Hz"),
    "kilohertz": (np.zeros(100), 44.1, "44.1 is not a usable sample rate"),
    "rate of 16": (np.zeros(100), 16, "from 1000 to 1000000"),
    "nan rate": (np.zeros(100), float("nan"), "nan is not a usable sample rate"),
    "word rate": (np.zeros(100), "high", "'high' is not a usable sample rate"),
}


@pytest.mark.parametrize("audio, rate, message", BAD.values(), ids=BAD)
def test_bad_samples(model, audio, rate, message):
    with pytest.raises(AudioError, match=message) as caught:
        model.transcribe(audio, rate)
    assert "\n" not in str(caught.value)


def test_bad_files_and_options(model, tmp_path):
    with pytest.raises(AudioError, match="There is no file"):
        model.transcribe(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(AudioError, match="contains no audio"):
        model.transcribe(tmp_path / "text.wav")
    with pytest.raises(AudioError, match="leave sample_rate out"):
        model.transcribe(tmp_path / "text.wav", 44100)
    with pytest.raises(ConfigError, match="pitch decoder 'guess'.*argmax"):
        model.transcribe(np.zeros(1000), 8000, decoder="guess")


# ------------------------------------------------------------------ names of models


def put(folder, *names):
    torch.manual_seed(0)
    for name in names:
        torch.save(DJCM.from_preset("tiny").serialize(), folder / f"{name}.pth")


def test_names_of_weights(tmp_path, monkeypatch):
    put(tmp_path, "djcm_pop", "djcm_mir1k", "joint_xumx_mir1k", "mmoe_rock", "a_duo", "b_duo")
    monkeypatch.setattr(store, "WEIGHTS", tmp_path)
    for name, expected in {
        "djcm_pop": "djcm_pop",
        "pop": "djcm_pop",
        "mir1k": "djcm_mir1k",  # DJCM's before all others
        "joint_xumx_mir1k": "joint_xumx_mir1k",
        "rock": "mmoe_rock",
        "none": "none",
        "user/name": "user/name",
    }.items():
        assert store.full_name(name) == expected
    with pytest.raises(CheckpointError, match="Several weights are called duo: choose a_duo or b"):
        asteroid_joint.load("duo")
    with pytest.raises(CheckpointError, match="no model 'none'.*djcm_mir1k, djcm_pop"):
        asteroid_joint.load("none")
    assert not asteroid_joint.load("rock").training
    assert asteroid_joint.load("pop", detach_cascade=True).detach_cascade


def test_a_folder_of_the_same_name_hides_nothing(tmp_path, monkeypatch):
    put(tmp_path, "djcm_pop")
    monkeypatch.setattr(store, "WEIGHTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pop").mkdir()
    assert type(asteroid_joint.load("pop")) is DJCM
    (tmp_path / "djcm_pop.pth").rename(tmp_path / "pop" / "pytorch_model.bin")
    assert type(asteroid_joint.load("pop")) is DJCM
    assert type(asteroid_joint.load(tmp_path / "pop")) is DJCM
