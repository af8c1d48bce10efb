"""One channel made of several, in which nothing that is heard cancels.

The mean loses what is out of phase between channels, as a voice is in some karaoke recordings, or
all of it where a cable is wired wrongly. A sound is lost to a downmix where its power, in a bin of
a spectrogram, is far below that of the channels. The mean is kept as long as little is lost to it;
otherwise the difference of two channels or one channel takes its place for a while.

Chosen by measurement: over any second of 92 songs of MUSDB18, the mean loses less than 6 % in all
but two, in which a synthesizer is out of phase in places; with their voices turned out of phase, it
loses more than 8 % over some second of all but one.
"""

import math

import numpy as np

from .library import hann_window
from .overlap_add import SampleQueue
from .segments import SegmentStream

FRAME_SEC = 0.046  # frame length, rounded to a power of two: 2048 samples at 44.1 kHz
RANGE_HZ = (300.0, 4000.0)  # where voices are heard
COMPRESSION = 0.7  # power of power, so that a voice counts beside louder instruments
CANCELLED = 0.03  # power of a downmix over that of its channels, for two; uncorrelated: uniform
OBSERVED = 4  # segments that are judged together: a second
MOST_LOST = 0.07  # before another downmix is looked for
ALIKE = 0.03  # downmixes that lose little more than the best are as good
SAFE, SAFE_SEGMENTS = 0.02, 16  # loss of the mean to return to it, and for how long: 4 seconds
OUT_OF_PHASE = 0.25  # least power of the mean over that of the difference
SILENCE = 1e-7  # mean compressed power


class DownmixFollower:
    """Chooses the weights of a downmix; see :class:`~asteroid_joint.dsp.segments.SegmentStream`.

    Args:
        n_channels: Channels of the stream, at least two.
        sample_rate: Sample rate in Hz.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> follower = DownmixFollower(2, 16000)
        >>> voice = rng.uniform(-0.5, 0.5, 4000).astype(np.float32)
        >>> follower.observe(np.stack([voice, -voice]))
        >>> follower.values().tolist()
        [0.5, -0.5]
    """

    def __init__(self, n_channels: int, sample_rate: int) -> None:
        self._n_fft = 2 ** max(6, round(math.log2(FRAME_SEC * sample_rate)))
        bins_hz = np.arange(self._n_fft // 2 + 1) * sample_rate / self._n_fft
        heard = (bins_hz >= RANGE_HZ[0]) & (bins_hz <= RANGE_HZ[1])
        self._heard = heard if heard.any() else np.ones_like(heard)
        self._window = hann_window(self._n_fft)
        self._mixes = _downmixes(n_channels)  # (K, C)
        self._cancelled = CANCELLED / (n_channels - 1)
        self._spectra: list[np.ndarray] = []  # (C, N, F) of the last segments
        self._of_mean: list[tuple[float, float]] = []  # lost to it, and all there is
        self._n_safe = 0  # segments
        self._chosen = 0

    def observe(self, segment: np.ndarray) -> None:
        """Take the next ``(C, T)``."""
        short = max(self._n_fft - segment.shape[1], 0)
        wav = np.pad(segment, ((0, 0), (0, short)))
        n_frames = wav.shape[1] // self._n_fft
        frames = wav[:, : n_frames * self._n_fft].reshape(len(wav), n_frames, self._n_fft)
        spectrum = np.fft.rfft(frames * self._window)[..., self._heard].astype(np.complex64)
        self._spectra = [*self._spectra, spectrum][-OBSERVED:]
        lost, power = self._lost(self._mixes[:1], spectrum)
        self._of_mean = [*self._of_mean, (float(lost[0]), power)][-OBSERVED:]
        self._n_safe = self._n_safe + 1 if lost[0] <= SAFE * power else 0

    def values(self) -> np.ndarray:
        """Weights of the channels, ``(C,)``."""
        lost, power = np.sum(self._of_mean, 0) if self._of_mean else (0.0, 0.0)
        if self._chosen == 0:
            if lost > MOST_LOST * power and power > SILENCE:
                self._choose()
        elif self._n_safe >= SAFE_SEGMENTS:
            self._chosen = 0
        else:
            self._choose()
        return self._mixes[self._chosen]

    def _choose(self) -> None:
        """Take another downmix if too much is lost to the present one."""
        lost, powers = zip(*(self._lost(self._mixes, s) for s in self._spectra), strict=True)
        if sum(powers) <= SILENCE:
            return
        shares = np.stack(lost).sum(0) / sum(powers)  # (K,)
        if shares[self._chosen] > MOST_LOST and shares.min() < shares[self._chosen] / 2:
            self._chosen = int(np.flatnonzero(shares <= shares.min() + ALIKE)[0])

    def _lost(self, mixes: np.ndarray, spectrum: np.ndarray) -> tuple[np.ndarray, float]:
        """What cancels in each of ``(K, C)``, ``(K,)``, and all there is: compressed power."""
        power = _power(spectrum).mean(0) / self._n_fft  # (N, F)
        if len(mixes) == 1:  # the mean, as for most of most recordings
            mixed = spectrum.mean(0, keepdims=True)
        else:
            mixed = np.tensordot(mixes, spectrum, 1)
        cancels = _power(mixed) / self._n_fft < self._cancelled * power  # (K, N, F)
        counted = power**COMPRESSION / max(power.size, 1)
        return (counted * cancels).sum((-1, -2)), float(counted.sum())


def _downmixes(n_channels: int) -> np.ndarray:
    """What there is to choose from, ``(K, C)``: the mean first, as it is the usual one."""
    mean = np.full((1, n_channels), 1 / n_channels)
    difference = np.array([[0.5, -0.5]]) if n_channels == 2 else np.zeros((0, n_channels))
    return np.concatenate([mean, difference, np.eye(n_channels)]).astype(np.float32)


def _power(spec: np.ndarray) -> np.ndarray:
    return spec.real**2 + spec.imag**2


def downmix(samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One channel of several.

    Args:
        samples: ``(C, T)``.
        weights: ``(C, T)``, see :class:`DownmixFollower`.

    Returns:
        ``(1, T)``; exactly the mean where all weights are equal.
    """
    mean = samples.mean(0, keepdims=True)
    even = weights == np.float32(1 / len(samples))
    if even.all():
        return mean
    return np.where(even.all(0), mean, (weights * samples).sum(0, keepdims=True))


class StreamDownmix:
    """One channel of a voice, and of its mixture alike: never a mean that loses voices.

    Args:
        n_channels: Channels of both.
        sample_rate: Sample rate in Hz.
    """

    def __init__(self, n_channels: int, sample_rate: int) -> None:
        self._stream: SegmentStream | None = None
        if n_channels > 1:
            follower = DownmixFollower(n_channels, sample_rate)
            self._stream = SegmentStream(n_channels, sample_rate, [follower])
        self._voice = SampleQueue(n_channels)

    def push(self, voice: np.ndarray, mixture: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Add ``(C, T)`` each, the voice alone if there is no mixture; returns ``(T',)`` each."""
        heard = voice if mixture is None else mixture
        if self._stream is None:
            return voice[0], heard[0]
        self._voice.push(voice)
        return self._mixed(self._stream.push(heard))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The rest."""
        nothing = np.zeros(0, np.float32)
        return (nothing, nothing) if self._stream is None else self._mixed(self._stream.finish())

    def _mixed(self, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mixture, weights = np.split(taken, 2)  # (C, T) each
        voice = self._voice.take(mixture.shape[1])
        return downmix(voice, weights)[0], downmix(mixture, weights)[0]


def audible_channel(samples: np.ndarray) -> np.ndarray:
    """One channel of several for a short signal, as :class:`StreamDownmix` is for a long one.

    The mean, or half the difference of two channels where their mean has lost most of the power.

    Args:
        samples: ``(..., C, T)``.

    Returns:
        ``(..., T)`` float32.

    Example:
        >>> audible_channel(np.array([[0.5, -0.5], [-0.5, 0.5]])).tolist()
        [0.5, -0.5]
    """
    samples = samples.astype(np.float32, copy=False)
    mean = samples.mean(-2)  # (..., T)
    if samples.shape[-2] != 2:
        return mean
    difference = (samples[..., 0, :] - samples[..., 1, :]) / 2
    cancels = np.square(mean).sum(-1) < OUT_OF_PHASE * np.square(difference).sum(-1)
    return np.where(cancels[..., None], difference, mean)
