"""Pitch and tempo of training examples: what is heard, what the labels say, what is drawn."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from test_data import GRID, RATE, Glissandi, instantaneous_hz, same
from torch.utils.data import DataLoader

from asteroid_joint import optional
from asteroid_joint.data import (
    Clip,
    Collate,
    DrawnExamples,
    DrawSampler,
    Hidden,
    JointDataset,
)
from asteroid_joint.data.pitch_tempo import UNCHANGED, Change, PitchTempo
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.loaders import draw_options
from asteroid_joint.errors import ConfigError, UserError

ALWAYS = PitchTempo(1.0, 2.0, 20.0)
CHANGES = [Change(2 ** (s / 12), t) for s, t in ((-2, 0.8), (2, 1.2), (0, 0.8), (3, 1.0), (2, 0.8))]
QUIET = {"remix": 0.0, "gain_db": 0.0, "speed_semitones": 0.0}


def pulses(rate: int = RATE) -> np.ndarray:
    """A tone of 440 Hz that sounds in the first 0.3 s of every half second, ``(1, 3 s)``."""
    sec = np.arange(3 * rate) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * sec) * (sec % 0.5 < 0.3))[None].astype(np.float32)


def level(wav: np.ndarray, n: int = 160) -> np.ndarray:
    return np.sqrt(np.convolve(wav**2, np.ones(n) / n, "same"))


# ------------------------------------------------------------------ one recording


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_pitch_and_tempo_move_by_their_factors(change, rate):
    out = change(pulses(rate), rate)[0]
    assert len(out) == pytest.approx(3 * rate / change.tempo, abs=1)
    before = level(pulses(rate)[0], rate // 100)
    at = (np.arange(len(out)) * change.tempo).clip(0, len(before) - 1).astype(int)
    after, lags = level(out, rate // 100), np.arange(-30, 31) * (rate // 4000)
    likeness = [np.corrcoef(np.roll(after, lag), before[at])[0, 1] for lag in lags]
    assert abs(lags[np.argmax(likeness)]) <= rate // 500 and max(likeness) > 0.98  # 2 ms
    start = int((0.5 + 0.05) / change.tempo * rate)
    piece = out[start : start + int(0.2 / change.tempo * rate)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 18))
    hz = spectrum.argmax() * rate / (1 << 18)
    assert abs(1200 * np.log2(hz / (440 * change.pitch))) < 8  # cents


def test_channels_stay_in_phase_however_they_lie_in_memory():
    wav = np.concatenate([pulses(), -0.5 * pulses()])
    out = CHANGES[0](wav, RATE)
    np.testing.assert_allclose(out[1], -0.5 * out[0], atol=1e-3)
    np.testing.assert_array_equal(CHANGES[0](np.asfortranarray(wav), RATE), out)


@pytest.mark.parametrize("change", [UNCHANGED, *CHANGES, Change(0.5, 0.51)])
@pytest.mark.parametrize("n_samples", [1, 1600, 16001])
def test_what_is_read_is_enough_to_the_end(change, n_samples):
    tone = np.sin(np.arange(40000) * 0.3)[None].astype(np.float32)
    wav = tone[:, : change.n_before(n_samples, RATE)]
    out = change(wav, RATE)
    assert out.shape[1] >= n_samples
    np.testing.assert_array_equal(out, change(wav, RATE))  # the same twice
    if n_samples > RATE:
        assert level(out[0, :n_samples])[-400:-80].min() > 0.5
    silence = change(np.zeros_like(wav), RATE)
    assert silence.shape == out.shape and not silence.any()


# ------------------------------------------------------------------ draws


def test_labels_follow_pitch_and_tempo():
    """The voices are glissandi: their pitch tells time."""
    drawn = DrawnExamples(Glissandi(), GRID, RATE, pitch_tempo=ALWAYS, **QUIET)
    cents, slopes = [], []
    for number in range(12):
        example = drawn[number]
        for frame in (5, 25, 44):
            measured = instantaneous_hz(example.sources[0, 0], frame)
            cents.append(1200 * np.log2(measured / example.f0_hz[frame]))
        slopes.append(np.log2(example.f0_hz[40] / example.f0_hz[0]) / 0.8)  # octaves per second
        np.testing.assert_allclose(example.mixture, example.sources.sum(0), atol=1e-6)
        assert level(example.sources[1, 0])[-400:-80].min() > 0.02  # the rest lasts to the end
    assert np.abs(cents).max() < 25 and abs(np.mean(cents)) < 5
    assert min(slopes) < 0.45 and max(slopes) > 0.55
    np.testing.assert_array_less(np.abs(np.array(slopes) / 0.5 - 1), 0.201)


class Rests(Glissandi):
    """Voices that fall silent after a second, and say so."""

    def activity_at(self, index, times):
        return (times < 2.0).astype(np.float32)

    def read(self, index, start=0, n_samples=None):
        mixture, sources = super().read(index, start, n_samples)
        sources[0, :, max(2 * RATE - start, 0) :] = 0
        return sources.sum(0), sources


def test_activity_and_speed_follow_too():
    options = {**QUIET, "speed_semitones": 3.0}
    drawn = DrawnExamples(Rests(), GRID, 2 * RATE, pitch_tempo=ALWAYS, **options)
    ends = 0
    for number in range(20):
        example = drawn[number]
        heard = level(example.sources[0, 0])[:: GRID.hop_length] > 0.03
        end = int(example.activity.sum())  # frames
        if 5 < end < 90:
            assert abs(int(heard[1:].sum()) + 1 - end) <= 2
            ends += 1
            hz = instantaneous_hz(example.sources[0, 0], 5)
            assert abs(1200 * np.log2(hz / example.f0_hz[5])) < 30
    assert ends > 3


class Tones(JointDataset):
    """Four stems of constant tones, each clip an octave above the last; the fourth is two parts."""

    def __init__(self, n_clips: int = 3) -> None:
        self.clips = [Clip(f"c{n}", f"s{n}", "", 2 * RATE) for n in range(n_clips)]
        self.sources = ("vocals", "drums", "bass", "accompaniment")

    def hz(self, index: int, tone: int) -> float:
        return 200.0 * 2**index * 2 ** (tone / 4)

    def tone(self, index: int, tone: int, start: int, n_samples: int | None) -> np.ndarray:
        time = np.arange(2 * RATE)[start : None if n_samples is None else start + n_samples] / RATE
        wav = 0.2 * np.sin(2 * np.pi * self.hz(index, tone) * time)
        return wav[None].astype(np.float32)

    def read(self, index, start=0, n_samples=None):
        tones = [self.tone(index, tone, start, n_samples) for tone in range(5)]
        sources = np.stack([*tones[:3], tones[3] + tones[4]])
        return sources.sum(0), sources

    def part_names(self, index, source):
        return ("low", "high") if source == 3 else super().part_names(index, source)

    def read_part(self, index, source, part, start=0, n_samples=None):
        return self.tone(index, source + part, start, n_samples)


def peaks(wav: np.ndarray, count: int) -> list[float]:
    """Frequencies of the strongest tones, Hz."""
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav)), 1 << 17))
    found = []
    for _ in range(count):
        top = int(spectrum.argmax())
        found.append(top * RATE / (1 << 17))
        spectrum[max(top - 80, 0) : top + 80] = 0
    return sorted(found)


def octaves(dataset: Tones, tone: int, hz: float) -> tuple[int, float]:
    """Clip that a tone is from, and by how many semitones it was moved."""
    semitones = 12 * np.log2(hz / dataset.hz(0, tone))
    return round(semitones / 12), semitones - 12 * round(semitones / 12)


def test_a_remix_takes_and_changes_every_part_on_its_own():
    dataset = Tones()
    options = {**QUIET, "remix": 1.0, "remix_stems": True, "pitch_tempo": ALWAYS}
    drawn = DrawnExamples(dataset, GRID, RATE, **options)
    clips, moved = [], []
    for number in range(12):
        sources = drawn[number].sources[:, 0]
        found = [octaves(dataset, s, peaks(sources[s], 1)[0]) for s in range(3)]
        both = peaks(sources[3], 2)
        pairs = [octaves(dataset, tone, hz) for tone, hz in zip((3, 4), both, strict=True)]
        if max(abs(semitones) for _, semitones in pairs) > 2.1:  # the upper part from a lower clip
            pairs = [octaves(dataset, t, hz) for t, hz in zip((4, 3), both, strict=True)]
        found += pairs
        clips.append([clip for clip, _ in found])
        moved.append([semitones for _, semitones in found])
    moved = np.array(moved)
    assert np.abs(moved).max() < 2.1 and moved.std(0).min() > 0.5 and moved.std(1).min() > 0.2
    assert len({tuple(row[3:]) for row in clips}) > 4  # parts of one stem, from different clips
    assert any(row[3] != row[4] for row in clips)


def test_stems_of_one_clip_change_alike():
    dataset = Tones()
    drawn = DrawnExamples(dataset, GRID, RATE, pitch_tempo=ALWAYS, **QUIET)
    for number in range(4):
        sources = drawn[number].sources[:, 0]
        found = [octaves(dataset, s, peaks(sources[s], 1)[0]) for s in range(3)]
        assert len({clip for clip, _ in found}) == 1
        assert np.ptp([semitones for _, semitones in found]) < 0.15
    # so do those of the one other clip that accompanies
    drawn = DrawnExamples(dataset, GRID, RATE, pitch_tempo=ALWAYS, **{**QUIET, "remix": 1.0})
    spread = []
    for number in range(6):
        sources = drawn[number].sources[:, 0]
        found = [octaves(dataset, s, peaks(sources[s], 1)[0]) for s in range(3)]
        assert found[1][0] == found[2][0] and abs(found[1][1] - found[2][1]) < 0.15
        spread.append(abs(found[0][1] - found[1][1]))
    assert max(spread) > 0.5


def test_where_nothing_is_asked_for_draws_are_what_they_were():
    plain = DrawnExamples(Glissandi(), GRID, 4000, gain_db=6.0)
    never = DrawnExamples(Glissandi(), GRID, 4000, gain_db=6.0, pitch_tempo=PitchTempo(0.0, 5, 5))
    assert all(same(plain[i], never[i]) for i in range(4))
    options = draw_options(parse_recipe_args(ROOT / "recipes/mir1k/DJCM", [])["data"])
    assert options["pitch_tempo"] is None


def drawn_batches(workers: int) -> list[torch.Tensor]:
    dataset = DrawnExamples(Glissandi(), GRID, 4000, seed=3, pitch_tempo=PitchTempo(0.7))
    loader = DataLoader(
        dataset, 2, sampler=DrawSampler(6), collate_fn=Collate(2, 320), num_workers=workers
    )
    return [batch["sources"] for batch in loader]


def test_a_draw_depends_on_seed_and_number_alone():
    here, elsewhere = drawn_batches(0), drawn_batches(2)
    assert all(torch.equal(a, b) for a, b in zip(here, elsewhere, strict=True))


def test_clips_without_sources_are_left_alone():
    dataset = Glissandi(labels="f")
    example = DrawnExamples(dataset, GRID, 4000, pitch_tempo=ALWAYS, **QUIET)[1]
    assert example.sources is None
    start = round(2 * np.log2(example.f0_hz[0] / dataset.base(int(example.name[1:]))) * RATE)
    whole = dataset.read(int(example.name[1:]))[0]
    np.testing.assert_array_equal(example.mixture, whole[:, start : start + 4000])


def test_hidden_sets_keep_their_parts():
    hidden = Hidden(Tones(), ["f0"])
    assert len(hidden.part_names(1, 3)) == 2
    np.testing.assert_array_equal(hidden.read_part(1, 3, 1), Tones().read_part(1, 3, 1))
    assert Hidden(Tones(), ["sources"]).read_part(1, 3, 1) is None


# ------------------------------------------------------------------ bad options


@pytest.mark.parametrize("wrong", [(1.5, 2, 20), (0.5, -1, 20), (0.5, 2, 50), (-0.1, 2, 20)])
def test_ranges_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="tempo_percent from 0 to below 50, received"):
        PitchTempo(*wrong)


def test_options_of_recipes_are_checked_early():
    with pytest.raises(ConfigError, match="--tempo_percent 60.* at most 49"):
        parse_recipe_args(ROOT / "recipes/mir1k/DJCM", ["--tempo_percent", "60"])
    options = ["--pitch_tempo", "0.5", "--pitch_semitones", "1", "--tempo_percent", "5"]
    data = parse_recipe_args(ROOT / "recipes/mir1k/DJCM", options)["data"]
    assert draw_options(data)["pitch_tempo"] == PitchTempo(0.5, 1.0, 5.0)


def test_a_missing_library_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'asteroid-joint\[train\]'"):
        CHANGES[0](pulses(), RATE)
