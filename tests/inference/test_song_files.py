"""What ``separate`` writes: formats, F0, notes, pictures, a chosen part of it; two-pass Viterbi."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import child_env
from fake_models import FourStems, Halves

from asteroid_joint import DJCM, PitchGrid
from asteroid_joint.audio import AUDIO_FORMATS, StemWriter, to_pcm24
from asteroid_joint.cli import main
from asteroid_joint.errors import AudioError, ConfigError, UserError
from asteroid_joint.inference.separate import separate_array, separate_file
from asteroid_joint.pitch.decoders import decode_viterbi
from asteroid_joint.pitch.whole_song import BLOCK, WholeSongViterbi

RATE = 16000
CODINGS = {"flac": "PCM_24", "mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}


class Singer(Halves):
    """Halves, in which the pitch is A3 where the input is loud, and else unvoiced."""

    def estimate(self, wav: torch.Tensor):
        out = super().estimate(wav)
        n_frames = out.pitch_logits.shape[1]
        bin_a3 = round(self.pitch_grid.hz_to_bin(220.0))
        logits = torch.full((len(wav), n_frames, 360), -9.0)
        hop = self.pitch_grid.hop_length
        padded = torch.nn.functional.pad(wav[:, 0], (0, n_frames * hop - wav.shape[-1]))
        loud = padded.reshape(len(wav), n_frames, hop).abs().amax(-1) > 0.01  # (B, N)
        logits[:, :, bin_a3] = torch.where(loud, 4.0, -9.0)
        return out._replace(pitch_logits=logits)


class Active(Singer):
    """Singer, with an activity output that never hears anybody."""

    def estimate(self, wav: torch.Tensor):
        out = super().estimate(wav)
        return out._replace(activity_logits=torch.full(out.pitch_logits.shape[:2], -9.0))


def music(seconds: float, n_channels: int = 2, level: float = 0.4, rate: int = 44100):
    sec = np.arange(int(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * 220 * (k + 1) * sec) for k in range(n_channels)]
    return (level * np.stack(tones)).astype("f4")  # (C, T)


def write(path: Path, wav: np.ndarray, rate: int = 44100, subtype: str = "PCM_16") -> Path:
    sf.write(path, wav.T, rate, subtype=subtype)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Formats


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg"])
@pytest.mark.parametrize("n_samples", [1, 1151, 44100 + 7])
def test_stems_in_other_formats(tmp_path, kind, n_samples):
    wav = music(2.0)[:, :n_samples]
    path = write(tmp_path / "song.wav", wav)
    folder = separate_file(Halves(), path, tmp_path / "out", audio_format=kind).folder
    assert names(folder) == [f"accompaniment.{kind}", "f0.csv", f"vocals.{kind}"]
    info = sf.info(folder / f"vocals.{kind}")
    assert (info.frames, info.samplerate, info.channels) == (n_samples, 44100, 2)
    assert info.format == kind.upper() and info.subtype == CODINGS[kind]
    total = sum(sf.read(folder / f"{name}.{kind}")[0] for name in ("vocals", "accompaniment"))
    error = total - sf.read(path)[0]
    if kind == "flac":
        assert not error.any()  # bit for bit
    elif n_samples > 2000:
        assert np.sqrt(np.mean(error**2)) < 0.01


def test_flac_of_samples_beyond_full_scale_says_what_it_cut(tmp_path):
    wav = music(0.5, level=3.0)
    path = write(tmp_path / "song.wav", wav, subtype="FLOAT")
    done = separate_file(Halves(), path, tmp_path / "out", audio_format="flac")
    vocals = sf.read(done.folder / "vocals.flac")[0].T
    assert done.warning is not None and "exceed full scale" in done.warning
    quiet = np.abs(wav) < 0.9
    assert np.abs(vocals - wav / 2)[quiet].max() < 0.05 and np.abs(vocals).max() <= 1
    quiet = write(tmp_path / "quiet.wav", music(0.5), subtype="FLOAT")
    done = separate_file(Halves(), quiet, tmp_path / "out", audio_format="flac")
    assert done.warning is None
    total = sum(sf.read(done.folder / f"{n}.flac")[0] for n in ("vocals", "accompaniment"))
    assert np.abs(total.T - music(0.5)).max() < 2.0**-23


def test_rounding_survives_samples_of_any_size():
    mixture = np.float32([[1e6, -1e6, 300.0]])
    out = to_pcm24(mixture, np.stack([mixture / 2, mixture / 2]), 1) / 2.0**31
    assert (np.sign(out) == np.sign(mixture)).all() and np.abs(out).max() <= 1


@pytest.mark.parametrize(
    ("kind", "rate", "n_channels", "sentence"),
    [
        ("flac", 44100, 9, "flac cannot store the 9 channels of vocals.flac (it supports up to 8)"),
        (
            "flac",
            700000,
            1,
            "flac cannot store the 700000 Hz of vocals.flac (it supports rates up to",
        ),
        ("mp3", 44100, 6, "mp3 cannot store the 6 channels of vocals.mp3 (it supports up to 2)"),
        ("mp3", 96000, 2, "mp3 cannot store the 96000 Hz of vocals.mp3 (it supports 8000, 11025,"),
        ("ogg", 384000, 1, "ogg cannot store the 384000 Hz of vocals.ogg (it supports rates up to"),
    ],
)
def test_what_a_format_cannot_hold_is_one_sentence(tmp_path, kind, rate, n_channels, sentence):
    path = write(tmp_path / "song.wav", music(0.05, n_channels)[:, :800], rate)
    with pytest.raises(AudioError) as error:
        separate_file(Halves(), path, tmp_path / "out", audio_format=kind)
    assert str(error.value).startswith(sentence)
    assert str(error.value).endswith("choose --format wav.")
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg"])
def test_long_blocks_and_an_incomplete_file(tmp_path, kind, monkeypatch):
    path, wav = tmp_path / f"a.{kind}", music(15.0)
    with StemWriter(path, 44100, 2, "FLOAT", None, kind) as writer:
        samples = wav if writer.sample_type == "FLOAT" else to_pcm24(wav, wav[None], None)[0]
        writer.write(samples)
    assert sf.info(path).frames == wav.shape[1]
    writer = StemWriter(path, 44100, 2, "FLOAT", None, kind)
    writer.write(samples[:, :5000])
    writer._n_written += 1  # as if the disk had lost it
    with pytest.raises(AudioError, match="cannot be written"):
        writer.close()


# A part of it


def test_chosen_stems_and_f0_formats(tmp_path):
    path = write(tmp_path / "song.wav", music(1.0))
    formats = ("csv", "mir_eval", "svl", "jams")
    folder = separate_file(
        Halves(), path, tmp_path / "out", stems=["vocals"], f0_formats=formats
    ).folder
    assert names(folder) == ["f0.csv", "f0.jams", "f0.svl", "f0.txt", "vocals.wav"]
    whole = separate_file(Halves(), path, tmp_path / "all").folder
    assert (whole / "vocals.wav").read_bytes() == (folder / "vocals.wav").read_bytes()
    assert (whole / "f0.csv").read_bytes() == (folder / "f0.csv").read_bytes()
    assert json.loads((folder / "f0.jams").read_text())["file_metadata"]["duration"] == 1.0
    assert len((folder / "f0.txt").read_text().splitlines()) == 50
    none = separate_file(Halves(), path, tmp_path / "none", stems=[])
    assert names(none.folder) == ["f0.csv"] == list(none.files)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stems": ["vocals", "drum"]}, "FourStems has no stem 'drum': choose from drums, bass"),
        ({"audio_format": "aiff"}, "Unknown audio format 'aiff': choose one of flac, mp3, ogg,"),
        ({"f0_formats": ["midi"]}, "Unknown F0 format 'midi': choose one of csv, ds, jams,"),
        ({"notes": True}, "This FourStems estimates no pitch, which notes need: choose"),
        ({"two_pass_viterbi": True}, "This FourStems estimates no pitch for Viterbi to decode"),
    ],
)
def test_what_a_model_or_the_package_lacks(tmp_path, options, sentence):
    path = write(tmp_path / "song.wav", music(0.1))
    with pytest.raises(ConfigError, match="^" + sentence):
        separate_file(FourStems(), path, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() or names(tmp_path / "out") == []


@pytest.mark.parametrize(("option", "library"), [("notes", "mido"), ("plot", "matplotlib")])
def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch, option, library):
    monkeypatch.setitem(sys.modules, library, None)
    path = write(tmp_path / "song.wav", music(0.1))
    with pytest.raises(UserError, match=f"^{library} is not installed: pip install"):
        separate_file(Halves(), path, tmp_path / "out", **{option: True})


# Notes and pictures


def sing(tmp_path: Path, model=None, **options):
    """Three seconds of a loud A3 in every other half second, quiet in between."""
    wav = music(3.0, 1, 0.5, RATE)
    wav[:, np.arange(wav.shape[1]) // (RATE // 2) % 2 == 1] *= 0.001
    path = write(tmp_path / "song.wav", wav, RATE)
    return separate_file(model or Singer(), path, tmp_path / "out", overwrite=True, **options)


def test_notes_of_a_song(tmp_path):
    import mido

    done = sing(tmp_path, notes=True)
    rows = (done.folder / "notes.csv").read_text().splitlines()
    assert rows[0] == "onset,offset,pitch_midi,note_name,confidence"
    notes = [row.split(",") for row in rows[1:]]
    assert [note[3] for note in notes] == ["A3"] * 3 and done.n_notes == 3
    onsets = [float(note[0]) for note in notes]
    np.testing.assert_allclose(onsets, [0, 1, 2], atol=0.05)
    np.testing.assert_allclose([float(n[1]) - float(n[0]) for n in notes], 0.5, atol=0.06)
    midi = mido.MidiFile(done.folder / "notes.mid")
    assert [m.note for m in midi if m.type == "note_on"] == [57] * 3
    assert done.voiced == pytest.approx(0.5, abs=0.01)
    assert sing(tmp_path).n_notes is None


def test_windows_do_not_change_notes(tmp_path):
    """One chunk or many: the same notes, and with two passes, where F0 comes last, too."""
    tables = []
    for options in ({}, {"window_sec": 1.0}, {"two_pass_viterbi": True, "window_sec": 1.0}):
        folder = sing(tmp_path, notes=True, plot=True, **options).folder
        tables.append((folder / "notes.csv").read_text())
    assert tables[0] == tables[1] == tables[2]


def test_notes_heed_a_models_own_activity_and_no_other(tmp_path):
    assert sing(tmp_path, Active(), notes=True).n_notes == 0


def test_a_picture_of_a_song(tmp_path):
    from matplotlib.image import imread

    folder = sing(tmp_path, plot=True).folder
    assert names(folder) == ["accompaniment.wav", "f0.csv", "picture.png", "vocals.wav"]
    data = (folder / "picture.png").read_bytes()
    assert struct.unpack(">I", data[16:20]) == (1200,)
    with_notes = imread(folder / "picture.png")
    folder = sing(tmp_path, Halves(), plot=True).folder
    assert not np.array_equal(with_notes, imread(folder / "picture.png"))


def test_a_picture_without_pitch(tmp_path):
    path = write(tmp_path / "song.wav", music(1.0))
    done = separate_file(FourStems(), path, tmp_path / "out", plot=True)
    assert "picture.png" in done.files and (done.folder / "picture.png").stat().st_size > 5000
    assert done.voiced is None and "f0.csv" not in done.files


# Two passes


def peaks(n_frames: int, seed: int) -> torch.Tensor:
    """Activations of a wandering voice with gaps, octave flicker and noise, ``(N, 360)``."""
    rng = np.random.default_rng(seed)
    centre = np.clip(150 + np.cumsum(rng.normal(0, 1.5, n_frames)), 5, 350)
    centre = np.where(rng.random(n_frames) < 0.1, np.clip(centre + 60, 0, 355), centre)
    height = np.where(np.arange(n_frames) // 100 % 3 == 2, 0.02, rng.uniform(0.2, 1, n_frames))
    distance = np.arange(360) - centre[:, None]
    noise = rng.uniform(0, 0.05, (n_frames, 360))
    return torch.from_numpy(height[:, None] * np.exp(-(distance**2) / 4) + noise).float().clip(0, 1)


@pytest.mark.parametrize("n_frames", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_two_passes_find_the_path_of_one(tmp_path, n_frames):
    grid, activations = PitchGrid(320, 16000), peaks(n_frames, n_frames)
    expected = decode_viterbi(activations, grid, chunk_frames=n_frames, context_frames=0)
    with WholeSongViterbi(grid, tmp_path, library=torch) as viterbi:
        for at in range(0, n_frames, 700):
            viterbi.push(activations[at : at + 700].numpy())
        parts = list(viterbi.finish())
    hz, confidence = (torch.cat(field) for field in zip(*parts, strict=True))
    torch.testing.assert_close(hz, expected.hz)
    torch.testing.assert_close(confidence, expected.confidence)
    arrays = decode_viterbi(activations.numpy(), grid)
    np.testing.assert_allclose(arrays.hz, expected.hz.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(arrays.confidence, expected.confidence.numpy())
    assert names(tmp_path) == []


def test_two_passes_need_little_memory(tmp_path):
    """What is held is a thousandth of the activations."""
    with WholeSongViterbi(PitchGrid(320, 16000), tmp_path) as viterbi:
        for seed in range(3):
            viterbi.push(peaks(5000, seed).numpy())
        held = sum(kept.nbytes for kept in viterbi._kept if kept is not None)
        assert held <= 15000 / 1000 * 360 * 8 and viterbi._n_frames == 15000
        assert sum(len(part.hz) for part in viterbi.finish()) == 15000


def test_two_passes_of_a_file(tmp_path):
    torch.manual_seed(0)
    model = DJCM.from_preset("tiny").eval()
    path = write(tmp_path / "song.wav", music(7.0, 1, rate=RATE), RATE)
    folder = separate_file(
        model, path, tmp_path / "out", two_pass_viterbi=True, window_sec=2.0
    ).folder
    rows = np.loadtxt(folder / "f0.csv", delimiter=",", skiprows=1)
    plain = separate_array(model, sf.read(path, dtype="f4")[0], RATE, window_sec=2.0).f0
    np.testing.assert_allclose(rows[:, 0], plain[:, 0])
    assert (rows[:, 1] > 0).all()
    assert np.mean(np.abs(np.diff(np.log2(rows[:, 1])))) <= np.mean(
        np.abs(np.diff(np.log2(plain[:, 1])))
    )


# On the command line


def test_every_option_at_once(tmp_path, weights, capsys):
    path = write(tmp_path / "song.wav", music(1.0))
    options = ["--format", "ogg", "--stems", "accompaniment", "--f0-format", "svl, jams,svl"]
    options += ["--notes", "--plot", "--activity", "--two-pass-viterbi", "--json"]
    where = ["-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main(["separate", str(path), *where, *options]) == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    files = ["accompaniment.ogg", "f0.svl", "f0.jams", "activity.csv"]
    assert json.loads(line)["files"] == [*files, "notes.mid", "notes.csv", "picture.png"]
    assert names(tmp_path / "out" / "song") == sorted(json.loads(line)["files"])
    assert names(tmp_path / "out") == ["song"] and said.err == ""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--decoder", "guess"], "Unknown pitch decoder 'guess': choose one of argmax, viterbi."),
        (["--f0-format", "csv,midi"], "Unknown F0 format 'midi': choose one of csv,"),
        (["--stems", "vocals,drums"], "DJCM has no stem 'drums': choose from vocals, accomp"),
        (["--retry"], "--retry needs --resume: give both."),
        (["--two-pass-viterbi", "--decoder", "argmax"], "--two-pass-viterbi replaces --decoder"),
        (["--workers", "2"], "--address and --workers need another engine than local: give"),
        (["--engine", "nowhere"], "Unknown engine 'nowhere'"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, weights, capsys, options, sentence):
    path = write(tmp_path / "song.wav", music(0.1))
    where = ["-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main(["separate", str(path), *where, *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"asteroid-joint: {sentence}")
    assert said.err.count("\n") == 1


LIGHT = """
import sys
from asteroid_joint.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("ended", end.code)
print([name for name in ("torch", "asteroid", "soundfile", "scipy") if name in sys.modules])
"""


@pytest.mark.parametrize(
    "call",
    [
        ["--help"],
        ["--version"],
        ["separate", "--help"],
        ["separate", "song.wav"],
        ["separate", "song.wav", "-o", "out", "--retry"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_help_and_mistakes_do_not_wait_for_torch(call, tmp_path):
    command = [sys.executable, "-c", LIGHT, *call]
    done = subprocess.run(
        command, env=child_env(), cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]"
    assert "Traceback" not in done.stderr


def test_formats_are_those_of_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["separate", "--help"])
    assert "{" + ",".join(AUDIO_FORMATS) + "}" in capsys.readouterr().out
