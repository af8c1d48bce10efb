"""What the recipe on records trains on: MUSDB18's sample, two stems, solo voices, music."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import RATE, play, sing
from records_miniature import BAND, STEM_RATE, write_song, write_stem_mp4

from asteroid_joint.data import (
    Blend,
    DrawnExamples,
    Instrumental,
    MUSDB18Sample,
    SoloVoice,
    TwoStems,
    WholeClips,
)
from asteroid_joint.data import blend as blend_module
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.files import audio_file, read_stretch, sum_of
from asteroid_joint.data.musdb18_sample import MUSDB18
from asteroid_joint.data.resident import Store
from asteroid_joint.data.stem_mp4 import read_stream, stream_facts
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.pitch import PitchGrid

GRID = PitchGrid(320, RATE)
CPU = torch.device("cpu")
FORM = {"sample_rate": RATE, "n_channels": 1}


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """``musdb.DB(download=True)`` in little: one of the published validation tracks is there."""
    root = tmp_path_factory.mktemp("sample")
    for seed, name in enumerate(("train/One - A", "train/Actions - One Minute Smile", "test/Two")):
        write_stem_mp4(root / f"{name}.stem.mp4", seed)
    (root / "f0/test").mkdir(parents=True)
    (root / "f0/test/Two.csv").write_text("time,f0_hz\n0,0\n0.5,440\n")
    (root / "train/One - A_f0.csv").write_text("time,f0_hz\n0,0\n0.5,220\n")
    return root


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Five pieces of instrumental music at two rates, mono and stereo; none has a side."""
    root = tmp_path_factory.mktemp("music")
    for seed in range(5):
        rate = (44100, 22050)[seed % 2]
        wav = np.repeat(play(np.random.default_rng(seed), 3 * rate)[:, None], 1 + seed % 2, 1)
        (root / f"album{seed % 2}").mkdir(exist_ok=True)
        sf.write(root / f"album{seed % 2}" / f"piece {seed}.ogg", wav, rate)
    return root


# ------------------------------------------------------------------ .stem.mp4


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 44100), (3000, 9000), (20011, 31007), (43000, 44100)]
)
def test_an_excerpt_of_a_stream_is_that_of_the_decoded_stream(sample, start, stop):
    path = sample / "test/Two.stem.mp4"
    with av.open(str(path)) as container:
        frames = [f.to_ndarray() for f in container.decode(container.streams.audio[4])]
    whole = np.concatenate(frames, 1)
    found = read_stream(path, 4, start, stop)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole[:, start:stop], atol=2e-6)  # states of the decoder
    rate, channels, length = stream_facts(path, 4)
    assert (rate, channels) == (STEM_RATE, 2) and stop <= length <= whole.shape[1]


def test_a_crop_of_the_sample_is_a_slice_of_it_all(sample):
    dataset = MUSDB18Sample(str(sample), "test", **FORM)
    mixture, sources = dataset.read(0)
    part, part_sources = dataset.read(0, 5000, 3000)
    np.testing.assert_allclose(part, mixture[:, 5000:8000], atol=3e-6)
    np.testing.assert_allclose(part_sources, sources[..., 5000:8000], atol=3e-6)


def test_the_mixture_of_stem_files_is_the_sum_of_the_stems(sample):
    dataset = MUSDB18Sample(str(sample), "test")
    mixture, sources = dataset.read(0)
    stems = [read_stream(sample / "test/Two.stem.mp4", n, 0, mixture.shape[1]) for n in range(5)]
    np.testing.assert_allclose(mixture, sum(stems[1:]), atol=1e-6)
    assert np.abs(mixture - stems[0]).max() > 0.01  # the mixture in the file is another
    np.testing.assert_array_equal(sources[0], stems[4])
    np.testing.assert_allclose(sources.sum(0), mixture, atol=1e-6)


def test_sides_of_the_sample_are_the_published_ones_as_far_as_they_are_there(sample):
    sides = {side: MUSDB18Sample(str(sample), side) for side in ("train", "valid", "test")}
    names = {side: [clip.name for clip in dataset.clips] for side, dataset in sides.items()}
    assert names == {"train": ["One - A"], "valid": ["Actions - One Minute Smile"], "test": ["Two"]}
    assert "no singer and no song is on two sides" in check_dataset(sides)
    assert MUSDB18 == "musdb18"


def test_f0_lies_beside_stem_files_or_in_a_folder_of_its_own(sample):
    times = np.array([0.5])
    f0 = {s: MUSDB18Sample(str(sample), s).f0_at(0, times) for s in ("train", "valid", "test")}
    assert (f0["train"], f0["valid"], f0["test"]) == ([220], None, [440])


def test_a_damaged_stem_file_is_one_sentence(sample, tmp_path):
    (tmp_path / "test").mkdir()
    path = tmp_path / "test" / "x.stem.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(DataError, match="x.stem.mp4 is missing or has no stream of drums"):
        MUSDB18Sample(str(tmp_path), "test")
    whole = (sample / "test/Two.stem.mp4").read_bytes()
    audio = whole.index(b"mdat") + 4
    length = int.from_bytes(whole[audio - 8 : audio - 4], "big") - 8
    path.write_bytes(whole[:audio] + bytes(length) + whole[audio + length :])
    dataset = MUSDB18Sample(str(tmp_path), "test")
    with pytest.raises(DataError, match="x.stem.mp4 (cannot be decoded|is shorter)"):
        dataset.read(0)


# ------------------------------------------------------------------ folders of stems


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_track_without_a_mixture_is_the_sum_of_four_stems(tmp_path, suffix):
    write_song(tmp_path / "valid/song", 0, ("vocals", *BAND), suffix)
    dataset = MUSDB18Sample(str(tmp_path), "valid")
    mixture, sources = dataset.read(0)
    wavs = {n: sf.read(tmp_path / f"valid/song/{n}{suffix}")[0] for n in ("vocals", *BAND)}
    np.testing.assert_allclose(mixture[0], sum(wavs.values()), atol=1e-6)
    np.testing.assert_allclose(sources[0, 0], wavs["vocals"], atol=1e-6)
    np.testing.assert_allclose(sources[1, 0], sum(wavs[n] for n in BAND), atol=1e-6)
    f0_hz = dataset.f0_at(0, 0.02 * np.arange(50))
    assert np.isnan(f0_hz[7]) and np.isnan(f0_hz).sum() == 1 and (f0_hz > 0).any()


def test_two_stems_at_any_rate_may_differ_in_length_and_channels(tmp_path):
    folder = tmp_path / "eir" / "song"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wavs = 0.1 * rng.standard_normal(3000), 0.1 * rng.standard_normal((4000, 2))
    sf.write(folder / "vocals.wav", wavs[0], 22050, subtype="FLOAT")
    sf.write(folder / "accompaniment.wav", wavs[1], 22050, subtype="FLOAT")
    dataset = TwoStems(str(tmp_path / "eir"), "train", 22050, 1, whole_side="train")
    mixture, sources = dataset.read(0)
    assert dataset.clips[0][:3] == ("song", "song", "") and mixture.shape == (1, 4000)
    np.testing.assert_allclose(sources[0, 0], np.pad(wavs[0], (0, 1000)), atol=1e-6)
    np.testing.assert_allclose(sources[1, 0], wavs[1].mean(1), atol=1e-6)
    stereo = TwoStems(str(tmp_path / "eir"), "train", None, 2, whole_side="train")
    np.testing.assert_allclose(stereo.read(0)[1][1], wavs[1].T, atol=1e-6)
    write_song(tmp_path / "eir/other", 0, ("vocals", "accompaniment"))  # at another rate
    other = TwoStems(str(tmp_path / "eir"), "train", RATE, 1, whole_side="train")
    lengths = [other.read(index)[0].shape for index in (0, 1)]
    assert lengths == [(1, RATE), (1, round(4000 * RATE / 22050))]
    with pytest.raises(DataError, match="give a sample_rate"):
        TwoStems(str(tmp_path / "eir"), "train", None, 1, whole_side="train")
    with pytest.raises(DataError, match="no tracks for the valid side"):
        TwoStems(str(tmp_path / "eir"), "valid", whole_side="train")


def test_a_sum_is_that_of_its_files_wherever_it_is_cut(tmp_path):
    rng = np.random.default_rng(0)
    wavs = [rng.uniform(-0.4, 0.4, n).astype(np.float32) for n in (900, 2000)]
    for n, wav in enumerate(wavs):
        sf.write(tmp_path / f"{n}.wav", wav, RATE, subtype="FLOAT")
    whole = np.pad(wavs[0], (0, 1100)) + wavs[1]
    both = sum_of([audio_file(tmp_path / f"{n}.wav") for n in (0, 1)])
    for start, length in ((0, 2000), (100, 1000), (899, 5), (1500, 500)):
        found = read_stretch([both], RATE, 1, start, length)[0, 0]
        np.testing.assert_array_equal(found, whole[start : start + length])
    sf.write(tmp_path / "fast.wav", wavs[0], 2 * RATE)
    with pytest.raises(DataError, match="at 16000 Hz and .* at 32000 Hz"):
        sum_of([audio_file(tmp_path / "0.wav"), audio_file(tmp_path / "fast.wav")])


# ------------------------------------------------------------------ voices and music


def test_solo_voices_of_any_format_with_or_without_f0(tmp_path):
    for name in ("a.ogg", "b.flac", "b.wav", "c.wav"):
        sf.write(tmp_path / name, sing(np.random.default_rng(0), RATE)[0], RATE)
    (tmp_path / "a_f0.csv").write_text("time,f0_hz\n0,0\n0.5,220\n0.6,nan\n")
    dataset = SoloVoice(str(tmp_path), "train", whole_side="train")
    assert [clip.name for clip in dataset.clips] == ["a", "b", "c"]
    assert dataset.unlabelled() == [
        (audio_file(tmp_path / f"{name}.wav"), tmp_path / f"{name}_f0.csv") for name in "bc"
    ]
    assert dataset.f0_at(0, np.array([0.5])) == 220 and dataset.f0_at(1, np.zeros(1)) is None
    assert not dataset.rest_weights.any()
    store = Store(SoloVoice(str(tmp_path), "train", **FORM, whole_side="train"), GRID, CPU)
    assert [list(clip.numbers) for clip in store.recordings] == 3 * [[(0, 0)]]
    with pytest.raises(DataError, match="no .wav files for the valid side, nor"):
        SoloVoice(str(tmp_path), "valid", whole_side="train")


def test_nobody_sings_in_instrumental_music(music):
    dataset = Instrumental(str(music), "train", **FORM)
    mixture, sources = dataset.read(0, 4000, 1600)
    assert not sources[0].any() and sources[1].any()
    np.testing.assert_array_equal(mixture, sources[1])
    times = GRID.times(5)
    assert not dataset.f0_at(0, times).any() and not dataset.activity_at(0, times).any()
    assert not dataset.voice_weights.any()
    assert all(list(clip.numbers) == [(1, 0)] for clip in Store(dataset, GRID, CPU).recordings)
    for piece in WholeClips(dataset, GRID, piece_sec=1.0):
        assert not piece.sources[0].any() and not piece.f0_hz.any() and not piece.activity.any()
        assert piece.sources[1].shape == (1, RATE)


def test_sides_of_music_are_listed_or_folders_or_drawn_by_a_seed(music, tmp_path):
    def names(root: Path, **options: int) -> dict[str, set[str]]:
        sides = ("train", "valid", "test")
        return {
            s: {c.name for c in Instrumental(str(root), s, **FORM, **options).clips} for s in sides
        }

    drawn = names(music)
    assert [len(drawn[side]) for side in ("train", "valid", "test")] == [3, 1, 1]
    assert len(set.union(*drawn.values())) == 5
    assert drawn == names(music) != names(music, seed=1)
    for name in ("train", "valid", "test"):
        (tmp_path / name).mkdir()
        sf.write(tmp_path / name / "piece.wav", np.ones(100), RATE)
    assert names(tmp_path) == {s: {f"{s}_piece"} for s in ("train", "valid", "test")}
    split = {"train": ["test/piece.wav"], "valid": ["train/piece.wav"], "test": ["valid/piece.wav"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert names(tmp_path)["train"] == {"test_piece"}
    (tmp_path / "split.json").write_text('{"train": []}')
    with pytest.raises(DataError, match="split.json must list the files of train, valid and test"):
        Instrumental(str(tmp_path), "train")


def test_only_the_excerpt_of_a_piece_is_read(music, monkeypatch):
    dataset, read = Instrumental(str(music), "train", **FORM), []
    plain = sf.read
    monkeypatch.setattr(
        sf, "read", lambda *args, **more: read.append(args[1]) or plain(*args, **more)
    )
    dataset.read(0, RATE, 1600)
    assert read and max(read) < 8000  # of 3 s at up to 44.1 kHz


def test_validation_hears_the_middle_of_a_piece(music):
    long, short = (Instrumental(str(music), "valid", **FORM, excerpt_sec=s) for s in (0, 1.0))
    assert short.clips[0].n_samples == RATE and long.clips[0].n_samples == 3 * RATE
    np.testing.assert_allclose(short.read(0)[0], long.read(0, RATE, RATE)[0], atol=1e-6)
    part, whole = short.read(0, 300, 200)[0], short.read(0)[0]
    np.testing.assert_allclose(part, whole[:, 300:500], atol=1e-6)
    assert short.read(0, 0, 5 * RATE)[0].shape == (1, RATE)
    training = Instrumental(str(music), "train", **FORM, excerpt_sec=1.0)
    assert training.clips[0].n_samples == 3 * RATE
    little = Instrumental(str(music), "train", **FORM, train_sec=0.5)
    assert {clip.n_samples for clip in little.clips} == {RATE // 2}


# ------------------------------------------------------------------ all of them together


@pytest.fixture
def parts(sample, music, mir1k_dir, tmp_path) -> list[dict]:
    """Parts of a blend of each kind, in folders of their own."""
    write_song(tmp_path / "two/song", 1, ("vocals", "accompaniment"))
    (tmp_path / "solo").mkdir()
    sf.write(tmp_path / "solo/a.ogg", sing(np.random.default_rng(2), RATE)[0], RATE)
    whole = {"sides": ["train"], "whole_side": "train", **FORM}
    return [
        {"dataset": "mir1k", "folder": str(mir1k_dir), "voice": 0.34, "rest": 0.12},
        {"dataset": "musdb18_sample", "folder": str(sample), "voice": 0.17, "rest": 0.2, **FORM},
        {"dataset": "two_stems", "folder": "two", "voice": 0.08, "rest": 0.1, **whole},
        {"dataset": "solo", "folder": "solo", "voice": 0.14, "dub": True, **whole},
        {"dataset": "instrumental", "folder": str(music), "voice": 0.0, "rest": 0.4, **FORM},
    ]


def test_a_blend_of_all_kinds_trains_on_each(parts, tmp_path):
    train = Blend("train", parts, data_dir=str(tmp_path))
    voices, rests = set(), set()
    for clip, kept in zip(train.clips, Store(train, GRID, CPU).recordings, strict=True):
        kind = clip.name.partition("/")[0]
        voices |= {kind} if (0, 0) in kept.numbers else set()
        rests |= {kind} if (1, 0) in kept.numbers else set()
    assert voices == {"mir1k", "musdb18_sample", "two_stems", "solo"}
    assert rests == {"mir1k", "musdb18_sample", "two_stems", "instrumental"}
    draws = DrawnExamples(train, GRID, RATE)
    seen = set()
    for number in range(40):
        example = draws[number]
        seen.add(example.name.partition("/")[0])
        assert np.abs(example.sources[1]).max() > 1e-4, "nothing is played"
        np.testing.assert_allclose(example.sources.sum(0), example.mixture, atol=1e-5)
    assert seen == voices


def test_parts_of_one_side_only_are_absent_from_the_others(parts, tmp_path):
    sides = {s: Blend(s, parts, data_dir=str(tmp_path)) for s in ("train", "valid", "test")}
    for side in ("valid", "test"):
        assert {p.name for p in sides[side].parts} == {"mir1k", "musdb18_sample", "instrumental"}
    assert "no singer and no song is on two sides" in check_dataset(sides)


def test_parts_without_a_folder_are_left_out_or_missed_in_one_sentence(parts, tmp_path):
    with pytest.raises(DataError, match="no folder .*/nowhere for the part solo: get the data"):
        Blend("train", [*parts[:3], {**parts[3], "folder": "nowhere"}], data_dir=str(tmp_path))
    left = [parts[0], *({**part, "folder": ""} for part in parts[1:])]
    assert [p.name for p in Blend("train", left).parts] == ["mir1k"]
    with pytest.raises(DataError, match="No part of the blend has a train side"):
        Blend("train", left[1:])
    with pytest.raises(ConfigError, match="sides of a part to list some of"):
        Blend("train", [{**parts[0], "sides": "train"}])


def test_a_part_says_what_its_folder_does_not_know(parts, tmp_path):
    facts = {"dataset": "Everything is remixed", "author": "its singer", "license": "CC0"}
    infos = Blend("train", [parts[0], {**parts[2], "facts": facts}], data_dir=str(tmp_path)).infos
    assert infos["dataset"] == "MIR-1K + Everything is remixed"
    assert infos["licenses"][1]["license"] == "CC0"
    with pytest.raises(ConfigError, match="'two_stems': facts need dataset, author and license"):
        Blend("train", [parts[0], {**parts[2], "facts": {"dataset": "x"}}], data_dir=str(tmp_path))


def test_a_dub_is_heard_over_instrumental_music(parts, tmp_path):
    """Its host has no voice whose level the dub could take: it is as loud as the music."""
    solo = {**parts[3], "sides": ["valid"], "whole_side": "valid"}
    only = Blend("valid", [parts[4], solo], data_dir=str(tmp_path))
    _, sources = only.read(len(only) - 1)
    assert np.sqrt(np.mean(sources[0] ** 2)) > 1e-3
    both = Blend("valid", [parts[4], parts[0], solo], data_dir=str(tmp_path))
    assert {both._owners[i].name for i in both._hosts} == {"mir1k"}  # with a voice: those first


def test_the_level_of_a_long_piece_is_measured_in_blocks(parts, tmp_path, monkeypatch):
    whole = Blend("train", parts[:1] + parts[4:])
    monkeypatch.setattr(blend_module, "BLOCK_SEC", 1)
    blocks = Blend("train", parts[:1] + parts[4:])
    lengths = []
    plain = Instrumental.read
    monkeypatch.setattr(
        Instrumental,
        "read",
        lambda self, index, start=0, n_samples=None: (
            lengths.append(n_samples) or plain(self, index, start, n_samples)
        ),
    )
    for index in range(len(whole)):
        one, other = (b.read(index, 0, 1600)[0] for b in (whole, blocks))
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-6)
    assert RATE in lengths
