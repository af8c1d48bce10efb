"""Any separator that Asteroid knows, with a uniform output.

An instance, a registered name, a model file or a hub id becomes a module; a module becomes a name
and plain arguments, from which it can be constructed to load a model file.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from asteroid.models import BaseModel
from torch.nn import functional

from ..compat import model_arguments, plain_types
from ..errors import CheckpointError, ConfigError
from .base import JointModel
from .joint_xumx import JointXUMX
from .model_file import read_model_file
from .pretrained import WEIGHTS, available_weights
from .xumx_weights import PLAIN_OBJECTS

Function = Callable[[torch.Tensor, int], torch.Tensor]
PROBE = 4096  # samples; minimum input, sufficient for all separators of Asteroid


class FunctionSeparator(BaseModel):
    """A separator that is a plain function, of any library, and not trained here.

    Args:
        function: ``(n_channels, n_samples)`` and the rate in Hz to the voice of that shape, a
            tensor or an array; called without gradients.
        sample_rate: Rate in Hz of what it gets.
        in_channels: Channels of what it gets.
    """

    def __init__(self, function: Function, sample_rate: int, in_channels: int) -> None:
        super().__init__(sample_rate=sample_rate, in_channels=in_channels)
        self.function = function

    def __deepcopy__(self, memo: dict) -> "FunctionSeparator":
        return self  # whatever the function holds is not ours to copy

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    @torch.no_grad()
    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """``(B, C, T)`` to the voice, ``(B, 1, C, T)``.

        Raises:
            ConfigError: If the function returns another shape.
        """
        voices = [self._call(song) for song in wav]
        return torch.stack(voices)[:, None].to(wav)

    def _call(self, song: torch.Tensor) -> torch.Tensor:
        found = self.function(song, int(self.sample_rate))
        voice = torch.as_tensor(found) if hasattr(found, "__array__") else found
        shape = tuple(voice.shape) if isinstance(voice, torch.Tensor) else type(found).__name__
        if shape != tuple(song.shape):
            raise ConfigError(
                f"{self.name} returned {shape} for a song of {tuple(song.shape)}, (n_channels, "
                "n_samples): return the voice in the shape of the song."
            )
        return voice


def find_separator(
    separator: BaseModel | str | os.PathLike,
    arguments: Mapping[str, Any] | None,
    sample_rate: int | None,
    default_rate: int,
) -> BaseModel:
    """The module of a separator, however it is given.

    Args:
        separator: An instance; a name in Asteroid's table, as a class (``"ConvTasNet"``) or as a
            hub entry (``"conv_tasnet"``); shipped weights; a model file; anything that Asteroid
            can download. Asteroid's ``XUMX``, which returns spectra, becomes a
            :class:`JointXUMX` with its weights, whose stems begin with the voice.
        arguments: Constructor arguments, for a name in Asteroid's table only.
        sample_rate: Hz; ``None`` uses that of ``arguments``, the instance or the file.
        default_rate: Hz, for a named separator without a rate.

    Raises:
        ConfigError: If arguments or rate do not fit.
        CheckpointError: If a file cannot be used.
    """
    if isinstance(separator, FunctionSeparator):
        found = separator
    elif isinstance(separator, BaseModel):
        found = _with_waveforms(separator)
        check_arguments(found)
    elif isinstance(separator, str) and (model_class := _class_called(separator)) is not None:
        arguments = dict(arguments or {})
        if sample_rate is not None or "sample_rate" not in arguments:
            arguments["sample_rate"] = sample_rate or default_rate
        return _with_waveforms(build_separator(model_class, arguments))
    elif isinstance(separator, str | os.PathLike):
        found = read_separator(separator)
    else:
        raise ConfigError(
            "Expected an Asteroid model, its name or a model file as separator, received a "
            f"{type(separator).__name__}."
        )
    if arguments:
        raise ConfigError("separator_args only apply to a separator given by its registered name.")
    if sample_rate is not None and sample_rate != found.sample_rate:
        raise ConfigError(
            f"{type(found).__name__} works at {found.sample_rate:g} Hz, not at {sample_rate} Hz: "
            "leave sample_rate out."
        )
    return found


def build_separator(model_class: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    """Construct a separator, by default with two sources and no pitch output.

    Args:
        model_class: Class from Asteroid's table.
        arguments: Constructor arguments; models of this package also accept ``preset``.

    Raises:
        ConfigError: If the constructor does not take the arguments.
    """
    from asteroid.models import DCUNet

    accepted, wanted = inspect.signature(model_class).parameters, dict(arguments)
    if "n_src" in accepted:
        wanted.setdefault("n_src", 2)
    if "pitch" in accepted and accepted["pitch"].default is True:
        wanted.setdefault("pitch", False)
    if issubclass(model_class, DCUNet):
        wanted.setdefault("fix_length_mode", "pad")  # else it takes some lengths only
    try:
        if issubclass(model_class, JointModel) and "preset" in wanted:
            return model_class.from_preset(wanted.pop("preset"), **wanted)
        return model_class(**wanted)
    except (TypeError, ValueError, AssertionError, RuntimeError) as err:
        raise ConfigError(
            f"{model_class.__name__} cannot be constructed from separator_args "
            f"{sorted(arguments)}: {' '.join(str(err).split())[:200]}"
        ) from err


def _with_waveforms(separator: BaseModel) -> BaseModel:
    """The separator itself, or one with the weights of Asteroid's ``XUMX``."""
    if type(separator).__name__ != "XUMX":
        return separator
    return JointXUMX.from_separator(separator, pitch=False).train(separator.training)


def _class_called(name: str) -> type[BaseModel] | None:
    """Asteroid's class of this name; underscores and capitals do not matter."""
    import asteroid.models as zoo

    wanted = name.replace("_", "").lower()
    for known, value in vars(zoo).items():
        if known.lower() == wanted and isinstance(value, type) and issubclass(value, BaseModel):
            return value
    return None


def read_separator(path: str | os.PathLike) -> BaseModel:
    """Read a separator from shipped weights, a file, or what Asteroid can download.

    Of types that are not plain data only the few in Asteroid's own files are accepted.

    Raises:
        CheckpointError: If it cannot be used.
    """
    from asteroid.utils.hub_utils import SR_HASHTABLE

    name = os.fspath(path)
    if name in available_weights():
        return JointModel.from_pretrained(WEIGHTS / f"{name}.pth")
    if not Path(name).is_file() and "/" not in name:
        raise CheckpointError(
            f"There is no separator {name!r}: give an Asteroid model, its registered name, a model "
            "file or a hub id."
        )
    with torch.serialization.safe_globals(PLAIN_OBJECTS):
        conf = plain_types(read_model_file(name))
    if conf["model_name"] == "XUMX":  # it returns spectra
        return JointXUMX.from_separator(conf, pitch=False)
    conf["model_args"].setdefault("sample_rate", SR_HASHTABLE.get(name))
    try:
        return BaseModel.from_pretrained(conf).eval()
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError) as err:
        raise CheckpointError(
            f"{name} is not a usable {conf['model_name']}: {' '.join(str(err).split())[:200]}"
        ) from err


def describe_separator(separator: BaseModel) -> tuple[str, dict[str, Any]]:
    """Registered name and plain arguments, without sample rate, of a separator of this shape.

    Raises:
        ConfigError: If its class is not registered, or its arguments do not describe it.
    """
    import asteroid.models as zoo

    if isinstance(separator, FunctionSeparator):
        return separator.name, {}
    name = type(separator).__name__
    if vars(zoo).get(name) is not type(separator):
        raise ConfigError(
            f"Asteroid does not know {name}, so its model files could not be loaded: call "
            f"asteroid.models.register_model({name}) first."
        )
    try:
        arguments = model_arguments(separator)
    except (NotImplementedError, TypeError) as err:
        raise ConfigError(f"get_model_args() of {name} must return plain values: {err}.") from err
    return name, {key: value for key, value in arguments.items() if key != "sample_rate"}


def check_arguments(separator: BaseModel) -> None:
    """Construct a copy from ``get_model_args()``, as loading a file will.

    Raises:
        ConfigError: If that fails, or its weights have other shapes.
    """
    name, arguments = describe_separator(separator)
    try:
        with torch.random.fork_rng(devices=[]):  # keeps the random state
            again = type(separator)(**arguments, sample_rate=separator.sample_rate)
    except (TypeError, ValueError, RuntimeError) as err:
        raise ConfigError(
            f"{name} cannot be constructed from its get_model_args(): "
            f"{' '.join(str(err).split())[:200]}"
        ) from err
    made, wanted = (
        (model_arguments(model), {key: value.shape for key, value in model.state_dict().items()})
        for model in (again, separator)
    )
    if made != wanted:
        raise ConfigError(f"get_model_args() of {name} does not describe this instance.")


def count_stems(separator: BaseModel) -> int:
    """Number of a separator's stems, found by running it on a short silence.

    Raises:
        ConfigError: If it fails, or does not return waveforms.
    """
    if isinstance(separator, FunctionSeparator):
        return 1
    first = next(separator.parameters(), torch.zeros(()))
    if first.is_meta:  # no values to run: rely on its attributes
        named = getattr(separator, "sources", None)
        return len(named) if named else int(separator.get_model_args().get("n_src", 1))
    was_training = separator.training
    separator.eval()
    try:
        with torch.no_grad():
            silence = torch.zeros(1, separator.in_channels or 1, PROBE + 3, device=first.device)
            return run_separator(separator, silence).shape[1]
    except (TypeError, ValueError, RuntimeError) as err:
        raise ConfigError(
            f"{type(separator).__name__} cannot separate {PROBE + 3} samples: "
            f"{' '.join(str(err).split())[:200]}"
        ) from err
    finally:
        separator.train(was_training)


def run_separator(separator: BaseModel, wav: torch.Tensor) -> torch.Tensor:
    """``(B, C, T)`` to ``(B, S, T)``, or ``(B, S, C, T)`` if it is stereo, of the same length.

    Raises:
        ValueError: If it returns anything else.
    """
    out = separator(wav)
    if not isinstance(out, torch.Tensor) or out.ndim not in (2, 3, 4):
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise ValueError(f"{type(separator).__name__} returns {shape}, not (batch, n_src, time).")
    if out.ndim == 2:
        out = out[:, None]  # (B, T): one source
    missing = wav.shape[-1] - out.shape[-1]
    return functional.pad(out, (0, missing)) if missing else out  # a negative pad cuts
