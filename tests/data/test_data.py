"""MIR-1K on a small synthetic tree, and the drawing of training examples."""

import multiprocessing
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from torch.utils.data import DataLoader

from asteroid_joint.data import (
    MIR1K,
    Clip,
    Collate,
    DrawnExamples,
    DrawSampler,
    JointDataset,
    WholeClips,
)
from asteroid_joint.data.drawing import change_speed
from asteroid_joint.data.mir1k import TEST_SINGERS, VALID_SINGERS, side_of
from asteroid_joint.errors import DataError
from asteroid_joint.metrics.separation import sdr
from asteroid_joint.pitch import PitchGrid, midi_to_hz

RATE = 16000
GRID = PitchGrid(320, RATE)
CLIPS = {  # name: (seconds, side of the disjoint split)
    "amy_1_01": (3.1, "train"),
    "fdps_2_03": (3.5, "train"),
    "leon_4_11": (3.1, "train"),
    "bug_1_01": (3.2, "valid"),
    "jmzen_3_02": (3.1, "valid"),
    "abjones_1_01": (3.3, "test"),
    "ariel_2_05": (3.1, "test"),
    "stool_1_04": (3.1, "test"),
}


def semitones(n_rows: int) -> np.ndarray:
    """One semitone more per row, so that a row is known by its value; every fifth unvoiced."""
    rows = 40 + 0.1 * np.arange(n_rows)
    rows[::5] = 0
    return rows


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The distributed layout: left accompaniment, right voice, labels every 20 ms from 20 ms."""
    root = tmp_path_factory.mktemp("MIR-1K")
    for folder in ("Wavfile", "PitchLabel", "vocal-nonvocalLabel"):
        (root / folder).mkdir()
    rng = np.random.default_rng(0)
    for name, (seconds, _) in CLIPS.items():
        n_samples = int(seconds * RATE)
        wav = 0.1 * rng.standard_normal((n_samples, 2))
        wav /= np.sqrt(np.mean(wav**2, 0)) / 0.1  # equal energies
        sf.write(root / "Wavfile" / f"{name}.wav", wav, RATE, subtype="FLOAT")
        n_rows = n_samples // 320 - 2
        np.savetxt(root / "PitchLabel" / f"{name}.pv", semitones(n_rows), fmt="%.4f")
        active = (np.arange(n_rows) % 5 > 0).astype(int)
        np.savetxt(root / "vocal-nonvocalLabel" / f"{name}.vocal", active, fmt="%d")
    return root


# ------------------------------------------------------------------ splits


def official_test_clips() -> list[str]:
    import asteroid_joint.data

    lines = (Path(asteroid_joint.data.__file__).parent / "mir1k_official_test.txt").read_text()
    rows = [line.split() for line in lines.splitlines() if not line.startswith("#")]
    return [f"{song}_{number}" for song, *numbers in rows for number in numbers]


def test_official_list_is_the_published_one():
    clips = official_test_clips()
    assert len(clips) == len(set(clips)) == 200
    assert {side_of(clip, "djcm_official") for clip in clips} == {"test"}
    assert len({clip.rsplit("_", 2)[0] for clip in clips}) == 18  # of 19 singers


def test_official_train_and_valid_share_no_song():
    sides = defaultdict(set)
    for clip in official_test_clips():
        song = clip.rsplit("_", 1)[0]
        for number in range(1, 16):
            other = f"{song}_{number:02d}"
            sides[song].add(side_of(other, "djcm_official"))
    assert any("valid" in found for found in sides.values())
    assert not any({"train", "valid"} <= found for found in sides.values())


def test_no_singer_and_no_song_is_on_two_sides():
    assert len(VALID_SINGERS) == 2 and len(TEST_SINGERS) == 3
    assert not VALID_SINGERS & TEST_SINGERS
    by_singer, by_song = defaultdict(set), defaultdict(set)
    for clip in [*official_test_clips(), *CLIPS]:
        side = side_of(clip)
        by_singer[clip.rsplit("_", 2)[0]].add(side)
        by_song[clip.rsplit("_", 1)[0]].add(side)
    assert all(len(sides) == 1 for sides in (*by_singer.values(), *by_song.values()))
    sides = [next(iter(sides)) for sides in by_singer.values()]
    assert sides.count("test") == 3 and sides.count("valid") == 2


def test_every_clip_is_on_one_side(tree):
    found = {side: [c.name for c in MIR1K(tree, side).clips] for side in ("train", "valid", "test")}
    expected = {side: sorted(name for name, (_, s) in CLIPS.items() if s == side) for side in found}
    assert found == expected
    singers = [{c.singer for c in MIR1K(tree, side).clips} for side in found]
    songs = [{c.song for c in MIR1K(tree, side).clips} for side in found]
    for groups in (singers, songs):
        assert len(set.union(*groups)) == sum(map(len, groups))


# ------------------------------------------------------------------ audio and labels


def test_voice_is_the_right_channel_and_stems_add_up(tree):
    dataset = MIR1K(tree, "test")
    stereo = sf.read(tree / "Wavfile" / "abjones_1_01.wav", dtype="float32")[0]
    mixture, sources = dataset.read(0)
    assert dataset.clips[0] == Clip("abjones_1_01", "abjones_1", "abjones", len(stereo))
    assert mixture.shape == (1, len(stereo)) and sources.shape == (2, 1, len(stereo))
    np.testing.assert_array_equal(sources[0, 0], 0.5 * stereo[:, 1])
    np.testing.assert_array_equal(sources[1, 0], 0.5 * stereo[:, 0])
    np.testing.assert_allclose(mixture, sources.sum(0), atol=1e-7)
    part, _ = dataset.read(0, 1000, 500)
    np.testing.assert_array_equal(part, mixture[:, 1000:1500])


def test_gain_convention_of_the_authors(tree):  # self-check f
    levels = {}
    for mixing in ("sum", "djcm_official"):
        dataset = MIR1K(tree, "test", mixing=mixing)
        clips = [dataset.read(i) for i in range(len(dataset))]
        levels[mixing] = np.mean([sdr(sources[0], mixture) for mixture, sources in clips])
    assert levels["sum"] == pytest.approx(0.0, abs=0.1)
    assert levels["djcm_official"] == pytest.approx(3.01, abs=0.1)
    mixture, sources = MIR1K(tree, "test", mixing="djcm_official").read(0)
    stereo = sf.read(tree / "Wavfile" / "abjones_1_01.wav", dtype="float32")[0]
    np.testing.assert_array_equal(sources[0, 0], stereo[:, 1])
    np.testing.assert_allclose(mixture[0], stereo.mean(1), atol=1e-7)


def test_row_i_of_a_label_file_is_at_20_ms_times_i_plus_1(tree):
    dataset = MIR1K(tree, "test")
    times = GRID.times(GRID.n_frames(dataset.clips[0].n_samples))
    f0_hz, active = dataset.f0_at(0, times), dataset.activity_at(0, times)
    rows = midi_to_hz(semitones(len(f0_hz)))
    n_rows = dataset.clips[0].n_samples // 320 - 2
    assert np.isnan(f0_hz[0]) and np.isnan(active[0])  # no label at 0 s
    np.testing.assert_allclose(f0_hz[1 : n_rows + 1], rows[:n_rows], rtol=1e-4)
    np.testing.assert_array_equal(active[1 : n_rows + 1], (np.arange(n_rows) % 5 > 0))
    assert np.isnan(f0_hz[n_rows + 1 :]).all() and len(f0_hz) > n_rows + 1


def test_missing_activity_labels_are_absent(tree, tmp_path):
    (tmp_path / "Wavfile").symlink_to(tree / "Wavfile")
    (tmp_path / "PitchLabel").symlink_to(tree / "PitchLabel")
    dataset = MIR1K(tmp_path, "test")
    assert dataset.activity_at(0, np.zeros(3)) is None
    assert dataset.example(0, GRID).activity is None


def test_errors_are_one_sentence(tree, tmp_path):
    with pytest.raises(ValueError, match="Expected side in .* received 'dev'"):
        MIR1K(tree, "dev")
    with pytest.raises(DataError, match="No clips in .*--data_dir"):
        MIR1K(tmp_path, "train")
    (tmp_path / "Wavfile").mkdir()
    sf.write(tmp_path / "Wavfile" / "amy_1_01.wav", np.zeros((100, 1)), 8000)
    with pytest.raises(DataError, match="no clips of the test side of the split disjoint"):
        MIR1K(tmp_path, "test")
    dataset = MIR1K(tmp_path, "train")
    with pytest.raises(DataError, match="not a 16 kHz stereo file"):
        dataset.read(0)
    with pytest.raises(DataError, match="Missing or unreadable label file .*amy_1_01.pv"):
        dataset.f0_at(0, np.zeros(1))


def test_whole_clips_are_spread_evenly(tree):
    clips = WholeClips(MIR1K(tree, "train"), GRID, 2)
    assert [clips[i].name for i in range(len(clips))] == ["amy_1_01", "leon_4_11"]
    assert len(WholeClips(MIR1K(tree, "train"), GRID)) == 3
    example = clips[0]
    assert len(example.f0_hz) == len(example.activity) == GRID.n_frames(example.mixture.shape[-1])


# ------------------------------------------------------------------ drawing


class Glissandi(JointDataset):
    """Voices that rise an octave in two seconds, so that pitch tells time; noise under them."""

    def __init__(self, n_clips: int = 3, seconds: float = 4.0, labels: str = "sfa") -> None:
        n_samples = int(seconds * RATE)
        self.clips = [Clip(f"c{n}", f"s{n}", "x", n_samples) for n in range(n_clips)]
        self.labels = labels

    def base(self, index: int) -> float:
        return 200.0 * (1 + index)

    def read(self, index, start=0, n_samples=None):
        total = self.clips[index].n_samples
        stop = total if n_samples is None else min(start + n_samples, total)
        time = np.arange(total) / RATE
        phase = 2 * np.pi * self.base(index) * (2 ** (time / 2) - 1) * 2 / np.log(2)
        rest = np.random.default_rng(index).standard_normal(total)
        sources = 0.1 * np.stack([np.sin(phase), rest])[:, None].astype(np.float32)
        sources = sources[..., start:stop]
        return sources.sum(0), sources if "s" in self.labels else None

    def f0_at(self, index, times):
        inside = times <= self.clips[index].n_samples / RATE
        f0 = self.base(index) * 2 ** (times / 2)
        return np.where(inside, f0, np.nan).astype(np.float32) if "f" in self.labels else None

    def activity_at(self, index, times):
        return np.ones(len(times), np.float32) if "a" in self.labels else None


def draws(n_samples: int = RATE, **options) -> DrawnExamples:
    labels = options.pop("labels", "sfa")
    quiet = {"remix": 0.0, "gain_db": 0.0, "speed_semitones": 0.0}
    return DrawnExamples(Glissandi(labels=labels), GRID, n_samples, **{**quiet, **options})


def instantaneous_hz(wav: np.ndarray, frame: int) -> float:
    """Frequency of a glissando at a frame, by the peak of a windowed spectrum around it."""
    centre, half = frame * GRID.hop_length, 1024
    piece = wav[centre - half : centre + half] * np.hanning(2 * half)
    spectrum = np.abs(np.fft.rfft(piece, 32 * half))
    return float(spectrum.argmax() * RATE / (32 * half))


def test_a_draw_has_the_promised_shapes():
    example = draws()[0]
    assert example.mixture.shape == (1, RATE) and example.sources.shape == (2, 1, RATE)
    assert example.f0_hz.shape == example.activity.shape == (GRID.n_frames(RATE),)
    assert example.mixture.dtype == example.sources.dtype == example.f0_hz.dtype == np.float32


@pytest.mark.parametrize("semitones", [0.0, 12.0])
def test_labels_follow_time_and_speed(semitones):
    drawn = draws(speed_semitones=semitones)
    ratios, changed = [], 0
    for number in range(12):
        example = drawn[number]
        index = int(example.name[1:])
        for frame in (5, 25, 44):
            measured = instantaneous_hz(example.sources[0, 0], frame)
            ratios.append(measured / example.f0_hz[frame])
        slope = np.log2(example.f0_hz[40] / example.f0_hz[0]) / (40 * 0.02)  # octaves per second
        changed += abs(slope - 0.5) > 1e-3
        assert example.f0_hz[0] >= drawn.dataset.base(index) * 2 ** (-semitones / 12) * 0.999
    np.testing.assert_allclose(ratios, 1.0, atol=0.005)
    assert (changed > 2) == (semitones > 0)


@pytest.mark.parametrize("speed", [0.75, 1.5])
def test_speed_moves_pitch_by_the_factor(speed):
    wav = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    faster = change_speed(wav[None, None], speed, RATE)
    assert faster.shape == (1, 1, round(RATE / speed))
    assert instantaneous_hz(faster[0, 0], 15) == pytest.approx(440 * speed, abs=0.5)


def test_slower_voices_keep_their_accompaniment_to_the_end():
    drawn = draws(speed_semitones=12.0)
    for number in range(20):
        rest = drawn[number].sources[1, 0]
        assert np.abs(rest[-320:]).max() > 0.01, number


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_remix_takes_another_clips_accompaniment_and_still_adds_up(remix):
    drawn = draws(remix=remix, gain_db=6.0, level_db=6.0, speed_semitones=3.0)
    from_elsewhere = 0
    for number in range(12):
        example = drawn[number]
        np.testing.assert_allclose(example.mixture, example.sources.sum(0), atol=1e-6)
        own = drawn.dataset.read(int(example.name[1:]))[1][1, 0]
        window = example.sources[1, 0, :64] / np.linalg.norm(example.sources[1, 0, :64])
        norms = np.sqrt(np.convolve(own**2, np.ones(64), "valid"))
        match = (np.correlate(own, window, "valid") / norms).max()  # 1 where it comes from
        from_elsewhere += match < 0.99
    assert from_elsewhere == 0 if remix == 0 else 5 <= from_elsewhere < 12


def test_mixture_gain_of_the_dataset_is_kept():
    drawn = draws(remix=1.0)
    drawn.dataset.mixture_gain = 0.5
    example = drawn[0]
    np.testing.assert_allclose(example.mixture, 0.5 * example.sources.sum(0), atol=1e-7)


def test_gain_stays_in_its_range_and_uses_it():
    reference = np.sqrt(np.mean(np.square(draws()[0].sources[0])))
    levels = []
    for number in range(60):
        voice = draws(gain_db=6.0)[number].sources[0]
        levels.append(20 * np.log10(np.sqrt(np.mean(np.square(voice))) / reference))
    assert -6.05 <= min(levels) < -4 and 4 < max(levels) <= 6.05


def test_level_attenuates_everything_alike():
    levels = []
    for number in range(40):
        plain, soft = draws()[number], draws(level_db=12.0)[number]
        ratio = np.sqrt(np.mean(np.square(soft.mixture)) / np.mean(np.square(plain.mixture)))
        np.testing.assert_allclose(soft.sources, ratio * plain.sources, atol=1e-6)
        levels.append(20 * np.log10(ratio))
    assert -12.05 <= min(levels) < -9 and -3 < max(levels) <= 0.01


def test_silence_leaves_the_voice_out():
    example = draws(silence=1.0)[3]
    assert not example.sources[0].any()
    np.testing.assert_allclose(example.mixture, example.sources[1], atol=1e-6)
    assert not example.f0_hz.any() and not example.activity.any()


def test_clips_without_sources_are_cropped_only():
    example = draws(labels="f", remix=1.0, gain_db=6.0, speed_semitones=12.0)[1]
    assert example.sources is None and example.activity is None
    index, start_hz = int(example.name[1:]), example.f0_hz[0]
    start = 2 * np.log2(start_hz / Glissandi().base(index)) * RATE  # the glissando tells time
    whole = Glissandi().read(index)[0]
    np.testing.assert_array_equal(example.mixture, whole[:, round(start) :][:, :RATE])


def test_short_clips_are_padded_and_their_end_is_unknown():
    drawn = DrawnExamples(Glissandi(seconds=0.5), GRID, RATE, remix=0, speed_semitones=0)
    example = drawn[0]
    assert not example.mixture[0, RATE // 2 :].any()
    assert np.isnan(example.f0_hz[26:]).all() and not np.isnan(example.f0_hz[:25]).any()


# ------------------------------------------------------------------ determinism


def same(a, b) -> bool:
    return a.name == b.name and all(
        np.array_equal(getattr(a, k), getattr(b, k), equal_nan=True)
        for k in ("mixture", "sources", "f0_hz", "activity")
    )


def busy(seed: int = 0) -> DrawnExamples:
    options = {"remix": 0.7, "gain_db": 6.0, "level_db": 3.0, "speed_semitones": 3.0}
    return DrawnExamples(Glissandi(), GRID, 4000, seed=seed, silence=0.1, **options)


def test_a_draw_depends_on_seed_and_number_alone():
    first, second = busy(), busy()
    for number in (5, 3, 5, 0):  # any order
        assert same(first[number], second[number])
    assert not same(busy()[0], busy()[1])
    assert not same(busy(seed=0)[0], busy(seed=1)[0])


def loader(workers: int, rank: int = 0, world_size: int = 1, epoch: int = 0) -> DataLoader:
    sampler = DrawSampler(12, rank, world_size)
    sampler.set_epoch(epoch)
    return DataLoader(
        busy(),
        batch_size=2,
        sampler=sampler,
        num_workers=workers,
        collate_fn=Collate(2, 320),
        multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
    )


def test_any_number_of_workers_gives_the_same_batches():
    expected = [batch["mixture"] for batch in loader(0)]
    assert len(expected) == 6
    for workers in (1, 2):
        batches = [batch["mixture"] for batch in loader(workers)]
        assert all(torch.equal(a, b) for a, b in zip(expected, batches, strict=True))


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_draws_of_one(world_size):
    whole = list(DrawSampler(12))
    ranks = [list(DrawSampler(12, rank, world_size)) for rank in range(world_size)]
    assert len({len(numbers) for numbers in ranks}) == 1
    assert sorted(sum(ranks, [])) == whole
    assert [n for step in zip(*ranks, strict=True) for n in step] == whole


def test_epochs_go_on_where_the_last_one_ended():
    sampler = DrawSampler(12, 1, 2)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) == [n + 12 for n in first]
    odd = [DrawSampler(11, rank, 2) for rank in range(2)]
    assert [len(list(s)) for s in odd] == [5, 5]
    assert len(odd[0]) == 5


# ------------------------------------------------------------------ batches


def test_missing_labels_are_nan_and_flagged():
    examples = [draws(labels=labels)[0] for labels in ("sfa", "s", "fa", "")]
    batch = Collate(2, 320)(examples)
    assert batch["has_sources"].tolist() == [True, True, False, False]
    assert batch["has_f0_hz"].tolist() == [True, False, True, False]
    assert batch["has_activity"].tolist() == [True, False, True, False]
    assert batch["mixture"].shape == (4, 1, RATE) and batch["sources"].shape == (4, 2, 1, RATE)
    for name in ("sources", "f0_hz", "activity"):
        missing = torch.isnan(batch[name]).flatten(1)
        assert missing.all(1).tolist() == [not has for has in batch[f"has_{name}"].tolist()]
        assert missing.any(1).tolist() == missing.all(1).tolist()
    assert batch["name"] == [e.name for e in examples]
    assert not torch.isnan(batch["mixture"]).any()
