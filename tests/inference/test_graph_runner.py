"""Graphs in onnxruntime: the results of torch, without torch; which of the two is taken."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import play, sing

from asteroid_joint import DJCM
from asteroid_joint.cli import main
from asteroid_joint.errors import CheckpointError, ConfigError
from asteroid_joint.inference import engines
from asteroid_joint.inference.engines import ready_runner
from asteroid_joint.inference.graph_runner import GraphRunner, n_threads
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.inference.torch_runner import TorchRunner
from asteroid_joint.models.model_file import write_model_file

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
RATE = 44100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model file and, beside it, its graph."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = DJCM.from_preset("tiny").eval()
    write_model_file(model.serialize(), folder / "tiny.pth")
    path = folder / "tiny.onnx"
    model.export_onnx(path, window_sec=1.0, weights=folder / "tiny.pth")
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "weights")
    return tmp_path / "weights"


def song(n_samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    voice, band = sing(rng, n_samples)[0], play(rng, n_samples)
    return np.stack([voice + band, voice + 0.5 * band]).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 900, RATE, 3 * RATE + 17])
@pytest.mark.parametrize("decoder", ["argmax", "viterbi"])
def test_a_graph_gives_what_the_model_gives(folder, n_samples, decoder):
    """Of any length: one window, many, and less than the model takes."""
    model, wav = DJCM.from_pretrained(folder / "tiny.pth"), song(n_samples)
    options = {"decoder": decoder, "window_sec": 1.0}
    expected = separate_array(model, wav, RATE, **options)
    found = separate_array(GraphRunner(folder / "tiny.onnx"), wav, RATE, **options)
    np.testing.assert_array_equal(found.mixture, expected.mixture)
    np.testing.assert_allclose(found.stems, expected.stems, atol=1e-4)
    assert found.f0.shape == expected.f0.shape and found.activity.shape == expected.activity.shape
    same = np.isclose(found.f0, expected.f0, rtol=1e-4, atol=1e-4).all(1)
    assert same.mean() >= 0.999
    np.testing.assert_allclose(found.activity, expected.activity, atol=1e-4)


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchaudio", "asteroid"):
    sys.modules[name] = None  # importing it fails
from asteroid_joint.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_song_without_torch(folder, tmp_path):
    path = tmp_path / "song.wav"
    sf.write(path, 0.5 * song(2 * RATE).T, RATE, subtype="PCM_16")
    call = ["separate", str(path), "-o", str(tmp_path / "out"), "--model"]
    options = ["--notes", "--two-pass-viterbi", "--activity"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *call, str(folder / "tiny.onnx"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / "song"
    stems = [sf.read(out / f"{name}.wav")[0] for name in ("vocals", "accompaniment")]
    np.testing.assert_array_equal(sum(stems), sf.read(path)[0])  # bit for bit
    assert {p.name for p in out.iterdir()} >= {"f0.csv", "notes.mid", "notes.csv", "activity.csv"}


def test_who_runs_a_model(copy, monkeypatch):
    """A graph of these very weights, on a CPU; else torch."""
    name = copy / "tiny.pth"
    assert isinstance(ready_runner(name, "cpu"), GraphRunner)
    assert isinstance(ready_runner(name, "cpu", runtime="onnx"), GraphRunner)
    assert isinstance(ready_runner(copy / "tiny.onnx"), GraphRunner)
    assert isinstance(ready_runner(name, "cpu", 1, "torch"), TorchRunner)
    monkeypatch.setattr(engines, "_may_have_gpu", lambda: True)
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
