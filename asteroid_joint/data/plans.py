"""What is random about an example of :mod:`.resident`: planned here, carried out on the device.

A plan is a function of ``(seed, i)`` alone.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError
from ..pitch import PitchGrid
from ..pitch.grid import cents_to_hz
from .base import JointDataset
from .drawing import WeightedChoice
from .effects import EQ_KNOTS, NOISE_SAMPLES

MIXTURE = -1  # instead of the number of a stem
DOUBLES = (0.1, -0.1, 3, 4, 5, 7, -5, -12)  # semitones from the lead
DOUBLE_DB = (-16.0, -5.0)  # below the lead, as are other voices
DOUBLE_SEC = 0.03  # latest entry after the lead
SECOND_REST_DB = (-10.0, 0.0)
DECAY_SEC, DELAY_SEC, WET_DB = (0.2, 1.5), (0.005, 0.045), (-22.0, -8.0)  # of rooms
DRIVE = (1.0, 4.0)
CUT_HZ = (3000.0, 7500.0)
BALANCE_DB = (-16.0, 10.0)  # limits of a random balance


@dataclass(frozen=True)
class Augmentation:
    """What is random about an example. Everything but ``remix`` and gain is off by default.

    The first group is what :class:`~.drawing.DrawnExamples` does as well.

    Args:
        remix, gain_db, level_db, speed_semitones, silence, remix_stems, stem_gain, swap_channels:
            See :class:`~.drawing.DrawnExamples`.
        rest_speed_semitones: With probability one half the accompaniment is played faster or slower
            by up to this.
        double: Probability of a double or a harmony: the same singer once more below the lead, at
            another pitch and a little later. F0 remains that of the lead (as in the vocal harmonies
            that S. Uhlich et al., "Improving music source separation based on deep neural networks
            through data augmentation and network blending", ICASSP 2017, obtain from the songs).
        backing: Probability of another voice below the lead, which also counts as voice.
        eq_db: Standard deviation of the gain of random smooth equalisers, one for the voice and one
            for the accompaniment.
        reverb: Probability of a room around the voice: the wet voice is the target.
        saturation: Probability of soft clipping of the voice.
        narrow_band: Probability that everything above a random frequency is missing.
        no_rest: Probability that the accompaniment is left out.
        two_rests: Probability of a second accompaniment under the first.
        equal_loudness: Bring voices and accompaniments to one loudness first, and then to a random
            balance, normally distributed around ``balance_db`` with ``balance_spread_db``. For data
            whose balance is arbitrary, such as raw multitracks and solo voices.
        balance_db: Mean of the balance, voice over accompaniment.
        balance_spread_db: Its standard deviation.
        mixture_db: Least and greatest RMS of the mixture, dB re full scale; equal: as it is.

    Raises:
        ConfigError: If a value is out of range.
    """

    remix: float = 0.7
    gain_db: float = 6.0
    level_db: float = 0.0
    speed_semitones: float = 3.0
    silence: float = 0.0
    remix_stems: bool = False
    stem_gain: tuple[float, float] = (1.0, 1.0)
    swap_channels: float = 0.0
    rest_speed_semitones: float = 0.0
    double: float = 0.0
    backing: float = 0.0
    eq_db: float = 0.0
    reverb: float = 0.0
    saturation: float = 0.0
    narrow_band: float = 0.0
    no_rest: float = 0.0
    two_rests: float = 0.0
    equal_loudness: bool = False
    balance_db: float = -2.5
    balance_spread_db: float = 5.0
    mixture_db: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"--{name} {getattr(self, name)}: expected a probability from 0 to 1."
                )
        if self.mixture_db[0] > self.mixture_db[1]:
            raise ConfigError(
                f"The least level of a mixture, {self.mixture_db[0]} dB, is above the greatest, "
                f"{self.mixture_db[1]} dB: swap mixture_db_min and mixture_db_max."
            )


PROBABILITIES = (
    "double",
    "backing",
    "reverb",
    "saturation",
    "narrow_band",
    "no_rest",
    "two_rests",
)


class Recording(NamedTuple):
    """What the store has of a clip.

    Attributes:
        numbers: Number of the recording by stem (or ``MIXTURE``) and part.
        voice_rms: Loudness of its voice.
        rest_rms: Loudness of its accompaniment.
    """

    numbers: dict[tuple[int, int], int]
    voice_rms: float
    rest_rms: float


class Take(NamedTuple):
    """A stretch of a recording that is added to a stem.

    Attributes:
        source: Number of the stem, or ``MIXTURE``.
        recording: Number of the recording in the store.
        start: First sample; silence before 0 and after the end.
        speed: Samples of the recording per sample.
        gain: Factor.
    """

    source: int
    recording: int
    start: int
    speed: float
    gain: float


@dataclass
class Plan:
    """An example: see :class:`Augmentation`. What is ``None`` is left out.

    Attributes:
        clip, start, speed: Origin of the labels: clip, first sample and speed.
        name, song, sources_quality: Facts of the clip.
        takes: Recordings to add up.
        has_sources: Whether there are stems, or a mixture only.
        silent: Whether nobody sings.
        swapped: Stems whose channels are swapped.
        voice_eq_db, rest_eq_db: Gains of the equalisers.
        room: Decay and delay in seconds, level in dB, place of the noise.
        drive: Saturation of the voice.
        voice_gain: Gain of the voice after its effects.
        cut_hz: Upper edge of the band.
        level: Factor on everything at the end.
        rms: RMS of the mixture instead of ``level``; NaN: ``level``.
    """

    clip: int
    start: int
    speed: float
    name: str
    song: str
    sources_quality: float
    takes: list[Take] = field(default_factory=list)
    has_sources: bool = True
    silent: bool = False
    swapped: tuple[int, ...] = ()
    voice_eq_db: np.ndarray | None = None
    rest_eq_db: np.ndarray | None = None
    room: tuple[float, float, float, int] | None = None
    drive: float | None = None
    voice_gain: float | None = None
    cut_hz: float | None = None
    level: float = 1.0
    rms: float = float("nan")


class Planner:
    """Plans examples.

    Args:
        dataset: Dataset whose ``voice_weights`` and ``rest_weights`` say how often a clip is used.
        recordings: By clip.
        grid: Frames of the labels.
        n_samples: Length of an example.
        seed: Seed of the sampling.
        augmentation: What is random.
    """

    def __init__(
        self,
        dataset: JointDataset,
        recordings: list[Recording],
        grid: PitchGrid,
        n_samples: int,
        seed: int,
        augmentation: Augmentation,
    ) -> None:
        self.dataset = dataset
        self.recordings = recordings
        self.grid = grid
        self.n_samples = n_samples
        self.seed = seed
        self.options = augmentation
        # of clips that have any stems, only these provide accompaniment
        has_rest = np.array([any(source > 0 for source, _ in r.numbers) for r in recordings])
        self._has_rest = has_rest & (dataset.rest_weights > 0)
        self._voices = WeightedChoice(dataset.voice_weights, "a voice")
        has_stems = any((0, 0) in r.numbers for r in recordings)
        weights = dataset.rest_weights * self._has_rest if has_stems else dataset.rest_weights
        self._rests = WeightedChoice(weights, "accompaniment")
        self._alike: dict[tuple[int, tuple[str, ...]], WeightedChoice] = {}

    def plan(self, draw: int) -> Plan:
        """Plan of example number ``draw``."""
        rng = np.random.default_rng((self.seed, draw))
        index = self._voices.draw(rng)
        clip = self.dataset.clips[index]
        numbers = self.recordings[index].numbers
        has_sources = (MIXTURE, 0) not in numbers
        speed = self._speed(rng, self.options.speed_semitones, 0.5) if has_sources else 1.0
        start = self._start(rng, index, speed)
        plan = Plan(index, start, speed, clip.name, clip.song, self.dataset.sources_quality(index))
        if has_sources:
            self._plan_stems(rng, plan)
        else:
            plan.has_sources = False
            plan.takes = [Take(MIXTURE, numbers[MIXTURE, 0], start, 1.0, 1.0)]
        self._plan_levels(rng, plan)
        return plan

    def _speed(self, rng: np.random.Generator, semitones: float, probability: float) -> float:
        if not semitones or rng.random() >= probability:
            return 1.0
        return float(cents_to_hz(100 * rng.uniform(-semitones, semitones), 1.0))

    def _start(self, rng: np.random.Generator, index: int, speed: float) -> int:
        """Random start on a multiple of the hop, so that labels fall on frames."""
        n_read = int(np.ceil(self.n_samples * max(speed, 1.0)))
        room = max(self.dataset.clips[index].n_samples - n_read, 0) // self.grid.hop_length
        return int(rng.integers(0, room + 1)) * self.grid.hop_length

    def _plan_stems(self, rng: np.random.Generator, plan: Plan) -> None:
        options = self.options
        silent = rng.random() < options.silence
        gain = 1.0 if options.equal_loudness else 10 ** (_within(rng, -1, 1) * options.gain_db / 20)
        if options.equal_loudness:
            low, high = BALANCE_DB
            balance_db = options.balance_db + options.balance_spread_db * rng.standard_normal()
            gain = 10 ** (float(np.clip(balance_db, low, high)) / 20)
        voices = self._voice_takes(rng, plan)
        self._plan_voice_effects(rng, plan)
        rests = self._rest_takes(rng, plan)
        if options.eq_db:
            plan.rest_eq_db = rng.standard_normal(EQ_KNOTS) * options.eq_db
        gains = rng.uniform(*options.stem_gain, size=len(self.dataset.sources))
        plan.voice_gain = float(gain * gains[0])
        plan.silent = silent
        if rng.random() < options.no_rest and not silent:
            rests = []
        rests = [take._replace(gain=take.gain * gains[take.source]) for take in rests]
        plan.takes = [*([] if silent else voices), *rests]
        if options.swap_channels:
            swapped = rng.random(len(gains)) < options.swap_channels
            plan.swapped = tuple(int(s) for s in np.flatnonzero(swapped))

    def _voice_takes(self, rng: np.random.Generator, plan: Plan) -> list[Take]:
        """The lead, and what sounds below it."""
        options = self.options
        takes = [self._voice(plan.clip, plan.start, plan.speed, 0.0)]
        if rng.random() < options.double:
            semitones = DOUBLES[int(rng.integers(len(DOUBLES)))]
            speed = plan.speed * cents_to_hz(100.0 * semitones, 1.0)
            late = int(rng.uniform(0, DOUBLE_SEC) * self.dataset.sample_rate)
            level_db = _within(rng, *DOUBLE_DB)
            takes.append(self._voice(plan.clip, plan.start - late, speed, level_db))
        if rng.random() < options.backing:
            index = self._voices.draw(rng)
            start, level_db = self._start(rng, index, 1.0), _within(rng, *DOUBLE_DB)
            if (0, 0) in self.recordings[index].numbers:
                takes.append(self._voice(index, start, 1.0, level_db))
        return takes

    def _voice(self, index: int, start: int, speed: float, level_db: float) -> Take:
        recording = self.recordings[index]
        gain = 10 ** (level_db / 20)
        if self.options.equal_loudness:
            gain /= recording.voice_rms
        return Take(0, recording.numbers[0, 0], start, speed, gain)

    def _plan_voice_effects(self, rng: np.random.Generator, plan: Plan) -> None:
        options = self.options
        if options.eq_db:
            plan.voice_eq_db = rng.standard_normal(EQ_KNOTS) * options.eq_db
        if rng.random() < options.reverb:
            ranges = (DECAY_SEC, DELAY_SEC, WET_DB)
            decay_sec, delay_sec, wet_db = (_within(rng, *r) for r in ranges)
            plan.room = (decay_sec, delay_sec, wet_db, int(rng.integers(NOISE_SAMPLES)))
        if rng.random() < options.saturation:
            plan.drive = _within(rng, *DRIVE)

    def _rest_takes(self, rng: np.random.Generator, plan: Plan) -> list[Take]:
        """Accompaniment of the clip itself or of others."""
        options = self.options
        remixed = rng.random() < options.remix or not self._has_rest[plan.clip]
        if not remixed:
            takes = self._all_stems(plan.clip, plan.start, 1.0, 0.0)
        elif options.remix_stems:
            takes = self._stem_by_stem(rng)
        else:
            takes = self._another(rng, 0.0)
        if rng.random() < options.two_rests:
            takes = takes + self._another(rng, _within(rng, *SECOND_REST_DB))
        return takes

    def _another(self, rng: np.random.Generator, level_db: float) -> list[Take]:
        """All stems but the voice of a random clip."""
        index = self._rests.draw(rng)
        speed = self._speed(rng, self.options.rest_speed_semitones, 0.5)
        return self._all_stems(index, self._start(rng, index, speed), speed, level_db)

    def _all_stems(self, index: int, start: int, speed: float, level_db: float) -> list[Take]:
        gain = 10 ** (level_db / 20) * self._rest_gain(index)
        numbers = self.recordings[index].numbers
        return [
            Take(source, number, start, speed, gain)
            for (source, _), number in numbers.items()
            if source > 0
        ]

    def _stem_by_stem(self, rng: np.random.Generator) -> list[Take]:
        """Every stem but the voice, and every part of it, from a clip of its own."""
        takes = []
        for source in range(1, len(self.dataset.sources)):
            index = self._rests.draw(rng)
            names = self.dataset.part_names(index, source)
            for part in range(len(names)):
                if part:
                    index = self._choice_alike(source, names).draw(rng)
                speed = self._speed(rng, self.options.rest_speed_semitones, 0.5)
                start = self._start(rng, index, speed)
                number = self.recordings[index].numbers[source, part]
                takes.append(Take(source, number, start, speed, self._rest_gain(index)))
        return takes

    def _rest_gain(self, index: int) -> float:
        return 1 / self.recordings[index].rest_rms if self.options.equal_loudness else 1.0

    def _choice_alike(self, source: int, names: tuple[str, ...]) -> WeightedChoice:
        """Clips that provide accompaniment and whose stem has these parts."""
        key = (source, names)
        if key not in self._alike:
            alike = [
                has_rest and self.dataset.part_names(index, source) == names
                for index, has_rest in enumerate(self._has_rest)
            ]
            self._alike[key] = WeightedChoice(self.dataset.rest_weights * alike, "accompaniment")
        return self._alike[key]

    def _plan_levels(self, rng: np.random.Generator, plan: Plan) -> None:
        """Level and band of everything together."""
        options = self.options
        if rng.random() < options.narrow_band:
            plan.cut_hz = _within(rng, *CUT_HZ)
        plan.level = 10 ** (-rng.uniform(0, options.level_db) / 20)
        low, high = options.mixture_db
        if low != high:
            plan.rms = 10 ** (_within(rng, low, high) / 20)


def _within(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))
