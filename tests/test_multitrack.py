"""Folders of multitracks and of solo voices, blends of datasets, and native evaluation."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
import torch
import yaml
from conftest import ROOT

from asteroid_joint import DJCM
from asteroid_joint.data import (
    MIR1K,
    Blend,
    Clip,
    DrawnExamples,
    JointDataset,
    Multitrack,
    SoloVoice,
)
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.files import audio_file, read_stretch
from asteroid_joint.engine.estimators import NativeEstimator
from asteroid_joint.engine.recipe import eval_main
from asteroid_joint.engine.train import build_dataset, check_fit
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.pitch import PitchGrid
from asteroid_joint.separate import separate_array

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
GRID = PitchGrid(320, 16000)
TRACKS = {"train": ("one", "two", "three"), "test": ("four", "five")}


def f0_at(sec: np.ndarray, base_hz: float = 220.0) -> np.ndarray:
    """A voice that rises an octave in two seconds and rests from 1.0 to 1.3 s."""
    return np.where((sec >= 1.0) & (sec < 1.3), 0.0, base_hz * 2 ** (sec / 2))


def write_track(folder: Path, seed: int, labels: bool = True, rate: int = RATE) -> None:
    """Four stems that add up, with labels every 5 ms."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sec = np.arange(int((2.0 + 0.1 * seed) * rate) + 7 * seed) / rate
    f0_hz = f0_at(sec)
    voice = 0.1 * (f0_hz > 0) * np.sin(2 * np.pi * np.cumsum(f0_hz) / rate)
    stems = {name: 0.02 * rng.standard_normal((len(sec), 2)) for name in STEMS[1:]}
    stems["vocals"] = voice[:, None] * (1.0, 0.5)
    for name, wav in {**stems, "mixture": sum(stems.values())}.items():
        sf.write(folder / f"{name}.wav", wav, rate, subtype="FLOAT")
    if labels:
        times = 0.005 * np.arange(int(sec[-1] / 0.005) + 1)
        rows = np.stack([times, f0_at(times)], 1)
        save = {"fmt": "%.4f", "delimiter": ",", "comments": ""}
        np.savetxt(folder / "vocals_f0.csv", rows, header="time_sec,f0_hz", **save)
        (folder / "vocals_activity.csv").write_text("start_sec,end_sec\n0,1.0\n1.3,9\n")
        (folder / "meta.json").write_text(
            json.dumps({"song": f"song {folder.name}", "singer": f"singer {folder.name}"})
        )


@pytest.fixture(scope="module")
def tracks(tmp_path_factory) -> Path:
    """Five tracks; "two" has no labels."""
    root = tmp_path_factory.mktemp("multitrack")
    for side, names in TRACKS.items():
        for name in names:
            seed = "one two three four five".split().index(name)
            write_track(root / side / name, seed, labels=name != "two")
    return root


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> Path:
    """Two singers, mono at 22.05 kHz, a file each; one label file by either name."""
    root = tmp_path_factory.mktemp("solo")
    sec = np.arange(30001) / 22050
    for singer, suffix in (("ann", ".csv"), ("bob", ".f0.csv")):
        (root / "train" / singer).mkdir(parents=True)
        wav = 0.3 * np.sin(2 * np.pi * np.cumsum(f0_at(sec)) / 22050)
        sf.write(root / "train" / singer / "take.wav", wav, 22050, subtype="FLOAT")
        times = 0.01 * np.arange(137)
        f0_hz = np.where(f0_at(times) > 0, f0_at(times), -220.0)
        rows = np.stack([times, f0_hz], 1)
        np.savetxt(root / "train" / singer / f"take{suffix}", rows, fmt="%.5f", delimiter="\t")
    return root


def rms_db(wav: np.ndarray) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(np.square(wav, dtype=np.float64)))))


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
    with pytest.raises(DataError, match="no folder valid: name tracks .* valid_tracks"):
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
        (break_channels, "has 1 channels, not 2: give n_channels 1"),
        (lambda folder: (folder / "vocals.wav").unlink(), "vocals.wav is missing"),
        (lambda folder: (folder / "meta.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "meta.json").write_text("[]"), "must hold an object"),
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
        ("time_sec,f0_hz\n", "needs rows"),
        ("0,220\n0,221\n", "increasing order"),
        ("time_sec,f0_hz\n0,a\n", "not two columns"),
        ("0\n1\n", "not two columns"),
    ],
)
def test_broken_labels_are_refused(tmp_path, text, message):
    write_track(tmp_path / "train" / "x", 0)
    (tmp_path / "train" / "x" / "vocals_f0.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Multitrack(str(tmp_path), "train").f0_at(0, np.zeros(1))


def test_options_that_do_not_exist_are_refused(tracks):
    with pytest.raises(ConfigError, match="begin with vocals"):
        Multitrack(str(tracks), "train", sources=("drums", "vocals"))
    with pytest.raises(ConfigError, match="Expected side"):
        Multitrack(str(tracks), "tests")
    with pytest.raises(DataError, match="No tracks in"):
        Multitrack(str(tracks / "train"), "train")


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
    with pytest.raises(DataError, match="no .wav file for the test side"):
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


# ------------------------------------------------------------------ weights of draws

# name, sums of |mixture| and |accompaniment|, sum of F0: from the release before weights existed
KNOWN_DRAWS = [
    ("amy_2_01", 1113.53, 250.93, 12270.6),
    ("fdps_1_01", 1145.67, 227.94, 9104.6),
    ("amy_1_02", 219.85, 219.85, 0.0),
    ("fdps_1_01", 488.76, 191.51, 12147.1),
    ("amy_1_01", 350.01, 196.19, 8049.8),
    ("amy_1_01", 682.33, 206.13, 6898.0),
    ("amy_1_02", 220.52, 220.52, 0.0),
    ("amy_1_01", 481.39, 208.95, 6709.9),
]


def test_draws_of_earlier_releases_are_repeated(mir1k_dir):
    dataset = MIR1K(str(mir1k_dir), "train")
    draws = DrawnExamples(dataset, GRID, 16000, seed=7, silence=0.2, level_db=3.0)
    for number, (name, *sums) in enumerate(KNOWN_DRAWS):
        example = draws[number]
        found = [np.abs(example.mixture).sum(), np.abs(example.sources[1]).sum()]
        assert example.name == name
        np.testing.assert_allclose([*found, np.nansum(example.f0_hz)], sums, rtol=1e-3)


class Constants(JointDataset):
    """Clip ``i`` has the voice ``i + 1`` over the accompaniment ``100 (i + 1)``."""

    def __init__(self, voice: list[float], rest: list[float]) -> None:
        self.clips = [Clip(str(i), str(i), "", 4000) for i in range(len(voice))]
        self._weights = np.array(voice, float), np.array(rest, float)

    voice_weights = property(lambda self: self._weights[0])
    rest_weights = property(lambda self: self._weights[1])

    def read(self, index, start=0, n_samples=None):
        sources = np.ones((2, 1, n_samples), np.float32) * (index + 1)
        sources[1] *= 100
        return sources.sum(0), sources


def drawn_pairs(dataset: JointDataset, remix: float, n: int = 2000) -> Counter:
    draws = DrawnExamples(dataset, GRID, 320, remix=remix, gain_db=0, speed_semitones=0)
    examples = (draws[i] for i in range(n))
    pairs = ((e.sources[0, 0, 0] - 1, e.sources[1, 0, 0] / 100 - 1) for e in examples)
    return Counter((round(float(v)), round(float(r))) for v, r in pairs)


def test_clips_are_drawn_by_their_weights():
    pairs = drawn_pairs(Constants([0, 3, 1], [1, 4, 0]), remix=1.0)
    for voice, share in ((1, 0.75), (2, 0.25)):
        for rest, part in ((0, 0.2), (1, 0.8)):
            assert pairs.pop((voice, rest)) / 2000 == pytest.approx(share * part, abs=0.04)
    assert not pairs


def test_a_clip_without_rest_weight_always_gets_anothers():
    pairs = drawn_pairs(Constants([1, 1], [0, 1]), remix=0.0, n=200)
    assert set(pairs) == {(0, 1), (1, 1)}
    for voice, rest, what in (([1], [0], "accompaniment"), ([0], [1], "a voice")):
        with pytest.raises(DataError, match=f"No clip gives {what}"):
            DrawnExamples(Constants(voice, rest), GRID, 320)


# ------------------------------------------------------------------ blends


def parts(mir1k_dir: Path, tracks: Path, voices: Path) -> list[dict]:
    form = {"sample_rate": 16000, "n_channels": 1}
    more = {"valid_tracks": ["two"]}
    return [
        {"dataset": "mir1k", "voice": 0.5, "rest": 0.25},
        {
            "dataset": "multitrack",
            "data_dir": str(tracks),
            "voice": 0,
            "rest": 0.75,
            **form,
            **more,
        },
        {"dataset": "solo", "name": "a", "data_dir": str(voices), "voice": 0.5, "rest": 9, **form},
    ]


def test_a_blend_draws_by_shares_and_delegates(mir1k_dir, tracks, voices):
    blend = Blend("train", parts(mir1k_dir, tracks, voices), str(mir1k_dir))
    assert Counter(c.name.split("/")[0] for c in blend.clips) == {
        "mir1k": 4,
        "multitrack": 2,
        "a": 2,
    }
    owner = np.array([clip.name.split("/")[0] for clip in blend.clips])
    voice, rest = blend.voice_weights, blend.rest_weights
    assert [voice[owner == p].sum() for p in ("mir1k", "multitrack", "a")] == [0.5, 0, 0.5]
    found = [rest[owner == p].sum() for p in ("mir1k", "multitrack", "a")]
    np.testing.assert_allclose(found, [0.25, 0.75, 0])
    lengths = np.array([clip.n_samples for clip in blend.clips])[owner == "mir1k"]
    np.testing.assert_allclose(voice[:4], 0.5 * lengths / lengths.sum())
    mir1k = MIR1K(str(mir1k_dir), "train")
    times = np.arange(20) * 0.02
    np.testing.assert_array_equal(blend.f0_at(2, times), mir1k.f0_at(2, times))
    np.testing.assert_array_equal(blend.activity_at(2, times), mir1k.activity_at(2, times))
    assert blend.clips[2].song == f"mir1k/{mir1k.clips[2].song}"
    assert [x["title"] for x in blend.infos["licenses"]][:2] == ["MIR-1K", "Multitrack folder"]
    draws = DrawnExamples(blend, GRID, 8000)
    names = Counter(draws[i].name.split("/")[0] for i in range(60))
    assert set(names) == {"mir1k", "a"} and 18 <= names["a"] <= 42
    for number in range(20):
        example = draws[number]
        np.testing.assert_allclose(example.mixture, example.sources.sum(0), atol=1e-6)
        assert example.sources[1].any()  # nothing sings over the silence of the solo voices


def test_clips_of_a_blend_have_one_level_in_training(mir1k_dir, tracks, voices):
    described = parts(mir1k_dir, tracks, voices)
    blend = Blend("train", described, str(mir1k_dir), level_db=-26.0)
    plain = Blend("train", described, str(mir1k_dir), level_db=None)
    for index, clip in enumerate(blend.clips):
        mixture, sources = blend.read(index)
        heard = sources[0] if clip.name.startswith("a/") else mixture
        assert rms_db(heard) == pytest.approx(-26.0, abs=0.01)
        np.testing.assert_allclose(mixture, sources.sum(0), atol=1e-6)
        before, _ = plain.read(index)
        assert abs(rms_db(before) + 26) > 0.1  # there was something to do
        gain = rms_db(mixture) - rms_db(before)
        piece, _ = blend.read(index, 320, 4000)
        np.testing.assert_allclose(piece, mixture[:, 320:4320], atol=1e-5)
        np.testing.assert_allclose(mixture, before * 10 ** (gain / 20), rtol=1e-4, atol=1e-6)
    voice_only = Blend("train", [{**described[0], "rest": 0}, described[1]], str(mir1k_dir))
    assert rms_db(voice_only.read(0)[1][0]) == pytest.approx(-20.0, abs=0.01)
    validation = Blend("valid", described[:2], str(mir1k_dir), level_db=-26.0)
    assert len(validation) == 4
    np.testing.assert_array_equal(validation.read(0)[0], MIR1K(str(mir1k_dir), "valid").read(0)[0])


def test_silence_is_not_levelled(tmp_path, voices):
    (tmp_path / "train").mkdir()
    sf.write(tmp_path / "train" / "quiet.wav", np.zeros(1000), 16000)
    solo = {"dataset": "solo", "data_dir": str(voices), "sample_rate": 16000}
    quiet = {"dataset": "solo", "name": "q", "data_dir": str(tmp_path)}
    mixture, _ = Blend("train", [quiet, solo]).read(0)
    np.testing.assert_array_equal(mixture, np.zeros((1, 1000)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sample_rate": None}, DataError, "mir1k and multitrack do not fit: sample_rate is 16000"),
        ({"n_channels": None}, DataError, "n_channels is 1 in the one and 2 in the other"),
        ({"sources": ["vocals", "bass"]}, DataError, "sources is"),
        ({"name": "mir1k"}, ConfigError, "names of their own"),
        ({"name": "a/b"}, ConfigError, "without a slash"),
        ({"voice": -1}, ConfigError, "at least 0"),
        ({"dataset": "nothing"}, ConfigError, "Unknown dataset"),
    ],
)
def test_parts_that_do_not_fit_are_refused(mir1k_dir, tracks, voices, change, error, message):
    first, second, _ = parts(mir1k_dir, tracks, voices)
    with pytest.raises(error, match=message):
        Blend("train", [first, {**second, **change}], str(mir1k_dir))


def test_a_blend_without_parts_is_refused():
    for wrong in ([], ["mir1k"], [{"voice": 1}]):
        with pytest.raises(ConfigError, match="part"):
            Blend("train", wrong)


def test_a_blend_is_checked(mir1k_dir, tracks, voices):
    described = parts(mir1k_dir, tracks, voices)[:2]
    sides = {s: Blend(s, described, str(mir1k_dir)) for s in ("train", "valid", "test")}
    table = check_dataset(sides)
    assert "no singer and no song is on two sides" in table
    assert table.splitlines()[1].split()[:4] == ["train", "6", "5", "4"]
    clip = sides["train"].clips[-1]
    sides["test"].clips[-1] = sides["test"].clips[-1]._replace(singer=clip.singer)
    with pytest.raises(DataError, match="1 singers are in both train and test, e.g. multitrack/"):
        check_dataset(sides)


def test_training_on_a_blend_logs_every_part(mir1k_dir, tracks, voices, tmp_path):
    from asteroid_joint.engine.train import train

    described = parts(mir1k_dir, tracks, voices)[:2]
    conf = recipe_config("blend", {"parts": described}, mir1k_dir)
    conf["model"]["preset"] = "tiny"
    conf["data"]["segment_sec"] = 0.64
    small = {"epochs": 1, "draws_per_epoch": 4, "batch_size": 2, "valid_clips": 0}
    conf["training"].update(small, precision="32-true", accelerator="cpu", log_every=1)
    conf["main_args"] = {"exp_dir": str(tmp_path / "exp")}
    saved = torch.load(train(conf), weights_only=True)
    assert [x["title"] for x in saved["licenses"]] == ["MIR-1K", "Multitrack folder"]
    (log,) = (tmp_path / "exp").glob("csv_log/*/metrics.csv")
    columns = set(log.read_text().splitlines()[0].split(","))
    assert {"val_nsdr", "val_nsdr_mir1k", "val_rpa_mir1k", "val_oa_mir1k"} <= columns
    assert "val_nsdr_multitrack" in columns
    assert "val_rpa_multitrack" not in columns  # its one validation track has no labels


# ------------------------------------------------------------------ native evaluation


def recipe_config(dataset: str, data_args: dict, data_dir: Path) -> dict:
    conf = yaml.safe_load((ROOT / "recipes/mir1k/DJCM/local/conf.yml").read_text())
    conf["data"].update(dataset=dataset, data_dir=str(data_dir))
    conf["data_args"] = data_args
    return conf


@pytest.fixture
def experiment(tracks, weights, tmp_path) -> Path:
    """Trained, so to say, on the tracks in mono at 16 kHz."""
    data_args = {"sample_rate": 16000, "n_channels": 1, "valid_tracks": ["three"]}
    conf = recipe_config("multitrack", data_args, tracks)
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
        build_dataset(recipe_config("mir1k", {}, mir1k_dir), "test", native=True)
    model = DJCM.from_pretrained(str(weights))
    dataset = Multitrack(str(tracks), "test")
    check_fit(model, dataset, native=True)
    with pytest.raises(DataError, match="sample rate is 44100"):
        check_fit(model, dataset)
    with pytest.raises(DataError, match="stems"):
        check_fit(model, Multitrack(str(tracks), "test", sources=STEMS), native=True)
