"""Graphs in onnxruntime: which of it and torch is taken. tests/share compares their results."""

import os

import numpy as np
import pytest
import soundfile as sf
import torch
from graphs import halves

from asteroid_joint import DJCM
from asteroid_joint.cli import main
from asteroid_joint.errors import CheckpointError, ConfigError
from asteroid_joint.inference import load
from asteroid_joint.inference.fast.graph_runner import GraphRunner, n_threads
from asteroid_joint.inference.fast.torch_runner import TorchRunner
from asteroid_joint.inference.load import ready_runner, weights_digest
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.models.model_file import write_model_file

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def copy(tmp_path):
    """A model file and, beside it, its graph."""
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    write_model_file(DJCM.from_preset("tiny").serialize(), folder / "tiny.pth")
    halves(folder / "tiny.onnx", weights_sha256=weights_digest(folder / "tiny.pth"))
    return folder


def test_shorter_than_the_graph_takes(copy):
    wav = np.array([[0.5]], np.float32)
    found = separate_array(ready_runner(copy / "tiny.onnx"), wav, 16000)
    np.testing.assert_array_equal(found.stems, np.full((2, 1, 1), 0.25))
    assert len(found.f0) == len(found.activity) == 0


def test_who_runs_a_model(copy, monkeypatch):
    """A graph of these very weights, on a CPU; else torch."""
    name = copy / "tiny.pth"
    assert isinstance(ready_runner(name, "cpu"), GraphRunner)
    assert isinstance(ready_runner(name, "cpu", runtime="onnx"), GraphRunner)
    assert isinstance(ready_runner(copy / "tiny.onnx"), GraphRunner)
    assert isinstance(ready_runner(name, "cpu", 1, "torch"), TorchRunner)
    monkeypatch.setattr(load, "_may_have_gpu", lambda: True)
    assert isinstance(ready_runner(name, "auto", 1), TorchRunner)
    torch.manual_seed(1)
    write_model_file(DJCM.from_preset("tiny").serialize(), name)  # trained again
    assert isinstance(ready_runner(name, "cpu", 1), TorchRunner)
    with pytest.raises(CheckpointError, match="not a graph of the weights beside it"):
        ready_runner(name, "cpu", runtime="onnx")
    (copy / "tiny.onnx").unlink()
    assert isinstance(ready_runner(name, "cpu", 1), TorchRunner)


def test_what_cannot_run(copy, tmp_path, capsys):
    """One sentence each, nothing written."""
    name = str(copy / "tiny.pth")
    with pytest.raises(ConfigError, match="choose one of auto, torch, onnx"):
        ready_runner(name, runtime="tflite")
    with pytest.raises(ConfigError, match="on a CPU"):
        ready_runner(copy / "tiny.onnx", "cuda")
    other = tmp_path / "other.onnx"
    other.write_bytes(b"no graph")
    sf.write(tmp_path / "song.wav", np.zeros(8000), 16000)
    for options, sentence in (
        (["--model", str(other)], f"{other} cannot be read as an ONNX graph"),
        (["--model", str(tmp_path / "none.onnx")], "none.onnx cannot be read as an ONNX graph"),
        (["--model", "joint_xumx_mir1k", "--runtime", "onnx"], "There is no graph of joint_xumx"),
    ):
        call = ["separate", str(tmp_path / "song.wav"), "-o", str(tmp_path / "out"), *options]
        assert main(call) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_as_many_threads_as_torch(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert n_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= n_threads() <= (os.cpu_count() or 1)
