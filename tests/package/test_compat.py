"""One probe per function of ``compat.py``: is asteroid's defect still there?

A probe that fails means that upstream has mended it: the function can go.
"""

import contextlib
import importlib.util
import inspect
import subprocess
import sys
from types import SimpleNamespace

import asteroid.models as zoo
import asteroid.separate
import numpy as np
import pytest
import soundfile as sf
import torch
from asteroid.dsp.overlap_add import LambdaOverlapAdd
from asteroid.engine import System
from asteroid.masknn import recurrent
from asteroid.models import BaseModel, x_umx

from asteroid_joint import DJCM, JointXUMX, compat


@contextlib.contextmanager
def still_broken(function: str, error: type[Exception], message: str = ""):
    """Fail with a clear sentence where upstream no longer raises ``error``."""
    try:
        yield
    except error as err:
        assert message in str(err), f"asteroid now fails otherwise: {err}. See compat.{function}."
    else:
        pytest.fail(f"asteroid has mended this: compat.{function} can go.")


class StockModel(BaseModel):
    """A separator as Asteroid's users write them, with a BatchNorm."""

    def __init__(self, sample_rate=8000.0):
        super().__init__(sample_rate=sample_rate)
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, wav):
        return self.norm(torch.cat([wav, 0.5 * wav], 1))

    def get_model_args(self):
        return {"sample_rate": self.sample_rate}


def test_every_function_has_a_probe():
    functions = {
        name
        for name, value in vars(compat).items()
        if inspect.isfunction(value) and value.__module__ == compat.__name__
        if not name.startswith("_")
    }
    probes = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert functions - probes == set()
    assert all("Reason:" in getattr(compat, name).__doc__ for name in functions)


def test_register_once(monkeypatch):
    class Twice(StockModel):
        pass

    monkeypatch.setattr(zoo, "Twice", None, raising=False)
    monkeypatch.delattr(zoo, "Twice")
    assert compat.register_once(Twice) is compat.register_once(Twice) is zoo.get("twice")
    with still_broken("register_once", ValueError, "already exists"):
        zoo.register_model(Twice)
    other = type("ConvTasNet", (StockModel,), {})
    with pytest.raises(ValueError, match="Asteroid has another model called ConvTasNet"):
        compat.register_once(other)
    assert zoo.get("ConvTasNet") is not other


def as_shipped(module):
    """A second copy of a module of Asteroid's, which this package has not touched."""
    name = f"{module.__name__}_as_shipped"
    spec = importlib.util.spec_from_file_location(name, module.__file__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def test_mend_dccrnet():
    with still_broken("mend_dccrnet", TypeError, "should be of type int"):
        as_shipped(recurrent).DCCRMaskNet.default_architecture("mini", n_freqs=256)
    compat.mend_dccrnet()
    compat.mend_dccrnet()
    model = zoo.DCCRNet("mini").eval()
    wav = torch.randn(2, 1, 5001)
    with torch.no_grad():
        estimate = model(wav)
        again = BaseModel.from_pretrained(model.serialize())
        torch.testing.assert_close(again.eval()(wav), estimate)
    assert estimate.shape == wav.shape and type(again) is zoo.DCCRNet


def test_mend_xumx():
    with still_broken("mend_xumx", RuntimeError, "broken in torch 2"):
        as_shipped(x_umx).XUMX(["vocals"])
    compat.mend_xumx()
    compat.mend_xumx()
    torch.manual_seed(0)
    small = {"window_length": 512, "in_chan": 512, "n_hop": 128, "hidden_size": 16, "max_bin": 200}
    model = zoo.XUMX(["vocals", "drums"], **small, return_time_signals=True).eval()
    wav = torch.randn(2, 2, 70 * 128)
    with torch.no_grad():
        magnitudes, waves = model(wav)
        ours = JointXUMX.from_separator(model, pitch=False)(wav)
    assert magnitudes.shape == (2, 71, 2, 2, 257) and waves.shape == (2, 2, 2, 70 * 128)
    # an implementation of its own, transforms included
    torch.testing.assert_close(waves.transpose(0, 1), ours, atol=1e-5, rtol=1e-4)
    model.train()(wav)[1].square().mean().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("extra", [None, np.float64(1.0), np.int64(1)])
def test_plain_types(tmp_path, extra):
    content = StockModel().serialize()
    if extra is not None:  # what a recipe adds: metrics, dataset facts
        content = {"metrics": extra}
    path = str(tmp_path / "model.pth")
    torch.save(content, path)
    with still_broken("plain_types", Exception, "Weights only load failed"):
        torch.load(path) if extra is not None else StockModel.from_pretrained(path)
    torch.save(compat.plain_types(content), path)
    if extra is None:
        assert isinstance(StockModel.from_pretrained(path), StockModel)
    else:
        assert torch.load(path) == {"metrics": 1}


def test_plain_types_of_each_kind(tmp_path):
    tensor = torch.ones(2)
    value = {"a": (np.float32(0.5), [np.bool_(True), None]), "b": np.arange(2), "p": tmp_path}
    plain = compat.plain_types({**value, "t": tensor, "v": torch.__version__})
    assert plain["a"] == (0.5, [True, None]) and type(plain["a"][0]) is float
    assert plain["b"] == [0, 1] and plain["p"] == str(tmp_path)
    assert plain["t"] is tensor and type(plain["v"]) is str
    with pytest.raises(TypeError, match="plain values only, received set"):
        compat.plain_types({"s": {1}})


def test_model_arguments():
    small = {"enc_dim": 4, "feature_dim": 4, "hidden_dim": 4, "n_layers": 1, "tac_hidden_dim": 4}
    for rate in (8000, 16000, 44100):
        model = zoo.FasNetTAC(2, **small, sample_rate=rate)
        with still_broken("model_arguments", AssertionError):
            assert zoo.FasNetTAC(**model.get_model_args()).stride == model.stride
        arguments = compat.model_arguments(model)
        again = zoo.FasNetTAC(**arguments)
        assert again.stride == model.stride and compat.model_arguments(again) == arguments
    stock = StockModel()
    assert compat.model_arguments(stock) == stock.get_model_args()


def test_called_by_stock_loader():
    stored = DJCM.from_preset("tiny").serialize()
    if not StockModel.from_pretrained(StockModel().serialize()).training:
        pytest.fail("asteroid calls .eval() now: compat.called_by_stock_loader can go.")
    model = BaseModel.from_pretrained(stored)
    assert not model.training
    model.train().load_state_dict(stored["state_dict"])
    assert model.training and not compat.called_by_stock_loader()


def test_separate_in_eval_mode():
    model = StockModel()
    again = StockModel.from_pretrained(model.serialize())
    wav = 1 + torch.randn(1, 1, 400)
    before = again.norm.running_mean.clone()
    again.separate(wav)
    if not again.training or torch.equal(again.norm.running_mean, before):
        pytest.fail("asteroid separates in .eval() now: compat.separate_in_eval_mode can go.")
    model.train()
    estimate = compat.separate_in_eval_mode(model, wav)
    assert model.training and not model.norm.running_mean.any()
    torch.testing.assert_close(estimate, model.eval()(wav))


def test_flat_hparams():
    config = {"data": {"sources": ["vocals", "drums"], "seed": 1}, "none": None}
    with still_broken("flat_hparams", ValueError):
        System.config_to_hparams(config)
    assert compat.flat_hparams(config) == {
        "data_sources": "['vocals', 'drums']",
        "data_seed": 1,
        "none": "None",
    }


def test_log_hp_metric():
    logged = []
    logger = SimpleNamespace(log_metrics=lambda metrics, step: logged.append((metrics, step)))
    trainer = SimpleNamespace(callback_metrics={"val_loss": 2.0}, logger=None, global_step=7)
    system = SimpleNamespace(trainer=trainer, default_monitor="val_loss")
    with still_broken("log_hp_metric", AttributeError, "log_metrics"):
        System.on_validation_epoch_end(system)
    compat.log_hp_metric(system)  # Trainer(logger=False)
    trainer.logger = logger
    compat.log_hp_metric(system)
    assert logged == [({"hp_metric": 2.0}, 7)]


def test_loader_or_empty():
    import pytorch_lightning as pl

    class Guarded(System):
        def val_dataloader(self):
            return compat.loader_or_empty(super().val_dataloader())

    def fit(system_class):
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        data = [(torch.ones(1, 2), torch.ones(1, 1))]
        loader = torch.utils.data.DataLoader(data, batch_size=None)
        system = system_class(model, optimizer, torch.nn.functional.mse_loss, loader)
        trainer = pl.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(system)
        return trainer.global_step

    with still_broken("loader_or_empty", TypeError, "dataloader"):
        fit(System)
    assert fit(Guarded) == 1
    loader = object()
    assert compat.loader_or_empty(loader) is loader


def test_infer(tmp_path):
    torch.manual_seed(0)
    torch.save(DJCM.from_preset("tiny").serialize(), tmp_path / "model.pth")
    sf.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(9000), 16000)
    options = ["model.pth", "--files", "song.wav", "-d", "cpu", "-f", "-w", "4096"]
    code = f"from asteroid.scripts.asteroid_cli import infer; infer({options!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    if result.returncode == 0:
        pytest.fail("asteroid-infer finds plugins and its window now: compat.infer can go.")
    assert "BaseModel.__init__() got an unexpected keyword argument" in result.stderr
    with still_broken("infer", ValueError, "hanning"):
        LambdaOverlapAdd(DJCM.from_preset("tiny"), 2, window_size=4096, window="hanning")
    compat.infer([str(tmp_path / o) if "." in o else o for o in options])
    assert sorted(path.name for path in tmp_path.glob("*est*")) == [
        "song_est1.wav",
        "song_est2.wav",
    ]


def test_infer_into_a_new_folder_and_under_its_own_name(tmp_path, capsys):
    torch.save(DJCM.from_preset("tiny").serialize(), tmp_path / "model.pth")
    song, new = tmp_path / "song.wav", tmp_path / "new" / "out"
    sf.write(song, np.zeros(9000), 16000)
    model = DJCM.from_preset("tiny")
    with still_broken("infer", sf.LibsndfileError, "song_est1.wav"):
        asteroid.separate.separate(model, str(song), output_dir=str(tmp_path / "no"))
    compat.infer([str(tmp_path / "model.pth"), "--files", str(song), "-d", "cpu", "-o", str(new)])
    assert sorted(path.name for path in new.iterdir()) == ["song_est1.wav", "song_est2.wav"]
    with pytest.raises(SystemExit):
        compat.infer(["--help"])
    assert capsys.readouterr().out.startswith("usage: asteroid-joint infer [-h] --files")


def test_overlap_add_still_exchanges_stems_by_default():
    """Why ``infer`` asks for ``--ola-no-reorder``: stems here have a fixed order."""
    torch.manual_seed(0)
    calls = []

    class FixedStems(torch.nn.Module):
        """Chunk by chunk another stem is the loud one."""

        def forward(self, wav):
            calls.append(wav)
            loud = float(len(calls) % 2)
            return torch.stack([(1 - loud) * wav + 1e-3, loud * wav + 1e-3], 1)

    wav = torch.randn(1, 1, 16000)
    levels = {}
    for reorder in (True, False):
        calls.clear()
        chunked = LambdaOverlapAdd(FixedStems(), 2, 1000, window="hann", reorder_chunks=reorder)
        levels[reorder] = chunked(wav)[0].square().mean(-1)
    balance = {reorder: float(level.min() / level.max()) for reorder, level in levels.items()}
    assert balance[False] > 0.8
    if balance[True] > 0.5:
        pytest.fail("asteroid keeps the order of stems now: compat.infer need not switch it off.")
