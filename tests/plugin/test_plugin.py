"""The cut, proved: a stranger's model, dataset and loss term go the whole way, with no edit.

The three modules register themselves with one line each; everything else is configuration.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from contract_checks import CHECKS, fresh_process, noise

from asteroid_joint import DATASETS, LOSSES, MODELS, load_model
from asteroid_joint.engine.recipe import eval_main, train_main

HERE = Path(__file__).parent
RECIPE = HERE.parent.parent / "recipes" / "mir1k" / "DJCM"
PLUGINS = ("stranger_model", "stranger_dataset", "stranger_loss")
OVERLAY = ["--overlay", str(HERE / "stranger.yml")]


@pytest.fixture(scope="module")
def stranger():
    """The model class, known from the moment its module is imported."""
    import stranger_model

    return stranger_model.StrangerNet


def arguments(exp_dir: Path, **options) -> list[str]:
    more = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    return ["--exp_dir", str(exp_dir), *OVERLAY, *more]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """One epoch by the recipe's own ``train.py``, in a process of its own, plugins on its path."""
    exp_dir = tmp_path_factory.mktemp("exp")
    result = subprocess.run(
        [sys.executable, RECIPE / "train.py", *arguments(exp_dir, epochs=1)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])},
    )
    assert result.returncode == 0, result.stderr
    return exp_dir


def last_weights(exp_dir: Path) -> dict:
    checkpoint = torch.load(exp_dir / "checkpoints" / "last.ckpt", weights_only=False)
    return {"epoch": checkpoint["epoch"], "step": checkpoint["global_step"]} | checkpoint[
        "state_dict"
    ]


def test_each_plugin_is_one_small_file_with_one_line_of_registration():
    for name in PLUGINS:
        lines = (HERE / f"{name}.py").read_text().splitlines()
        assert len(lines) <= 60
        decorators = [x for x in lines if x.startswith("@")]
        assert len(decorators) == 1 and "register" in decorators[0]


def test_training_leaves_asteroids_artefacts(experiment):
    conf = yaml.safe_load((experiment / "conf.yml").read_text())
    assert conf["model"]["model_name"] == "StrangerNet"
    assert conf["data_args"] == {"tune_hz": 220.0}
    scores = json.loads((experiment / "best_k_models.json").read_text())
    assert len(scores) == 1 and all(np.isfinite(list(scores.values())))
    saved = torch.load(experiment / "best_model.pth", weights_only=True)
    assert saved["model_name"] == "StrangerNet" and saved["dataset"] == "stranger"


def test_every_term_is_logged_under_its_name(experiment):
    (path,) = experiment.glob("csv_log/**/metrics.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for name in ("loss", "stranger_energy", "activity", "sdr", "pitch", "val_stranger_energy"):
        values = [float(row[name]) for row in rows if row.get(name)]
        assert values and np.isfinite(values).all(), name
    first = next(row for row in rows if row.get("loss"))
    weights = yaml.safe_load((experiment / "conf.yml").read_text())["loss"]
    total = sum(weight * float(first[name]) for name, weight in weights.items() if weight)
    assert float(first["loss"]) == pytest.approx(total, rel=1e-4)


def test_resumed_training_is_that_of_an_uninterrupted_run(experiment, tmp_path, stranger):
    first = last_weights(experiment)
    train_main(str(RECIPE / "train.py"), arguments(experiment, epochs=2))
    train_main(str(RECIPE / "train.py"), arguments(tmp_path, epochs=2))
    resumed, whole = last_weights(experiment), last_weights(tmp_path)
    assert (first["epoch"], first["step"]) == (0, 4)
    assert (resumed["epoch"], resumed["step"]) == (1, 8)
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(resumed[name], value, msg=name)
    moved = [n for n, v in first.items() if n.endswith("weight") and not torch.equal(v, whole[n])]
    assert moved


def test_evaluation(experiment, stranger):
    eval_main(str(RECIPE / "eval.py"), ["--exp_dir", str(experiment), "--device", "cpu"])
    metrics = json.loads((experiment / "final_metrics.json").read_text())["metrics"]
    for name in ("sdr", "nsdr", "si_sdr", "rpa", "rca", "oa", "vr", "vfa"):
        assert np.isfinite(metrics[name]["mean"]), name
    with (experiment / "all_metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"test_{n}" for n in range(4)]
    # clip 1 has no stems and clip 2 no pitch: their metrics are absent, not zero
    assert [bool(row["sdr"]) for row in rows] == [True, False, True, True]
    assert [bool(row["rpa"]) for row in rows] == [True, True, False, True]


def test_separate(experiment, tmp_path, stranger):
    from asteroid_joint.inference.separate import separate_file

    song = 0.1 * np.random.default_rng(0).standard_normal((44100 * 3 + 7, 2))
    sf.write(tmp_path / "song.wav", song, 44100, subtype="FLOAT")
    model = load_model(experiment / "best_model.pth")
    folder = separate_file(model, tmp_path / "song.wav", tmp_path / "out").folder
    stems = [sf.read(folder / f"{name}.wav") for name in model.sources]
    assert all(rate == 44100 and wav.shape == song.shape for wav, rate in stems)
    np.testing.assert_allclose(sum(wav for wav, _ in stems), song, atol=1e-4)
    with (folder / "f0.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "frequency", "confidence", "voiced"]
    times = [float(row["time"]) for row in rows]
    np.testing.assert_allclose(times, 0.025 * np.arange(len(rows)), atol=1e-5)
    assert len(rows) == int(3 / 0.025) + 1


def test_command(experiment, tmp_path):
    sf.write(tmp_path / "song.wav", np.zeros(9000), 8000)
    command = "import sys; from asteroid_joint.cli import main; sys.exit(main())"
    options = ["--model", experiment / "best_model.pth", "--plugins", "stranger_model"]
    result = subprocess.run(
        [sys.executable, "-c", command, "separate", "song.wav", "-o", "out", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in (tmp_path / "out" / "song").iterdir())
    assert names == ["accompaniment.wav", "f0.csv", "vocals.wav"]


def test_a_missing_plugin_is_one_sentence(tmp_path):
    options = arguments(tmp_path, plugins="no_such_module")
    with pytest.raises(SystemExit, match="^train.py: There is no plugin module no_such_module"):
        train_main(str(RECIPE / "train.py"), options)
    options = arguments(tmp_path, dataset="no_such_set")
    with pytest.raises(SystemExit, match="^train.py: Unknown dataset 'no_such_set': choose one"):
        train_main(str(RECIPE / "train.py"), options)


def test_hub_style_load(experiment, stranger):
    model = load_model(experiment / "best_model.pth")
    assert type(model) is stranger and not model.training
    with torch.no_grad():
        assert model(noise(model, 4000)).shape == (1, 2, 4000)


def test_all_three_are_in_the_tables(stranger):
    import stranger_dataset
    import stranger_loss

    assert MODELS["StrangerNet"] is stranger
    assert DATASETS["stranger_songs"] is stranger_dataset.StrangerSongs
    assert LOSSES["stranger_energy"] is stranger_loss.StrangerEnergy


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__[6:] for check in CHECKS])
def test_contract(stranger, check, tmp_path):
    check(stranger, tmp_path)


def test_fresh_process(stranger, tmp_path):
    fresh_process([stranger], tmp_path, imports="import stranger_model")
