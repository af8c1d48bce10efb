"""Examples made on the device: the recordings themselves, and what effects do to known signals."""

import numpy as np
import pytest
import soxr
import torch

from asteroid_joint.data.base import Clip, JointDataset
from asteroid_joint.data.drawing import DrawnExamples
from asteroid_joint.data.effects import (
    PADDING,
    STEP_BITS,
    band_limit,
    equalise,
    read_interpolated,
    read_straight,
    reverberate,
    saturate,
)
from asteroid_joint.data.plans import Augmentation
from asteroid_joint.data.resident import ResidentExamples, Store, check_memory
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.pitch import PitchGrid

RATE, HOP = 16000, 320
GRID = PitchGrid(HOP, RATE)
T = 128 * HOP
EVERYTHING = Augmentation(
    remix=0.5,
    silence=0.1,
    rest_speed_semitones=3,
    double=0.5,
    backing=0.3,
    eq_db=3,
    reverb=0.5,
    saturation=0.3,
    narrow_band=0.3,
    no_rest=0.1,
    two_rests=0.3,
    equal_loudness=True,
    mixture_db=(-26, -14),
)


class Tones(JointDataset):
    """Clips of 4 s: a sine as voice, whose frequency is its label, over noise; ``S`` stems."""

    def __init__(self, n_clips=6, n_channels=1, n_rest=1, voices=None, rests=None, stems=True):
        self.n_channels = n_channels
        self.sources = ("vocals", "drums", "bass", "other")[: 1 + n_rest]
        self.clips = [Clip(f"clip{i}", f"song{i}", "x", 4 * RATE - 7 * i) for i in range(n_clips)]
        self._weights = voices, rests
        self._stems = stems

    def hz(self, index):
        return 150.0 + 40 * index

    @property
    def voice_weights(self):
        return super().voice_weights if self._weights[0] is None else np.array(self._weights[0])

    @property
    def rest_weights(self):
        return super().rest_weights if self._weights[1] is None else np.array(self._weights[1])

    def read(self, index, start=0, n_samples=None):
        n = self.clips[index].n_samples
        rng = np.random.default_rng(index)
        voice = 0.3 * np.sin(2 * np.pi * self.hz(index) / RATE * np.arange(n))
        rest = 0.1 * rng.standard_normal((len(self.sources) - 1, self.n_channels, n))
        stems = np.concatenate([np.broadcast_to(voice, (1, *rest.shape[1:])), rest])
        stems = stems.astype(np.float32)[
            ..., start : None if n_samples is None else start + n_samples
        ]
        return stems.sum(0), stems if self._stems else None

    def f0_at(self, index, times):
        f0_hz = np.full(len(times), self.hz(index), np.float32)
        f0_hz[times > self.clips[index].n_samples / RATE] = 0
        return f0_hz


def examples(dataset=None, seed=0, **options):
    chosen = options.pop("augmentation", None) or Augmentation(**options)
    return ResidentExamples(dataset or Tones(), GRID, T, seed, "cpu", chosen)


def test_without_augmentation_a_batch_is_what_the_files_say():
    dataset = Tones(n_channels=2, n_rest=3)
    options = {"remix": 0.0, "gain_db": 0.0, "speed_semitones": 0.0}
    made = examples(dataset, **options)
    batch = made.__getitems__(range(12))
    for b in range(12):
        plan = made.planner.plan(b)
        mixture, sources = dataset.read(plan.clip, plan.start, T)
        times = plan.start / RATE + GRID.times(GRID.n_frames(T))
        assert batch["name"][b] == dataset.clips[plan.clip].name
        np.testing.assert_allclose(batch["sources"][b], sources, atol=0.5 / 32767)
        np.testing.assert_allclose(batch["mixture"][b], mixture, atol=2 / 32767)
        np.testing.assert_array_equal(batch["f0_hz"][b], dataset.f0_at(plan.clip, times))
    assert len({made.planner.plan(b).clip for b in range(12)}) > 3
    assert batch["has_sources"].all() and batch["has_f0_hz"].all()
    assert not batch["has_activity"].any() and batch["activity"].isnan().all()


def test_an_example_is_a_function_of_seed_and_number():
    together = examples(augmentation=EVERYTHING).__getitems__([5, 9, 2, 7])
    again = examples(augmentation=EVERYTHING)
    for b, draw in enumerate([5, 9, 2, 7]):
        alone = again.__getitems__([draw])
        for key in ("mixture", "sources", "f0_hz", "q_f0_hz"):
            torch.testing.assert_close(alone[key][0], together[key][b], rtol=1e-5, atol=1e-6)
        assert alone["name"] == [together["name"][b]]
    other = examples(augmentation=EVERYTHING, seed=1).__getitems__([5])
    assert not torch.allclose(other["mixture"][0], together["mixture"][0])


def test_stems_add_up_to_the_mixture_with_everything_on():
    batch = examples(Tones(n_channels=2, n_rest=3), augmentation=EVERYTHING).__getitems__(range(24))
    torch.testing.assert_close(batch["sources"].sum(1), batch["mixture"], rtol=0, atol=1e-6)
    level_db = 10 * torch.log10(batch["mixture"].square().mean((1, 2)))
    assert level_db.min() > -26.01 and level_db.max() < -13.99
    assert batch["mixture"].isfinite().all() and batch["f0_hz"].isfinite().all()


def test_played_at_another_speed_the_label_is_that_of_the_sound():
    made = examples(remix=0.0, gain_db=0.0, speed_semitones=6.0)
    batch = made.__getitems__(range(16))
    speeds = {made.planner.plan(b).speed for b in range(16)}
    assert 1.0 in speeds and len(speeds) > 5
    for b in range(16):
        plan = made.planner.plan(b)
        labelled = float(batch["f0_hz"][b].median())
        assert labelled == pytest.approx(made.dataset.hz(plan.clip) * plan.speed, rel=1e-6)
        voice = batch["sources"][b, 0, 0].double()[: int(0.8 * T)] * torch.hann_window(int(0.8 * T))
        spectrum = torch.fft.rfft(voice, 1 << 20).abs()
        heard = int(spectrum.argmax()) * RATE / (1 << 20)
        assert 1200 * abs(np.log2(heard / labelled)) < 1  # cent


def test_interpolation_is_as_good_as_that_of_a_resampler():
    rng = np.random.default_rng(0)
    slow = soxr.resample(rng.standard_normal(8000), 8000, RATE, "VHQ")  # nothing above 4 kHz
    wav = np.pad(np.round(slow / np.abs(slow).max() * 32767).astype(np.int16), PADDING)
    store = torch.from_numpy(wav)[None]
    for semitones in (-4, -0.3, 3):
        speed = 2 ** (semitones / 12)
        step = torch.tensor([round(speed * (1 << STEP_BITS))])
        place = (torch.tensor([PADDING]), torch.tensor([len(slow)]), torch.tensor([0]))
        made = read_interpolated(store, *place, step, 12000)[0, 0].numpy()
        reference = soxr.resample(wav[PADDING:-PADDING].astype(float), RATE * speed, RATE, "VHQ")
        n = min(len(reference), 12000) - 500
        error = made[500:n] - reference[500:n]
        assert 10 * np.log10(np.mean(reference[500:n] ** 2) / np.mean(error**2)) > 45


def test_outside_of_a_recording_it_is_silent():
    store = torch.full((1, 100 + 2 * PADDING), 1000, dtype=torch.int16)
    store[:, :PADDING] = store[:, -PADDING:] = 0
    place = (torch.tensor([PADDING]), torch.tensor([100]), torch.tensor([-50]))
    straight = read_straight(store, *place, 300)[0, 0]
    assert not straight[:50].any() and not straight[150:].any()
    assert (straight[50:150] == 1000).all()
    slow = read_interpolated(store, *place, torch.tensor([1 << (STEP_BITS - 1)]), 600)[0, 0]
    assert not slow[: 100 - 2 * PADDING].any() and not slow[300 + 2 * PADDING :].any()
    torch.testing.assert_close(slow[140:260], torch.full((120,), 1000.0), rtol=1e-3, atol=0)


def test_equaliser_and_band_limit_have_the_gain_they_say():
    hz = torch.tensor([100.0, 1000.0, 6000.0])
    phase = 2 * np.pi * hz[:, None].double() / RATE * torch.arange(RATE)  # whole periods
    tones = torch.sin(phase).float()[:, None]
    knots_db = torch.linspace(-6, 6, 9).expand(3, 9)  # linear in log frequency
    expected_db = -6 + 12 * torch.log2(hz / 40) / np.log2(8000 / 40)
    equal = equalise(tones, knots_db, RATE)
    torch.testing.assert_close(
        equal, tones * (10 ** (expected_db / 20))[:, None, None], rtol=0, atol=5e-3
    )
    kept = band_limit(tones, torch.tensor([4000.0, 4000.0, 4000.0]), RATE)
    torch.testing.assert_close(kept[:2], tones[:2], rtol=0, atol=1e-4)
    assert kept[2].abs().max() < 1e-3


def test_a_room_decays_as_it_should():
    click = torch.zeros(1, 1, RATE)
    click[..., 0] = 1
    noise = torch.randn(1, 1, 12000, generator=torch.Generator().manual_seed(0))
    decay_sec, delay_sec, wet_db = torch.tensor([0.5]), torch.tensor([0.02]), torch.tensor([-10.0])
    wet = reverberate(click, decay_sec, delay_sec, wet_db, noise, RATE)[0, 0]
    assert wet[0] == pytest.approx(1, abs=1e-5) and wet[1:320].abs().max() < 1e-5
    field = wet[1:].square()
    assert 10 * float(field.sum().log10()) == pytest.approx(-10, abs=0.01)
    early, late = (field[s : s + 1600].mean() for s in (800, 800 + 4000))  # 0.25 s apart
    assert 10 * float((early / late).log10()) == pytest.approx(30, abs=2)  # 60 dB in 0.5 s


def test_saturation_keeps_the_peak_and_adds_odd_harmonics():
    tone = 0.4 * torch.sin(2 * np.pi * 100 / RATE * torch.arange(RATE))[None, None]
    loud = saturate(tone, torch.tensor([3.0]))
    assert float(loud.max()) == pytest.approx(float(tone.max()), rel=1e-5)
    lines = torch.fft.rfft(loud[0, 0]).abs()[[100, 200, 300, 400, 500]]
    assert lines[2] > 0.05 * lines[0] and lines[1] < 1e-3 * lines[0] and lines[3] < 1e-3 * lines[0]


def test_balance_is_that_of_equal_loudness():
    options = {"speed_semitones": 0.0, "equal_loudness": True, "balance_spread_db": 0.0}
    batch = examples(balance_db=4.0, **options).__getitems__(range(6))
    power = batch["sources"].square().mean((2, 3))
    torch.testing.assert_close(
        10 * torch.log10(power[:, 0] / power[:, 1]), torch.full((6,), 4.0), rtol=0, atol=0.1
    )


def test_silence_and_absent_accompaniment():
    batch = examples(silence=1.0).__getitems__(range(4))
    assert not batch["sources"][:, 0].any() and not batch["f0_hz"].any()
    assert batch["sources"][:, 1].abs().amax((1, 2)).min() > 0
    batch = examples(no_rest=1.0).__getitems__(range(4))
    assert not batch["sources"][:, 1].any() and (batch["f0_hz"] > 0).any()


def test_double_and_backing_are_part_of_the_voice_and_the_label_stays():
    plain = examples(remix=0.0, speed_semitones=0.0, gain_db=0.0)
    for option in ("double", "backing"):
        made = examples(remix=0.0, speed_semitones=0.0, gain_db=0.0, **{option: 1.0})
        batch = made.__getitems__(range(8))
        for b in range(8):
            plan = made.planner.plan(b)
            assert len([take for take in plan.takes if take.source == 0]) == 2
            lead = plain.dataset.read(plan.clip, plan.start, T)[1][0]
            below = batch["sources"][b, 0].numpy() - lead
            ratio_db = 10 * np.log10(np.mean(below[:, HOP * 2 :] ** 2) / np.mean(lead**2))
            assert -17 < ratio_db < -4
            assert float(batch["f0_hz"][b].median()) == made.dataset.hz(plan.clip)


def test_weights_decide_which_stems_are_kept():
    """Solo voices have no accompaniment, instrumental music has no voice."""
    dataset = Tones(4, voices=[1.0, 1.0, 0, 0], rests=[0, 0, 1.0, 1.0])
    store = Store(dataset, GRID, torch.device("cpu"))
    assert [list(r.numbers) for r in store.recordings] == [[(0, 0)]] * 2 + [[(1, 0)]] * 2
    made = examples(dataset, remix=0.0)
    names = {name for name in made.__getitems__(range(16))["name"]}
    assert names == {"clip0", "clip1"}
    assert {take.recording for b in range(16) for take in made.planner.plan(b).takes} == {
        0,
        1,
        2,
        3,
    }


def test_clips_without_stems_are_cropped():
    dataset = Tones(stems=False)
    made = examples(dataset, augmentation=EVERYTHING)
    batch = made.__getitems__(range(4))
    assert not batch["has_sources"].any() and batch["sources"].isnan().all()
    assert batch["has_f0_hz"].all()
    plan = made.planner.plan(0)
    mixture = dataset.read(plan.clip, plan.start, T)[0]
    ratio = (
        batch["mixture"][0].numpy()[:, 100:]
        / np.where(np.abs(mixture) < 0.05, np.nan, mixture)[:, 100:]
    )
    if plan.cut_hz is None:
        assert np.nanstd(ratio) < 0.01 * np.nanmean(ratio)


def test_every_stem_of_a_remix_has_its_own_clip():
    made = examples(Tones(n_rest=3), remix=1.0, remix_stems=True)
    plans = [made.planner.plan(b) for b in range(20)]
    assert any(len({take.start for take in plan.takes[1:]}) == 3 for plan in plans)
    files = DrawnExamples(Tones(n_rest=3), GRID, T, 0, remix=1.0, remix_stems=True)
    power = [np.square(files[b].sources[1:]).mean((1, 2)) for b in range(20)]
    ours = made.__getitems__(range(20))["sources"][:, 1:].square().mean((0, 2, 3))
    np.testing.assert_allclose(ours, np.mean(power, 0), rtol=0.05)


@pytest.mark.parametrize("name", ["double", "reverb", "no_rest"])
def test_a_probability_is_one(name):
    with pytest.raises(ConfigError, match=f"--{name} 1.5: expected a probability"):
        Augmentation(**{name: 1.5})


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="CPU has .* GB of free memory.*--resident false"):
        check_memory(10**15, torch.device("cpu"))
