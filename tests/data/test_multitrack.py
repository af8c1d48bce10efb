"""Folders of multitracks and of solo voices, and native evaluation."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
import torch
import yaml
from conftest import MULTITRACK_RATE as RATE
from conftest import ROOT, STEMS, f0_at, recipe_on, write_track

from asteroid_joint import DJCM
from asteroid_joint.data import (
    Clip,
    DrawnExamples,
    JointDataset,
    Multitrack,
    SoloVoice,
    resampled,
)
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.files import audio_file, read_stretch
from asteroid_joint.engine.evaluation.systems import NativeEstimator
from asteroid_joint.engine.recipe import eval_main
from asteroid_joint.engine.training.build import build_dataset, check_fit
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.pitch import PitchGrid

# ------------------------------------------------------------------ multitrack


def test_clips_are_read_as_they_are_on_disk(tracks):
    dataset = Multitrack(str(tracks), "test")
    assert (dataset.sample_rate, dataset.n_channels) == (RATE, 2)
    assert [clip.name for clip in dataset.clips] == ["five", "four"]
    assert dataset.clips[1].song == "song four" and dataset.clips[1].singer == "singer four"
    mixture, sources = dataset.read(1, 1000, 5000)
    folder = tracks / "test" / "four"
    want = {s: sf.read(folder / f"{s}.wav", dtype="float32")[0].T for s in (*STEMS, "mixture")}
    np.testing.assert_array_equal(mixture, want["mixture"][:, 1000:6000])
    np.testing.assert_array_equal(sources[0], want["vocals"][:, 1000:6000])
    np.testing.assert_allclose(sources[0] + sources[1], mixture, atol=1e-7)
    n_samples = dataset.clips[1].n_samples
    assert n_samples == want["mixture"].shape[1]
    assert dataset.read(1, n_samples - 10, 5000)[0].shape == (2, 10)
    stems = Multitrack(str(tracks), "test", sources=STEMS).read(1)[1]
    for stem, name in zip(stems, STEMS, strict=True):
        np.testing.assert_array_equal(stem, want[name])
    mixed = Multitrack(str(tracks), "test", sources=["vocals", "bass", "accompaniment"])
    np.testing.assert_array_equal(mixed.read(1)[1][1], want["bass"])
    np.testing.assert_allclose(mixed.read(1)[1][2], want["mixture"] - want["vocals"], atol=1e-7)


@pytest.mark.parametrize("rate", [16000, 22050, 48000, 44099])
def test_a_crop_is_a_slice_of_the_whole_resampled_file(tracks, rate):
    dataset = Multitrack(str(tracks), "train", rate, 1)
    path = tracks / "train" / dataset.clips[0].name / "vocals.wav"
    whole = soxr.resample(sf.read(path)[0].mean(1), RATE, rate, quality="HQ")
    assert dataset.clips[0].n_samples == len(whole)
    for start, n_samples in ((0, 4001), (11111, 7000), (len(whole) - 3000, 9000), (0, None)):
        voice = dataset.read(0, start, n_samples)[1][0, 0]
        stop = None if n_samples is None else start + n_samples
        assert voice.shape == whole[start:stop].shape
        np.testing.assert_allclose(voice, whole[start:stop], atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 2, 441, 442, 443, 30001])
def test_lengths_are_those_of_the_resampler(tmp_path, n_samples):
    sf.write(tmp_path / "x.wav", np.ones(n_samples), RATE)
    for rate in (16000, 48000):
        file = audio_file(tmp_path / "x.wav")
        n_out = len(soxr.resample(np.ones(n_samples), RATE, rate))
        assert file.length_at(rate) == n_out
        assert read_stretch([file], rate, 1).shape == (1, 1, n_out)


def test_f0_is_read_at_any_time(tracks):
    dataset = Multitrack(str(tracks), "train", 16000, 1)
    index = [clip.name for clip in dataset.clips].index("one")
    times = np.array([0.0, 0.0123, 0.5, 0.9924, 0.9976, 1.1, 1.2974, 1.2976, 1.9, 2.5])
    f0_hz = dataset.f0_at(index, times)
    # between a voiced and an unvoiced label the nearer one counts
    want = [*f0_at(times[:3]), f0_at(times)[3], 0, 0, 0, f0_at(np.array(1.3)), f0_at(times)[8]]
    np.testing.assert_allclose(f0_hz[:9], want, rtol=1e-4)
    assert np.isnan(f0_hz[9])
    activity = dataset.activity_at(index, np.array([0.0, 0.99, 1.1, 1.31, 2.5]))
    np.testing.assert_array_equal(activity, [1, 1, 0, 1, np.nan])


def test_missing_labels_are_none_and_no_segments_are_silence(tracks, tmp_path):
    dataset = Multitrack(str(tracks), "train")
    index = [clip.name for clip in dataset.clips].index("two")
    assert dataset.f0_at(index, np.zeros(1)) is None
    assert dataset.activity_at(index, np.zeros(1)) is None
    assert (dataset.clips[index].song, dataset.clips[index].singer) == ("two", "")
    write_track(tmp_path / "train" / "x", 0, labels=False)
    (tmp_path / "train" / "x" / "vocals_activity.csv").write_text("start_sec,end_sec\n")
    activity = Multitrack(str(tmp_path), "train").activity_at(0, np.array([0.0, 1.0]))
    np.testing.assert_array_equal(activity, [0, 0])


def test_validation_tracks_may_lie_in_train(tracks, tmp_path):
    with pytest.raises(DataError, match="no folder valid: list tracks .* valid_tracks"):
        Multitrack(str(tracks), "valid")
    sides = {s: Multitrack(str(tracks), s, valid_tracks=["two"]) for s in ("train", "valid")}
    assert [clip.name for clip in sides["valid"].clips] == ["two"]
    assert [clip.name for clip in sides["train"].clips] == ["one", "three"]
    with pytest.raises(DataError, match="has no track nothing"):
        Multitrack(str(tracks), "valid", valid_tracks=["nothing"])
    write_track(tmp_path / "valid" / "own", 0)
    assert Multitrack(str(tmp_path), "valid").clips[0].name == "own"


def break_rate(folder: Path) -> None:
    shutil.rmtree(folder)
    write_track(folder, 1, rate=22050)


def break_length(folder: Path) -> None:
    wav, rate = sf.read(folder / "vocals.wav")
    sf.write(folder / "vocals.wav", wav[:-1], rate)


def break_channels(folder: Path) -> None:
    for path in folder.glob("*.wav"):
        wav, rate = sf.read(path)
        sf.write(path, wav[:, 0], rate)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (break_rate, "at 44100 Hz and .* at 22050 Hz"),
        (break_length, "differ in length"),
        (break_channels, "has 1 channels, not 2: set n_channels to 1"),
        (lambda folder: (folder / "vocals.wav").unlink(), "vocals.wav is missing"),
        (lambda folder: (folder / "meta.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "meta.json").write_text("[]"), "must contain a JSON object"),
    ],
)
def test_tracks_that_do_not_go_together_are_refused(tmp_path, fault, message):
    for seed, name in enumerate("ab"):
        write_track(tmp_path / "train" / name, seed)
    fault(tmp_path / "train" / "b")
    rate = 16000 if fault is break_rate else None
    with pytest.raises(DataError, match=message):
        Multitrack(str(tmp_path), "train", sample_rate=rate)
    if fault is break_channels:
        assert len(Multitrack(str(tmp_path), "train", n_channels=1)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_sec,f0_hz\n", "must contain rows"),
        ("0,220\n0,221\n", "sorted by time"),
        ("time_sec,f0_hz\n0,a\n", "does not contain two columns"),
        ("0\n1\n", "does not contain two columns"),
    ],
)
def test_broken_labels_are_refused(tmp_path, text, message):
    write_track(tmp_path / "train" / "x", 0)
    (tmp_path / "train" / "x" / "vocals_f0.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Multitrack(str(tmp_path), "train").f0_at(0, np.zeros(1))


def test_options_that_do_not_exist_are_refused(tracks):
    for sources in ((), ("accompaniment", "vocals"), ("vocals", "guitar")):
        with pytest.raises(ConfigError, match="begin with any but accompaniment"):
            Multitrack(str(tracks), "train", sources=sources)
    for parts in (["vocals"], ["accompaniment"], ["guitar"]):
        with pytest.raises(ConfigError, match="can consist of .*'bass', 'drums', 'other'.*not"):
            Multitrack(str(tracks), "train", accompaniment=parts)
    with pytest.raises(ConfigError, match="can consist of"):
        Multitrack(str(tracks), "train", sources=STEMS, accompaniment=["drums"])
    with pytest.raises(ConfigError, match="Expected train, valid or test as side"):
        Multitrack(str(tracks), "tests")
    with pytest.raises(DataError, match="No tracks in"):
        Multitrack(str(tracks / "train"), "train")


def test_another_stem_may_come_first_and_has_no_labels(tracks):
    dataset = Multitrack(str(tracks), "train", sources=("drums", "accompaniment"))
    mixture, sources = dataset.read(0, 100, 4000)
    folder = tracks / "train" / dataset.clips[0].name
    drums = sf.read(folder / "drums.wav", dtype="float32")[0].T[:, 100:4100]
    np.testing.assert_array_equal(sources[0], drums)
    np.testing.assert_array_equal(sources[1], mixture - drums)
    np.testing.assert_array_equal(dataset.read_source(0, 0, 100, 4000), drums)
    assert (folder / "vocals_f0.csv").is_file() and (folder / "vocals_activity.csv").is_file()
    example = dataset.example(0, PitchGrid(882, RATE))
    assert example.f0_hz is None and example.activity is None
    loud = Multitrack(
        str(tracks), "train", sources=("drums", "accompaniment"), activity_from_stem=True
    )
    assert loud.activity_at(0, np.zeros(1)) is None


@pytest.mark.parametrize("first", ["vocals", "bass"])
def test_accompaniment_may_be_read_in_parts(tracks, first):
    parts = [stem for stem in STEMS if stem != first]
    sources = (first, "accompaniment")
    whole = Multitrack(str(tracks), "train", 16000, 1, sources)
    dataset = Multitrack(str(tracks), "train", 16000, 1, sources, accompaniment=parts)
    assert [len(whole.part_names(0, s)) for s in range(2)] == [1, 1]
    assert [len(dataset.part_names(0, s)) for s in range(2)] == [1, 3]
    alone = Multitrack(str(tracks), "train", 16000, 1, sources, accompaniment=parts[:1])
    assert len(alone.part_names(0, 1)) == 1
    np.testing.assert_array_equal(alone.read_part(0, 1, 0), dataset.read_part(0, 1, 0))
    mixture, read = dataset.read(0, 320, 4000)  # the parts are not among them
    np.testing.assert_array_equal(read, whole.read(0, 320, 4000)[1])
    for one in (whole, dataset):
        np.testing.assert_array_equal(one.read_part(0, 0, 0, 320, 4000), read[0])
        total = sum(
            one.read_part(0, 1, part, 320, 4000) for part in range(len(one.part_names(0, 1)))
        )
        np.testing.assert_allclose(total, read[1], atol=1e-6)


def test_a_remix_takes_every_part_from_a_track_of_its_own(tracks):
    """Which track a part is from is heard: each part of each track has a spectrum of its own."""
    parts = ["drums", "bass", "other"]
    dataset = Multitrack(str(tracks), "train", 16000, 1, accompaniment=parts)
    grid = PitchGrid(320, 16000)
    quiet = {"gain_db": 0.0, "speed_semitones": 0.0, "remix": 1.0, "remix_stems": True}
    draws = DrawnExamples(dataset, grid, 8000, **quiet)
    pieces = {
        (part, index): dataset.read_part(index, 1, part)[0]
        for part in range(3)
        for index in range(3)
    }
    mixed = 0
    for number in range(6):
        rest = draws[number].sources[1, 0]
        found = [key for key, wav in pieces.items() if _heard(wav, rest)]
        assert [part for part, _ in found] == [0, 1, 2]
        mixed += len({index for _, index in found}) > 1
    assert mixed > 2


def _heard(wav: np.ndarray, within: np.ndarray) -> bool:
    """Whether a noise is in a sum of noises, at any place."""
    match = np.abs(np.correlate(wav, within, "valid"))
    return bool(match.max() > 8 * np.median(match))


# ------------------------------------------------------------------ solo


def test_solo_voices_stand_before_silence(voices):
    dataset = SoloVoice(str(voices), "train", 16000, 1)
    assert [clip.name for clip in dataset.clips] == ["ann_take", "bob_take"]
    assert [clip.singer for clip in dataset.clips] == ["ann", "bob"]
    assert not dataset.rest_weights.any() and dataset.voice_weights.all()
    mixture, sources = dataset.read(0, 100, 4000)
    assert mixture.shape == (1, 4000) and not sources[1].any()
    np.testing.assert_array_equal(mixture, sources[0])
    for index in range(2):  # both names of label files; negative is unvoiced
        f0_hz = dataset.f0_at(index, np.array([0.5, 1.1]))
        np.testing.assert_allclose(f0_hz, f0_at(np.array([0.5, 1.1])), rtol=1e-4)
    with pytest.raises(DataError, match="no .wav files for the test side"):
        SoloVoice(str(voices), "test")


def test_singers_decide_on_the_side_where_no_folder_does(tmp_path):
    for singer in range(40):
        (tmp_path / f"s{singer}").mkdir()
        for take in "ab":
            sf.write(tmp_path / f"s{singer}" / f"{take}.wav", np.ones(100), 16000)
    sides = {s: SoloVoice(str(tmp_path), s) for s in ("train", "valid", "test")}
    assert sum(map(len, sides.values())) == 80
    assert len(sides["train"]) > 50 and all(map(len, sides.values()))
    assert "no singer and no song is on two sides" in check_dataset(sides)
    assert sides["train"].f0_at(0, np.zeros(1)) is None


# ------------------------------------------------------------------ native evaluation


@pytest.fixture
def experiment(tracks, weights, tmp_path) -> Path:
    """Trained, so to say, on the tracks in mono at 16 kHz."""
    data_args = {"sample_rate": 16000, "n_channels": 1, "valid_tracks": ["three"]}
    conf = recipe_on("multitrack", data_args, tracks)
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(conf))
    shutil.copy(weights, tmp_path / "best_model.pth")
    return tmp_path


def evaluate(exp_dir: Path, *options: object) -> dict:
    argv = ["--exp_dir", exp_dir, "--device", "cpu", *options]
    eval_main(str(ROOT / "recipes/mir1k/DJCM/eval.py"), [str(part) for part in argv])
    newest = max(exp_dir.rglob("final_metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    return {**json.loads(newest.read_text()), "folder": newest.parent.name}


def test_native_evaluation_is_of_the_recording(experiment):
    native = evaluate(experiment, "--native")
    assert native["folder"] == "eval_model_test_native"
    facts = {k: native[k] for k in ("native", "sample_rate", "n_channels", "n_clips")}
    assert facts == {"native": True, "sample_rate": RATE, "n_channels": 2, "n_clips": 2}
    assert {"nsdr", "rpa", "oa"} <= set(native["metrics"])
    plain = evaluate(experiment)
    assert (plain["native"], plain["sample_rate"], plain["n_channels"]) == (False, 16000, 1)
    assert plain["folder"] == experiment.name
    assert native["audio_sec"] == plain["audio_sec"]
    # the true voice against what `separate` gives for the file
    dataset = Multitrack(str(experiment_data(experiment)), "test")
    model = DJCM.from_pretrained(str(experiment / "best_model.pth"))
    ratios = []
    for index in range(2):
        mixture, (voice, _) = dataset.read(index)
        error = separate_array(model, mixture, RATE).stems[0] - voice
        ratios.append(20 * np.log10(np.linalg.norm(voice) / np.linalg.norm(error)))
    assert native["metrics"]["sdr"]["mean"] == pytest.approx(np.mean(ratios), abs=1e-3)


def experiment_data(exp_dir: Path) -> Path:
    return Path(yaml.safe_load((exp_dir / "conf.yml").read_text())["data"]["data_dir"])


def test_controls_are_evaluated_natively(experiment):
    mixture = evaluate(experiment, "--native", "--control", "mixture")
    assert mixture["folder"] == "eval_mixture_test_native"
    assert mixture["metrics"]["nsdr"]["mean"] == 0 and mixture["n_channels"] == 2
    clean = evaluate(experiment, "--native", "--control", "torchcrepe_clean")
    assert clean["metrics"]["rpa_t0"]["mean"] > 0.8 and clean["sample_rate"] == RATE
    plain = evaluate(experiment, "--control", "torchcrepe_clean")  # its threshold is from valid
    assert clean["voicing_threshold"] == pytest.approx(plain["voicing_threshold"], abs=0.05)
    options = ("--control", "torchcrepe_separated", "--threshold", 0.5)
    separated = evaluate(experiment, "--native", *options)
    ours = evaluate(experiment, "--native")
    assert separated["metrics"]["nsdr"]["mean"] == pytest.approx(ours["metrics"]["nsdr"]["mean"])


@pytest.mark.parametrize("n_samples", [2 * RATE, 2 * RATE + 1, 100 * 882, 100 * 882 + 1, 11])
def test_native_curves_have_a_value_for_every_frame(weights, n_samples):
    model = DJCM.from_pretrained(str(weights))
    estimator = NativeEstimator(model, torch.device("cpu"), RATE)
    assert estimator.grid.hop_length == 882 and estimator.grid.hop == model.pitch_grid.hop
    dataset = Tone(n_samples)
    example = dataset.example(0, estimator.grid)
    estimate = estimator(example)
    assert estimate.sources.shape == (2, 2, n_samples)
    assert len(estimate.f0_hz) == len(estimate.confidence) == len(example.f0_hz)
    assert (estimate.f0_hz > 0).all()
    with pytest.raises(DataError, match="220.50 samples apart at 11025 Hz"):
        NativeEstimator(model, torch.device("cpu"), 11025)


class Tone(JointDataset):
    """One stereo clip at 44.1 kHz."""

    sample_rate, n_channels = RATE, 2

    def __init__(self, n_samples: int) -> None:
        self.clips = [Clip("x", "x", "", n_samples)]

    def read(self, index, start=0, n_samples=None):
        sec = np.arange(self.clips[0].n_samples) / RATE
        return 0.1 * np.sin(2 * np.pi * 220 * sec)[None].repeat(2, 0).astype(np.float32), None

    def f0_at(self, index, times):
        return np.full(len(times), 220.0, np.float32)


def test_what_does_not_fit_natively_is_refused(experiment, mir1k_dir, tracks, weights):
    conf = yaml.safe_load((experiment / "conf.yml").read_text())
    conf["data_args"]["sources"] = list(STEMS)
    (experiment / "conf.yml").write_text(yaml.safe_dump(conf))
    with pytest.raises(SystemExit, match="do not fit: the stems is"):
        evaluate(experiment, "--native")
    with pytest.raises(ConfigError, match="mir1k has one rate .* without --native"):
        build_dataset(recipe_on("mir1k", {}, mir1k_dir), "test", native=True)
    model = DJCM.from_pretrained(str(weights))
    dataset = Multitrack(str(tracks), "test")
    check_fit(model, dataset, native=True)
    with pytest.raises(DataError, match="sample rate is 44100"):
        check_fit(model, dataset)
    with pytest.raises(DataError, match="stems"):
        check_fit(model, Multitrack(str(tracks), "test", sources=STEMS), native=True)


def test_one_stem_is_read_without_the_others(tracks, monkeypatch):
    dataset = Multitrack(
        str(tracks), "train", 16000, 1, ("vocals", "bass", "drums", "other"), ["two"]
    )
    monkeypatch.setattr(JointDataset, "read_source", None)  # the way by all stems
    for start, length in ((0, None), (320, 3000)):
        sources = dataset.read(0, start, length)[1]
        for s in range(4):
            np.testing.assert_array_equal(dataset.read_source(0, s, start, length), sources[s])
    monkeypatch.undo()
    accompaniment = Multitrack(str(tracks), "train", 16000, 1, valid_tracks=["two"])
    for s in range(2):
        np.testing.assert_array_equal(
            accompaniment.read_source(0, s, 320, 3000), accompaniment.read(0, 320, 3000)[1][s]
        )


def test_a_folder_is_resampled_once_and_heard_the_same(tracks, tmp_path, capsys):
    dest = tmp_path / "dest"
    resampled.main([str(tracks), str(dest), "--sample_rate", "16000", "--n_channels", "1"])
    assert "5 tracks written" in capsys.readouterr().out
    options = {"sources": ("vocals", "bass"), "valid_tracks": ["two"]}
    before = Multitrack(str(tracks), "train", 16000, 1, **options)
    after = Multitrack(str(dest), "train", None, None, **options)
    assert (after.sample_rate, after.n_channels, after.clips) == (16000, 1, before.clips)
    for start, length in ((0, None), (320, 3000)):
        one, other = (d.read(0, start, length)[1] for d in (before, after))
        np.testing.assert_allclose(one, other, atol=1e-6)
    times = np.arange(10) * 0.02
    np.testing.assert_array_equal(before.f0_at(0, times), after.f0_at(0, times))
    # killed in the middle of a track: that one is made again, the others are not
    track = next(dest.glob("test/*"))
    track.rename(track.with_name(f".{track.name}.part"))
    assert resampled.resample_folder(tracks, dest, 16000, 1) == 1
    with pytest.raises(SystemExit, match="resampled: No tracks in"):
        resampled.main([str(tmp_path / "nowhere"), str(dest)])


def test_notes_on_a_set_come_along_and_hidden_files_do_not(tracks, tmp_path):
    source, dest = Path(shutil.copytree(tracks, tmp_path / "source")), tmp_path / "dest"
    (source / "corpus.json").write_text("{}")
    (source / "all.zip").write_bytes(b"PK")
    (source / ".DS_Store").touch()
    write_track(source / "test" / ".six.part", 6)  # a run that was killed left it
    (source / "test" / "four" / "._vocals.wav").write_bytes(b"no audio")
    (source / "test" / "four" / "takes").mkdir()
    assert resampled.resample_folder(source, dest, 8000, 1) == 5
    assert sorted(path.name for path in dest.iterdir()) == ["corpus.json", "test", "train"]
    assert sorted(path.name for path in (dest / "test").iterdir()) == ["five", "four"]
    names = {path.name for path in (source / "test" / "four").iterdir()}
    names -= {"._vocals.wav", "takes"}
    assert {path.name for path in (dest / "test" / "four").iterdir()} == names
    assert [clip.name for clip in Multitrack(str(source), "test").clips] == ["five", "four"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample_rate", "0"], "0 is not a usable sample rate"),
        (["--sample_rate", "-1"], "-1 is not a usable sample rate"),
        (["--n_channels", "0"], "0 is not a usable number of channels"),
        (["--n_channels", "2", "--sample_rate", "22050"], "already exists, at 8000 Hz with 2 chan"),
        (["--n_channels", "1", "--sample_rate", "8000"], "already exists, at 8000 Hz with 2 chan"),
    ],
)
def test_formats_that_cannot_be_are_refused(tracks, tmp_path, options, message):
    shutil.copytree(tracks / "test", tmp_path / "test")
    resampled.resample_folder(tmp_path, tmp_path / "dest", 8000)
    shutil.copytree(tracks / "train", tmp_path / "train")
    with pytest.raises(SystemExit, match=message):
        resampled.main([str(tmp_path), str(tmp_path / "dest"), *options])
    assert not (tmp_path / "dest" / "train").exists()


@pytest.mark.parametrize("where", ["copy", "write", "move", "note"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(
    tracks, tmp_path, monkeypatch, where
):
    source, dest = Path(shutil.copytree(tracks, tmp_path / "source")), tmp_path / "dest"
    (source / "corpus.json").write_text("{}")
    copy = shutil.copy

    def fail(*args, **_):
        if where == "note" and Path(args[0]).name != "corpus.json":
            return copy(*args)
        raise sf.LibsndfileError(2) if where == "write" else OSError(28, "No space left on device")

    module, name = {"write": (sf, "write"), "move": (os, "replace")}.get(where, (shutil, "copy"))
    monkeypatch.setattr(module, name, fail)
    with pytest.raises(SystemExit, match=r"resampled: .* cannot be written \(.*check disk"):
        resampled.main([str(source), str(dest)])
    assert not list(dest.rglob("*.part*"))
    assert not (dest / "corpus.json").exists() and (where == "note") == any(dest.glob("*/*"))
