"""MedleyDB, MUSDB18 without its songs, and MIR-ST500, in little."""

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import write_track
from miniatures import HOP_SEC, RATE, SONGS, lead_hz

from asteroid_joint.data import MIRST500, MUSDB18, Blend, Hidden, MedleyDB
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.medleydb import side_of_artist, titles
from asteroid_joint.data.musdb18 import plain
from asteroid_joint.errors import DataError, UserError
from asteroid_joint.pitch import PitchGrid

GRID = PitchGrid(320, 16000)
OPTIONS = {"sample_rate": 16000, "n_channels": 1}


def names(dataset) -> list[str]:
    return [clip.name for clip in dataset.clips]


# ------------------------------------------------------------------ MedleyDB


def test_songs_with_a_voice_and_without_bleeding_on_sides_by_artists(medleydb_dir):
    sides = {side: MedleyDB(str(medleydb_dir), side) for side in ("train", "valid", "test")}
    assert names(sides["train"]) == [
        *("Ann_HighNoon", "Ann_LowTide", "Cleo_Alone", "Jan_Guitar", "Jan_NoLabels"),
    ]
    assert names(sides["valid"]) == ["Ida_OneAndTwo"]
    assert names(sides["test"]) == ["Dora_One", "Max_Two"]
    assert "no singer and no song is on two sides" in check_dataset(sides)
    assert "Tom_Bleeding" in names(MedleyDB(str(medleydb_dir), "train", bleed=True))
    assert side_of_artist("Dora_One") == side_of_artist("DORA_Another") == "test"


def test_stems_add_up_to_voice_rest_and_mixture(medleydb_dir):
    train = MedleyDB(str(medleydb_dir), "train")
    index = names(train).index("Ann_HighNoon")
    stems = [
        sf.read(medleydb_dir / f"V1/Ann_HighNoon/Ann_HighNoon_STEMS/Ann_HighNoon_STEM_0{n}.wav")[
            0
        ].T
        for n in (1, 2, 3)
    ]
    mixture, sources = train.read(index, 1000, 5000)
    np.testing.assert_allclose(sources[0], (stems[0] + stems[1])[:, 1000:6000], atol=1e-6)
    np.testing.assert_allclose(sources[1], stems[2][:, 1000:6000], atol=1e-6)
    np.testing.assert_array_equal(mixture, sources.sum(0))
    for s in (0, 1):
        np.testing.assert_array_equal(train.read_source(index, s, 1000, 5000), sources[s])
    n_samples = train.clips[index].n_samples
    assert train.read(index, n_samples - 10, 50)[0].shape == (2, 10)
    assert train.read(index, n_samples + 10, 50)[0].shape == (2, 0)
    alone = names(train).index("Cleo_Alone")
    assert train.rest_weights[alone] == 0 < train.rest_weights[index]
    assert not train.read(alone)[1][1].any()


def test_a_stem_that_ends_early_is_silent_then(medleydb_dir, tmp_path):
    root = Path(shutil.copytree(medleydb_dir, tmp_path / "copy"))
    path = root / "V1/Ida_OneAndTwo/Ida_OneAndTwo_STEMS/Ida_OneAndTwo_STEM_02.wav"
    wav, rate = sf.read(path)
    sf.write(path, wav[:-4000], rate, subtype="FLOAT")
    whole, short = (MedleyDB(str(folder), "valid", **OPTIONS) for folder in (medleydb_dir, root))
    assert whole.clips == short.clips
    (_, before), (_, after) = whole.read(0), short.read(0)
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[1, :, -1000:], after[1, :, -1000:])


def test_f0_is_that_of_the_lead_voice(medleydb_dir):
    times = np.arange(0.01, 1.8, 0.01)
    for side in ("train", "test"):
        dataset = MedleyDB(str(medleydb_dir), side, **OPTIONS)
        for index, name in enumerate(names(dataset)):
            f0_hz = dataset.f0_at(index, times)
            if name in ("Jan_Guitar", "Jan_NoLabels"):  # F0 of a guitar; no file
                assert f0_hz is None
                continue
            seed = [song.name for song in SONGS].index(name)
            true = lead_hz(times, 180.0 + 15 * seed)
            steady = np.abs(times[:, None] - (0.8, 0.9, 1.0)).min(1) > 2 * HOP_SEC
            np.testing.assert_allclose(f0_hz[steady], true[steady], rtol=1e-5)


def test_f0_through_mirdata(medleydb_dir, tmp_path, monkeypatch):
    """Melodies from the one set; where there is none, the pitch of an only voice from the other."""
    pytest.importorskip("mirdata")
    from mirdata.datasets import medleydb_melody, medleydb_pitch

    def index(files: dict[str, dict[str, str]]) -> dict:
        return {"tracks": {k: {n: [p, None] for n, p in v.items()} for k, v in files.items()}}

    melody, pitch = tmp_path / "melody", tmp_path / "pitch"
    for folder in (melody, pitch):
        folder.mkdir()
    others = {"audio": "", "melody2": "", "melody3": ""}
    melodies = {
        "Ann_HighNoon": {**others, "melody1": "a.csv"},
        "Cleo_Alone": {**others, "melody1": "missing.csv"},
    }
    pitches = {
        "Jan_NoLabels_STEM_01": {"audio": "", "notes_pyin": "", "pitch": "j.csv"},
        "Ann_HighNoon_STEM_01": {"audio": "", "notes_pyin": "", "pitch": "j.csv"},
    }
    monkeypatch.setattr(medleydb_melody.Dataset, "_index", index(melodies))
    monkeypatch.setattr(medleydb_pitch.Dataset, "_index", index(pitches))
    options = {**OPTIONS, "melody_dir": str(melody), "pitch_dir": str(pitch)}
    with pytest.raises(
        DataError, match="melody contains no files of medleydb_melody: unpack the dataset"
    ):
        MedleyDB(str(medleydb_dir), "train", **options)
    (melody / "a.csv").write_text("0.0,111.0\n0.1,111.0\n")
    (pitch / "j.csv").write_text("0.0,222.0\n0.1,222.0\n")
    dataset = MedleyDB(str(medleydb_dir), "train", **options)
    at = {name: dataset.f0_at(i, np.array([0.05])) for i, name in enumerate(names(dataset))}
    assert at["Ann_HighNoon"] == [111.0] and at["Jan_NoLabels"] == [222.0]
    assert at["Cleo_Alone"] is at["Jan_Guitar"] is None  # the set of melodies goes first, alone
    monkeypatch.setitem(sys.modules, "mirdata", None)
    with pytest.raises(UserError, match=r"mirdata is not installed: pip install 'asteroid-joint\["):
        MedleyDB(str(medleydb_dir), "train", **options)


def test_an_index_that_mirdata_has_not_downloaded_is_a_sentence(medleydb_dir, tmp_path):
    medleydb_melody = pytest.importorskip("mirdata.datasets.medleydb_melody")
    if Path(medleydb_melody.INDEXES["5.0"].get_path()).is_file():
        pytest.skip("the index is there")
    with pytest.raises(DataError, match="no index of medleydb_melody: download it with python -c"):
        MedleyDB(str(medleydb_dir), "train", melody_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stem", r"METADATA.yaml lists the stem Ida_OneAndTwo_STEM_02.wav, which is missing"),
        ("yaml", "is not a MedleyDB metadata file: download it again"),
        ("empty", "contains no songs with vocals for the valid side"),
        ("melody", "does not contain two columns of numbers"),
    ],
)
def test_faults_of_medleydb_are_one_sentence(fault, message, medleydb_dir, tmp_path):
    root = tmp_path / "MedleyDB"
    song = "Ida_OneAndTwo"
    for path in medleydb_dir.glob(f"*/{song}*"):
        shutil.copytree(path, root / path.parent.name / path.name)
    if fault == "stem":
        (root / "V1" / song / f"{song}_STEMS" / f"{song}_STEM_02.wav").unlink()
    elif fault == "yaml":
        (root / "V1" / song / f"{song}_METADATA.yaml").write_text("stems: [1]")
    elif fault == "empty":
        shutil.rmtree(root / "V1")
    else:
        (root / "Annotations" / f"{song}_ANNOTATIONS" / f"{song}_MELODY1.csv").write_text("a\nb")
    with pytest.raises(DataError, match=message):
        MedleyDB(str(root), "valid").f0_at(0, np.zeros(1))


# ------------------------------------------------------------------ MUSDB18


def test_songs_of_medleydb_are_left_out_by_title(medleydb_dir, tmp_path):
    root = tmp_path / "musdb18hq"
    for seed, name in enumerate(("Ann - High Noon", "Tom - Instrumental", "Other - Song", "B - C")):
        write_track(root / "train" / name, seed, labels=False, rate=RATE)
    write_track(root / "test" / "Jan - NoLabels", 0, labels=False)
    write_track(root / "test" / "Somebody - Else", 0, labels=False)
    options = {**OPTIONS, "valid_tracks": ["B - C"], "medleydb_dir": str(medleydb_dir)}
    train = MUSDB18(str(root), "train", **options)
    assert names(train) == ["Other - Song"]
    assert train.left_out == ["Ann - High Noon", "Tom - Instrumental"]
    mixture, sources = train.read(0, 100, 500)
    np.testing.assert_allclose(sources.sum(0), mixture, atol=1e-6)
    assert train.f0_at(0, np.zeros(1)) is None
    assert names(MUSDB18(str(root), "valid", **options)) == ["B - C"]
    assert names(MUSDB18(str(root), "test", **options)) == ["Somebody - Else"]
    everything = {**options, "medleydb_dir": ""}
    assert len(MUSDB18(str(root), "train", **everything)) == 3
    assert names(MUSDB18(str(root), "train", **everything, exclude=("other_song",))) == [
        *("Ann - High Noon", "Tom - Instrumental"),
    ]
    with pytest.raises(DataError, match="All 1 MUSDB18 tracks .* are also in MedleyDB"):
        MUSDB18(str(root), "valid", **options, exclude=("B_C",))
    with pytest.raises(DataError, match="contains no MedleyDB songs"):
        MUSDB18(str(root), "train", medleydb_dir=str(root))


def test_spellings_of_a_title_are_one():
    for musdb, medleydb in (
        ("A Classic Education - NightOwl", "AClassicEducation_NightOwl"),
        ("Music Delta - 80s Rock", "MusicDelta_80sRock"),
        (
            "Clara Berry And Wooldog - Waltz For My Victims",
            "ClaraBerryAndWooldog_WaltzForMyVictims",
        ),
        ("Céline - Été", "Celine_Ete"),
    ):
        assert plain(musdb) == plain(medleydb)
    assert plain("Leaf - Wicked") != plain("Leaf - Come Around")


def test_titles_are_those_of_all_songs(medleydb_dir):
    assert titles(medleydb_dir) == {song.name for song in SONGS}


# ------------------------------------------------------------------ MIR-ST500


def test_songs_with_audio_on_the_published_sides(mir_st500_dir, caplog):
    with caplog.at_level(logging.WARNING):
        train = MIRST500(str(mir_st500_dir), "train")
    assert names(train) == ["1", "7"] and "1 songs of the train side have no audio" in caplog.text
    assert names(MIRST500(str(mir_st500_dir), "valid")) == ["380"]
    assert names(MIRST500(str(mir_st500_dir), "test")) == ["500"]
    mixture, sources = train.read(0, 0, 100)
    assert mixture.shape == (1, 100) and sources is None and train.sources == ()


def test_notes_become_frames_of_half_the_quality(mir_st500_dir):
    song = MIRST500(str(mir_st500_dir), "test")
    times = np.array([0.0, 0.2, 0.22, 0.25, 0.5, 0.74, 0.75, 1.0, 1.03, 1.05, 1.5, 1.8, 2.5, -0.1])
    hz = np.array([0, 0, 0, 220.0, 220.0, 220.0, 246.942, 0, 0, 0, 261.626, 0, np.nan, np.nan])
    np.testing.assert_allclose(song.f0_at(0, times), hz, rtol=1e-5)
    quality = song.f0_quality_at(0, times)[:-2]
    expected = [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0.5, 1]
    np.testing.assert_array_equal(quality, expected)
    assert song.example(0, GRID).f0_quality.shape == song.example(0, GRID).f0_hz.shape


def test_the_quality_of_labels_goes_through_other_datasets(mir_st500_dir):
    song = MIRST500(str(mir_st500_dir), "train")
    times = GRID.times(90)
    expected = song.f0_quality_at(1, times)
    hidden = Hidden(song, ["activity"])
    np.testing.assert_array_equal(hidden.f0_quality_at(1, times), expected)
    assert Hidden(song, ["f0"]).f0_quality_at(1, times) is None
    assert hidden.sources_quality(0) == 1.0
    part = {"dataset": "mir_st500", "data_dir": str(mir_st500_dir)}
    blend = Blend("train", [part], clip_level_db=None)
    np.testing.assert_array_equal(blend.f0_quality_at(1, times), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no MIR-ST500_corrected.json: point mir_st500_dir at"),
        ("[1]", "is not a file of notes"),
        ('{"1": [[1, 2]]}', "is not a file of notes"),
        ('{"1": [[2, 1, 60]]}', "song 1: expected notes that end after they begin"),
        ('{"2": [[1, 2, 60]]}', "contains no audio for the train side"),
    ],
)
def test_faults_of_mir_st500_are_one_sentence(content, message, mir_st500_dir, tmp_path):
    root = Path(shutil.copytree(mir_st500_dir, tmp_path / "copy"))
    path = next(root.rglob("*.json"))
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        MIRST500(str(root), "train")
