"""Two processes train one model on three sets: who draws what, who validates, who writes."""

import csv
import json
import socket
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, child_env

from asteroid_joint.data.drawing import DrawSampler
from asteroid_joint.models.pretrained import load_model

RECIPE = ROOT / "recipes" / "mir1k" / "JointCascade"

# A plugin that notes what each process draws, of which set (by its seed), and what it validates.
SPY = """
import os, pathlib
from asteroid_joint.data.drawing import DrawnExamples, WholeClips

draw_example, read_clip = DrawnExamples.__getitem__, WholeClips.__getitem__

def note(*words):
    with open(pathlib.Path(os.environ["SPY_DIR"]) / "notes.txt", "a") as file:
        file.write(" ".join(map(str, (os.environ.get("LOCAL_RANK", 0), *words))) + "\\n")

def drawn(self, draw):
    note("draw", self.seed, draw)
    return draw_example(self, draw)

def validated(self, index):
    note("valid", 0, index)
    return read_clip(self, index)

DrawnExamples.__getitem__, WholeClips.__getitem__ = drawn, validated
"""


@pytest.mark.slow
def test_two_processes_share_every_set(mir1k_dir, tmp_path, run, warm_python):
    (tmp_path / "ddp_spy.py").write_text(SPY)
    python_path = f"{tmp_path}:{child_env()['PYTHONPATH']}"
    exp_dir = tmp_path / "exp"
    options = ["--overlay", "stage2,dwhs,debug", "--data_dir", mir1k_dir, "--exp_dir", exp_dir]
    options += ["--devices", 2, "--accelerator", "cpu", "--strategy", "ddp", "--epochs", 1]
    options += ["--draws_per_epoch", 16, "--plugins", "ddp_spy"]
    env = {"PYTHONPATH": python_path, "SPY_DIR": str(tmp_path)}
    done = run(warm_python, RECIPE / "train.py", *options, env=env)
    assert done.returncode == 0, done.stderr

    drawn, validated = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for line in (tmp_path / "notes.txt").read_text().splitlines():
        rank, kind, seed, number = line.split()
        if kind == "draw":
            drawn[seed][rank].append(int(number))
        else:
            validated[rank].append(int(number))
    assert sorted(len(ranks["0"]) for ranks in drawn.values()) == [4, 4, 8]  # three sets
    for ranks in drawn.values():
        first, second = ranks["0"], ranks["1"]
        assert not set(first) & set(second)
        # 4 examples of the first set in each step of each process, 2 of the others
        n_draws = 16 if len(first) == 8 else 8
        assert sorted(first + second) == list(DrawSampler(n_draws))
    assert validated["1"] == [0, 1]  # each clip once
    assert validated["0"][:2] == [0, 1]  # and again, all of them, to choose the threshold

    (log,) = (exp_dir / "csv_log").glob("version_*/metrics.csv")  # of one process
    with open(log, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val_score")]
    assert len(rows) == 1
    scores = json.loads((exp_dir / "best_k_models.json").read_text())
    assert list(scores.values()) == [pytest.approx(float(rows[0]["val_score"]), abs=1e-4)]
    facts = json.loads((exp_dir / "run_facts.json").read_text())
    assert facts["processes"] == 2 and facts["steps"] == 2
    assert yaml.safe_load((exp_dir / "conf.yml").read_text())["training"]["strategy"] == "ddp"
    assert load_model(exp_dir / "best_model.pth").has_pitch
    assert not list(Path(exp_dir).rglob("*.part*"))


@pytest.mark.slow
def test_two_machines_train_one_model(mir1k_dir, tmp_path, warm_python):
    """As the README has it, both on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    exp_dir = tmp_path / "exp"
    options = ["--overlay", "stage2,debug", "--data_dir", mir1k_dir, "--exp_dir", exp_dir]
    options += ["--accelerator", "cpu", "--strategy", "ddp", "--devices", 1, "--num_nodes", 2]
    options += ["--epochs", 1, "--draws_per_epoch", 16]
    argv = [*map(str, [warm_python, RECIPE / "train.py", *options])]
    machines = []
    for rank in range(2):
        env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank)}
        env = {**child_env(), **env}
        with open(tmp_path / f"{rank}.log", "w") as log:
            machines.append(subprocess.Popen(argv, env=env, stdout=log, stderr=log))
    try:
        codes = [machine.wait(timeout=300) for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert codes == [0, 0], (tmp_path / "0.log").read_text() + (tmp_path / "1.log").read_text()
    facts = json.loads((exp_dir / "run_facts.json").read_text())
    assert facts["processes"] == 2 and facts["steps"] == 2
    assert load_model(exp_dir / "best_model.pth").has_pitch
    assert not list(exp_dir.rglob("*.part*"))
