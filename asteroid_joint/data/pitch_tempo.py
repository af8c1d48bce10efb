"""Independent changes of pitch and tempo, applied while examples are sampled.

Time is stretched evenly: what sounds at ``t`` seconds was at ``tempo * t`` before. So labels are
read there, and F0 is multiplied by ``pitch``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..optional import optional

MARGIN_SEC = 0.03  # the stretcher fades in and out at the ends of its input


class Change(NamedTuple):
    """A change of one recording.

    Attributes:
        pitch: Frequencies after over frequencies before.
        tempo: Seconds before over seconds after.
    """

    pitch: float = 1.0
    tempo: float = 1.0

    def n_before(self, n_samples: int, sample_rate: int) -> int:
        """Samples to read for ``n_samples`` after the change and the margin."""
        if self == UNCHANGED:
            return n_samples
        return int(np.ceil((n_samples + MARGIN_SEC * sample_rate) * self.tempo))

    def __call__(self, wav: np.ndarray, sample_rate: int) -> np.ndarray:
        """Change a recording; its channels stay in phase.

        Args:
            wav: ``(C, T)`` float32.
            sample_rate: Hz.

        Returns:
            ``(C, T / tempo)``; the level of the last ``MARGIN_SEC`` is wrong.

        Raises:
            UserError: If python-stretch is not installed.
        """
        if self == UNCHANGED:
            return wav
        if not wav.any():  # stems are often silent
            return np.zeros((len(wav), round(wav.shape[1] / self.tempo)), np.float32)
        stretcher = optional("python_stretch", "train").Signalsmith.Stretch()
        stretcher.preset(wav.shape[0], sample_rate)
        stretcher.setTimeFactor(self.tempo)
        stretcher.setTransposeFactor(self.pitch)
        # it ignores strides: channels must lie one after another
        return np.asarray(stretcher.process(np.ascontiguousarray(wav, np.float32)))


UNCHANGED = Change()


@dataclass(frozen=True)
class PitchTempo:
    """Random changes: both factors are uniform within their ranges and independent.

    The authors of DTTNet choose from 5 by 5 versions of every stem, written to disk beforehand (a
    terabyte). As in theirs, formants move with the pitch.

    Args:
        probability: Probability of a change.
        semitones: Greatest change of pitch, up or down.
        percent: Greatest change of tempo, either way. From 50 on the stretcher would use random
            phases, so examples would not be reproducible.

    Raises:
        ConfigError: If a range is invalid.

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
        """A random change; takes nothing from ``rng`` if ``probability`` is 0."""
        if not self.probability or rng.random() >= self.probability:
            return UNCHANGED
        semitones = rng.uniform(-self.semitones, self.semitones)
        return Change(2 ** (semitones / 12), 1 + rng.uniform(-self.percent, self.percent) / 100)
