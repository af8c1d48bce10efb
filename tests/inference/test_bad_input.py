"""Bad input to ``asteroid-joint separate``: one sentence, no traceback, nothing lost.

What can be separated is separated, with a warning if something is missing; what cannot leaves no
file behind.
"""

import errno
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

import asteroid_joint.audio.reading
import asteroid_joint.files
import asteroid_joint.inference.destination
import asteroid_joint.inference.pitch_files.base
from asteroid_joint import DJCM
from asteroid_joint.cli import main

FILES = ["accompaniment.wav", "f0.csv", "vocals.wav"]
RATE = 16000


@pytest.fixture
def call(weights, tmp_path, capsys) -> Callable[..., tuple[int, str]]:
    """Separate inputs into ``tmp_path / "out"``; exit code and what was said on stderr."""

    def run(*inputs: object, out: Path | None = None, model: object = weights) -> tuple[int, str]:
        options = ["-o", str(out or tmp_path / "out"), "--model", str(model)]
        code = main(["separate", *map(str, inputs), *options])
        err = capsys.readouterr().err
        assert "Traceback" not in err and err.count("\n") <= len(inputs)
        return code, err

    return run


def noise(n_samples: int, n_channels: int = 1, level: float = 0.5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-level, level, (n_samples, n_channels))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# Inputs that are not audio


def make_text(path: Path) -> None:
    path.write_text("this is no sound\n" * 100)


def make_truncated_header(path: Path) -> None:
    sf.write(path, noise(RATE), RATE)
    path.write_bytes(path.read_bytes()[:20])


def make_nan(path: Path) -> None:
    wav = noise(5 * RATE)
    wav[4 * RATE] = np.nan
    sf.write(path, wav, RATE, subtype="FLOAT")


def make_inf(path: Path) -> None:
    wav = noise(5 * RATE, 2)
    wav[4 * RATE, 1] = np.inf
    sf.write(path, wav, RATE, subtype="DOUBLE")


def make_picture(path: Path) -> None:
    import matplotlib.pyplot as plt

    plt.imsave(path.with_suffix(".png"), np.zeros((8, 8)))
    path.with_suffix(".png").rename(path)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "There is no file {}."),
        (Path.mkdir, "{} contains no audio files."),
        (Path.touch, "{} is empty (0 bytes)."),
        (make_text, "{} contains no audio that libsndfile or FFmpeg can decode."),
        (make_truncated_header, "{} contains no audio that libsndfile or FFmpeg can decode."),
        (make_picture, "{} contains no audio that libsndfile or FFmpeg can decode."),
        (lambda path: sf.write(path, np.zeros((0, 2)), RATE), "{} contains no samples."),
        (
            lambda path: sf.write(path, noise(50), 1),
            "{} states a sample rate of 1 Hz, and only 1000 to 1000000 Hz are usable: correct its "
            "header.",
        ),
        (
            make_nan,
            "{} contains NaN or infinite samples, the first at 4.000 s: repair the file first.",
        ),
        (
            make_inf,
            "{} contains NaN or infinite samples, the first at 4.000 s: repair the file first.",
        ),
    ],
)
def test_refused(call, tmp_path, make, sentence):
    path = tmp_path / "song.wav"
    make(path)
    code, err = call(path)
    assert (code, err) == (1, f"asteroid-joint: {sentence.format(path)}\n")
    assert names(tmp_path / "out") == []


def test_unreadable(call, tmp_path, monkeypatch):
    path = tmp_path / "song.wav"
    sf.write(path, noise(RATE), RATE)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything: let opening fail as it would

        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(asteroid_joint.audio.reading, "open", refuse, raising=False)
    assert call(path) == (1, f"asteroid-joint: {path} is not readable: change its permissions.\n")


# Inputs that are unusual


@pytest.mark.parametrize("n_samples", [1, 2, RATE // 100])
@pytest.mark.parametrize("rate", [8000, RATE, 44100, 96000])
def test_very_short(call, tmp_path, n_samples, rate):
    path = tmp_path / "song.wav"
    sf.write(path, noise(n_samples), rate)
    assert call(path) == (0, "")
    assert sf.info(tmp_path / "out" / "song" / "vocals.wav").frames == n_samples
    assert len((tmp_path / "out" / "song" / "f0.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_silence_gives_silence_without_pitch(call, tmp_path, rate):
    path = tmp_path / "song.wav"
    sf.write(path, np.zeros((12 * rate, 2)), rate)
    assert call(path) == (0, "")
    for name in ("vocals", "accompaniment"):
        assert not sf.read(tmp_path / "out" / "song" / f"{name}.wav")[0].any()
    rows = (tmp_path / "out" / "song" / "f0.csv").read_text().splitlines()[1:]
    assert len(rows) == 600
    assert all(row.endswith(",0.000000,0") and float(row.split(",")[1]) > 0 for row in rows)


@pytest.mark.parametrize(
    "wav",
    [
        np.full((RATE, 1), 0.5),
        np.clip(noise(RATE, 2, 4.0), -1, 1),
        noise(RATE, 3),
        noise(RATE, 6),
        noise(RATE, 2) * [1, 0],
    ],
    ids=["DC", "clipped", "3 channels", "6 channels", "one side"],
)
@pytest.mark.parametrize("rate", [8000, RATE, 96000])
@pytest.mark.parametrize("subtype", ["PCM_24", "DOUBLE"])
def test_unusual(call, tmp_path, wav, rate, subtype):
    path = tmp_path / "song.wav"
    sf.write(path, wav, rate, subtype=subtype)
    assert call(path) == (0, "")
    total = 0
    for name in ("vocals", "accompaniment"):
        stem, stem_rate = sf.read(tmp_path / "out" / "song" / f"{name}.wav", always_2d=True)
        assert stem.shape == wav.shape and stem_rate == rate
        total = total + stem
    tolerance = 0 if subtype == "PCM_24" else 1e-6
    assert np.abs(total - sf.read(path, always_2d=True)[0]).max() <= tolerance


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_cut_off_files_are_used_as_far_as_they_go(call, tmp_path, kind):
    path = tmp_path / f"song.{kind}"
    sf.write(path, noise(6 * 44100, 2), 44100)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    code, err = call(path)
    assert code == 0
    assert err.startswith(f"asteroid-joint: {path} is cut off: its header announces 6.00 s, the ")
    assert sf.info(tmp_path / "out" / "song" / "vocals.wav").frames > 3.3 * 44100


def test_a_damaged_middle_is_said(call, tmp_path):
    path = tmp_path / "song.mp3"
    sf.write(path, noise(6 * 44100, 2), 44100)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = bytes(9000)
    path.write_bytes(data)
    code, err = call(path)
    assert code == 0
    assert "damaged" in err or "cut off" in err


@pytest.mark.parametrize(
    "name",
    [
        "two words.wav",
        'it\'s "quoted".wav',
        "a..b.wav",
        "...wav",
        "..wav",
        ".hidden.wav",
        "-o.wav",
        "12:30 song.wav",
        "пісня 歌 é.wav",
        "no extension",
        "%s {x} $HOME *.wav",
        os.fsdecode(b"latin-1 \xe9.wav"),
        "x" * 250 + ".wav",
    ],
)
def test_names(call, tmp_path, name):
    source = tmp_path / "in"
    source.mkdir()
    sf.write(tmp_path / "plain.wav", noise(800), RATE)
    (tmp_path / "plain.wav").rename(source / name)
    assert call(source / name) == (0, "")
    (folder,) = (tmp_path / "out").iterdir()
    changed = {  # for systems that forbid them in names
        'it\'s "quoted".wav': "it's _quoted_",
        "12:30 song.wav": "12_30 song",
        "%s {x} $HOME *.wav": "%s {x} $HOME _",
        "...wav": "...wav",
        "..wav": "..wav",
    }
    assert folder.name == changed.get(name, Path(name).stem)
    assert names(folder) == FILES
    assert names(tmp_path) == ["in", "out"]


def test_names_that_only_ffmpeg_reads(call, tmp_path):
    sf.write(tmp_path / "plain.mp3", noise(8000), RATE)
    for name in ("12:30.mp3", os.fsdecode(b"latin-1 \xe9.mp3")):
        (tmp_path / "plain.mp3").rename(tmp_path / name)
        assert call(tmp_path / name) == (0, "")
        (tmp_path / name).rename(tmp_path / "plain.mp3")


def test_dot_dot_in_a_path(call, tmp_path):
    (tmp_path / "in").mkdir()
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    assert call(tmp_path / "in" / ".." / "song.wav") == (0, "")
    assert names(tmp_path / "out" / "song") == FILES


# Outputs


def test_results_that_a_player_has_open_on_windows(call, weights, tmp_path, monkeypatch, capsys):
    path, folder = tmp_path / "song.wav", tmp_path / "out" / "song"
    sf.write(path, noise(800), RATE)
    assert call(path) == (0, "")
    before = (folder / "vocals.wav").read_bytes()
    replace = os.replace

    def sharing_violation(source, target):
        if Path(target).name == "vocals.wav":
            err = PermissionError(errno.EACCES, "Permission denied")
            err.winerror = 5
            raise err
        replace(source, target)

    monkeypatch.setattr(os, "replace", sharing_violation)
    monkeypatch.setattr(asteroid_joint.files, "PAUSES_SEC", (0.001,) * 3)
    sf.write(path, noise(900), RATE)
    options = ["-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main(["separate", str(path), *options, "--overwrite"]) == 1
    assert "vocals.wav is open in another program, close it there.\n" in capsys.readouterr().err
    assert (folder / "vocals.wav").read_bytes() == before
    assert names(tmp_path / "out") == ["song"]
    monkeypatch.undo()
    assert main(["separate", str(path), *options, "--overwrite"]) == 0
    assert sf.info(folder / "vocals.wav").frames == 900 and names(folder) == FILES


def test_existing_output_asks_for_overwrite(call, weights, tmp_path):
    path, folder = tmp_path / "song.wav", tmp_path / "out" / "song"
    sf.write(path, noise(800), RATE)
    assert call(path) == (0, "")
    (folder / "vocals.wav").write_bytes(b"precious")
    code, err = call(path)
    assert code == 1 and "--overwrite" in err
    assert (folder / "vocals.wav").read_bytes() == b"precious"
    (folder / "notes.txt").write_text("mine")
    options = ["-o", str(tmp_path / "out"), "--model", str(weights), "--overwrite"]
    assert main(["separate", str(path), *options]) == 0
    assert sf.info(folder / "vocals.wav").frames == 800
    assert names(folder) == sorted([*FILES, "notes.txt"])
    assert names(tmp_path / "out") == ["song"]


def test_an_input_is_never_its_own_output(weights, tmp_path):
    folder = tmp_path / "vocals"
    folder.mkdir()
    sf.write(folder / "vocals.wav", noise(800), RATE)
    before = (folder / "vocals.wav").read_bytes()
    options = ["-o", str(tmp_path), "--model", str(weights), "--overwrite"]
    assert main(["separate", str(folder / "vocals.wav"), *options]) == 1
    assert (folder / "vocals.wav").read_bytes() == before


def test_two_inputs_with_one_name(call, tmp_path):
    for name in ("song.wav", "song.flac"):
        sf.write(tmp_path / name, noise(800), RATE)
    code, err = call(tmp_path / "song.wav", tmp_path / "song.flac")
    assert code == 2 and "would both be written to" in err
    assert not (tmp_path / "out").exists()


def test_output_is_a_file(call, tmp_path):
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        code, err = call(tmp_path / "song.wav", out=out)
        assert code == 2 and "name a folder" in err
    assert (tmp_path / "out").read_text() == "mine"


def test_output_of_one_input_is_a_file(call, tmp_path):
    for name in ("song.wav", "other.wav"):
        sf.write(tmp_path / name, noise(800), RATE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song").write_text("mine")
    code, err = call(tmp_path / "song.wav", tmp_path / "other.wav")
    assert code == 1 and "need a folder of that name: choose" in err
    assert names(tmp_path / "out" / "other") == FILES


def test_output_not_writable(call, tmp_path, monkeypatch):
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    (tmp_path / "out").mkdir(mode=0o500)
    if os.access(tmp_path / "out", os.W_OK):  # root writes everywhere
        monkeypatch.setattr(asteroid_joint.inference.destination.os, "access", lambda *_: False)
    code, err = call(tmp_path / "song.wav")
    assert code == 2 and "cannot be written to" in err
    monkeypatch.undo()
    assert names(tmp_path / "out") == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc, never writable")
def test_output_cannot_be_created(call, tmp_path):
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    code, err = call(tmp_path / "song.wav", out=Path("/proc/stems"))
    assert code == 2 and "cannot be created" in err


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root; test_writing_fails simulates it")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_disk_full(call, small_disk, tmp_path):
    sf.write(tmp_path / "a_short.wav", noise(800), RATE)
    sf.write(tmp_path / "long.wav", noise(5 * RATE), RATE)
    sf.write(tmp_path / "short.wav", noise(800), RATE)
    inputs = (tmp_path / f"{name}.wav" for name in ("a_short", "long", "short"))
    code, err = call(*inputs, out=small_disk)
    assert code == 1 and "is full: free some space" in err and err.count("\n") == 1
    assert names(small_disk) == ["a_short", "short"]
    assert names(small_disk / "a_short") == names(small_disk / "short") == FILES


@pytest.mark.parametrize("where", ["write", "close", "csv", "move"])
def test_writing_fails(call, tmp_path, monkeypatch, where):
    sf.write(tmp_path / "song.wav", noise(RATE), RATE)
    close = sf.SoundFile.close

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail_in_libsndfile(self, *_):
        close(self)
        if self.mode == "w":
            raise sf.LibsndfileError(2)

    if where in ("write", "close"):
        monkeypatch.setattr(sf.SoundFile, where, fail_in_libsndfile)
    elif where == "csv":
        monkeypatch.setattr(asteroid_joint.inference.pitch_files.base, "open", fail, raising=False)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    code, err = call(tmp_path / "song.wav")
    assert code == 1 and err.count("\n") == 1
    monkeypatch.undo()
    assert names(tmp_path / "out") == []


# Model files


class Bomb:
    """What a malicious pickle does: code that runs on loading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def change(weights: Path, path: Path, **changes: object) -> None:
    """Save a model file with other values at some keys."""
    torch.save({**torch.load(weights, weights_only=True), **changes}, path)


def make_model_corrupt(weights: Path, path: Path) -> None:
    path.write_bytes(weights.read_bytes()[:-2000])


def make_model_garbage(weights: Path, path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 100)


def make_model_bomb(weights: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model_name": "DJCM", "state_dict": Bomb(path.parent / "boom")}))


def make_model_torch_bomb(weights: Path, path: Path) -> None:
    change(weights, path, model_args=Bomb(path.parent / "boom"))


def make_model_of_asteroid(weights: Path, path: Path) -> None:
    from asteroid.models import ConvTasNet

    model = ConvTasNet(n_src=2, n_blocks=1, n_repeats=1, bn_chan=4, hid_chan=4, skip_chan=4)
    torch.save(model.serialize() | {"infos": {}}, path)


def make_model_unknown(weights: Path, path: Path) -> None:
    change(weights, path, model_name="NoSuchModel")


def make_model_misfit(weights: Path, path: Path) -> None:
    change(weights, path, model_args=DJCM.from_preset("tiny", n_freqs=512).get_model_args())


def make_model_other_grid(weights: Path, path: Path) -> None:
    infos = torch.load(weights, weights_only=True)["infos"]
    change(weights, path, infos={**infos, "pitch_grid": {**infos["pitch_grid"], "n_bins": 720}})


@pytest.mark.parametrize(
    "make",
    [
        lambda weights, path: None,
        lambda weights, path: path.mkdir(),
        lambda weights, path: path.touch(),
        make_model_corrupt,
        make_model_garbage,
        make_model_bomb,
        make_model_torch_bomb,
        make_model_of_asteroid,
        make_model_unknown,
        make_model_misfit,
        make_model_other_grid,
    ],
    ids=lambda make: make.__name__,
)
def test_bad_model_file(call, weights, tmp_path, make):
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    path = tmp_path / "model.pth"
    make(weights, path)
    code, err = call(tmp_path / "song.wav", model=path)
    assert code == 2 and len(err) > 40
    assert not (tmp_path / "boom").exists()
    assert names(tmp_path / "out") == []


def test_no_such_model_name(call, tmp_path):
    sf.write(tmp_path / "song.wav", noise(800), RATE)
    code, err = call(tmp_path / "song.wav", model="djcm_opera")
    assert code == 2 and "no model 'djcm_opera'" in err


def test_a_model_that_fails_numerically(call, tmp_path, monkeypatch):
    sf.write(tmp_path / "song.wav", noise(RATE), RATE)
    estimate = DJCM.estimate
    monkeypatch.setattr(
        DJCM, "estimate", lambda self, wav: estimate(self, wav)._replace(sources=wav[:, None] / 0.0)
    )
    code, err = call(tmp_path / "song.wav")
    assert code == 1 and "NaN or infinite samples near 0.0 s" in err
    assert err.startswith(f"asteroid-joint: {tmp_path / 'song.wav'}: DJCM gave ")
