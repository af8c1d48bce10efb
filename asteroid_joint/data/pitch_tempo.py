"""Pitch and tempo of a recording, each moved without the other, while examples are drawn.

Time runs evenly through a changed recording: what is heard at ``t`` seconds was at ``tempo * t``
before. So labels follow by reading them there; F0 is then multiplied by ``pitch``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..optional import optional

MARGIN_SEC = 0.03  # seconds; the stretcher fades in and out at the ends of what it gets


class Change(NamedTuple):
    """A change of one recording.

    Attributes:
        pitch: Frequencies after over frequencies before.
        tempo: Seconds before over seconds after.
    """

    pitch: float = 1.0
    tempo: float = 1.0

    def n_before(self, n_samples: int, sample_rate: int) -> int:
        """Samples to read so that, changed, they give ``n_samples`` and what is cut off."""
        if self == UNCHANGED:
            return n_samples
        return int(np.ceil((n_samples + MARGIN_SEC * sample_rate) * self.tempo))

    def __call__(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        """Change a recording; its channels stay in phase.

        Args:
            wav: ``(C, T)`` float32.
            sample_rate: Hz.

        Returns:
            ``(C, T / tempo)``; of the last ``MARGIN_SEC`` the level is not right.

        Raises:
            UserError: If the library that does it is not installed.
        """
        if self == UNCHANGED:
            return wav
        if not wav.any():  # as stems often are: for nothing
            return np.zeros((len(wav), round(wav.shape[1] / self.tempo)), np.float32)
        stretcher = optional("python_stretch", "train").Signalsmith.Stretch()
        stretcher.preset(wav.shape[0], sample_rate)
        stretcher.setTimeFactor(self.tempo)
        stretcher.setTransposeFactor(self.pitch)
        # it reads channels as if they lay one after another, whatever the array says
        return np.asarray(stretcher.process(np.ascontiguousarray(wav, np.float32)))


UNCHANGED = Change()


@dataclass(frozen=True)
class PitchTempo:
    """Changes to draw from: both factors evenly within their ranges, independent of each other.

    The authors of DTTNet draw from 5 by 5 versions of every stem, which they write to disk
    beforehand: a terabyte. Formants move with the pitch, as theirs do.

    Args:
        probability: Of any change.
        semitones: Pitch changes by up to this, either way.
        percent: Tempo changes by up to this, either way. From 50 on the stretcher would blur with
            random phases, and a draw would not be the same twice.

    Raises:
        ConfigError: If a range makes no sense.

    Example:
        >>> import numpy as np
        >>> changes = PitchTempo(1.0, semitones=2.0, percent=20.0)
        >>> change = changes.draw(np.random.default_rng(0))
        >>> f"{change.pitch:.3f} {change.tempo:.3f}"
        '0.948 0.816'
    """

    probability: float = 0.0
    semitones: float = 2.0
    percent: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1 or self.semitones < 0 or not 0 <= self.percent < 50:
            raise ConfigError(
                "Expected pitch_tempo from 0 to 1, pitch_semitones of at least 0 and tempo_percent "
                f"from 0 to below 50, received {self.probability}, {self.semitones} and "
                f"{self.percent}."
            )

    def draw(self, rng: np.random.Generator) -> Change:
        """A change; draws nothing from ``rng`` where there are none."""
        if not self.probability or rng.random() >= self.probability:
            return UNCHANGED
        semitones = rng.uniform(-self.semitones, self.semitones)
        return Change(2 ** (semitones / 12), 1 + rng.uniform(-self.percent, self.percent) / 100)
