"""Training with recordings in memory, runs that end by the clock, and resuming within an epoch."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT
from test_training import DRAWS, RECIPE, arguments

from asteroid_joint.data.drawing import DrawnExamples
from asteroid_joint.data.plans import Planner
from asteroid_joint.data.resident import ResidentExamples
from asteroid_joint.engine.training import clock
from asteroid_joint.engine.training.build import build_model
from asteroid_joint.engine.training.clock import Clock
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.loaders import build_loaders
from asteroid_joint.engine.training.resident import is_resident
from asteroid_joint.engine.training.train import train
from asteroid_joint.errors import ConfigError

SETS = ROOT / "recipes" / "mir1k" / "VocalDetectionUNet"
EFFECTS = ["--double", 0.5, "--reverb", 0.5, "--eq_db", 3, "--equal_loudness", True]


@pytest.fixture(autouse=True)
def same_number_of_threads():
    """Training sets torch's number of threads; the tests after it are not to notice."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def weights(exp_dir):
    state = torch.load(exp_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def started(mir1k_dir, exp_dir, *more):
    return train(parse_recipe_args(RECIPE, arguments(mir1k_dir, exp_dir, *more)))


@pytest.mark.parametrize("resident", [True, False])
def test_stopped_within_an_epoch_it_ends_where_it_would_have(
    mir1k_dir, tmp_path, monkeypatch, resident
):
    more = ["--resident", resident, "--save_minutes", 1e-9, "--epochs", 2, "--valid_clips", 1]
    more += EFFECTS if resident else []
    started(mir1k_dir, tmp_path / "whole", *more)
    owner, name = (Planner, "plan") if resident else (DrawnExamples, "__getitem__")
    make, made = getattr(owner, name), []

    def dies(self, draw):
        if draw == DRAWS + 9:  # in the last of three batches of the second epoch
            raise RuntimeError("the machine is gone")
        return make(self, draw)

    def notes(self, draw):
        made.append(draw)
        return make(self, draw)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dies)
        with pytest.raises(RuntimeError, match="the machine is gone"):
            started(mir1k_dir, tmp_path / "parts", *more)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, notes)
        started(mir1k_dir, tmp_path / "parts", *more)
    assert made == list(range(DRAWS + 8, 2 * DRAWS))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for key, tensor in whole.items():
        torch.testing.assert_close(parts[key], tensor, rtol=0, atol=0, msg=key)


def test_a_run_ends_by_the_clock_with_the_schedule_at_its_end(mir1k_dir, tmp_path, monkeypatch):
    """On a machine where every step takes a second and validation nothing."""
    now, rates = [0.0], []
    measure = Clock.on_before_optimizer_step

    def after_a_second(self, trainer, *args):
        now[0] += 1
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        measure(self, trainer, *args)

    monkeypatch.setattr(Clock, "on_before_optimizer_step", after_a_second)
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    exp_dir = tmp_path / "exp"
    more = ["--max_minutes", 7 / 60, "--resident", True, "--epochs", 100000, "--warmup_steps", 1]
    assert started(mir1k_dir, exp_dir, *more, "--lr", 0.01).is_file()
    facts = json.loads((exp_dir / "run_facts.json").read_text())
    assert facts["steps"] == 7 and facts["epochs"] == 3  # of three steps each
    cosine = [0.01 * 0.5 * (1 + math.cos(math.pi * n / 7)) for n in (0, 2, 3, 4, 5, 6, 7)]
    assert rates == pytest.approx(cosine, abs=1e-8)  # the first one is before any measurement
    # the time is over: a restart trains no further than one step
    started(mir1k_dir, exp_dir, *more, "--lr", 0.01)
    assert json.loads((exp_dir / "run_facts.json").read_text())["steps"] <= 8


def test_sets_that_have_a_batch_each_are_all_resident(mir1k_dir, tmp_path):
    args = ["--overlay", "debug", "--data_dir", mir1k_dir, "--resident", True]
    conf = parse_recipe_args(SETS, [str(a) for a in args])
    conf["more_data"] = {"more": {"hide": ["sources"], "batch_size": 3}}
    model = build_model(conf)
    loaders = build_loaders(conf, model)
    for loader in loaders.train.flattened:
        assert isinstance(loader.dataset, ResidentExamples)
    batches, *_ = next(iter(loaders.train))
    assert len(batches) == len(loaders.train.flattened) > 1
    conf["training"]["resident"] = False
    files, *_ = next(iter(build_loaders(conf, model).train))
    for ours, theirs in zip(batches, files, strict=True):
        for key in ("has_sources", "has_f0_hz", "has_activity"):
            assert ours[key].tolist() == theirs[key].tolist(), key
        assert ours["mixture"].shape == theirs["mixture"].shape


def test_accelerators_have_resident_recordings_by_default(mir1k_dir, tmp_path):
    conf = parse_recipe_args(RECIPE, arguments(mir1k_dir, tmp_path))
    assert conf["training"]["resident"] == "auto"
    assert is_resident([conf], torch.device("cuda"))
    assert is_resident([conf], torch.device("mps"))
    assert not is_resident([conf], torch.device("cpu"))
    conf["data"]["pitch_tempo"] = 0.5
    assert not is_resident([conf], torch.device("cuda"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resident": True, "pitch_tempo": 0.5}, "pitch_tempo is not available with recordings in"),
        ({"resident": False, "reverb": 0.5}, "reverb needs recordings in memory: set --resident"),
        ({"resident": "auto", "double": 0.1}, "double needs recordings in memory: set --resident"),
        ({"resident": "maybe"}, "--resident maybe: expected auto, true or false"),
    ],
)
def test_contradictions_are_refused(mir1k_dir, tmp_path, options, said):
    conf = parse_recipe_args(RECIPE, arguments(mir1k_dir, tmp_path))
    for key, value in options.items():
        conf["training" if key == "resident" else "data"][key] = value
    with pytest.raises(ConfigError, match=said):
        is_resident([conf], torch.device("cpu"))


def test_options_out_of_range_are_refused(mir1k_dir, tmp_path):
    with pytest.raises(ConfigError, match="--double 2.0: expected a probability"):
        started(mir1k_dir, tmp_path / "exp", "--resident", True, "--double", 2.0)
    with pytest.raises(ConfigError, match="--max_minutes -1.0"):
        started(mir1k_dir, tmp_path / "exp", "--max_minutes", -1)
