"""ONNX files: the same numbers as the model's, and all that a stranger needs to know."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import play, sing

import asteroid_joint
from asteroid_joint import DJCM, MODELS, load
from asteroid_joint.cli import main
from asteroid_joint.dsp.real_stft import RealSTFT
from asteroid_joint.dsp.stft import STFT
from asteroid_joint.errors import ConfigError, UserError
from asteroid_joint.inference.fast.graph_runner import GraphRunner
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.inference.stream import plan_windows
from asteroid_joint.share import onnx as share_onnx
from asteroid_joint.share.onnx import export_onnx

onnxruntime = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-4
RATE = 44100


def run(path, wav: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Outputs by name, and the metadata."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(None, {"wav": wav})
    return dict(zip(names, values, strict=True)), session.get_modelmeta().custom_metadata_map


def window(model, window_sec: float) -> np.ndarray:
    """A song as the graph takes it, ``(1, C, T)``."""
    rng = np.random.default_rng(0)
    n_samples = plan_windows(model, window_sec).length
    wav = sing(rng, n_samples)[0] + play(rng, n_samples)
    return np.tile(wav, (1, int(model.in_channels), 1)).astype(np.float32)


def compare(model, path, wav) -> dict[str, str]:
    """Every output against PyTorch's; gives the metadata."""
    found, facts = run(path, wav)
    with torch.inference_mode():
        out = model.forward_joint(torch.from_numpy(wav))
        expected = {"sources": out.stems() / model.mixture_scale}
        if out.pitch_logits is not None:
            f0_hz, confidence, _ = model.decode_pitch(out.pitch_logits)
            expected |= {"pitch_logits": out.pitch_logits, "confidence": confidence}
            expected["f0_hz"] = f0_hz
        expected["activity"] = model.sung_probability(out)
    assert set(found) == {name for name, value in expected.items() if value is not None}
    assert expected["sources"].abs().max() > 1e-3  # something was compared
    for name, value in found.items():
        # Hz to 0.2 cents; logits may be large, their sigmoid is what counts
        near = {"f0_hz": (TOLERANCE, 0), "pitch_logits": (TOLERANCE, TOLERANCE)}
        rtol, atol = near.get(name, (0, TOLERANCE))
        np.testing.assert_allclose(value, expected[name].numpy(), rtol, atol, err_msg=name)
    return facts


# ------------------------------------------------------------------ the transforms


@pytest.mark.parametrize("n_fft, hop", [(64, 16), (64, 24), (100, 50), (2048, 320), (640, 320)])
@pytest.mark.parametrize("extra", [0, 1, 7])
def test_matrices_transform_as_the_fft(n_fft, hop, extra):
    generator = torch.Generator().manual_seed(0)
    wav = torch.randn(2, 3, 5 * n_fft + extra, generator=generator)
    stft = STFT(n_fft, hop)
    real = RealSTFT(stft)
    expected = stft(wav)
    torch.testing.assert_close(real(wav), expected, atol=1e-4, rtol=1e-4)
    changed = expected * torch.randn(expected.shape, generator=generator)
    for length in (wav.shape[-1], 4 * n_fft):
        waves = stft.inverse(changed, length)
        torch.testing.assert_close(real.inverse(changed, length), waves, atol=1e-5, rtol=1e-4)


# ------------------------------------------------------------------ the file


def test_the_default_weights(tmp_path, capsys):
    """The shipped default, on the command line: equal, and usable by what its metadata say."""
    path = tmp_path / "pop.onnx"
    assert main(["export", "pop", str(path), "--seconds", "1"]) == 0
    out = capsys.readouterr()
    assert out.out.strip() == str(path) and out.err == ""
    assert [p.name for p in tmp_path.iterdir()] == ["pop.onnx"]
    model = load("pop")
    wav = window(model, 1.0)
    facts = compare(model, path, wav)
    assert facts["sources"] == "vocals,accompaniment" and facts["sample_rate"] == "16000"
    assert facts["window_samples"] == str(wav.shape[-1]) and facts["n_channels"] == "1"
    plan = plan_windows(model, 1.0)
    assert (facts["context_samples"], facts["fade_samples"]) == (str(plan.outer), str(plan.fade))
    assert facts["start_multiple"] == str(plan.multiple)
    assert float(facts["voicing_threshold"]) == pytest.approx(float(model.voicing_threshold))
    assert "research use" in facts["licence"]
    # the pitch of the strongest bin, from the metadata alone
    found, _ = run(path, wav)
    best = found["pitch_logits"][0].argmax(-1)
    cents = float(facts["bin_0_cents"]) + best * float(facts["cents_per_bin"])
    off = 1200 * np.log2(found["f0_hz"][0] / (10 * 2 ** (cents / 1200)))
    assert np.abs(off).max() < 4.5 * float(facts["cents_per_bin"])
    assert len(best) == -(-int(facts["window_samples"]) // int(facts["hop_samples"]))
    assert path.stat().st_size < 12e6
    songs_alike(model, path)
    a_song_without_torch(path, tmp_path)


def song(n_samples: int) -> np.ndarray:
    """Stereo at ``RATE``."""
    rng = np.random.default_rng(0)
    voice, band = sing(rng, n_samples)[0], play(rng, n_samples)
    return np.stack([voice + band, voice + 0.5 * band]).astype(np.float32)


def songs_alike(model, path) -> None:
    """Of any length: one window, several, and less than the model takes."""
    graph = GraphRunner(path)
    knobs = {"fmin_hz": 150.0, "fmax_hz": 900.0, "voicing_threshold": 0.3, "hop_ms": 10.0}
    for n_samples, decoder, more in (
        (1, "argmax", {}),
        (900, "viterbi", {}),
        (3 * RATE + 17, "argmax", {}),
        (2 * RATE + 17, "argmax", knobs),
    ):
        wav, options = song(n_samples), {"decoder": decoder, "window_sec": 1.0, **more}
        expected = separate_array(model, wav, RATE, **options)
        found = separate_array(graph, wav, RATE, **options)
        np.testing.assert_array_equal(found.mixture, expected.mixture)
        np.testing.assert_allclose(found.stems, expected.stems, atol=TOLERANCE)
        assert found.f0.shape == expected.f0.shape
        same = np.isclose(found.f0, expected.f0, rtol=TOLERANCE, atol=TOLERANCE).all(1)
        assert same.mean() >= 0.999
        np.testing.assert_allclose(found.activity, expected.activity, atol=TOLERANCE)


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchaudio", "asteroid"):
    sys.modules[name] = None  # importing it fails
from asteroid_joint.cli import main
sys.exit(main(sys.argv[1:]))
"""


def a_song_without_torch(graph, folder) -> None:
    """Stems that add up bit for bit, pitch, notes."""
    path, out = folder / "song.wav", folder / "out"
    sf.write(path, 0.5 * song(2 * RATE).T, RATE, subtype="PCM_16")
    call = ["separate", str(path), "-o", str(out), "--model", str(graph)]
    call += ["--notes", "--two-pass-viterbi", "--activity", "--fmin", "80", "--hop", "10"]
    call += ["--octave", "-1", "--voicing-threshold", "0.4", "--note-split", "more"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *call]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stems = [sf.read(out / "song" / f"{name}.wav")[0] for name in ("vocals", "accompaniment")]
    np.testing.assert_array_equal(sum(stems), sf.read(path)[0])
    written = {file.name for file in (out / "song").iterdir()}
    assert written >= {"f0.csv", "notes.mid", "notes.csv", "activity.csv"}


EXPORTED = ["JointCascade"]  # all: benchmarks/onnx_models.py


@pytest.mark.parametrize("name", EXPORTED)
def test_other_models(name, tmp_path):
    torch.manual_seed(0)
    model = MODELS[name].from_preset("tiny").eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    path = model.export_onnx(tmp_path / "model.onnx", window_sec=0.3, licence="mine alone")
    assert compare(model, path, window(model, 0.3))["licence"] == "mine alone"
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


# ------------------------------------------------------------------ bad input


@pytest.fixture(scope="module")
def tiny():
    return DJCM.from_preset("tiny").eval()


def test_what_cannot_be_written(tiny, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="give seconds up to 60"):
        export_onnx(tiny, tmp_path / "x.onnx", window_sec=0)
    with pytest.raises(ConfigError, match="61 s cannot be exported"):
        export_onnx(tiny, tmp_path / "x.onnx", window_sec=61)
    with pytest.raises(ConfigError, match="nan s cannot be exported"):
        export_onnx(tiny, tmp_path / "x.onnx", window_sec=float("nan"))
    for path in (tmp_path, tmp_path / "none" / "x.onnx"):
        with pytest.raises(UserError, match="give a file name in an existing folder"):
            export_onnx(tiny, path)
    (tmp_path / "x.onnx").write_text("mine")
    with pytest.raises(UserError, match="exists already: give --overwrite"):
        export_onnx(tiny, tmp_path / "x.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install 'asteroid-joint\[onnx\]'"):
        export_onnx(tiny, tmp_path / "y.onnx")
    assert (tmp_path / "x.onnx").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_what_onnx_does_not_have(tiny, tmp_path, monkeypatch):
    """A model that the exporter refuses: one sentence, no file."""

    def refuse(*_, **__):
        warnings.warn("chatter", stacklevel=1)
        raise torch.onnx.errors.OnnxExporterError("pages of remarks")

    monkeypatch.setattr(share_onnx.torch.onnx, "export", refuse)
    with pytest.raises(UserError, match="^DJCM cannot be exported: it uses operations that ONNX"):
        export_onnx(tiny, tmp_path / "x.onnx", window_sec=0.3)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tiny, tmp_path, monkeypatch):
    def save(path: str) -> None:
        open(path, "w").write("half")
        raise OSError(28, "No space left on device")

    program = SimpleNamespace(model=SimpleNamespace(metadata_props={}), save=save)
    monkeypatch.setattr(share_onnx, "_export", lambda *_: program)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        export_onnx(tiny, tmp_path / "x.onnx", window_sec=0.3)
    assert list(tmp_path.iterdir()) == []
    assert asteroid_joint.available_weights()
