"""Training: killed and resumed, in two processes, and what a strategy remembers."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT, child_env

from asteroid_joint.data.drawing import DrawSampler
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.train import _check_resumable, choose_precision, train
from asteroid_joint.errors import ConfigError, DataError

RECIPE = ROOT / "recipes" / "mir1k" / "DJCM"
DRAWS = 12  # per epoch, three batches of four
STUCK_AT = DRAWS + 6  # a draw in the second batch of the second epoch

# A plugin that notes every draw of its process, and can make one of them last for ever.
SPY = """
import os, pathlib, time
from asteroid_joint.data.drawing import DrawnExamples

draw_example = DrawnExamples.__getitem__
notes = pathlib.Path(os.environ["SPY_DIR"])

def __getitem__(self, draw):
    with open(notes / f"rank{os.environ.get('LOCAL_RANK', 0)}.txt", "a") as file:
        file.write(f"{draw}\\n")
    if draw == int(os.environ.get("SPY_STUCK_AT", -1)):
        (notes / "stuck").touch()
        time.sleep(600)
    return draw_example(self, draw)

DrawnExamples.__getitem__ = __getitem__
"""


@pytest.fixture(autouse=True)
def same_number_of_threads():
    """Training sets torch's number of threads; the tests after it are not to notice."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def spy(tmp_path):
    """Folder of the plugin and the environment that shows it to a process."""
    (tmp_path / "draw_spy.py").write_text(SPY)
    env = child_env()
    env.update(PYTHONPATH=f"{tmp_path}:{env['PYTHONPATH']}", SPY_DIR=str(tmp_path))
    return tmp_path, env


def arguments(data_dir: Path, exp_dir: Path, *more: object) -> list[str]:
    """Options of a run of three short epochs in fp32 with averaged weights."""
    options = ["--overlay", "debug", "--data_dir", data_dir, "--exp_dir", exp_dir]
    options += ["--draws_per_epoch", DRAWS, "--epochs", 3, "--warmup_steps", 2, "--ema", 0.9]
    return [str(option) for option in [*options, *more]]


def drawn(folder: Path, rank: int = 0) -> list[int]:
    return [int(line) for line in (folder / f"rank{rank}.txt").read_text().split()]


def test_killed_and_started_again_it_ends_where_it_would_have(mir1k_dir, tmp_path, spy):
    folder, env = spy
    exp_dir = tmp_path / "killed"
    command = [sys.executable, str(RECIPE / "train.py")]
    command += arguments(mir1k_dir, exp_dir, "--plugins", "draw_spy")
    log = open(tmp_path / "log.txt", "w")
    env["SPY_STUCK_AT"] = str(STUCK_AT)
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    deadline = time.monotonic() + 600
    while not (folder / "stuck").exists() and process.poll() is None:
        assert time.monotonic() < deadline, "training did not reach its second epoch"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)  # in the middle of the second epoch
    process.wait()
    assert (exp_dir / "checkpoints" / "last.ckpt").is_file(), (tmp_path / "log.txt").read_text()
    assert not (exp_dir / "best_model.pth").exists()
    before = drawn(folder)
    assert before[:DRAWS] == list(range(DRAWS)) and before[-1] == STUCK_AT

    del env["SPY_STUCK_AT"]
    subprocess.run(command, env=env, check=True, stdout=log, stderr=log)
    log.close()
    after = drawn(folder)[len(before) :]
    assert after == list(range(DRAWS, 3 * DRAWS))  # the second epoch anew, then the third

    whole = tmp_path / "whole"
    train(parse_recipe_args(RECIPE, arguments(mir1k_dir, whole)))
    weights = [
        torch.load(path / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
        for path in (exp_dir, whole)
    ]
    assert weights[0]["global_step"] == weights[1]["global_step"] == 9
    for kind in ("current_model_state", "state_dict"):  # as trained, and averaged
        for name, value in weights[1][kind].items():
            torch.testing.assert_close(weights[0][kind][name], value, rtol=1e-6, atol=1e-7)
    best = [torch.load(p / "best_model.pth", weights_only=True) for p in (exp_dir, whole)]
    for name, value in best[1]["state_dict"].items():
        torch.testing.assert_close(best[0]["state_dict"][name], value, rtol=1e-6, atol=1e-7)
    scores = [json.loads((p / "best_k_models.json").read_text()) for p in (exp_dir, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4) and len(scores[0]) == 3
    assert epochs_logged(exp_dir) == epochs_logged(whole) == {0, 1, 2}  # no log was lost

    # a run that is over is not trained further, and its model stays
    train(parse_recipe_args(RECIPE, arguments(mir1k_dir, whole)))
    again = torch.load(whole / "best_model.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(again[k], v) for k, v in best[1]["state_dict"].items())
    assert json.loads((whole / "run_facts.json").read_text())["steps"] == 9


def epochs_logged(exp_dir: Path) -> set[int]:
    """Epochs with a validation score in any of the CSV logs; it is the sum of what is logged."""
    epochs = set()
    for path in (exp_dir / "csv_log").glob("version_*/metrics.csv"):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if row.get("val_score"):
                    score = float(row["val_nsdr"]) + 100 * float(row.get("val_rpa") or 0)
                    assert float(row["val_score"]) == pytest.approx(score, abs=1e-4)
                    epochs.add(int(row["epoch"]))
    return epochs


def test_draws_of_all_ranks_together_are_those_of_one_process():
    for world_size in (1, 2, 3):
        samplers = [DrawSampler(12, rank, world_size) for rank in range(world_size)]
        for epoch in (0, 5):
            for sampler in samplers:
                sampler.set_epoch(epoch)
            together = sorted(draw for sampler in samplers for draw in sampler)
            assert together == list(range(12 * epoch, 12 * epoch + 12))


def test_dynamic_weights_go_on_after_a_restart(mir1k_dir, tmp_path):
    args = arguments(mir1k_dir, tmp_path / "exp", "--weighting", "dwa", "--epochs")
    train(parse_recipe_args(RECIPE, [*args, "1"]))
    path = tmp_path / "exp" / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)["weighting_state"]
    assert state["_calls"] == 3 and set(state["_sums"]) == {"sdr", "pitch"}
    train(parse_recipe_args(RECIPE, [*args, "2"]))
    assert torch.load(path, weights_only=True)["weighting_state"]["_calls"] == 6


def test_configuration_is_stored_and_plain(mir1k_dir, tmp_path):
    exp_dir = tmp_path / "exp"
    more = ["--epochs", 1, "--patience", 2, "--num_workers", 1]
    train(parse_recipe_args(RECIPE, arguments(mir1k_dir, exp_dir, *more)))
    conf = yaml.safe_load((exp_dir / "conf.yml").read_text())
    assert conf["training"]["epochs"] == 1 and conf["model"]["preset"] == "tiny"
    infos = torch.load(exp_dir / "best_model.pth", weights_only=True)["infos"]
    assert infos["training_config"] == conf
    assert infos["run_facts"]["seed"] == 0 and infos["run_facts"]["hardware"]


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("data", "dataset", "multitrack"),
        ("data", "singers", "second_half"),
        ("data", "hide", ["f0"]),
        ("data", "extra_nonvocal", {"min_sec": 1.0}),
        ("data", "mixing", "djcm_official"),
        ("data", "split", "djcm_official"),
        ("data", "remix", 0.25),
        ("loss", "pitch", 7.0),
        ("loss_args", "pitch_blur", 1),
        ("model_args", "activity", True),
        ("more_data", "x", {"hide": ["f0"]}),
    ],
)
def test_a_run_goes_on_as_what_it_was(mir1k_dir, tmp_path, group, key, value):
    conf = parse_recipe_args(RECIPE, arguments(mir1k_dir, tmp_path))
    conf["data"]["singers"] = "first_half"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(conf))
    moved = {"data_dir": "elsewhere", "labels_dir": "there", "plugins": "", "later_option": 1}
    same = {**conf, "data": {**conf["data"], **moved}, "training": {"epochs": 99}}
    _check_resumable(same, tmp_path)
    other = {**same, group: {**same[group], key: value}}
    name = key if group == "data" else group
    with pytest.raises(DataError, match=f"was started with another {name} \\("):
        _check_resumable(other, tmp_path)


def test_what_steers_learning_does_not_change_in_silence(mir1k_dir, tmp_path, caplog):
    conf = parse_recipe_args(RECIPE, arguments(mir1k_dir, tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(conf))
    training = {**conf["training"], "epochs": 99, "num_workers": 3, "precision": "32-true"}
    _check_resumable({**conf, "training": training}, tmp_path)
    assert not caplog.messages
    before, lr = training["batch_size"], conf["optim"]["lr"]
    other = {**conf, "training": {**training, "batch_size": 7}, "optim": {**conf["optim"], "lr": 1}}
    _check_resumable(other, tmp_path)
    (said,) = caplog.messages
    assert f"--batch_size 7 instead of {before}, --lr 1 instead of {lr}: give the" in said


def test_training_speaks_first(tmp_path, run):
    """Neither imports nor a run show what libraries have to tell one another."""
    code = """
import logging, warnings
from asteroid_joint.engine.recipe import _report
from asteroid_joint.engine.training.train import _no_advert

def run():
    warnings.warn("pkg_resources is deprecated as an API.", UserWarning)
    warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use another", UserWarning)
    warnings.warn("Checkpoint directory /x exists and is not empty.", UserWarning)
    warnings.warn("Estimated melody has no voiced frames.", UserWarning)
    warnings.warn("of ours", UserWarning)
    for said in "TPU available: False", "Tip: buy", "GPU available: False":
        print(_no_advert(logging.makeLogRecord({"msg": said})))
    return "result"

warnings.simplefilter("default")  # as Lightning does when it is imported
_report("train.py", run)
"""
    done = run(sys.executable, "-c", code, env={"PYTHONWARNINGS": ""}, cwd=tmp_path)
    assert done.stdout.split() == ["False", "False", "True", "result"]
    (shown,) = (line for line in done.stderr.splitlines() if "Warning" in line)
    assert shown.endswith("of ours")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx2": True, "avx512_f": True}, "32-true"),  # Zen 3 and older Xeons
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"neon": True, "bf16": True}, "bf16-mixed"),  # ARM
    ],
)
def test_precision_fits_the_processor_and_is_said(monkeypatch, caplog, flags, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert choose_precision("auto", "cpu") == expected
    assert f"Precision {expected}: this CPU" in caplog.text
    caplog.clear()
    for given in ("16-mixed", "bf16-mixed", 32):
        assert choose_precision(given, "cpu") == given
    assert not caplog.text


def test_the_precision_of_a_run_is_kept(mir1k_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    train(parse_recipe_args(RECIPE, arguments(mir1k_dir, tmp_path / "exp", "--precision", "auto")))
    facts = json.loads((tmp_path / "exp" / "run_facts.json").read_text())
    assert facts["precision"] == "32-true"


def test_too_few_draws_for_a_batch_are_refused(mir1k_dir, tmp_path):
    args = arguments(mir1k_dir, tmp_path / "exp", "--draws_per_epoch", 3)
    with pytest.raises(DataError, match="no batch"):
        train(parse_recipe_args(RECIPE, args))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--optimizer", "sdg", "Optimizer 'sdg' is not available: .*sdg"),
        ("--lr", -1.0, "Optimizer 'adam' is not available: .*-1"),
        ("--precision", "bf17", "cannot start with these options: .*bf17"),
        ("--accelerator", "tpux", "cannot start with these options: .*tpux"),
    ],
)
def test_options_that_others_refuse_are_named(mir1k_dir, tmp_path, option, value, said):
    args = arguments(mir1k_dir, tmp_path / "exp", option, value)
    with pytest.raises(ConfigError, match=said):
        train(parse_recipe_args(RECIPE, args))
