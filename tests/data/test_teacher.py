"""Pitch labels by torchcrepe: what they say, and the cache they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import ROOT, STEMS

from asteroid_joint.data import Collate, Multitrack
from asteroid_joint.data import teacher as teacher_module
from asteroid_joint.data.base import JointDataset
from asteroid_joint.data.drawing import DrawnExamples
from asteroid_joint.data.files import audio_file, read_f0, read_stretch
from asteroid_joint.data.teacher import TeacherSettings, judge, label_vocals, label_voice
from asteroid_joint.engine.recipe import prepare_main
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.losses.pitch import PitchLoss
from asteroid_joint.models.base import JointOutput
from asteroid_joint.pitch import PitchGrid, resample_f0

pytest.importorskip("torchcrepe")
RATE = 22050
TINY = TeacherSettings("tiny")


def sung(f0_hz: np.ndarray) -> np.ndarray:
    """Harmonics through two formants over a curve of F0 in Hz per sample, ``(time,)``."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    wav = np.zeros(len(f0_hz))
    for k in range(1, 20):
        hz = k * f0_hz
        formants = (
            1 + 4 * np.exp(-(((hz - 700) / 200) ** 2)) + 3 * np.exp(-(((hz - 1200) / 250) ** 2))
        )
        wav += formants / k * np.sin(k * phase)
    return 0.03 * wav


def note(hz: float, seconds: float, phase: float = 0.0) -> np.ndarray:
    """F0 per sample of a note with vibrato."""
    sec = np.arange(int(seconds * RATE)) / RATE
    return hz * 2 ** (0.3 * np.sin(2 * np.pi * 5.5 * sec + phase) / 12)


def write_voice(path: Path, wav: np.ndarray) -> Path:
    """Stereo, the right channel quieter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, wav[:, None] * (1.0, 0.5), RATE, subtype="FLOAT")
    return path


def make_tracks(root: Path) -> Path:
    """A track on each of two sides, dots in a name: a note, a rest, another note."""
    rng = np.random.default_rng(0)
    rest = np.zeros(RATE // 2)
    songs = {"train/A. B. - One": (196.0, 392.0), "test/Two": (220.0, 165.0)}
    for name, (low, high) in songs.items():
        wav = np.concatenate([sung(note(low, 0.8)), rest, sung(note(high, 0.8))])
        write_voice(root / name / "vocals.wav", wav)
        stems = {s: 0.01 * rng.standard_normal(len(wav)) for s in STEMS[1:]}
        for stem, noise in stems.items():
            write_voice(root / name / f"{stem}.wav", noise)
        write_voice(root / name / "mixture.wav", wav + sum(stems.values()))
    return root


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> tuple[Path, Path]:
    """Tracks and their labels by the teacher; to be read only."""
    root = make_tracks(tmp_path_factory.mktemp("musdb"))
    labels = tmp_path_factory.mktemp("labels")
    said = label_vocals(root, labels, TINY, "cpu", progress=False)
    assert "2 tracks" in said and "2 made, 0 kept" in said
    return root, labels


def files_of(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def copy(labelled, tmp_path) -> tuple[Path, Path]:
    """Tracks, and a copy of their labels that may be changed."""
    root, labels = labelled
    return root, Path(shutil.copytree(labels, tmp_path / "labels"))


# ------------------------------------------------------------------ what labels say


def test_a_voice_is_labelled_and_a_rest_is_unvoiced(labelled):
    times, f0_hz = read_f0(labelled[1] / "train" / "A. B. - One" / "vocals_f0.csv")
    np.testing.assert_allclose(np.diff(times), 0.01, atol=1e-9)
    assert times[-1] < 2.1 <= times[-1] + 0.0101
    true_hz = np.concatenate([note(196.0, 0.8), np.zeros(RATE // 2), note(392.0, 0.8)])
    true_hz = true_hz[np.minimum(np.rint(times * RATE).astype(int), len(true_hz) - 1)]
    resting = (times > 0.85) & (times < 1.25)
    np.testing.assert_array_equal(f0_hz[resting], 0.0)
    singing = ((times > 0.05) & (times < 0.75)) | ((times > 1.35) & (times < 2.05))
    assert np.mean(f0_hz[singing] > 0) > 0.95
    voiced = singing & (f0_hz > 0)
    assert np.abs(1200 * np.log2(f0_hz[voiced] / true_hz[voiced])).max() < 50


@pytest.mark.parametrize("pair", [(220.0, 277.2), (150.0, 210.0), (220.0, 330.0)])
def test_of_two_voices_little_is_said(pair, tmp_path):
    wav = sung(note(pair[0], 1.0)) + sung(note(pair[1], 1.0, 2.0))
    audio = audio_file(write_voice(tmp_path / "two.wav", wav))
    assert np.isnan(label_voice(audio, TINY)).mean() > 0.5


def test_blocks_make_no_difference(tmp_path, monkeypatch):
    wav = sung(np.concatenate([note(196.0, 0.4), note(247.0, 0.5)]))
    audio = audio_file(write_voice(tmp_path / "long.wav", wav))
    whole = label_voice(audio, TINY)
    monkeypatch.setattr(teacher_module, "BLOCK_FRAMES", 17)
    heard: list[float] = []
    np.testing.assert_allclose(label_voice(audio, TINY, update=heard.append), whole, rtol=1e-3)
    assert len(heard) == 6 and sum(heard) == pytest.approx(0.01 * len(whole))
    # blocks are what torchcrepe itself would cut of the whole file
    import torchcrepe

    monkeypatch.setattr(teacher_module, "BLOCK_FRAMES", 3000)
    (block,) = teacher_module._blocks(audio)
    mono = torch.from_numpy(read_stretch([audio], 16000, 1)[0])
    ours = torch.cat(
        list(torchcrepe.preprocess(torch.from_numpy(block)[None], 16000, 160, pad=False))
    )
    theirs = torch.cat(list(torchcrepe.preprocess(mono, 16000, 160)))[: len(ours)]
    assert len(ours) == PitchGrid(160, 16000).n_frames(mono.shape[-1])
    torch.testing.assert_close(ours, theirs)


def test_the_rules_for_unknown_frames():
    n = 60
    hz, level = np.full(n, 200.0), np.full(n, -20.0)
    confidence, second = np.full(n, 0.9), np.zeros(n)
    confidence[10], confidence[20:24], level[40:] = 0.4, 0.1, -70.0
    f0_hz = judge(hz, confidence, second, level, TINY)
    assert np.isnan(f0_hz).nonzero()[0].tolist() == [10]
    assert (f0_hz == 0).nonzero()[0].tolist() == [*range(20, 24), *range(40, 60)]
    second[30] = 0.5  # of 0.9: strong
    assert np.isnan(judge(hz, confidence, second, level, TINY)).nonzero()[0].tolist() == [10, 30]
    second[[26, 28, 30, 32]] = 0.5  # frames amid them are unknown as well
    assert np.isnan(judge(hz, confidence, second, level, TINY))[26:33].all()
    off = TeacherSettings("tiny", low=0.0, high=0.0, second=2.0)
    assert not np.isnan(judge(hz, confidence, second, level, off)).any()
    np.testing.assert_array_equal(judge(hz, confidence, second, np.full(n, -120.0), TINY), 0.0)


def test_an_octave_is_no_second_voice():
    activation = np.zeros((3, 360), np.float32)
    activation[:, 100] = 0.9
    activation[0, 160], activation[1, 100 + 20], activation[2, 103] = 0.8, 0.7, 0.8
    np.testing.assert_allclose(teacher_module._second_voice(activation), [0.0, 0.7, 0.0])


@pytest.mark.parametrize(
    "wrong", [{"model": "large"}, {"low": 0.7}, {"gate_db": 0}, {"min_hz": 0}, {"crowd": -1}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="xpected|must be above 0"):
        TeacherSettings(**wrong)


# ------------------------------------------------------------------ the cache


def test_a_second_run_does_nothing(copy):
    root, labels = copy
    before = files_of(labels)
    assert "0 made, 2 kept" in label_vocals(root, labels, TINY, "cpu", progress=False)
    assert files_of(labels) == before and len(before) == 4
    facts = json.loads((labels / "test/Two/labels.json").read_text())
    assert facts["settings"]["model"] == "tiny" and len(facts["vocals_sha256"]) == 64


def test_other_settings_are_refused_unless_asked_for(copy):
    root, labels = copy
    other, before = TeacherSettings("tiny", high=0.7), files_of(labels)
    with pytest.raises(DataError, match=r"high 0.6, now 0.7\): use --relabel true") as error:
        label_vocals(root, labels, other, "cpu", progress=False)
    assert "\n" not in str(error.value) and files_of(labels) == before
    said = label_vocals(root, labels, other, "cpu", progress=False, relabel=True)
    assert "2 made" in said
    said = label_vocals(root, labels, other, "cpu", progress=False, relabel=True)
    assert "0 made" in said  # interrupted, it need not begin again


@pytest.mark.parametrize("damage", ["json", "labels", "missing", "audio"])
def test_what_is_damaged_or_belongs_to_other_audio_is_made_again(copy, damage):
    root, labels = copy
    folder = labels / "test" / "Two"
    good = (folder / "vocals_f0.csv").read_text()
    facts = json.loads((folder / "labels.json").read_text())
    if damage == "json":
        (folder / "labels.json").write_text('{"settings": ')
    elif damage == "labels":
        (folder / "vocals_f0.csv").write_text(good[: len(good) // 2])
    elif damage == "missing":
        (folder / "vocals_f0.csv").unlink()
    else:
        (folder / "labels.json").write_text(json.dumps({**facts, "vocals_sha256": "0" * 64}))
    untouched = files_of(labels / "train")
    assert "1 made, 1 kept" in label_vocals(root, labels, TINY, "cpu", progress=False)
    assert (folder / "vocals_f0.csv").read_text() == good
    assert json.loads((folder / "labels.json").read_text()) == facts
    assert files_of(labels / "train") == untouched and not list(labels.rglob("*.part*"))


def test_interrupted_it_goes_on_where_it_was(labelled, tmp_path, monkeypatch):
    calls = []

    def label(audio, *args):
        calls.append(audio.path.parent.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.zeros(210)

    monkeypatch.setattr(teacher_module, "label_voice", label)
    with pytest.raises(KeyboardInterrupt):
        label_vocals(labelled[0], tmp_path, TINY, "cpu", progress=False)
    assert len(files_of(tmp_path)) == 2
    label_vocals(labelled[0], tmp_path, TINY, "cpu", progress=False)
    assert calls == ["A. B. - One", "Two", "Two"] and len(files_of(tmp_path)) == 4


def test_errors_are_one_sentence(labelled, tmp_path):
    with pytest.raises(DataError, match="No tracks in"):
        label_vocals(tmp_path, tmp_path, TINY, "cpu", progress=False)
    (tmp_path / "file").write_text("")
    monkey = tmp_path / "file" / "labels"
    with pytest.raises(DataError, match="Cannot write labels to"):
        teacher_module._write(monkey, np.zeros(3), TINY, "")
    write_voice(tmp_path / "train" / "x" / "mixture.wav", np.ones(100))
    with pytest.raises(DataError, match="vocals.wav is missing"):
        label_vocals(tmp_path, tmp_path / "labels", TINY, "cpu", progress=False)
    write_voice(tmp_path / "train" / "x" / "vocals.wav", np.full(100, np.nan))
    with pytest.raises(DataError, match="contains NaN or infinite samples"):
        label_vocals(tmp_path, tmp_path / "labels", TINY, "cpu", progress=False)


# ------------------------------------------------------------------ where labels are used


def test_multitrack_takes_the_labels_of_the_folder(labelled):
    root, labels = labelled
    plain, taught = (Multitrack(str(root), "train", labels_dir=d) for d in (None, str(labels)))
    times = np.array([0.4, 1.0, 1.7])
    assert plain.f0_at(0, times) is None
    f0_hz = taught.f0_at(0, times)
    assert f0_hz[1] == 0 and f0_hz[0] == pytest.approx(196, rel=0.03)
    assert taught.clips[0].name == "A. B. - One" and taught.read(0)[1].shape[0] == 2
    as_valid = Multitrack(str(root), "valid", valid_tracks=["A. B. - One"], labels_dir=str(labels))
    np.testing.assert_array_equal(as_valid.f0_at(0, times), f0_hz)


def test_the_folder_comes_before_labels_beside_the_audio(tracks, tmp_path):
    teacher_module._write(tmp_path / "train" / "one", np.full(250, 123.0), TINY, "")
    with pytest.raises(DataError, match="two has no complete labels: run local/prepare.py"):
        Multitrack(str(tracks), "train", labels_dir=str(tmp_path))  # it has none anywhere
    teacher_module._write(tmp_path / "train" / "two", np.full(250, 124.0), TINY, "")
    dataset = Multitrack(str(tracks), "train", labels_dir=str(tmp_path))
    first = {c.name: dataset.f0_at(i, np.array([0.5]))[0] for i, c in enumerate(dataset.clips)}
    assert (first["one"], first["two"]) == (123.0, 124.0)
    assert first["three"] == pytest.approx(220 * 2**0.25, rel=1e-3)
    (tmp_path / "train" / "one" / "labels.json").unlink()  # not known to be complete
    assert Multitrack(str(tracks), "train", labels_dir=str(tmp_path)).f0_at(
        0, np.array([0.5])
    ) == pytest.approx(220 * 2**0.25, rel=1e-3)


def test_unknown_stays_unknown_on_every_way(tmp_path):
    f0_hz = np.array([200.0, 200, np.nan, np.nan, 220, 220, 0, 0])
    at = resample_f0(f0_hz, 0.01 * np.arange(8), np.array([0.0, 0.014, 0.016, 0.025, 0.034, 0.036]))
    np.testing.assert_array_equal(np.isnan(at), [False, False, True, True, True, False])
    assert set(at[~np.isnan(at)]) == {200.0, 220.0}
    write_voice(tmp_path / "train" / "x" / "mixture.wav", np.ones(3 * RATE))
    write_voice(tmp_path / "train" / "x" / "vocals.wav", np.ones(3 * RATE))
    curve = np.full(300, 220.0)
    curve[100:200] = np.nan
    teacher_module._write(tmp_path / "labels" / "train" / "x", curve, TINY, "")
    dataset: JointDataset = Multitrack(
        str(tmp_path), "train", 16000, 1, labels_dir=str(tmp_path / "labels")
    )
    grid = PitchGrid(320, 16000)
    draws = DrawnExamples(dataset, grid, 32000, remix=0, gain_db=0, speed_semitones=3)
    examples = [draws[i] for i in range(6)]
    batch = Collate(2, 320)(examples)
    unknown = torch.isnan(batch["f0_hz"])
    assert unknown.any() and not unknown.all()
    logits = torch.randn(6, unknown.shape[1], grid.n_bins)
    model = type("Model", (), {"pitch_grid": grid})
    term = PitchLoss()(JointOutput(batch["sources"], logits), batch, model)  # type: ignore[arg-type]
    assert torch.isfinite(term.values).all()
    assert torch.equal(term.weights > 0, ~unknown)


def test_prepare_labels_first(labelled, tmp_path, capsys):
    script = str(ROOT / "recipes/musdb18/JointXUMX/local/prepare.py")
    options = ["--overlay", "debug", "--data_dir", str(labelled[0]), "--accelerator", "cpu"]
    options += ["--labels_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="has no track ANiMAL - Rockshow"):  # it is not MUSDB18
        prepare_main(script, options)
    assert "labels of 2 tracks" in capsys.readouterr().out and len(files_of(tmp_path)) == 4
    with pytest.raises(SystemExit, match="prepare.py: .* use --relabel true"):
        prepare_main(script, [*options, "--teacher_model", "full"])
