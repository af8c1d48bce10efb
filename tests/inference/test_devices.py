"""Devices that may fail, and bfloat16: simulated here, where there is no GPU."""

import numpy as np
import pytest
import torch
from fake_models import Halves

from asteroid_joint import DJCM
from asteroid_joint.cli import main
from asteroid_joint.errors import ConfigError, UserError
from asteroid_joint.inference import load as loading
from asteroid_joint.inference.collection.run import fingerprint
from asteroid_joint.inference.fast import devices
from asteroid_joint.inference.fast.choice import as_runner
from asteroid_joint.inference.fast.half import in_bfloat16, is_marked
from asteroid_joint.inference.load import prepare, ready_model, ready_runner
from asteroid_joint.inference.options import SeparateOptions
from asteroid_joint.optional import has_bfloat16, pick_device

CPU, MPS = torch.device("cpu"), torch.device("mps")


@pytest.fixture
def apple(monkeypatch):
    """A computer whose torch says that there is a GPU of Apple's; using it fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_auto_takes_it_for_inference_only(apple):
    assert pick_device("auto", inference=True) == MPS == pick_device("mps")
    assert pick_device("auto") == CPU  # for training


def test_where_there_is_none(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"^torch finds no Apple GPU \(mps\) here: use --device"):
        pick_device("mps")
    (tmp_path / "a.wav").touch()
    assert main(["pitch", str(tmp_path / "a.wav"), "-o", str(tmp_path), "--device", "mps"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(torch.backends.mps.is_built(), reason="the failure is one of other computers")
def test_a_model_that_fails_there_runs_on_the_cpu(apple, weights, caplog):
    model = ready_model(weights, "auto", 1)
    assert model.voicing_threshold.device == CPU
    (record,) = [r for r in caplog.records if r.name == devices.__name__]
    said = record.getMessage()
    assert said.startswith("This DJCM does not run on mps (") and said.endswith("the CPU runs it.")
    assert "\n" not in said
    assert model.forward_joint(torch.zeros(1, 3200)).sources.shape == (1, 2, 3200)


class Wrong(Halves):
    """Computes something else where its weights were moved: a device with a defect."""

    moved = False

    def to(self, *args, **kwargs):
        self.moved = True
        return self

    def estimate(self, wav):
        out = super().estimate(wav)
        return out._replace(sources=out.sources * (1.5 if self.moved else 1))


def test_wrong_results_count_as_failure(caplog):
    assert devices.fault(Wrong(), CPU) == "its results differ from the CPU's"
    assert devices.fault(Halves(), CPU) is None
    assert devices.usable(Wrong(), CPU) == CPU  # not tried
    assert devices.usable(Wrong(), MPS) == CPU and "differ" in caplog.text


@pytest.fixture
def half(monkeypatch):
    """A processor with bfloat16, as far as anybody asks."""
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: True)


def test_bfloat16_is_near_and_known(half, weights):
    torch.manual_seed(0)
    wav = torch.randn(1, 16000) / 10
    exact, fast = (ready_model(weights, "cpu", 1, bf16=bf16) for bf16 in (False, True))
    ours, theirs = (m.forward_joint(wav).sources for m in (fast, exact))
    assert (ours - theirs).square().mean() < 1e-3 * theirs.square().mean()
    if has_bfloat16(CPU):
        assert not torch.equal(ours, theirs)
    prints = [fingerprint(SeparateOptions(), model) for model in (fast, exact)]
    assert prints[0] != prints[1]  # a resumed run takes no song of the other precision
    assert is_marked(as_runner(fast).model) and not is_marked(exact)


def test_bfloat16_on_a_gpu_is_autocast():
    """Shown on the CPU, which has it, too."""
    model = DJCM.from_preset("tiny").eval()
    wav = torch.randn(1, 16000) / 10
    seen = []
    plain = model.estimate
    model.estimate = lambda x: (seen.append(torch.is_autocast_enabled("cpu")), plain(x))[1]
    with torch.no_grad():
        exact = model.forward_joint(wav).sources
        half = in_bfloat16(model).forward_joint(wav).sources
    assert seen == [False, True]
    assert half.dtype == torch.float32
    assert (half - exact).square().mean() < 1e-3 * exact.square().mean()


def test_bfloat16_where_it_would_be_slow_or_is_not(monkeypatch, weights, tmp_path, capsys):
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: False)
    sentence = "^This processor does not multiply bfloat16 in hardware.*: leave --bf16 out.$"
    with pytest.raises(ConfigError, match=sentence):
        prepare(Halves(), CPU, 1, bf16=True)
    with pytest.raises(ConfigError, match="^A graph runs in float32: leave --bf16 out"):
        ready_runner(weights, "cpu", runtime="onnx", bf16=True)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    call = ["separate", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(weights)]
    np.save(tmp_path / "x.npy", np.zeros(1))
    assert main([*call, "--device", "cpu", "--bf16"]) == 2
    assert "leave --bf16 out" in capsys.readouterr().err


def test_apple_is_asked_about_where_there_is_a_graph(monkeypatch):
    monkeypatch.setattr(loading.sys, "platform", "darwin")
    for machine, found in (("arm64", True), ("x86_64", False)):
        monkeypatch.setattr(loading.platform, "machine", lambda machine=machine: machine)
        assert loading._may_have_gpu() is found
