"""One contract over every model of the package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from contract_checks import CHECKS, fresh_process, make, noise, save

from asteroid_joint import MODELS
from asteroid_joint.errors import CheckpointError
from asteroid_joint.models import pretrained as store

REPOSITORY = Path(__file__).parents[2]
OURS = {name: cls for name, cls in MODELS.items() if cls.__module__.startswith("asteroid_joint.")}
UNPUBLISHED = {"JointCascade"}  # whose paper's configuration is not known: no preset claims it
each_model = pytest.mark.parametrize("cls", OURS.values(), ids=OURS)


def test_every_published_system_is_known():
    assert {"DJCM", "SharedBottom", "MMoE"} <= set(OURS)


@each_model
def test_the_papers_configuration_is_a_preset(cls):
    assert ("paper" in cls.presets) == (cls.__name__ not in UNPUBLISHED)


@each_model
@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__[6:] for check in CHECKS])
def test_contract(cls, check, tmp_path):
    check(cls, tmp_path)


def test_fresh_process(tmp_path):
    fresh_process(OURS.values(), tmp_path)


def test_importing_the_package_anew_is_harmless():
    code = """
import sys
import asteroid.models
import asteroid_joint
first = asteroid_joint.DJCM
for name in [n for n in sys.modules if n.partition(".")[0] == "asteroid_joint"]:
    del sys.modules[name]
import asteroid_joint
assert asteroid_joint.DJCM is not first
assert asteroid.models.get("djcm") is asteroid_joint.DJCM
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# ------------------------------------------------------------------ torch.hub


def entry_points() -> dict[str, object]:
    spec = importlib.util.spec_from_file_location("hubconf_under_test", REPOSITORY / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name.replace("_", ""): (name, value)
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_")
    }


def hub(entry, *args, **kwargs):
    return torch.hub.load(str(REPOSITORY), entry, *args, source="local", **kwargs)


@each_model
def test_hub_entry(cls, tmp_path, monkeypatch):
    entry, function = entry_points()[cls.__name__.lower()]
    assert "Example:" in function.__doc__
    for _ in range(2):  # hubconf is executed anew by each call
        assert type(hub(entry, preset="tiny")) is cls
    model = make(cls).eval()
    wav = noise(model, 4000)
    path = save(model, tmp_path)
    path.rename(tmp_path / f"{entry}_mine.pth")
    monkeypatch.setattr(store, "WEIGHTS", tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("mine", f"{entry}_mine", str(tmp_path / f"{entry}_mine.pth")):
        again = hub(entry, name)
        assert type(again) is cls and not again.training
        assert torch.equal(again(wav), model(wav))
    with pytest.raises(CheckpointError, match=f"no model 'other'.*{entry}_mine"):
        hub(entry, "other")


def test_hub_entry_refuses_weights_of_another_model(tmp_path):
    path = save(make(OURS["DJCM"]), tmp_path)
    with pytest.raises(CheckpointError, match="belong to DJCM, not to MMoE"):
        hub("mmoe", str(path))


def test_hub_dependencies_are_names_to_import():
    spec = importlib.util.spec_from_file_location("hubconf_under_test", REPOSITORY / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "asteroid" in module.dependencies
    assert all(importlib.util.find_spec(name) for name in module.dependencies)


def test_hub_overrides_constructor_arguments():
    assert hub("mmoe", preset="tiny", n_experts=3).get_model_args()["n_experts"] == 3
