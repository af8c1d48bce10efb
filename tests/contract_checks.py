"""What every joint model must do, as functions of a model class.

``test_contract.py`` runs them over the package's models, ``plugin/test_plugin.py`` over one that
somebody else wrote. A new model needs no line here.
"""

import copy
import json
import math
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asteroid.models
import numpy as np
import pytest
import soundfile as sf
import torch
from asteroid.dsp.overlap_add import LambdaOverlapAdd
from asteroid.models import BaseModel

from asteroid_joint import MODELS, JointModel, load_model
from asteroid_joint.compat import register_once
from asteroid_joint.data import Collate, JointExample
from asteroid_joint.losses import build_loss
from asteroid_joint.models import register_model

LENGTHS = (1, 2, 319, 321, 1601, 8000)  # samples


def make(cls: type[JointModel], seed: int = 0) -> JointModel:
    """The tiny preset, in training mode."""
    torch.manual_seed(seed)
    return cls.from_preset("tiny")


def noise(model: JointModel, n_samples: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    """``(batch, channels, time)``."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, model.in_channels, n_samples, generator=generator)


def save(model: JointModel, folder: Path) -> Path:
    path = folder / "model.pth"
    torch.save(model.serialize(), path)
    return path


def fixed_batch(model: JointModel, n_samples: int, seed: int = 0, batch: int = 2) -> Any:
    """A sine voice that pauses in the middle, over noise; with every label."""
    rng = np.random.default_rng(seed)
    grid = model.pitch_grid
    examples = []
    for n in range(batch):
        f0 = 220.0 * (1 + n)
        sources = 0.1 * rng.standard_normal((len(model.sources), model.in_channels, n_samples))
        sung = np.ones(n_samples)
        sung[n_samples // 3 : n_samples // 2] = 0
        tone = np.sin(2 * np.pi * f0 * np.arange(n_samples) / model.sample_rate)
        sources[0] = 0.3 * tone * sung
        centres = np.arange(grid.n_frames(n_samples)) * grid.hop_length
        active = sung[centres]
        mixture = sources.sum(0).astype(np.float32)
        examples.append(
            JointExample(mixture, sources.astype(np.float32), f0 * active, active, f"{n}", "song")
        )
    return Collate(len(model.sources), grid.hop_length)(examples)


def joint_loss(model: JointModel, batch: Any) -> torch.Tensor:
    """Every term that the model has an output for."""
    output = model.forward_joint(batch["mixture"])
    weights = {"waveform": 10.0, "sdr": 0.1}
    if output.pitch_logits is not None:
        weights["pitch"] = 1.0
    if output.activity_logits is not None:
        weights["activity"] = 1.0
    return build_loss(weights)(output, batch, model)["loss"]


# ------------------------------------------------------------------ registry, presets, arguments


def check_registry(cls: type[JointModel], tmp_path: Path) -> None:
    name = cls.__name__
    assert MODELS[name] is cls
    for spelling in (name, name.lower(), name.upper()):
        assert asteroid.models.get(spelling) is cls


def check_registering_again(cls: type[JointModel], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="already exists"):
        asteroid.models.register_model(cls)  # what Asteroid's own function does
    assert register_once(cls) is cls
    assert register_model(cls) is cls
    assert asteroid.models.get(cls.__name__) is cls


def check_presets(cls: type[JointModel], tmp_path: Path) -> None:
    assert "tiny" in cls.presets
    for preset in cls.presets:
        with torch.device("meta"):
            model = cls.from_preset(preset)
        assert sum(p.numel() for p in model.parameters()) > 0
    with pytest.raises(ValueError, match=f"{cls.__name__} has no preset 'nonsense'.*tiny"):
        cls.from_preset("nonsense")


def check_model_args(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls)
    args = model.get_model_args()
    json.dumps(args, allow_nan=False)  # plain types at any depth
    assert args["sample_rate"] == model.sample_rate
    again = cls(**args)
    assert again.get_model_args() == args
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes
    override = cls.from_preset("tiny", sample_rate=model.sample_rate * 2)
    assert override.sample_rate == override.get_model_args()["sample_rate"] == 2 * model.sample_rate


def check_seed(cls: type[JointModel], tmp_path: Path) -> None:
    models = [make(cls, seed) for seed in (1, 1, 2)]
    same, other = [], []
    batch = fixed_batch(models[0], 6400)
    for model in models:
        joint_loss(model, batch).backward()
        torch.optim.SGD(model.parameters(), 0.1).step()
    for a, b, c in zip(*(m.parameters() for m in models), strict=True):
        same.append(torch.equal(a, b))
        other.append(torch.equal(a, c))
    assert all(same)
    assert not all(other)


# ------------------------------------------------------------------ shapes, short and odd inputs


def check_shapes(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls).eval()
    grid, n_src = model.pitch_grid, len(model.sources)
    channels = () if model.in_channels == 1 else (model.in_channels,)
    for n_samples in LENGTHS:
        batched = noise(model, n_samples, batch=2)  # (2, C, T)
        inputs = {(2,): batched, (): batched[0]}
        if model.in_channels == 1:
            inputs = {(2,): batched, (2, None): batched[:, 0], (): batched[0, 0]}
        results = {}
        for key, wav in inputs.items():
            lead = key[:1]
            with torch.no_grad():
                output = model.forward_joint(wav)
                results[key] = model(wav)
            assert results[key].shape == (*lead, n_src, *channels, n_samples)
            assert output.sources.shape == results[key].shape
            n_frames = grid.n_frames(n_samples)
            if output.pitch_logits is not None:
                assert output.pitch_logits.shape == (*lead, n_frames, grid.n_bins)
                f0_hz, confidence, voiced = model.decode_pitch(output.pitch_logits)
                assert f0_hz.shape == confidence.shape == voiced.shape == (*lead, n_frames)
                assert voiced.dtype == torch.bool
                assert (f0_hz > 0).all() and (confidence >= 0).all() and (confidence <= 1).all()
            if output.activity_logits is not None:
                assert output.activity_logits.shape == (*lead, n_frames)
            for field in output:
                assert field is None or torch.isfinite(field).all()
        torch.testing.assert_close(results[()], results[(2,)][0], atol=1e-5, rtol=1e-3)


def check_wrong_shapes(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls).eval()
    channels = model.in_channels
    shapes = (2, channels + 1, 800), (1, 1, channels, 800), (1, channels, 0), (0, channels, 800)
    for wrong in shapes:
        with pytest.raises(ValueError, match=f"{cls.__name__} expects .* received"):
            model(torch.zeros(wrong))


def check_sample_types(cls: type[JointModel], tmp_path: Path) -> None:
    """What soundfile and NumPy give is taken for what it means, or refused in a sentence."""
    model = make(cls).eval()
    integers = (32768 * noise(model, 1601)).to(torch.int16)
    floats = integers / 32768  # exact
    array, frozen = floats.numpy(), floats.numpy().copy()
    frozen.flags.writeable = False
    with torch.no_grad():
        expected = model.forward_joint(floats)
        same = (
            *(floats.double(), integers, integers.int() * 65536),
            *(array, array.astype(np.float64), integers.numpy(), array.tolist()),
            *(frozen, array[..., ::-1].copy()[..., ::-1], array.astype(">f4")),
        )
        for wav in same:
            for a, b in zip(expected, model.forward_joint(wav), strict=True):
                assert (a is None and b is None) or torch.equal(a, b)
        assert model(floats.half()).dtype == expected.sources.dtype
    for wrong in (floats.long(), floats.to(torch.uint8), floats > 0, floats + 0j, None, "song.wav"):
        with pytest.raises(ValueError, match="Expected samples as floats, int16 or int32, receiv"):
            model.forward_joint(wrong)


def check_quiet_inputs(cls: type[JointModel], tmp_path: Path) -> None:
    """Silence, DC and one impulse: finite, and so is the gradient."""
    model = make(cls)
    n_samples = 6400
    impulse = torch.zeros(1, model.in_channels, n_samples)
    impulse[..., 3000] = 1.0
    for wav in (torch.zeros_like(impulse), torch.full_like(impulse, 0.5), impulse):
        for training in (False, True):
            model.train(training)
            output = model.forward_joint(wav)
            fields = [field for field in output if field is not None]
            assert all(torch.isfinite(field).all() for field in fields)
        model.zero_grad()
        sum(field.square().mean() for field in fields).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.no_grad():
        silent = model.eval()(torch.zeros_like(impulse))
    assert float(silent.abs().max()) < 1e-2, "silence must not come out as sound"


def check_time_alignment(cls: type[JointModel], tmp_path: Path) -> None:
    """A tone burst at a known time moves the outputs at that time most."""
    model = make(cls).eval()
    grid, rate = model.pitch_grid, model.sample_rate
    n_samples = 4 * rate
    background = 0.1 * noise(model, n_samples)
    length = rate // 20
    burst = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(length) / rate)
    for centre_sec in (1.0, 2.3, 3.1):
        wav = background.clone()
        start = round(centre_sec * rate) - length // 2
        wav[..., start : start + length] += burst
        with torch.no_grad():
            before, after = model.forward_joint(background), model.forward_joint(wav)
        for name in ("pitch_logits", "activity_logits"):
            a, b = getattr(before, name), getattr(after, name)
            if a is None:
                continue
            change = (b - a).square().reshape(1, a.shape[1], -1).sum(-1)[0]  # (N,)
            frame = int(change.argmax())
            assert abs(float(grid.frame_to_sec(frame)) - centre_sec) < 0.08, (name, frame)
        change = (after.sources - before.sources).square().reshape(-1, n_samples).sum(0)
        assert abs(int(change.argmax()) / rate - centre_sec) < 0.08


# ------------------------------------------------------------------ files


def check_file(cls: type[JointModel], tmp_path: Path) -> None:
    """Written as plain data; read by Asteroid's own loader and ours, in ``.eval()``."""
    model = make(cls)
    model(noise(model, 6400, batch=2))  # moves BatchNorm statistics, if there are any
    model.voicing_threshold.fill_(0.375)
    model.eval()
    path = save(model, tmp_path)
    content = torch.load(path, weights_only=True)
    assert content["model_name"] == cls.__name__
    assert content["infos"]["sources"] == list(model.sources)
    assert content["infos"]["pitch_grid"] == model.pitch_grid.to_dict()
    wav = noise(model, 5000)
    with torch.no_grad():
        expected = model.forward_joint(wav)
    loaders = {
        "stock": lambda: BaseModel.from_pretrained(str(path)),
        "class": lambda: cls.from_pretrained(path),
        "package": lambda: load_model(path),
        "dictionary": lambda: BaseModel.from_pretrained(content),
    }
    for loader in loaders.values():
        again = loader()
        assert type(again) is cls
        assert not any(module.training for module in again.modules())
        assert float(again.voicing_threshold) == 0.375
        assert again.get_model_args() == model.get_model_args()
        with torch.no_grad():
            for a, b in zip(expected, again.forward_joint(wav), strict=True):
                assert (a is None and b is None) or torch.equal(a, b)


def check_weights_keep_the_mode(cls: type[JointModel], tmp_path: Path) -> None:
    """Who swaps weights in a training loop goes on training."""
    model = make(cls)
    state = copy.deepcopy(model.state_dict())
    for training in (True, False):
        model.train(training).load_state_dict(state)
        assert all(module.training == training for module in model.modules())


def check_copies(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls).eval()
    wav = noise(model, 4000)
    with torch.no_grad():
        expected = model(wav)
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(again(wav), expected)
            assert again.get_model_args() == model.get_model_args()


# ------------------------------------------------------------------ Asteroid's ways in


def check_separate(cls: type[JointModel], tmp_path: Path) -> None:
    """``model.separate`` on a tensor, an array and a file; not one buffer moves."""
    model = make(cls)  # in training mode, as somebody forgot .eval()
    wav = noise(model, 6000)
    state = copy.deepcopy(model.state_dict())
    estimate = model.separate(wav.clone())
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(wav)
    expected = expected * wav.abs().sum() / expected.abs().sum()  # asteroid's rescaling
    torch.testing.assert_close(estimate, expected)
    array = model.separate(wav.numpy().copy())
    assert isinstance(array, np.ndarray)
    np.testing.assert_allclose(array, expected.numpy(), rtol=1e-5, atol=1e-7)
    if model.in_channels != 1:
        return  # asteroid's file writer knows mono stems only
    sf.write(tmp_path / "song.wav", wav[0].T.numpy(), int(model.sample_rate), subtype="FLOAT")
    model.separate(str(tmp_path / "song.wav"), output_dir=str(tmp_path))
    for n in range(len(model.sources)):
        written, rate = sf.read(tmp_path / f"song_est{n + 1}.wav")
        assert rate == model.sample_rate
        np.testing.assert_allclose(written, expected[0, n].clamp(-1, 1).numpy(), atol=1e-4)


def check_overlap_add(cls: type[JointModel], tmp_path: Path) -> None:
    """Asteroid's overlap-add, whose first and last windows are all zeros."""
    model = make(cls).eval()
    if model.in_channels != 1:
        return  # it flattens channels
    window, n_samples = 4096, 15000
    wav = noise(model, n_samples)
    chunked = LambdaOverlapAdd(
        model, len(model.sources), window_size=window, window="hann", reorder_chunks=False
    )
    estimate = chunked(wav)
    assert estimate.shape == (1, len(model.sources), n_samples)
    assert torch.isfinite(estimate).all()
    # the same by hand: windows at multiples of half a window, the first one starting before 0
    padded = torch.nn.functional.pad(wav, (window, 2 * window))
    expected = torch.zeros(len(model.sources), padded.shape[-1])
    taper = torch.hann_window(window)
    with torch.no_grad():
        for start in range(0, padded.shape[-1] - window + 1, window // 2):
            piece = model(padded[..., start : start + window])[0]
            expected[:, start : start + window] += taper * piece
    middle = slice(window, n_samples - window)
    reference = expected[:, window:][:, middle]
    torch.testing.assert_close(estimate[0, :, middle], reference, atol=1e-4, rtol=1e-3)


def check_export(cls: type[JointModel], tmp_path: Path) -> None:
    """``torch.export`` at a fixed length."""
    model = make(cls).eval()
    wav = noise(model, 8000)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch on its own LSTM's weight list
        exported = torch.export.export(model, (wav,), strict=False).module()
        torch.testing.assert_close(exported(wav), model(wav))


# ------------------------------------------------------------------ training


def check_learns(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls).train()
    batch = fixed_batch(model, 8000)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = joint_loss(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0] or losses[-1] < losses[0] - 0.05, losses


def check_gradients(cls: type[JointModel], tmp_path: Path) -> None:
    model = make(cls).train()
    joint_loss(model, fixed_batch(model, 8000)).backward()
    without = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not without, without


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


# ------------------------------------------------------------------ another process, once for all

FRESH = """
import sys
{imports}
import torch
from asteroid.models import BaseModel
from asteroid_joint.compat import infer
for folder in sys.argv[1:]:
    path = folder + "/model.pth"
    model = BaseModel.from_pretrained(path)
    assert not model.training
    with torch.no_grad():
        torch.save(model(torch.load(folder + "/wav.pt")), folder + "/output.pt")
    if model.in_channels == 1:
        song = ["--files", folder + "/song.wav", "-d", "cpu", "-o"]
        infer([path, *song, folder + "/whole"])
        infer([path, *song, folder + "/ola", "-w", "4096"])
"""


def fresh_process(
    classes: Iterable[type[JointModel]], tmp_path: Path, imports: str = "import asteroid_joint"
) -> None:
    """A process that only imports the package: stock loader and ``asteroid-infer``, -w too."""
    folders, expected = [], []
    for cls in classes:
        model = make(cls).eval()
        folders.append(tmp_path / cls.__name__)
        for name in ("whole", "ola"):
            (folders[-1] / name).mkdir(parents=True)
        save(model, folders[-1])
        wav = noise(model, 9000)
        torch.save(wav, folders[-1] / "wav.pt")
        song = folders[-1] / "song.wav"
        sf.write(song, wav[0].T.numpy(), int(model.sample_rate), subtype="FLOAT")
        with torch.no_grad():
            expected.append(model(wav))
    result = subprocess.run(
        [sys.executable, "-c", FRESH.format(imports=imports), *map(str, folders)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert result.returncode == 0, result.stderr
    for folder, sources in zip(folders, expected, strict=True):
        torch.testing.assert_close(torch.load(folder / "output.pt"), sources)
        if sources.ndim == 4:
            continue  # asteroid's file writer knows mono stems only
        for name in ("whole", "ola"):
            stems = [folder / name / f"song_est{n + 1}.wav" for n in range(sources.shape[1])]
            wavs = np.stack([sf.read(stem)[0] for stem in stems])
            assert wavs.shape == sources.shape[1:]
            # asteroid rescales: compare the form of the waves, not their level
            similarity = np.corrcoef(wavs.ravel(), sources.numpy().ravel())[0, 1]
            assert similarity > (0.999 if name == "whole" else 0.5), (folder, name, similarity)
