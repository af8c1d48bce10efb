"""Weights of draws, and blends: several datasets as one."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import recipe_on

from asteroid_joint.data import MIR1K, Blend, Clip, DrawnExamples, JointDataset
from asteroid_joint.data.check import check_dataset
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.pitch import PitchGrid

GRID = PitchGrid(320, 16000)


def rms_db(wav: np.ndarray) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(np.square(wav, dtype=np.float64)))))


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
        with pytest.raises(DataError, match=f"No clip provides {what}"):
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


# as in KNOWN_DRAWS, of the blend in `parts`: from before blends handed on what they do not change
KNOWN_BLEND_DRAWS = [
    ("a/ann_take", 2421.86, 358.83, 10831.2),
    ("a/bob_take", 2789.68, 325.11, 11874.3),
    ("mir1k/amy_2_01", 313.73, 313.73, 0.0),
    ("a/bob_take", 1629.6, 257.22, 11758.2),
    ("mir1k/amy_1_02", 574.27, 323.97, 12283.8),
    ("mir1k/amy_1_01", 1124.28, 294.63, 6898.0),
    ("mir1k/fdps_1_01", 314.99, 314.99, 0.0),
    ("mir1k/amy_1_02", 803.48, 297.45, 9896.1),
]


@pytest.mark.parametrize(
    "remix_stems", [False, True]
)  # of two stems the second is drawn either way
def test_blends_draw_what_they_always_drew(mir1k_dir, tracks, voices, remix_stems):
    blend = Blend("train", parts(mir1k_dir, tracks, voices), str(mir1k_dir))
    options = {"seed": 7, "silence": 0.2, "level_db": 3.0, "remix_stems": remix_stems}
    draws = DrawnExamples(blend, GRID, 16000, **options)
    for number, (name, *sums) in enumerate(KNOWN_BLEND_DRAWS):
        example = draws[number]
        found = [np.abs(example.mixture).sum(), np.abs(example.sources[1]).sum()]
        assert example.name == name
        np.testing.assert_allclose([*found, np.nansum(example.f0_hz)], sums, rtol=1e-3)


def test_clips_of_a_blend_have_one_level_in_training(mir1k_dir, tracks, voices):
    described = parts(mir1k_dir, tracks, voices)
    blend = Blend("train", described, str(mir1k_dir), clip_level_db=-26.0)
    plain = Blend("train", described, str(mir1k_dir), clip_level_db=None)
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
    validation = Blend("valid", described[:2], str(mir1k_dir), clip_level_db=-26.0)
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
        ({"n_channels": None}, DataError, "n_channels is 1 in one and 2 in the other"),
        ({"sources": ["vocals", "bass"]}, DataError, "sources is"),
        ({"name": "mir1k"}, ConfigError, "need different names"),
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
    from asteroid_joint.engine.training.train import train

    described = parts(mir1k_dir, tracks, voices)[:2]
    conf = recipe_on("blend", {"parts": described}, mir1k_dir)
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


def test_a_dub_lends_its_voices_only(mir1k_dir, corpus_dir):
    stems = ["vocals", "drums", "bass", "other"]
    form = {"sample_rate": 16000, "n_channels": 1, "sources": stems}
    described = [
        {"dataset": "mir1k", "data_dir": str(mir1k_dir), "dub": True},
        {"dataset": "multitrack", "name": "c", "data_dir": str(corpus_dir), **form},
    ]
    train = Blend("train", described)
    assert train.sources == tuple(stems)
    dubs = np.array([clip.name.startswith("mir1k/") for clip in train.clips])
    assert not train.rest_weights[dubs].any() and train.voice_weights[dubs].all()
    mixture, sources = train.read(0)
    assert sources.shape[0] == 4 and not sources[1:].any()
    np.testing.assert_array_equal(mixture, sources[0])
    draws = DrawnExamples(train, GRID, 8000, remix=0.0, remix_stems=True)
    for example in (draws[i] for i in range(10)):
        assert example.sources.shape == (4, 1, 8000) and example.sources[1:].any()
    for blend in (train, Blend("test", described)):
        for index in (0, len(blend) - 1):
            sources = blend.read(index, 320, 4000)[1]
            for s in range(4):
                stem = blend.read_source(index, s, 320, 4000)
                np.testing.assert_allclose(stem, sources[s], atol=1e-7)
    test = Blend("test", described)
    hosts = [part for part in test.parts if not part.dub][0].dataset
    alone = MIR1K(str(mir1k_dir), "test")
    for index in range(len(alone)):
        mixture, sources = test.read(index)
        own = alone.read(index)[1][0]
        gain = float(sources[0].ravel() @ own.ravel() / (own.ravel() @ own.ravel()))
        np.testing.assert_allclose(sources[0], gain * own, atol=1e-6)  # its own voice, scaled
        levels = [rms_db(hosts.read(i)[1][0]) for i in range(len(hosts))]
        assert min(abs(rms_db(sources[0]) - level) for level in levels) < 0.01
        assert sources[1:].any()
        np.testing.assert_allclose(mixture, sources.sum(0), atol=1e-6)
        piece, parts_of = test.read(index, 320, 4000)
        np.testing.assert_allclose(parts_of, sources[..., 320:4320], atol=1e-6)
        np.testing.assert_array_equal(test.read(index)[1], sources)
        assert piece.shape == (1, 4000)
    with pytest.raises(ConfigError, match="leave out its share rest"):
        Blend("train", [{**described[0], "rest": 0.5}, described[1]])
    with pytest.raises(ConfigError, match="a part without dub"):
        Blend("train", described[:1])
