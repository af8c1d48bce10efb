"""Runs with several seeds as one setting, and the tables of recipes that are made of them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from asteroid_joint.errors import DataError
from asteroid_joint.metrics.frame_scores import FrameScores
from asteroid_joint.metrics.report import rows_to_csv
from asteroid_joint.metrics.seeds import difference, read_setting

CLIPS = [
    f"{group}/{song}_{n}" for group in ("corpus", "mir1k") for song in "abcdef" for n in (1, 2)
]


def write_run(folder: Path, metrics: dict[str, float], spread: float = 0.0, seed: int = 0) -> Path:
    """Results of a run whose metrics differ by clip, in the same way in every run."""
    folder.mkdir(parents=True)
    offsets = spread * np.random.default_rng(seed).standard_normal(len(CLIPS))
    rows = [
        {"name": clip, "song": clip[:-2], "duration_sec": 1.0}
        | {metric: value + i / 100 + offsets[i] for metric, value in metrics.items()}
        for i, clip in enumerate(CLIPS)
    ]
    (folder / "all_metrics.csv").write_text(rows_to_csv(rows))
    return folder / "all_metrics.csv"


def test_a_setting_is_the_mean_over_its_seeds(tmp_path):
    paths = {str(s): write_run(tmp_path / str(s), {"nsdr": 1.0 + s, "oa": 0.5}) for s in range(3)}
    setting = read_setting(paths)
    assert list(setting.runs) == ["0", "1", "2"] and setting.songs["corpus/a_2"] == "corpus/a"
    np.testing.assert_allclose(setting.values("nsdr", CLIPS), 2.0 + np.arange(len(CLIPS)) / 100)
    assert np.isnan(setting.values("auc", CLIPS)).all()
    setting.runs["1"][CLIPS[0]]["nsdr"] = np.nan  # what one seed lacks the others have
    assert setting.values("nsdr", CLIPS[:1]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="a file per seed"):
        read_setting({})


def test_settings_are_compared_over_the_seeds_that_both_have(tmp_path):
    three = read_setting(
        {str(s): write_run(tmp_path / str(s), {"nsdr": 1.0 + s}) for s in range(3)}
    )
    one = read_setting({"0": write_run(tmp_path / "one", {"nsdr": 0.5})})
    d = difference(three, one, "nsdr", CLIPS)  # not the mean of three against one
    assert d.mean == pytest.approx(0.5) and d.low == pytest.approx(0.5) and d.n_songs == 12
    other = read_setting({"7": write_run(tmp_path / "other", {"nsdr": 0.5})})
    with pytest.raises(DataError, match="no seed in common"):
        difference(three, other, "nsdr", CLIPS)
    folder = write_run(tmp_path / "less", {"nsdr": 0.5}).parent
    lines = (folder / "all_metrics.csv").read_text().splitlines(keepends=True)
    (folder / "all_metrics.csv").write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match="other clips than the runs beside it"):
        read_setting({"0": tmp_path / "one/all_metrics.csv", "1": folder / "all_metrics.csv"})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_of_the_ablation(tmp_path, run):
    metrics = ("nsdr_mean", "nsdr", "nsdr_drums", "nsdr_bass", "nsdr_other", "rpa", "oa")
    for cell, value in (("c1_0", 0.1), ("c1_1", 0.3), ("full_0", 0.7)):
        write_run(tmp_path / f"train_jointxumx_{cell}", dict.fromkeys(metrics, value))
    script = ROOT / "recipes/corpus/JointXUMX/local/ablation_table.py"
    done = run(sys.executable, script, tmp_path)
    assert done.returncode == 0, done.stderr
    tables = done.stdout.strip().split("\n\n")
    assert [t for t in tables if "clips of" in t] == [
        "made voices: 12 clips of 6 songs",
        "MIR-1K's voices: 12 clips of 6 songs",
    ]
    assert "what a part adds" in tables[4] and len(tables[5].splitlines()) == 2  # no such pairs
    _, _, base, full = tables[1].splitlines()
    assert cells(base)[:2] == ["nothing: a UMX per stem", "0, 1"]
    assert cells(base)[2] == f"{0.2 + np.mean(np.arange(12)) / 100:.2f}"
    assert cells(full)[0] == "all: X-UMX" and cells(full)[2].endswith(
        ": **+0.60** (+0.60 to +0.60)"
    )
    done = run(sys.executable, script, tmp_path / "nothing")
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_the_table_of_the_claims(tmp_path, run):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 2, 200).astype(float) for _ in CLIPS]
    runs = {"joint": (0.9, 1.0), "svd": (0.8, 2.0), "svs": (None, None)}
    for name, (auc, noise) in runs.items():
        for seed in range(2):
            metrics = {"log_mse": 0.02, "silent_rms_db": -40.0, "nsdr": 3.0}
            if name == "joint":
                metrics["log_mse"] = 0.01
            folder = tmp_path / f"train_vocaldetectionunet_{name}_{seed}"
            write_run(folder, metrics | ({} if auc is None else {"auc": auc}), 0.001, seed)
            frames = FrameScores()
            for clip, x in zip(CLIPS, labels, strict=True):
                frames.add(clip, x, x + (noise or 9.0) * rng.standard_normal(len(x)))
            frames.save(folder)
            (folder / "final_metrics.json").write_text(json.dumps(frames.facts()))
            if name == "joint":
                second = folder / "eval_model_test_best_val_log_magnitude"
                write_run(second, metrics, 0.001, seed + 7)
                (second / "final_metrics.json").write_text(json.dumps(frames.facts()))
    script = ROOT / "recipes/mir1k/VocalDetectionUNet/local/claims_table.py"
    done = run(sys.executable, script, tmp_path)
    assert done.returncode == 0, done.stderr
    systems, claims = done.stdout.strip().split("\n\n")
    rows = {cells(line)[0]: cells(line)[1:] for line in systems.splitlines()[2:]}
    assert list(rows) == ["SVD alone", "joint, kept by AU-ROC", "SVS alone", "joint, kept by MSE"]
    assert all(row[0] == "2" and row[1].count(",") == 1 for row in rows.values())
    detection, mse = (cells(line) for line in claims.splitlines()[2:4])
    assert detection[2] == "AU-ROC of clips" and detection[3] == "+0.1000"
    assert float(detection[5]) < 0.001 and detection[7].count("(p ") == 2
    assert mse[2] == "MSE" and mse[3].startswith("-0.01") and float(mse[6]) < 0.01
    done = run(sys.executable, script, tmp_path / "nothing")
    assert done.returncode == 1 and "claims.sh first" in done.stderr


def test_the_table_of_the_stages(tmp_path, run):
    metrics = ("sdr", "nsdr", "rpa", "rca", "oa", "vr", "vfa")
    for name, value in (
        ("cascade_0", 0.1),
        ("cascade_1", 0.3),
        ("filtered_1", 0.7),
        ("filtered_dwhs_1", 0.7),
        ("masked@dttnet_cnn_0", 0.4),
        ("filtered@dttnet_cnn_0", 0.5),
    ):
        write_run(tmp_path / f"train_jointcascade_{name}", dict.fromkeys(metrics, value))
    (tmp_path / "labels_0").mkdir()
    (tmp_path / "labels_0/audit.md").write_text("how good they are")
    script = ROOT / "recipes/mir1k/JointCascade/local/rows_table.py"
    done = run(sys.executable, script, tmp_path)
    assert done.returncode == 0, done.stderr
    rows, claims, other_rows, other_claims, _, audit = done.stdout.strip().split("\n\n")
    told = {cells(line)[0]: cells(line)[1:] for line in rows.splitlines()[2:]}
    assert list(told) == [
        "I: cascade",
        "II: filtered pseudo labels",
        "II: filtered, our hard-sample weights",
    ]
    mean = np.mean(np.arange(len(CLIPS))) / 100
    assert told["I: cascade"][:3] == ["0, 1", *[f"{0.2 + mean:.2f}"] * 2]
    assert told["II: filtered pseudo labels"][3] == f"{100 * (0.7 + mean):.1f}"
    compared = [cells(line) for line in claims.splitlines()[2:]]
    assert [c[2] for c in compared] == ["NSDR dB", "OA %"] * 2
    assert compared[0][3] == "+0.40" and compared[1][3] == "+40.0"  # seed 1, which both have
    assert len(other_rows.splitlines()) == 4 and "+0.10" in other_claims
    assert audit == "how good they are"
    done = run(sys.executable, script, tmp_path / "nothing")
    assert done.returncode == 1 and "stages.sh first" in done.stderr
