"""Pitch labels where two trackers agree: the rule, and what is written beside the audio."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import RATE, sing

from asteroid_joint.data import Blend, Instrumental, MUSDB18Sample, SoloVoice, TwoStems, agreed
from asteroid_joint.data.agreed import (
    AgreedSettings,
    agree,
    agreed_f0,
    label_agreed,
    make_trackers,
    unlabelled_voices,
)
from asteroid_joint.data.files import audio_file, read_f0
from asteroid_joint.errors import ConfigError, DataError, UserError

SETTINGS = AgreedSettings()


def by_level(hop_sec: float, cents: float = 0.0) -> agreed.Tracker:
    """A tracker of tones whose amplitude tells their frequency: 0.22 is 220 Hz."""

    def track(wav: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        times = np.arange(0, len(wav) / RATE, hop_sec)
        starts = np.rint(times * RATE).astype(int)
        peaks = np.array([np.abs(wav[max(s - 80, 0) : s + 80]).max() for s in starts])
        return times, np.where(peaks > 0.05, 1000 * peaks, 0) * 2 ** (cents / 1200)

    return track


def tone(hz: float, seconds: float, level: float) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


# ------------------------------------------------------------------ the rule


def test_the_rule():
    first = np.array([220.0, 220.0, 220.0, 0.0, 220.0, 220.0])
    second = np.array([220.0 * 2 ** (39 / 1200), 220.0 * 2 ** (41 / 1200), 0.0, 0.0, 440.0, 220.0])
    level_db = np.array([-20.0, -20, -20, -20, -20, -66])
    found = agree(first, second, level_db, SETTINGS)
    mean_hz = 220 * 2 ** (19.5 / 1200)
    np.testing.assert_allclose(found, [mean_hz, np.nan, np.nan, 0, np.nan, 0], rtol=1e-12)
    wide = agree(first, second, level_db, AgreedSettings(within_cents=42, gate_db=50))
    assert wide[1] > 0 and wide[5] == 220


def test_silence_is_unvoiced_whatever_trackers_hear():
    some = np.full(4, 220.0)
    np.testing.assert_array_equal(agree(some, 2 * some, np.full(4, -120.0), SETTINGS), 0.0)


@pytest.mark.parametrize(
    "wrong", [{"within_cents": 0}, {"gate_db": -1}, {"fcpe": 2}, {"swift_f0": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="agreed labels must be above 0|from 0 to 1"):
        AgreedSettings(**wrong)


# ------------------------------------------------------------------ a recording


def test_frames_of_a_recording_are_where_its_tones_are(tmp_path):
    wav = np.concatenate([tone(400, 0.5, 0.22), np.zeros(RATE // 2), tone(400, 0.5, 0.44)])
    sf.write(tmp_path / "a.wav", np.stack([wav, wav], 1), RATE)
    trackers = by_level(0.01), by_level(0.016, cents=20)
    f0_hz = agreed_f0(audio_file(tmp_path / "a.wav"), trackers, SETTINGS)
    times = 0.02 * np.arange(len(f0_hz))
    assert len(f0_hz) == 75  # 1.5 s
    step = 2 ** (10 / 1200)
    np.testing.assert_allclose(f0_hz[(times > 0.02) & (times < 0.48)], 220 * step, rtol=1e-3)
    np.testing.assert_allclose(f0_hz[(times > 1.02) & (times < 1.48)], 440 * step, rtol=1e-3)
    assert not f0_hz[(times > 0.54) & (times < 0.96)].any()


def test_blocks_make_no_difference(tmp_path, monkeypatch):
    levels = np.random.default_rng(0).uniform(0.1, 0.4, 12)
    wav = np.concatenate([tone(400, 0.25, level) for level in levels])
    sf.write(tmp_path / "a.wav", wav, RATE)
    trackers = by_level(0.01), by_level(0.016)
    whole = agreed_f0(audio_file(tmp_path / "a.wav"), trackers, SETTINGS)
    monkeypatch.setattr(agreed, "BLOCK_FRAMES", 40)  # 0.8 s: a multiple of both hops
    parts = agreed_f0(audio_file(tmp_path / "a.wav"), trackers, SETTINGS)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    assert np.mean(whole > 0) > 0.5


def test_a_true_voice_is_labelled_by_the_real_trackers(tmp_path):
    pytest.importorskip("torchfcpe")
    pytest.importorskip("swift_f0")
    wav, f0_at = sing(np.random.default_rng(1), 3 * RATE)
    sf.write(tmp_path / "a.wav", wav, RATE)
    f0_hz = agreed_f0(audio_file(tmp_path / "a.wav"), make_trackers(SETTINGS), SETTINGS)
    true_hz = f0_at(0.02 * np.arange(len(f0_hz)))
    both = (f0_hz > 0) & (true_hz > 0)
    assert both.sum() > 0.6 * (true_hz > 0).sum()
    assert np.mean(np.abs(1200 * np.log2(f0_hz[both] / true_hz[both])) < 50) > 0.98


def test_missing_trackers_are_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchfcpe", None)
    with pytest.raises(UserError, match=r"pip install 'asteroid-joint\[labels\]'"):
        make_trackers(SETTINGS)


# ------------------------------------------------------------------ beside the audio


@pytest.fixture
def fakes(monkeypatch) -> None:
    """Trackers that need no network."""
    monkeypatch.setattr(agreed, "make_trackers", lambda settings: (by_level(0.01), by_level(0.016)))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A solo voice, two stems, a song of four, music; one voice has labels."""
    for name in ("solo/a", "solo/b", "two/song/vocals", "two/song/accompaniment", "music/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / f"{name}.wav", tone(400, 0.5, 0.22), RATE)
    for stem in ("vocals", "drums", "bass", "other"):
        (tmp_path / "four/valid/song").mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / f"four/valid/song/{stem}.ogg", tone(400, 0.5, 0.22), RATE)
    (tmp_path / "solo/b_f0.csv").write_text("by hand")
    (tmp_path / "music/split.json").write_text('{"train": ["c.wav"], "valid": [], "test": []}')
    return tmp_path


def sets(folder: Path) -> list:
    return [
        SoloVoice(str(folder / "solo"), "train", whole_side="train"),
        TwoStems(str(folder / "two"), "train", whole_side="train"),
        MUSDB18Sample(str(folder / "four"), "valid"),
        Instrumental(str(folder / "music"), "train"),
    ]


def test_voices_without_labels_are_found_and_get_them(folder, fakes):
    voices = [voice for dataset in sets(folder) for voice in unlabelled_voices(dataset)]
    targets = ["solo/a_f0.csv", "two/song/vocals_f0.csv", "four/valid/song/vocals_f0.csv"]
    assert [target for _, target in voices] == [folder / name for name in targets]
    said = label_agreed(voices, progress=False)
    assert said == "agreed F0 of 3 voices: 100 % of frames voiced, 0 % unknown"
    for _, target in voices:
        times, f0_hz = read_f0(target)
        np.testing.assert_allclose(times, 0.02 * np.arange(25))
        np.testing.assert_allclose(f0_hz[1:-1], 220, rtol=0.1)  # Ogg is not exact
        assert target.read_text().startswith("time,f0_hz\n0.00,")
    assert (folder / "solo/b_f0.csv").read_text() == "by hand"
    for dataset in sets(folder)[:3]:  # where datasets look for them
        assert dataset.f0_at(0, np.array([0.2])) == pytest.approx(220, rel=0.1)
        assert not list(unlabelled_voices(dataset))
    assert label_agreed([]) == "agreed F0: no voice lacks it"


def test_voices_of_a_blend_are_those_of_its_parts(folder):
    whole = {"whole_side": "train", "sample_rate": RATE, "n_channels": 1}
    parts = [
        {"dataset": "two_stems", "folder": "two", **whole},
        {"dataset": "solo", "folder": "solo", "dub": True, **whole},
    ]
    voices = unlabelled_voices(Blend("train", parts, data_dir=str(folder)))
    names = {target.name for _, target in voices}
    assert names == {"vocals_f0.csv", "a_f0.csv"}


def test_what_cannot_be_written_is_one_sentence(folder, fakes):
    audio = audio_file(folder / "solo/a.wav")
    with pytest.raises(DataError, match="Cannot write .*nowhere/a.csv: No such file"):
        label_agreed([(audio, folder / "nowhere/a.csv")], progress=False)
