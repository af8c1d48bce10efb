"""AU-ROC and its tests, error of log magnitudes, windowed BSS Eval: against known answers."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import wilcoxon

from asteroid_joint import DJCM, PitchGrid
from asteroid_joint.data.batch import JointExample
from asteroid_joint.dsp.stft import STFT
from asteroid_joint.engine.evaluation.clip_metrics import clip_row
from asteroid_joint.engine.evaluation.evaluate import EvalOptions, write_results
from asteroid_joint.engine.evaluation.systems import Estimate
from asteroid_joint.engine.recipe import eval_main
from asteroid_joint.errors import DataError
from asteroid_joint.metrics import report, windowed_bss
from asteroid_joint.metrics.detection import auc, delong_test
from asteroid_joint.metrics.frame_scores import FrameScores
from asteroid_joint.metrics.log_magnitude import Transform, log_mse
from asteroid_joint.metrics.significance import compare_rows, paired_bootstrap

# Patients with ovarian cancer, the data of DeLong et al. (1988) without missing values: albumin,
# total protein, Krebs-Goplerud score, and the outcome of surgery. The worked example of SAS.
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1   3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1   3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0   4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1   2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1   2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Areas under the ROC curve


def test_delong_on_patients_with_tied_scores():
    _, protein, kg, label = np.array(PATIENTS.split(), float).reshape(-1, 4).T
    test = delong_test(label, protein, -kg)  # of the score, low is good
    assert (round(test.first, 4), round(test.second, 4)) == (0.6478, 0.7258)
    assert test.difference == pytest.approx(-0.0780, abs=5e-5)
    assert (test.high - test.low) / (2 * 1.959964) == pytest.approx(0.1046, abs=5e-5)
    assert test.p_value == pytest.approx(0.4561, abs=5e-5)


def plain_delong(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Difference and its variance from the definition: kernels of all pairs, and covariances."""
    kernels = []
    for scores in (first, second):
        gap = scores[labels > 0.5][:, None] - scores[labels < 0.5][None]  # (positive, negative)
        kernels.append((gap > 0) + 0.5 * (gap == 0))
    areas = [kernel.mean() for kernel in kernels]
    over_positive = np.cov([kernel.mean(1) for kernel in kernels])
    over_negative = np.cov([kernel.mean(0) for kernel in kernels])
    m, n = kernels[0].shape
    contrast = np.array([1, -1])
    return areas[0] - areas[1], contrast @ (over_positive / m + over_negative / n) @ contrast


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_delong_is_its_definition_with_ties_and_unknown_labels(rng, digits):
    labels = rng.integers(0, 2, 400).astype(float)
    first, second = (np.round(labels + s * rng.standard_normal(400), digits) for s in (1.0, 1.5))
    difference, variance = plain_delong(labels, first, second)
    test = delong_test(labels, first, second)
    assert test.difference == pytest.approx(difference)
    assert (test.high - test.low) / (2 * 1.959964) == pytest.approx(variance**0.5)
    assert test.first == pytest.approx(auc(labels, first))
    padded = [np.concatenate([x, [filler]]) for x, filler in ((labels, np.nan), (first, 9.0))]
    assert delong_test(*padded, np.append(second, -9.0)) == test
    assert delong_test(labels, second, first).p_value == pytest.approx(test.p_value)
    assert delong_test(labels, np.exp(first), second).p_value == pytest.approx(test.p_value)


def test_delong_has_the_size_it_promises(rng):
    """Two equally good scores differ at 5 % in about one of twenty samples."""
    p_values = []
    for _ in range(400):
        labels = rng.integers(0, 2, 150).astype(float)
        common = labels + rng.standard_normal(150)
        pair = [common + rng.standard_normal(150) for _ in range(2)]
        p_values.append(delong_test(labels, *pair).p_value)
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_delong_at_its_limits():
    labels = np.array([0, 0, 1, 1.0])
    perfect = np.arange(4.0)
    same = delong_test(labels, perfect, 10 * perfect)
    assert same.first == same.p_value == 1.0 and same.difference == 0.0
    assert delong_test(labels, perfect, -perfect).p_value == 0.0
    one = delong_test(np.array([0, 0, 1.0]), np.arange(3.0), np.arange(3.0))
    assert one.first == 1.0 and np.isnan(one.p_value)
    assert np.isnan(delong_test(np.ones(5), np.arange(5.0), np.arange(5.0)).first)
    with pytest.raises(ValueError, match="received 4, 3, 4"):
        delong_test(labels, perfect[:3], perfect)


# Scores of frames


def scores_of(rng, quality: float, n_clips: int = 4) -> FrameScores:
    scores = FrameScores()
    for clip in range(n_clips):
        labels = (np.arange(100) % 20 < 5 * clip).astype(float)  # in the first clip nobody sings
        labels[::9] = np.nan
        scores.add(f"clip {clip}", labels, quality * (labels == 1) + rng.standard_normal(100))
    scores.add("no labels", None, np.zeros(100))
    return scores


def test_frame_scores_are_pooled_and_survive_the_file(rng, tmp_path):
    scores = scores_of(rng, 1.0)
    facts = scores.facts()
    assert facts["n_auc_undefined"] == 1 and facts["n_auc_frames"] == 4 * 88
    scores.save(tmp_path)
    back = FrameScores.load(tmp_path)
    assert back.facts() == facts and back.names == [f"clip {i}" for i in range(4)]
    assert (tmp_path / "activity_scores.npz").stat().st_size < 4 * 100 * 4 + 1500
    better = scores_of(rng, 2.0)
    test = back.compare(better)
    assert test.first == pytest.approx(facts["auc_pooled"]) and test.p_value < 0.05
    assert test.second == pytest.approx(better.facts()["auc_pooled"]) and test.difference < 0
    assert back.compare(scores_of(rng, 1.0, 3)) is None
    FrameScores().save(tmp_path)  # an evaluation without scores leaves none of another
    assert list(tmp_path.iterdir()) == [] and FrameScores().facts() == {}
    (tmp_path / "activity_scores.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="evaluate again"):
        FrameScores.load(tmp_path)


def test_evaluations_are_compared_with_all_tests(rng, tmp_path, capsys):
    for name, quality in (("a", 1.0), ("b", 2.0)):
        rows = [{"name": f"clip {i}", "song": str(i), "log_mse": 0.1 + i} for i in range(4)]
        scores_of(rng, quality).save(tmp_path / name)
        (tmp_path / name / "all_metrics.csv").write_text(report.rows_to_csv(rows))
    pair = [str(tmp_path / name / "all_metrics.csv") for name in "ab"]
    eval_main(__file__, ["--compare", *pair])
    out = capsys.readouterr().out
    assert "| MSE |" in out and "p (Wilcoxon)" in out
    assert "p (DeLong)" in out and "| 352 |" in out
    scores_of(rng, 1.0, 3).save(tmp_path / "b")
    eval_main(__file__, ["--compare", *pair])
    assert "No test of AU-ROC" in capsys.readouterr().out
    (tmp_path / "b" / "activity_scores.npz").unlink()
    eval_main(__file__, ["--compare", *pair])
    assert "AU-ROC" not in capsys.readouterr().out


def one_class(n_clips: int = 2) -> FrameScores:
    scores = FrameScores()
    for clip in range(n_clips):
        scores.add(f"clip {clip}", np.zeros(50), np.linspace(0, 1, 50))
    return scores


def test_an_area_that_cannot_be_is_a_dash_and_null(tmp_path):
    rows = [{"name": f"clip {i}", "song": "s", "duration_sec": 1.0} for i in range(2)]
    rows = [{**row, "auc": float("nan"), "log_mse": 0.25} for row in rows]
    facts = {"split": None, "side": "test", "sources": ["vocals"], **one_class().facts()}
    write_results(EvalOptions(tmp_path), rows, facts)
    text = (tmp_path / "final_metrics.json").read_text()
    stored = json.loads(text)
    assert stored["auc_pooled"] is None and stored["n_auc_undefined"] == 2 and "NaN" not in text
    heads, _, cells = (tmp_path / "detection_row.md").read_text().splitlines()
    table = dict(zip(heads.split(" | "), cells.split(" | "), strict=True))
    assert table["AU-ROC"] == table["AU-ROC of clips"] == "–" and "nan" not in cells
    assert table["AU-ROC undefined"] == "2 of 2 clips" and table["MSE"] == "0.25000"


def test_separation_alone_has_a_row_without_areas():
    summary = report.summarise([{"name": "a", "log_mse": 0.25}])
    lines = report.detection_table("x", summary, {}, ["vocals"]).splitlines()
    assert lines[0].startswith("| system | AU-ROC | AU-ROC of clips | MSE |")
    assert lines[2].startswith("| x |  |  | 0.25000 |")
    assert report.detection_table("x", report.summarise([{"rpa": 0.5}]), {}, ["vocals"]) == ""


@pytest.mark.parametrize("more", [{}, {"log_mse": 0.1}])
def test_a_metric_that_no_pair_has_is_named(tmp_path, capsys, more):
    for name in "ab":
        rows = [{"name": f"clip {i}", "song": str(i), "auc": np.nan, **more} for i in range(2)]
        one_class().save(tmp_path / name)
        (tmp_path / name / "all_metrics.csv").write_text(report.rows_to_csv(rows))
    pair = [str(tmp_path / name / "all_metrics.csv") for name in "ab"]
    eval_main(__file__, ["--compare", *pair])
    out = capsys.readouterr().out
    assert "Not compared, as no clip has both values: auc.\n" in out and "nan" not in out
    assert "No test of AU-ROC over all frames: fewer than two are vocal" in out
    assert ("| MSE |" in out) == bool(more)
    with pytest.raises(SystemExit, match="have none of the metrics rpa,? ?in common"):
        eval_main(__file__, ["--compare", *pair, "--metrics", "rpa"])


def test_files_of_an_evaluation_say_what_was_left_out(tmp_path):
    rows = [
        {"name": "a", "song": "a", "duration_sec": 60.0, "auc": 0.9, "log_mse": 0.02},
        {"name": "b", "song": "b", "duration_sec": 60.0, "auc": float("nan"), "log_mse": 0.04},
    ]
    for row, silent in zip(rows, (0, 2), strict=True):
        row.update({"bss_windows": 3 - silent, "bss_windows_silent": silent})
        row.update({"bss_windows_silent_estimate": 0, "bss_sdr": 5.0, "bss_sir": 9.0})
    facts = {"split": None, "side": "test", "sources": ["vocals"], "auc_pooled": 0.87654}
    text = write_results(EvalOptions(tmp_path), rows, facts)
    stored = json.loads((tmp_path / "final_metrics.json").read_text())
    assert stored["bss_windows"] == 4 and stored["bss_windows_silent"] == 2
    assert "bss_windows" not in stored["metrics"] and stored["metrics"]["auc"]["n"] == 1
    table = (tmp_path / "detection_row.md").read_text()
    assert table.strip() in text
    for part in ("0.8765 | 0.9000 | 0.03000", "5.00 / 9.00", "2 of 6"):
        assert part in table


# Wilcoxon


def test_wilcoxon_goes_over_songs(rng):
    def p_value(*arguments: Any) -> float:
        return paired_bootstrap(*arguments).wilcoxon_p

    songs = [f"song{i}" for i in range(15) for _ in range(4)]
    first = rng.normal(0.4, 1.0, 15).repeat(4) + 0.1 * rng.standard_normal(60)
    second = np.zeros(60)
    means = first.reshape(15, 4).mean(1)
    assert p_value(first, second, songs) == pytest.approx(wilcoxon(means).pvalue)
    each = [str(i) for i in range(60)]
    assert p_value(first, second, each) == pytest.approx(wilcoxon(first).pvalue)
    assert p_value(second, second, songs) == 1.0
    rows = [{"name": str(i), "song": songs[i], "nsdr": first[i]} for i in range(60)]
    difference = compare_rows(rows, [{**row, "nsdr": 0.0} for row in rows], ["nsdr"])["nsdr"]
    assert difference.wilcoxon_p == pytest.approx(wilcoxon(means).pvalue)
    first[:4] = np.nan  # a song without values
    assert p_value(first, second, songs) == pytest.approx(wilcoxon(means[1:]).pvalue)


# Error of magnitudes


def test_log_mse_of_a_known_tone(rng):
    """A sine in the middle of a bin is 1/2, 1 and 1/2 times n_fft / 4 in three bins."""
    n_fft, hop = 512, 256
    tone = 0.5 * np.cos(2 * np.pi * 64 * np.arange(20 * n_fft + 1) / n_fft)  # even at both ends
    reference = np.zeros((2, 1, len(tone)))
    reference[0, 0] = tone
    peak = 0.5 * n_fft / 4
    expected = (2 * np.log1p(peak / 2) ** 2 + np.log1p(peak) ** 2) / 257 / 2  # over both sources
    assert log_mse(reference, 0 * reference) == pytest.approx(expected, rel=1e-3)
    assert log_mse(reference, reference) == 0.0
    doubled = log_mse(reference, 2 * reference)
    bins = [np.log1p(2 * k * peak) - np.log1p(k * peak) for k in (0.5, 1, 0.5)]
    assert doubled == pytest.approx(np.square(bins).sum() / 257 / 2, rel=1e-3)
    assert log_mse(reference[..., :100], 0 * reference[..., :100]) > 0  # shorter than a window
    stereo = np.repeat(reference, 2, 1)
    assert log_mse(stereo, 0 * stereo) == pytest.approx(log_mse(reference, 0 * reference))
    assert log_mse(reference, 0 * reference, Transform(n_fft, hop)) == pytest.approx(expected, 1e-3)
    with pytest.raises(ValueError, match="equal shapes"):
        log_mse(reference, reference[:1])


def test_the_transform_is_the_models_in_seconds():
    model = DJCM.from_preset("tiny")
    stft = next(part for part in model.modules() if isinstance(part, STFT))
    n_fft, hop = stft.n_fft, stft.hop_length
    assert Transform.of(model, 16000) == (n_fft, hop)
    assert Transform.of(model, 32000) == (2 * n_fft, 2 * hop)
    assert Transform.of(None, 44100) == Transform() == (512, 256)


# BSS Eval in windows


@pytest.fixture
def short_windows(monkeypatch):
    monkeypatch.setattr(windowed_bss, "WINDOW_SEC", 0.5)
    monkeypatch.setattr(windowed_bss, "HOP_SEC", 0.25)


def bss_case(rng, rate: int = 8000) -> tuple[np.ndarray, np.ndarray]:
    true = rng.standard_normal((2, 1, 2 * rate))
    estimate = true + 0.1 * rng.standard_normal(true.shape) + 0.3 * true[::-1]
    return true, estimate


def test_bss_is_that_of_mir_eval_in_the_same_windows(rng, short_windows):
    separation = pytest.importorskip("mir_eval.separation")  # deprecated: gone in version 0.9
    true, estimate = bss_case(rng)
    row = windowed_bss.windowed_bss(true, estimate, 8000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ratios = separation.bss_eval_sources_framewise(true[:, 0], estimate[:, 0], 4000, 2000)
    for name, ratio in zip(("bss_sdr", "bss_sir", "bss_sar"), ratios, strict=False):
        assert row[name] == pytest.approx(ratio[0].mean(), abs=1e-6)
        assert row[f"{name}_accompaniment"] == pytest.approx(ratio[1].mean(), abs=1e-6)
    assert row["bss_windows"] == ratios[0].shape[1] == 7
    assert row["bss_sir"] == pytest.approx(20 * np.log10(1 / 0.3), abs=1.0)
    # filters of 512 taps, of both sources, pass for target a quarter of the noise in 4000 samples
    sar = 10 * np.log10(1.09 / (0.01 * (1 - 2 * 512 / 4000)))
    assert row["bss_sar"] == pytest.approx(sar, abs=0.5)


def test_windows_with_a_silent_source_are_left_out_and_counted(rng, short_windows):
    true, estimate = bss_case(rng)
    whole = windowed_bss.windowed_bss(true, estimate, 8000)
    true[0, :, :6000] = 0  # silent in windows 0 and 1, and in half of window 2
    estimate[1, :, -4000:] = 0  # the last window
    row = windowed_bss.windowed_bss(true, estimate, 8000)
    assert [row[count] for count in windowed_bss.COUNTS] == [4, 2, 1]
    assert list(row) == list(whole) and np.isfinite(row["bss_sdr"])
    nothing = windowed_bss.windowed_bss(0 * true, estimate, 8000)
    assert [nothing[count] for count in windowed_bss.COUNTS] == [0, 7, 0]
    assert np.isnan(nothing["bss_sdr"]) and np.isnan(nothing["bss_sar_accompaniment"])


def test_less_than_a_hop_at_the_end_enters_no_window(rng, short_windows):
    true, estimate = bss_case(rng)
    cut = [x[..., :15999] for x in (true, estimate)]  # a sample short of the last window
    row = windowed_bss.windowed_bss(*cut, 8000)
    assert row == windowed_bss.windowed_bss(true[..., :14000], estimate[..., :14000], 8000)
    assert row["bss_windows"] == 6


def test_bss_is_in_a_row_when_asked(rng):
    true, estimate = (x.astype(np.float32) for x in bss_case(rng))
    example = JointExample(true.sum(0), true, None, None, "a", "s")
    args = (example, Estimate(estimate), None, PitchGrid(160, 8000))
    assert "bss_sdr" not in clip_row(*args) and clip_row(*args)["log_mse"] > 0
    row = clip_row(*args, sources=("vocals", "accompaniment"), bss=True)
    assert row["bss_windows"] == 1 and row["bss_sir_accompaniment"] > 5
