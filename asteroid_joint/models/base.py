"""The contract of a joint model: what every system of this package provides and must implement.

A new system subclasses :class:`JointModel`, sets ``sources`` and ``presets``, and implements
``estimate``. Shapes, short inputs, model arguments, files and registration are handled here.
"""

import functools
import inspect
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from asteroid.models import BaseModel
from torch import nn
from torch.nn import functional

from ..compat import called_by_stock_loader, plain_types, register_once, separate_in_eval_mode
from ..data.base import JointDataset
from ..dsp.roles import COMPLEMENT, VOICE
from ..dsp.roles import stem_index as stem_index
from ..errors import CheckpointError, ConfigError
from ..pitch import PitchGrid
from ..registry import DECODERS, MODELS, OPERATIONS
from .model_file import MODEL_KEYS, read_model_file
from .samples import as_samples

Model = TypeVar("Model", bound="JointModel")
SOURCES = ("vocals", "drums", "bass", "other")  # the stems of MUSDB, in the order of our models


class JointOutput(NamedTuple):
    """Output of one pass of a joint model; unused fields are ``None``.

    Attributes:
        sources: ``(batch, n_src, time)``, or ``(batch, n_src, n_channels, time)`` where the model
            is stereo.
        pitch_logits: ``(batch, frames, n_bins)`` on the model's :class:`PitchGrid`.
        activity_logits: ``(batch, frames)``, vocal activity.
        magnitudes: ``(batch, k, frames, freqs)``, magnitudes of the first ``k`` sources;
            ``(batch, k, n_channels, frames, freqs)`` where the model is stereo.
    """

    sources: torch.Tensor
    pitch_logits: torch.Tensor | None = None
    activity_logits: torch.Tensor | None = None
    magnitudes: torch.Tensor | None = None

    def stems(self) -> torch.Tensor:
        """``sources`` with its channel axis always there: ``(batch, n_src, n_channels, time)``."""
        return self.sources if self.sources.ndim == 4 else self.sources[:, :, None]


class JointModel(BaseModel):
    """Base of every joint model.

    Args:
        sample_rate: Hz.
        pitch_grid: Frames of all framewise outputs and labels, and bins of ``pitch_logits``.
        in_channels: 1 for mono models, 2 for stereo ones.
        has_pitch: Whether the model has a pitch output.

    Class attributes:
        sources: Stem names in output order.
        presets: Name to constructor arguments; ``"paper"`` is the published configuration.
        min_samples: Shorter inputs are zero-padded to this and cut afterwards.
        mixture_scale: Sum of the sources over the mixture; 1 where they add up.
        context_samples: Receptive field on either side of an output, including the window of any
            transform; ``None`` if unlimited.
        window_multiple: Shifts of the input by multiples of this shift the outputs alike.
        window_samples: Minimum length of windows, for models that process long ones efficiently.

    With ``context_samples``, long audio is cut into windows that begin at multiples of
    ``window_multiple`` and overlap by twice the context, so the result is that of one pass; without
    it, windows are cross-faded. The voicing threshold is a buffer, hence stored with the weights.
    """

    sources: tuple[str, ...] = (VOICE, COMPLEMENT)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    min_samples: int = 1
    mixture_scale: float = 1.0
    context_samples: int | None = None
    window_multiple: int = 1
    window_samples: int = 0
    voicing_threshold: torch.Tensor
    _model_args: dict[str, Any]
    _plain_arguments = staticmethod(plain_types)  # for models whose arguments may be objects

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Record constructor arguments for ``get_model_args``."""
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        original = cls.__init__
        signature = inspect.signature(original)

        @functools.wraps(original)
        def __init__(self: "JointModel", *args: Any, **kwargs: Any) -> None:
            if "_model_args" not in self.__dict__:  # the outermost constructor comes first
                bound = signature.bind(self, *args, **kwargs)
                bound.apply_defaults()
                arguments = dict(list(bound.arguments.items())[1:])
                object.__setattr__(self, "_model_args", self._plain_arguments(arguments))
            original(self, *args, **kwargs)

        cls.__init__ = __init__  # type: ignore[method-assign]

    def __init__(
        self,
        sample_rate: int,
        pitch_grid: PitchGrid,
        in_channels: int = 1,
        has_pitch: bool = True,
    ) -> None:
        arguments = self._model_args
        super().__init__(sample_rate=sample_rate, in_channels=in_channels)
        self._model_args = arguments
        self.pitch_grid = pitch_grid
        self.has_pitch = has_pitch
        self.register_buffer("voicing_threshold", torch.tensor(0.5))

    @classmethod
    def from_preset(cls: type[Model], name: str, **overrides: Any) -> Model:
        """Build the model from one of ``presets``.

        Args:
            name: Key of ``presets``.
            **overrides: Constructor arguments that replace the preset's.

        Raises:
            ConfigError: If there is no such preset.
        """
        if name not in cls.presets:
            raise ConfigError(
                f"{cls.__name__} has no preset {name!r}: choose one of {', '.join(cls.presets)}."
            )
        return cls(**{**cls.presets[name], **overrides})

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        """The model itself: ``(B, C, T)`` with ``T >= min_samples`` to a :class:`JointOutput`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement estimate(wav).")

    def forward_joint(self, wav: torch.Tensor) -> JointOutput:
        """Separate and estimate pitch.

        Args:
            wav: Mono models: ``(time,)``, ``(batch, time)`` or ``(batch, 1, time)``; stereo models:
                ``(n_channels, time)`` or ``(batch, n_channels, time)``. Tensors and arrays of
                floats, int16 or int32, whose full scale becomes 1.0, are converted to the
                precision of the weights.

        Returns:
            :class:`JointOutput`, without the batch axis where the input had none.

        Raises:
            ValueError: If shape or type is another one, or there are no examples or samples.
        """
        wav = as_samples(wav, self.voicing_threshold)
        mono = self.in_channels == 1
        unbatched = wav.ndim == (1 if mono else 2)
        batched = wav[None] if unbatched else wav
        if mono and batched.ndim == 2:
            batched = batched[:, None]  # (B, 1, T)
        if batched.ndim != 3 or batched.shape[1] != self.in_channels or 0 in batched.shape:
            raise ValueError(
                f"{type(self).__name__} expects (batch, {self.in_channels}, time) with at least "
                f"one example and one sample, received {tuple(wav.shape)}."
            )
        n_samples = batched.shape[-1]
        if n_samples < self.min_samples:
            out = self.estimate(functional.pad(batched, (0, self.min_samples - n_samples)))
            out = self._cut(out, n_samples)
        else:
            out = self.estimate(batched)
        if unbatched:
            out = JointOutput._make(None if field is None else field[0] for field in out)
        return out

    def _cut(self, out: JointOutput, n_samples: int) -> JointOutput:
        """Remove what padding a short input added."""
        n_frames = self.pitch_grid.n_frames(n_samples)
        logits, activity, magnitudes = (
            None
            if field is None
            else field[..., :n_frames, :]
            if field.ndim > 2
            else field[:, :n_frames]
            for field in (out.pitch_logits, out.activity_logits, out.magnitudes)
        )
        return JointOutput(out.sources[..., :n_samples], logits, activity, magnitudes)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """Separate only: see :meth:`forward_joint`; returns its ``sources``."""
        return self.forward_joint(wav).sources

    def forward_wav(self, wav: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Separate in evaluation mode (the hook of ``asteroid.separate``)."""
        return separate_in_eval_mode(self, wav)

    def prepare_training(self, dataset: JointDataset) -> None:
        """Initialise a fresh model from the training dataset; by default does nothing."""

    @torch.no_grad()
    def decode_pitch(
        self, pitch_logits: torch.Tensor, decoder: str = "argmax"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits to F0.

        Args:
            pitch_logits: ``(..., frames, n_bins)``.
            decoder: Name in ``DECODERS``.

        Returns:
            ``f0_hz`` (always positive), ``confidence`` in [0, 1] and ``voiced`` (bool, confidence
            above the model's threshold), each ``(..., frames)``.
        """
        if not self.has_pitch:
            raise ValueError(f"This {type(self).__name__} has no pitch output.")
        f0 = DECODERS[decoder](torch.sigmoid(pitch_logits.float()), self.pitch_grid)
        return f0.hz, f0.confidence, f0.confidence > self.voicing_threshold

    @torch.no_grad()
    def sung_probability(self, output: JointOutput) -> torch.Tensor | None:
        """Probability of singing per frame, from the activity or else the pitch output.

        Args:
            output: Output of this model.

        Returns:
            ``(..., frames)`` in [0, 1]: the sigmoid of ``activity_logits``, or the confidence of
            the pitch, rescaled piecewise linearly so that the voicing threshold becomes 0.5; it
            then means "voiced", as consonants have no pitch. ``None`` with neither output.
        """
        if output.activity_logits is not None:
            return output.activity_logits.float().sigmoid()
        if output.pitch_logits is None:
            return None
        confidence = output.pitch_logits.float().amax(-1).sigmoid()  # (..., N)
        threshold = self.voicing_threshold.clamp(1e-6, 1 - 1e-6)
        below = 0.5 * confidence / threshold
        above = 0.5 + 0.5 * (confidence - threshold) / (1 - threshold)
        return torch.where(confidence > threshold, above, below)

    def transcribe(self, audio: Any, sample_rate: float | None = None, **options: Any) -> Any:
        """Stems, pitch and notes of a song.

        Args:
            audio: A file; or samples ``(n_samples,)`` or ``(n_channels, n_samples)``.
            sample_rate: Sample rate of the samples in Hz.
            **options: ``decoder``, ``notes``, ``batch_size``, ``window_sec``, ``gate``,
                ``title``, and the knobs of ``asteroid_joint.inference.knobs.PitchKnobs``.

        Returns:
            ``asteroid_joint.inference.transcription.Transcription``.

        Raises:
            AudioError: If the file or the samples cannot be used.
        """
        return OPERATIONS["transcribe"](self, audio, sample_rate, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Share the model on the Hugging Face hub as ``"user/name"`` and return its address.

        Options are ``facts``, ``private``, ``token`` and ``message``: see
        ``asteroid_joint.share.push_to_hub``.
        """
        return OPERATIONS["push_to_hub"](self, repo_id, **options)

    def export_onnx(self, path: str | os.PathLike, **options: Any) -> pathlib.Path:
        """Write the model to an ONNX file.

        Options are ``window_sec``, ``licence`` and ``overwrite``: see
        ``asteroid_joint.share.onnx.export_onnx``.
        """
        return OPERATIONS["export_onnx"](self, path, **options)

    def get_model_args(self) -> dict[str, Any]:
        """Arguments of the constructor call that made this model, plain Python values."""
        return dict(self._model_args)

    def serialize(self) -> dict[str, Any]:
        """Asteroid's model dictionary in types that ``torch.load(weights_only=True)`` reads."""
        from ..version import __version__

        conf = super().serialize()
        conf["infos"]["software_versions"]["asteroid_joint_version"] = __version__
        conf["infos"]["pitch_grid"] = self.pitch_grid.to_dict()
        conf["infos"]["sources"] = list(self.sources)
        return plain_types(conf)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights as ``torch.nn.Module`` does; the mode is kept.

        Only for stock ``BaseModel.from_pretrained`` does the model switch to evaluation mode; see
        :func:`asteroid_joint.compat.called_by_stock_loader`.
        """
        result = super().load_state_dict(*args, **kwargs)
        if called_by_stock_loader():
            self.eval()
        return result

    @classmethod
    def from_pretrained(
        cls, pretrained_model_conf_or_path: Any, *args: Any, **kwargs: Any
    ) -> "JointModel":
        """Build a model from a file, URL or hub id that Asteroid knows, or a dictionary.

        Files are read as data (``weights_only=True``); the model comes back in ``.eval()``.

        Raises:
            CheckpointError: If the file cannot be used.
        """
        conf = pretrained_model_conf_or_path
        if isinstance(conf, str | os.PathLike):  # a Path, too, which Asteroid takes for a dict
            conf = read_model_file(os.fspath(conf))
        if not isinstance(conf, dict) or not MODEL_KEYS <= conf.keys():
            raise CheckpointError(f"A model dictionary needs the keys {sorted(MODEL_KEYS)}.")
        name = conf["model_name"]
        # never Asteroid's table: it holds functions, too
        if not isinstance(name, str) or name not in MODELS:
            raise CheckpointError(
                f"There is no joint model called {name!r} (known: {', '.join(sorted(MODELS))}); "
                "if it is your own, import the module that registers it first."
            )
        model_class = MODELS[name]
        if not issubclass(model_class, cls):
            raise CheckpointError(f"These weights belong to {name}, not to {cls.__name__}.")
        try:
            model = model_class(*args, **{**conf["model_args"], **kwargs})
            model.load_state_dict(conf["state_dict"])
        except Exception as err:  # a constructor raises what odd arguments lead to
            reason = " ".join(str(err).split())[:200] or type(err).__name__
            raise CheckpointError(f"The weights do not fit {name}: {reason}") from err
        infos = conf.get("infos")
        stored = infos.get("pitch_grid") if isinstance(infos, dict) else None
        if stored is not None and stored != model.pitch_grid.to_dict():
            raise CheckpointError(
                f"The weights were trained on another pitch grid ({stored}) than this "
                f"{name} has ({model.pitch_grid.to_dict()})."
            )
        return model.eval()


def check_activity(model: JointModel) -> None:
    """Refuse a model that cannot detect singing.

    Without a pitch output this is found by running it on the shortest possible silence.

    Raises:
        ConfigError: If it has neither an activity output nor pitch.
    """
    if model.has_pitch:
        return
    was_training = model.training
    silence = torch.zeros(1, int(model.in_channels), model.min_samples)
    model.eval()
    try:
        with torch.no_grad():
            output = model.forward_joint(silence.to(model.voicing_threshold.device))
    finally:
        model.train(was_training)
    if model.sung_probability(output) is None:
        raise ConfigError(
            f"{type(model).__name__} has neither an activity output nor a pitch output to "
            "detect singing with: choose another model, or leave activity out."
        )


def check_sources(sources: Sequence[str]) -> None:
    """Refuse names that do not suit files and modules, or do not begin with vocals.

    Raises:
        ConfigError: If ``sources``, as a user gave them, are invalid.
    """
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        raise ConfigError(
            f"Expected a list of names that begin with vocals as sources, received {sources!r}."
        )
    plain = all(isinstance(s, str) and re.fullmatch(r"\w[\w-]*", s) for s in sources)
    if not plain or tuple(sources[:1]) != ("vocals",) or len(set(sources)) != len(sources):
        raise ConfigError(
            "Expected different plain names that begin with vocals as sources, "
            f"received {', '.join(map(str, sources))}."
        )
    containers = nn.ModuleDict(), nn.ParameterDict()  # their attributes are reserved
    for name in sources:
        if any(hasattr(container, name) for container in containers):
            raise ConfigError(
                f"A source cannot be called {name}, a name that PyTorch uses itself: rename it."
            )


def register_model(cls: type[Model]) -> type[Model]:
    """Class decorator: make a joint model known to this package and to Asteroid."""
    MODELS.register(cls.__name__)(cls)
    register_once(cls)
    return cls
