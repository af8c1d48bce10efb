"""Workarounds for defects of asteroid 0.7.0, one function each.

For every function ``tests/package/test_compat.py`` has a probe that fails once upstream has fixed
the defect, which is when the function can go.
"""

import functools
import pathlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch


def register_once(model_class: type) -> type:
    """Register a model with Asteroid; repeated calls are harmless.

    Reason: ``asteroid.models.register_model`` raises ``ValueError`` when the same class is
    registered twice, as after a reload or a second ``torch.hub.load``.

    Raises:
        ValueError: If Asteroid uses the name for something else.
    """
    import asteroid.models as zoo

    known = vars(zoo).get(model_class.__name__)
    if known is None:
        zoo.register_model(model_class)
    elif getattr(known, "__module__", None) == model_class.__module__:
        setattr(zoo, model_class.__name__, model_class)
    elif known is not model_class:
        raise ValueError(f"Asteroid has another model called {model_class.__name__}: rename yours.")
    return model_class


def mend_dccrnet() -> None:
    """Let ``asteroid.models.DCCRNet`` be constructed; repeated calls are harmless.

    Reason: ``DCCRMaskNet`` passes a size that ``numpy.prod`` has computed, which the recurrent
    layers of torch refuse, as it is no ``int``.
    """
    from asteroid.masknn.recurrent import DCCRMaskNetRNN

    original = DCCRMaskNetRNN.__init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def __init__(self: Any, in_size: Any, *args: Any, **kwargs: Any) -> None:
        original(self, int(in_size), *args, **kwargs)

    DCCRMaskNetRNN.__init__ = __init__


def mend_xumx() -> None:
    """Let ``asteroid.models.XUMX`` be constructed and run; repeated calls are harmless.

    Reason: torch 2 has an inverse STFT of complex numbers only, so its constructor does nothing but
    raise ``RuntimeError``; the model itself is still there, as ``BrokenXUMX``.
    """
    from asteroid.models import x_umx

    if issubclass(x_umx.XUMX, x_umx.BrokenXUMX):
        return

    def stft(self: Any, wav: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(
            wav.flatten(0, 1), self.n_fft, self.n_hop, window=self.window, return_complex=True
        )
        return torch.view_as_real(spectrum).unflatten(0, wav.shape[:2])  # (B, C, F, N, 2)

    def istft(self: Any, magnitudes: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
        spectrum = torch.polar(magnitudes, phase.expand_as(magnitudes))  # (S, B, C, F, N)
        wav = torch.istft(spectrum.flatten(0, 2), self.n_fft, self.hop_length, window=self.window)
        return wav.unflatten(0, magnitudes.shape[:3])  # (S, B, C, T)

    x_umx._STFT.forward, x_umx._ISTFT.forward = stft, istft
    # the class itself, as others may hold it already
    x_umx.XUMX.__bases__ = (x_umx.BrokenXUMX,)
    del x_umx.XUMX.__init__


def plain_types(value: Any) -> Any:
    """Convert the contents of a model file to types that ``torch.load(weights_only=True)`` reads.

    Reason: ``BaseModel.serialize`` stores ``torch.__version__``, a ``TorchVersion`` object, and
    recipes store numpy scalars; Asteroid's own loader refuses such files on torch >= 2.6.
    """
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        items = [(plain_types(k), plain_types(v)) for k, v in value.items()]
        return type(value)(items)  # type: ignore[call-arg]
    if isinstance(value, tuple | list):
        kind = type(value) if type(value) in (tuple, list) else list
        return kind(plain_types(v) for v in value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, pathlib.Path):
        return str(value)
    if isinstance(value, bool) or value is None:
        return value
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f"A model file holds plain values only, received {type(value).__name__}.")


def model_arguments(model: Any) -> dict[str, Any]:
    """Constructor arguments of an Asteroid model as plain types for a model file.

    Reason: ``FasNetTAC.get_model_args`` returns the stride in samples but the constructor expects
    milliseconds, so a model read from a file would have a longer stride than the one written.
    """
    arguments = plain_types(model.get_model_args())
    if type(model).__name__ == "FasNetTAC":  # plus half a sample: the constructor truncates
        arguments["stride"] = 1000 * (model.stride + 0.5) / model.sample_rate
    return arguments


def called_by_stock_loader() -> bool:
    """Whether a model's ``load_state_dict`` was called by ``BaseModel.from_pretrained``.

    Reason: that method never calls ``.eval()``, so dropout would be active and BatchNorm statistics
    would change; ``load_state_dict`` is the last thing it calls. Other callers, such as a training
    loop that swaps in averaged weights, keep the mode.
    """
    from asteroid.models import BaseModel

    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_name == "load_state_dict":
        frame = frame.f_back
    return frame.f_code is BaseModel.from_pretrained.__func__.__code__


def separate_in_eval_mode(model: torch.nn.Module, wav: torch.Tensor) -> torch.Tensor:
    """Call ``model`` in evaluation mode, then restore its previous mode.

    Reason: neither ``separate``, the command line nor ``torch.hub`` ever calls ``.eval()``, so
    BatchNorm statistics would change and dropout would be active during inference.
    """
    was_training = model.training
    model.eval()
    try:
        return model(wav)
    finally:
        model.train(was_training)


def flat_hparams(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a configuration for Lightning's ``save_hyperparameters``.

    Reason: ``System.config_to_hparams`` turns lists into tensors and fails on a list of strings.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}_{k}": v for k, v in flat_hparams(value).items()})
        elif isinstance(value, str | int | float | bool):
            flat[key] = value
        else:
            flat[key] = str(value)
    return flat


def log_hp_metric(system: Any) -> None:
    """Log ``hp_metric`` if there is a logger.

    Reason: ``System.on_validation_epoch_end`` uses ``trainer.logger`` unconditionally and fails
    with ``Trainer(logger=False)``.
    """
    value = system.trainer.callback_metrics.get(system.default_monitor)
    if value is not None and system.trainer.logger is not None:
        system.trainer.logger.log_metrics({"hp_metric": value}, step=system.trainer.global_step)


def loader_or_empty(loader: Any) -> Any:
    """The loader, or an empty list instead of ``None``.

    Reason: ``System.val_dataloader`` returns ``None`` if there is no validation set, which
    Lightning 2.x rejects.
    """
    return [] if loader is None else loader


def infer(argv: list[str]) -> None:
    """Run ``asteroid-infer`` with this package's models registered.

    Reason: ``asteroid-infer`` has no plugin discovery; its overlap-add requests a window called
    "hanning", which scipy has removed, and reorders stems whose order is fixed; it does not create
    the output folder; its usage shows the name of the program that called it.
    """
    from asteroid.scripts import asteroid_cli

    arguments = list(argv)
    if any(a in ("-w", "--ola-window") for a in arguments):
        if "--ola-window-type" not in arguments:
            arguments += ["--ola-window-type", "hann"]
        if "--ola-no-reorder" not in arguments:
            arguments += ["--ola-no-reorder"]
    with (
        mock.patch.object(asteroid_cli, "separate", partial(_separate_into, asteroid_cli.separate)),
        mock.patch.object(sys, "argv", ["asteroid-joint infer", *argv]),
    ):
        asteroid_cli.infer(arguments)


def _separate_into(separate: Callable, *args: Any, output_dir: str | None, **options: Any) -> Any:
    """``separate`` after creating the output folder."""
    if output_dir is not None:
        pathlib.Path(output_dir).mkdir(parents=True, exist_ok=True)
    return separate(*args, output_dir=output_dir, **options)
