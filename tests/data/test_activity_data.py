"""Label files of vocal activity, the sets that have them, and what is hidden or put in between."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import write_track

from asteroid_joint.data import (
    MIR1K,
    ActivityFolder,
    Clip,
    DrawnExamples,
    ExtraNonVocal,
    Hidden,
    Jamendo,
    JointDataset,
    Multitrack,
    WholeClips,
)
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.files import audio_file
from asteroid_joint.data.loudness import loud_at, loud_windows
from asteroid_joint.data.segments import read_segments
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.pitch import PitchGrid

RATE = 16000
GRID = PitchGrid(320, RATE)
NAN = np.nan

# ------------------------------------------------------------------ label files


def segments(folder: Path, text: str, name: str = "x.csv", length_sec: float = 10.0, **options):
    path = folder / name
    path.write_text(text)
    return read_segments(path, length_sec, **options)


@pytest.mark.parametrize(
    "header", ["", "start,end\n", "start_sec;end_sec\n\n", '"start","end"\n', "# from to\n"]
)
def test_what_no_segment_covers_is_not_sung(tmp_path, header):
    found = segments(tmp_path, header + "4,5.5\n\n1.0 2.0\n10,10.03\n")
    np.testing.assert_array_equal(found.sung, [[1, 2], [4, 5.5]])  # what is past the end is cut
    times = np.array([-0.1, 0, 1, 1.99, 2, 3, 4, 5.49, 5.5, 10, 10.01])
    wanted = [NAN, 0, 1, 1, 0, 0, 1, 1, 0, 0, NAN]
    np.testing.assert_array_equal(found.active_at(times), np.array(wanted, np.float32))


def test_what_a_lab_file_does_not_cover_is_unknown(tmp_path):
    text = "0 2.5 nosing\n2.5 4 sing\n5 9.0 NOSING\n9.0 10.04 1\n"
    found = segments(tmp_path, text, "x.lab")
    times = np.array([0, 2.49, 2.5, 3.99, 4.5, 5, 8.99, 9, 9.99])
    wanted = [0, 0, 1, 1, NAN, 0, 0, 1, 1]
    np.testing.assert_array_equal(found.active_at(times), np.array(wanted, np.float32))


@pytest.mark.parametrize("name", ["x.csv", "x.lab"])
@pytest.mark.parametrize("text", ["", "\n \n", ",\n"])
def test_an_empty_file_says_that_nobody_sings(tmp_path, name, text):
    np.testing.assert_array_equal(segments(tmp_path, text, name).active_at(np.arange(10.0)), 0)


@pytest.mark.parametrize("between", [",", ", ", ";", " ; ", "\t", "   "])
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_columns_are_parted_in_many_ways(tmp_path, between, quote):
    words = [f"{quote}{word}{quote}" for word in ("1.5", "2", "sing")]
    for name, text in (("x.csv", between.join(words[:2])), ("x.lab", between.join(words))):
        np.testing.assert_array_equal(segments(tmp_path, f" {text} \n", name).sung, [[1.5, 2.0]])


def test_a_header_alone_says_that_nobody_sings(tmp_path):
    np.testing.assert_array_equal(segments(tmp_path, "start,end\n").active_at(np.arange(10.0)), 0)


def test_two_singers_at_once_are_joined_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = segments(tmp_path, "start,end\n3,4\n1,2\n1.5,3.5\n4,5\n")
    np.testing.assert_array_equal(found.sung, [[1, 5]])
    assert "x.csv, line 4 overlaps another segment" in caplog.text
    assert caplog.text.count("overlaps") == 2  # that two meet at 4 s is nothing to warn of


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.csv",
            "start,end\n1,2\n4,3\n",
            r"x.csv, line 3: .* from 4 to 3 s ends before it starts",
        ),
        ("x.csv", "-0.5,3\n", r"line 1: .* starts before the audio"),
        ("x.csv", "1,2\n9,10.06\n", r"line 2: .* ends after the audio, which is 10.000 s long"),
        ("x.csv", "20,21\n", r"line 1: .* ends after the audio"),
        ("x.csv", "1,2\n3\n", "line 2: expected start and end in seconds"),
        ("x.csv", "1,nan\n", "line 1: expected start and end"),
        ("x.csv", "1,2\nx,3\n", "line 2: expected start and end"),
        ("x.csv", "nan,nan\n1,2\n", "line 1: expected start and end"),
        ("x.csv", "1,2\nstart,end\n", "line 2: expected start and end"),
        ("x.csv", "1,5;2,5\n", "line 1: .* in seconds with a decimal point"),
        ("x.csv", "0:01;0:05\n1;2\n", "line 1: expected start and end in seconds"),
        ("x.csv", "1,5 2,5\n", "line 1: expected start and end in seconds"),
        ("x.csv", "1,5,2,5\n", "line 1: expected 2 columns, received 4"),
        ("x.csv", "start,end\n0,1,nosing\n", "x.csv, line 2: expected 2 columns, received 3.*lab"),
        ("x.lab", "0,5 1,5 sing\n", "line 1: expected start and end"),
        ("x.lab", "0 1 sing nosing\n", "line 1: expected 3 columns, received 4"),
        ("x.lab", "sing 0 1\n", "line 1: expected start and end"),
        ("x.lab", "0 1 sing\n1 2\n", "line 2: expected a third word, sing or nosing"),
        ("x.lab", "0 1 hum\n", "line 1: expected a third word"),
        ("x.lab", "0 3 sing\n3 4 sing\n2 4 nosing\n", "line 3 overlaps line 1, .* the opposite"),
        ("x.lab", "0 9 nosing\n1 2 nosing\n3 4 sing\n", "line 3 overlaps line 1"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        segments(tmp_path, text, name)


def test_more_may_be_tolerated_where_programs_disagree_on_lengths(tmp_path):
    found = segments(tmp_path, "0 10.9 sing", "x.lab", tolerance_sec=1.0)
    np.testing.assert_array_equal(found.sung, [[0, 10]])
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a text file"):
        read_segments(tmp_path / "y.csv", 1.0)


def test_multitracks_say_which_line_is_wrong(tmp_path):
    write_track(tmp_path / "train" / "x", 0)
    (tmp_path / "train" / "x" / "vocals_activity.csv").write_text("start_sec,end_sec\n1.3,9\n")
    with pytest.raises(DataError, match="vocals_activity.csv, line 2: .* after the audio"):
        check_dataset({"train": Multitrack(str(tmp_path), "train")})


# ------------------------------------------------------------------ heard or not


def test_a_window_is_heard_above_the_threshold():
    level = np.repeat([0.0, 4e-4, 6e-4, 4e-4, 0.1], 441)
    signs = np.where(np.arange(len(level)) % 2, 1, -1)
    wav = np.stack([level, level]) * signs
    assert loud_windows(wav, 44100).tolist() == [False, False, True, False, True]
    assert loud_windows(wav[..., : 2 * 441 + 1], 44100).tolist() == [False, False, True]
    assert loud_windows(wav[..., :0], 44100).tolist() == []


def test_blocks_change_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    level = np.repeat(rng.choice([0.0, 0.1], 220), 441)[:96001]
    sf.write(tmp_path / "x.wav", level * rng.uniform(0.5, 1, len(level)), 44100, subtype="FLOAT")
    audio = audio_file(tmp_path / "x.wav")
    monkeypatch.setattr("asteroid_joint.data.loudness.BLOCK_SEC", 1)
    times = np.array([0.0, 0.01, 0.0149, 0.02, 1.0, 2.17, 2.1768, 2.18])
    windows = level[(np.floor(times[:-1] * 100 + 1e-6) * 441).astype(int)] > 0
    np.testing.assert_array_equal(loud_at(audio, times), [*windows, NAN])


def test_the_vocals_stand_in_for_labels_where_asked_to(tracks):
    plain = Multitrack(str(tracks), "train")
    heard = Multitrack(str(tracks), "train", activity_from_stem=True)
    index = [clip.name for clip in plain.clips].index("two")  # has no labels
    times = np.array([0.5, 0.95, 1.05, 1.25, 1.5, 2.0])
    assert plain.activity_at(index, times) is None
    np.testing.assert_array_equal(heard.activity_at(index, times), [1, 1, 0, 0, 1, 1])
    other = [clip.name for clip in plain.clips].index("one")  # labels go before
    np.testing.assert_array_equal(heard.activity_at(other, times), plain.activity_at(other, times))


# ------------------------------------------------------------------ folders and Jamendo


@pytest.fixture
def folder(tmp_path) -> Path:
    """Recordings of two rates: labels, none, and an empty file."""
    for name, rate, labels in (("a", 16000, "0.5,1.0\n"), ("b", 44100, None), ("c", 44100, "")):
        (tmp_path / "train" / "singer").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "train" / "singer" / f"{name}.flac"
        sf.write(path, 0.1 * np.ones((2 * rate, 2)), rate)
        if labels is not None:
            path.with_name(f"{name}.activity.csv").write_text(labels)
    return tmp_path


def test_a_folder_of_recordings_has_activity_and_nothing_else(folder):
    dataset = ActivityFolder(str(folder), "train", 16000, 1)
    assert [clip.name for clip in dataset.clips] == ["singer_a", "singer_b", "singer_c"]
    assert dataset.sources == () and {clip.n_samples for clip in dataset.clips} == {32000}
    times = np.array([0.4, 0.6, 1.5, 2.5])
    np.testing.assert_array_equal(dataset.activity_at(0, times), [0, 1, 0, NAN])
    assert dataset.activity_at(1, times) is None  # missing: unknown
    np.testing.assert_array_equal(dataset.activity_at(2, times), [0, 0, 0, NAN])  # empty: silence
    example = DrawnExamples(dataset, GRID, 8000, speed_semitones=3.0)[0]
    assert example.mixture.shape == (1, 8000)
    assert example.sources is None and example.f0_hz is None
    with pytest.raises(DataError, match="no recordings for the test side"):
        ActivityFolder(str(folder), "test")
    for path in folder.rglob("*.csv"):
        path.unlink()
    with pytest.raises(DataError, match="has labels: put <name>.activity.csv beside"):
        ActivityFolder(str(folder), "train", 16000, 1)


def test_names_decide_on_the_side_where_no_folder_does(tmp_path):
    for number in range(60):
        sf.write(tmp_path / f"{number}.wav", np.ones(100), 16000)
        (tmp_path / f"{number}.activity.csv").touch()
    sides = [ActivityFolder(str(tmp_path), side) for side in ("train", "valid", "test")]
    assert sum(map(len, sides)) == 60 and all(map(len, sides)) and len(sides[0]) > 35


def as_kept_by_others(jamendo: Path, root: Path, lists: str, ending: str) -> Path:
    """All audio in one folder, labels in another, and lists."""
    for name in ("audio", "labels", "filelists"):
        (root / name).mkdir(parents=True)
    for side in ("train", "valid", "test"):
        songs = sorted((jamendo / side).iterdir())
        for song in songs:
            shutil.copy(song, root / "audio")
        names = [song.stem + (song.suffix if ending == "audio" else ending) for song in songs]
        (root / "filelists" / lists.format(side)).write_text("\n".join(names) + "\n\n")
    for label in (jamendo / "jamendo_lab").iterdir():
        shutil.copy(label, root / "labels")
    return root


@pytest.mark.parametrize(
    ("lists", "ending"), [(None, ""), ("jam_{}_list.txt", ".trs"), ("{}", "audio"), ("{}.txt", "")]
)
def test_jamendo_is_read_in_the_layouts_it_is_kept_in(jamendo_dir, tmp_path, lists, ending):
    root = as_kept_by_others(jamendo_dir, tmp_path, lists, ending) if lists else jamendo_dir
    found = {}
    for side in ("train", "valid", "test"):
        dataset = Jamendo(str(root), side, RATE, 1)
        found[side] = [clip.name.split("_")[-1] for clip in dataset.clips]
        assert all(f"- {side} vs. song" in name for name in found[side]) and len(dataset) == 2
        for index in range(2):
            activity = dataset.activity_at(index, np.array([0.05, 0.5, 1.2, 2.0, 2.45]))
            np.testing.assert_array_equal(activity, [0, 1, 0, 1, 0])
            mixture, sources = dataset.read(index, 100, 4000)
            assert mixture.shape == (1, 4000) and sources is None and np.abs(mixture).max() > 0.01
    assert len(set(sum(found.values(), []))) == 6


def test_a_song_without_labels_is_unknown_and_none_at_all_is_refused(jamendo_dir, tmp_path):
    root = Path(shutil.copytree(jamendo_dir, tmp_path / "jamendo"))
    labels = sorted((root / "jamendo_lab").glob("*train*"))
    labels[0].unlink()
    dataset = Jamendo(str(root), "train", RATE, 1)
    assert dataset.activity_at(0, np.zeros(1)) is None
    labels[1].write_text("0 9 sing\n")
    with pytest.raises(DataError, match="song.lab, line 1: .* after the audio"):
        Jamendo(str(root), "train", RATE, 1).activity_at(1, np.zeros(1))
    labels[1].unlink()
    with pytest.raises(DataError, match="No song of the train side .* jam_annote"):
        Jamendo(str(root), "train", RATE, 1)
    with pytest.raises(DataError, match="neither a folder train with songs nor a list jam_train"):
        Jamendo(str(root / "jamendo_lab"), "train")
    flat = as_kept_by_others(jamendo_dir, tmp_path / "flat", "{}.txt", ".mp3")
    next((flat / "audio").glob("*valid*.wav")).unlink()
    with pytest.raises(DataError, match="lacks 02 - valid vs. song, which valid.txt lists"):
        Jamendo(str(flat), "valid")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_lists_are_read_in_the_encodings_of_their_time(jamendo_dir, tmp_path, encoding):
    flat = as_kept_by_others(jamendo_dir, tmp_path, "{}.txt", ".mp3")
    for path in [p for p in flat.rglob("*train*song*") if p.is_file()]:
        path.rename(path.with_name(path.name.replace("song", "mélodie")))
    listed = (flat / "filelists" / "train.txt").read_text().replace("song", "mélodie")
    (flat / "filelists" / "train.txt").write_text(listed, encoding=encoding)
    dataset = Jamendo(str(flat), "train", RATE, 1)
    assert len(dataset) == 2 and all("mélodie" in clip.name for clip in dataset.clips)
    (flat / "filelists" / "train.txt").write_text(listed, encoding="utf-16")
    with pytest.raises(DataError, match="lacks .* which train.txt lists"):
        Jamendo(str(flat), "train", RATE, 1)


# ------------------------------------------------------------------ halves of MIR-1K


def singing(folder: Path, counts: dict[str, int]) -> Path:
    (folder / "Wavfile").mkdir(parents=True)
    for singer, n_clips in counts.items():
        for number in range(n_clips):
            sf.write(folder / "Wavfile" / f"{singer}_1_{number:02d}.wav", np.zeros((10, 2)), RATE)
    return folder


def test_halves_are_disjoint_balanced_and_of_the_training_side(tmp_path):
    counts = {"amy": 5, "Ben": 2, "cat": 4, "Dan": 3, "bug": 2, "ariel": 3}
    root = str(singing(tmp_path, counts))
    halves = [MIR1K(root, "train", singers=half) for half in ("first_half", "second_half")]
    assert [{clip.singer for clip in half.clips} for half in halves] == [
        {"amy", "Ben"},  # the alphabet knows no capitals
        {"cat", "Dan"},
    ]
    assert [len(half) for half in halves] == [7, 7]
    whole = MIR1K(root, "train")
    assert sorted(clip.name for half in halves for clip in half.clips) == sorted(
        clip.name for clip in whole.clips
    )
    for side in ("valid", "test"):
        assert MIR1K(root, side, singers="first_half").clips == MIR1K(root, side).clips
    named = MIR1K(root, "train", singers=["cat", "amy"])
    assert {clip.singer for clip in named.clips} == {"amy", "cat"}
    assert len(MIR1K(root, "train", singers="Dan")) == 3
    with pytest.raises(
        ConfigError, match="is sung by bug: choose from amy, Ben, cat, Dan, or first_half"
    ):
        MIR1K(root, "train", singers=["amy", "bug"])
    with pytest.raises(DataError, match="One singer .* cannot be halved"):
        MIR1K(str(singing(tmp_path / "one", {"amy": 3})), "train", singers="first_half")


def test_shares_of_singers(tmp_path, caplog):
    root = str(singing(tmp_path, {"amy": 3, "Ben": 2, "cat": 4, "Dan": 3}))  # 12 clips

    def names(share: str) -> list[str]:
        clips = MIR1K(root, "train", singers=share).clips
        return sorted({clip.singer for clip in clips}, key=str.casefold)

    groups = [names(share) for share in ("0%-20%", "20%-70%", "70%-100%")]
    assert groups == [["amy"], ["Ben", "cat"], ["Dan"]]
    assert names("0%-100%") == ["amy", "Ben", "cat", "Dan"] and not caplog.records
    assert names("45%-50%") == ["cat"] and "these ranges overlap" in caplog.text
    for wrong in ("50%-20%", "50%-120%"):
        with pytest.raises(ConfigError, match="range of singers within 0% to 100%"):
            names(wrong)


# ------------------------------------------------------------------ hiding


@pytest.mark.parametrize("labels", [["sources"], ["f0", "activity"], ["sources", "f0"], []])
def test_hidden_labels_are_as_if_they_had_never_been(mir1k_dir, labels):
    shown = MIR1K(str(mir1k_dir), "train")
    hidden = Hidden(shown, labels)
    assert (len(hidden), hidden.infos, hidden.clips) == (len(shown), shown.infos, shown.clips)
    given = (DrawnExamples(hidden, GRID, 8000)[1], WholeClips(hidden, GRID)[1])
    for example in given:
        assert (example.sources is None) == ("sources" in labels)
        assert (example.f0_hz is None) == ("f0" in labels)
        assert (example.activity is None) == ("activity" in labels)
    np.testing.assert_array_equal(given[1].mixture, shown.read(1)[0])


def test_only_labels_can_be_hidden(mir1k_dir):
    for wrong in (["pitch"], "sources"):
        with pytest.raises(
            ConfigError, match="Expected hide to list some of sources, f0, activity"
        ):
            Hidden(MIR1K(str(mir1k_dir), "train"), wrong)


# ------------------------------------------------------------------ extra non-vocal sections


class Steps(JointDataset):
    """Clips of 4 s whose voice is 0.1 or silent; accompaniment ``level`` plus the time."""

    def __init__(self, n_clips: int, silent: bool, level: float, labels: bool = True) -> None:
        self.clips = [Clip(f"{level}_{i}", "", "", 4 * RATE) for i in range(n_clips)]
        self.silent, self.level, self.labels = silent, level, labels

    def read(self, index, start=0, n_samples=None):
        time = np.arange(4 * RATE)[start : None if n_samples is None else start + n_samples] / RATE
        rest = self.level + time
        voice = np.zeros_like(rest) if self.silent else np.full_like(rest, 0.1)
        sources = np.stack([voice, rest])[:, None].astype(np.float32)
        return sources.sum(0), sources

    def activity_at(self, index, times):
        return (times < 1.0).astype(np.float32) if self.labels else None


def drawn(n: int, m: int, silent: bool, min_sec: float = 0.0, seconds: float = 1.0, seed: int = 0):
    plain = {"remix": 0.0, "gain_db": 0.0, "speed_semitones": 0.0}
    draws = DrawnExamples(Steps(n, silent, 10), GRID, int(seconds * RATE), seed, **plain)
    return ExtraNonVocal(draws, Steps(m, True, 1000), min_sec)


def test_silent_voices_give_way_with_the_papers_probability():
    extra = drawn(1, 3, silent=True)
    assert extra.probability == 0.25
    examples = [extra[i] for i in range(200)]
    taken = [e for e in examples if e.mixture.min() > 500]
    assert 0.15 < len(taken) / 200 < 0.35
    for example in taken:
        assert example.name.startswith("1000_") and example.mixture.shape == (1, RATE)
        np.testing.assert_array_equal(example.sources[1], example.mixture)
        assert not example.sources[0].any() and not example.activity.any()
        assert example.mixture.min() >= 1001  # nobody sings there: from 1 s on
        np.testing.assert_allclose(np.diff(example.mixture[0]), 1 / RATE, atol=1e-3)  # in one piece
    assert len({float(e.mixture[0, 0]) for e in taken}) > 20
    for number in (0, 7, 150):  # nothing but seed and number counts
        np.testing.assert_array_equal(drawn(1, 3, True)[number].mixture, examples[number].mixture)


def test_voices_that_are_heard_stay():
    extra = drawn(1, 1, silent=False)
    for number in range(40):
        np.testing.assert_array_equal(extra[number].mixture, extra.draws[number].mixture)


def test_sections_are_joined_where_short_ones_count():
    with pytest.raises(DataError, match="no non-vocal section of 3.50 s: lower min_sec"):
        drawn(1, 1, True, seconds=3.5)
    extra = drawn(1, 1, True, min_sec=0.5, seconds=3.5)
    taken = [e for e in map(extra.__getitem__, range(20)) if e.mixture.min() > 500]
    assert 3 < len(taken) < 17
    for example in taken:
        assert example.sources.shape == (2, 1, 56000) and example.mixture.min() >= 1001
        assert (np.abs(np.diff(example.mixture[0])) > 0.1).sum() == 1  # two pieces


def test_what_has_no_sections_to_give_is_refused(mir1k_dir):
    draws = drawn(1, 1, True).draws
    with pytest.raises(DataError, match="Steps has no activity labels"):
        ExtraNonVocal(draws, Steps(1, True, 0, labels=False))
    other = Steps(1, True, 0)
    other.sample_rate = 8000
    with pytest.raises(DataError, match="Steps has 8000 Hz and 1 channels"):
        ExtraNonVocal(draws, other)
    draws.dataset.sources = ("vocals", "drums")
    with pytest.raises(ConfigError, match="need vocals and accompaniment as sources"):
        ExtraNonVocal(draws, Steps(1, True, 0))
