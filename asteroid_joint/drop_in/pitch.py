"""What all trackers share: the model, its device, and the scale of its confidence."""

import functools
import os
import threading
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..inference.curve import PitchCurve
from ..version import DEFAULT_MODEL

_chosen = DEFAULT_MODEL
ONE_AT_A_TIME = threading.Lock()  # a model that is optimised for the CPU reuses its memory


def use_model(name: str | os.PathLike) -> None:
    """Choose the model behind all interfaces of this package.

    Args:
        name: What :func:`asteroid_joint.load` accepts.

    Example:
        >>> use_model("djcm_pop")
    """
    global _chosen
    _chosen = os.fspath(name)


def chosen_model() -> str:
    """Name of the model behind the interfaces."""
    return _chosen


@functools.lru_cache(maxsize=2)
def _pitch_part(name: str, device: str) -> Any:
    from ..inference.load import ready_pitch_runner

    return ready_pitch_runner(name, device, batch_size=1)


def plain_device(device: Any) -> str:
    """``"auto"``, ``"cpu"`` or ``"cuda"``, from what programs pass as a device.

    Example:
        >>> plain_device(None), plain_device("cuda:0"), plain_device("mps")
        ('auto', 'cuda:0', 'cpu')
    """
    if device is None:
        return "auto"
    text = str(device)
    return text if text.partition(":")[0] in ("auto", "cpu", "cuda") else "cpu"


def mono(audio: Any) -> np.ndarray:
    """Samples ``(n_samples,)`` float32 of a tensor or array, integers scaled to 1.0.

    Args:
        audio: ``(n_samples,)``, or ``(1, n_samples)`` as tensors often are.

    Raises:
        ConfigError: If there are more channels, or no samples.
    """
    samples = np.asarray(audio.detach().cpu() if hasattr(audio, "detach") else audio)
    if samples.ndim == 2 and samples.shape[0] == 1:
        samples = samples[0]
    if samples.ndim != 1 or not len(samples):
        raise ConfigError(f"Expected one channel of samples, received shape {samples.shape}.")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / float(np.iinfo(samples.dtype).max + 1)
    return samples.astype(np.float32)


def track(
    audio: Any, sample_rate: float, device: Any = None, **knobs: Any
) -> tuple[PitchCurve, float]:
    """Pitch curve of a voice, and the confidence from which the model calls it voiced.

    Args:
        audio: See :func:`mono`.
        sample_rate: Hz.
        device: What the program passes as a device; ``None`` is a GPU where there is one.
        **knobs: Fields of :class:`~asteroid_joint.inference.knobs.PitchKnobs` to set.

    Raises:
        ConfigError: If the samples, the rate or a knob cannot be used.
    """
    from ..inference.voice_stream import track_voice

    if not sample_rate > 0 or sample_rate != int(sample_rate):
        raise ConfigError(f"Expected a sample rate in Hz, received {sample_rate}.")
    samples = mono(audio)
    with ONE_AT_A_TIME:
        model = _pitch_part(chosen_model(), plain_device(device))
        curve = track_voice(model, samples, int(sample_rate), **knobs)
    return curve, float(model.voicing_threshold)


def rescaled(confidence: np.ndarray, threshold: float, theirs: float) -> np.ndarray:
    """Confidence on the scale of another tracker, whose programs compare it with ``theirs``.

    A power of the model's, so that 0 and 1 stay and its own threshold becomes theirs.

    Args:
        confidence: In [0, 1].
        threshold: Confidence from which the model calls a frame voiced.
        theirs: What programs compare the other tracker's confidence with.

    Example:
        >>> rescaled(np.array([0.0, 0.72, 1.0]), 0.72, 0.1).round(3).tolist()
        [0.0, 0.1, 1.0]
    """
    threshold = float(np.clip(threshold, 1e-3, 1 - 1e-3))
    return np.clip(confidence, 0.0, 1.0) ** (np.log(theirs) / np.log(threshold))


def within(curve: PitchCurve, low_hz: float, high_hz: float) -> PitchCurve:
    """The curve with frames outside a range unvoiced and without confidence.

    Raises:
        ConfigError: If the range is empty.
    """
    if not 0 <= low_hz < high_hz:
        raise ConfigError(f"Expected a range of pitch in Hz, received {low_hz} to {high_hz}.")
    inside = (curve.hz >= low_hz) & (curve.hz <= high_hz)
    confidence = np.where(inside, curve.confidence, 0.0)
    return PitchCurve(curve.times, curve.hz, confidence, curve.voiced & inside)
