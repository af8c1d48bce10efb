"""MIR-1K: 1000 clips of Chinese karaoke pop by 19 amateur singers, with pitch labels.

Expected layout (as distributed): ``Wavfile/*.wav`` (16 kHz, left accompaniment, right voice),
``PitchLabel/*.pv`` and ``vocal-nonvocalLabel/*.vocal``. Row ``i`` (from 0) of a label file is the
frame centred at ``0.02 (i + 1)`` s; a pitch is a MIDI semitone number, 0 where unvoiced.

References:
    C.-L. Hsu, J.-S. R. Jang, "On the Improvement of Singing Voice Separation for Monaural
    Recordings Using the MIR-1K Dataset", IEEE TASLP 18(2), 2010.
"""

import logging
import re
from collections import Counter
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import soundfile as sf

from ..errors import ConfigError, DataError
from ..pitch import midi_to_hz, resample_f0
from ..registry import DATASETS
from .base import Clip, JointDataset
from .licences import dataset_infos

logger = logging.getLogger(__name__)

LABEL_HOP = 0.02  # seconds; row i is centred at (i + 1) * LABEL_HOP
VALID_SINGERS = frozenset({"bug", "jmzen"})
TEST_SINGERS = frozenset({"abjones", "ariel", "stool"})
# found by cross-correlation of all accompaniments; one song where songs are counted or sampled
SAME_BACKING = {"stool_3": "ariel_1", "stool_4": "abjones_2"}
SIDES = ("train", "valid", "test")
SPLITS = ("disjoint", "djcm_official")
HALVES = ("first_half", "second_half")
SHARES = re.compile(r"(\d+)%-(\d+)%")
MIXINGS = {"sum": (0.5, 1.0), "djcm_official": (1.0, 0.5)}  # gain of (sources, mixture / sum)


@DATASETS.register("mir1k")
class MIR1K(JointDataset):
    """One side of a split of MIR-1K.

    Args:
        data_dir: Folder that holds ``Wavfile`` and ``PitchLabel``.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        split: ``"disjoint"``: no singer and no song on two sides (14 / 2 / 3 singers, 782 / 90 /
            128 clips). ``"djcm_official"``: the 800 / 200 clips of the DJCM authors, in which most
            songs are on both sides; its ``"valid"`` is the training clips of every tenth song.
        mixing: ``"sum"``: halved channels that add up to the mixture (0 dB on average).
            ``"djcm_official"``: mixture = mean of the channels, target = the voice at full scale,
            hence a mixture SDR of about 3 dB.
        singers: Singers whose clips the training side keeps; the other sides are complete. Names,
            or ``"first_half"`` or ``"second_half"``: the training singers in alphabetical order,
            cut where the halves differ least in their number of clips (in the disjoint split 6
            singers with 362 clips, 8 with 420). ``"20%-60%"`` is cut likewise, as near to these
            shares of the clips as possible: for few singers with all labels and others with one.
            Empty = all.

    Raises:
        DataError: If files are missing, have another rate or are not stereo.
        ConfigError: If the side, split, mixing or a singer is unknown.
    """

    infos = dataset_infos(
        "MIR-1K",
        author="Chao-Ling Hsu and Jyh-Shing Roger Jang",
        license="research use, no redistribution of the audio",
        title_link="https://sites.google.com/site/unvoicedsoundseparation/mir-1k",
        author_link="https://sites.google.com/site/unvoicedsoundseparation",
        license_link="https://sites.google.com/site/unvoicedsoundseparation/mir-1k",
        non_commercial=True,
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        split: str = "disjoint",
        mixing: str = "sum",
        singers: list[str] | str = "",
    ) -> None:
        if side not in SIDES or split not in SPLITS or mixing not in MIXINGS:
            raise ConfigError(
                f"Expected side in {SIDES}, split in {SPLITS}, mixing in {tuple(MIXINGS)}, "
                f"received {side!r}, {split!r}, {mixing!r}."
            )
        self.root = Path(data_dir).expanduser()
        self.source_gain, self.mixture_gain = MIXINGS[mixing]
        paths = sorted((self.root / "Wavfile").glob("*.wav"))
        if not paths:
            raise DataError(
                f"No clips in {self.root / 'Wavfile'}: point --data_dir at the MIR-1K folder."
            )
        self.clips = [_clip(path) for path in paths if side_of(path.stem, split) == side]
        if not self.clips:
            raise DataError(
                f"{self.root} contains no clips of the {side} side of the split {split}: "
                "unpack all of MIR-1K there."
            )
        if singers and side == "train":
            kept = _chosen(singers, self.clips)
            self.clips = [clip for clip in self.clips if clip.singer in kept]

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        path = self.root / "Wavfile" / f"{self.clips[index].name}.wav"
        frames = -1 if n_samples is None else n_samples
        wav, rate = sf.read(path, frames=frames, start=start, dtype="float32", always_2d=True)
        if rate != self.sample_rate or wav.shape[1] != 2:
            raise DataError(f"{path} is not a 16 kHz stereo file: unpack MIR-1K again.")
        sources = wav.T[::-1, None] * np.float32(self.source_gain)  # (S, C, T): voice, rest
        return sources.sum(0) * np.float32(self.mixture_gain), np.ascontiguousarray(sources)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        f0_hz = midi_to_hz(_rows(self.root / "PitchLabel" / f"{self.clips[index].name}.pv"))
        return resample_f0(f0_hz, LABEL_HOP * np.arange(1, len(f0_hz) + 1), times)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        path = self.root / "vocal-nonvocalLabel" / f"{self.clips[index].name}.vocal"
        if not path.is_file():
            return None
        active = _rows(path)
        row = np.rint(times / LABEL_HOP).astype(int) - 1
        known = (row >= 0) & (row < len(active))
        return np.where(known, active[row.clip(0, len(active) - 1)] > 0, np.nan).astype(np.float32)


def _chosen(singers: list[str] | str, clips: list[Clip]) -> set[str]:
    """Names of the requested singers; see :class:`MIR1K`."""
    counts = Counter(clip.singer for clip in clips)
    names = sorted(counts, key=str.casefold)
    if isinstance(singers, str) and singers in HALVES:
        if len(names) < 2:
            raise DataError(f"One singer ({names[0]}) cannot be halved: leave singers out.")
        first = list(accumulate(counts[name] for name in names))
        cut = min(range(1, len(names)), key=lambda n: abs(2 * first[n - 1] - len(clips)))
        return set(names[:cut] if singers == HALVES[0] else names[cut:])
    shares = SHARES.fullmatch(singers) if isinstance(singers, str) else None
    if shares:
        return _between(names, counts, *map(int, shares.groups()))
    chosen = {singers} if isinstance(singers, str) else set(singers)
    if not chosen <= set(names):
        raise ConfigError(
            f"No training clip is sung by {min(chosen - set(names))}: choose from "
            f"{', '.join(names)}, or {' and '.join(HALVES)}."
        )
    return chosen


def _between(names: list[str], counts: Counter[str], low: int, high: int) -> set[str]:
    """Singers whose clips are from ``low`` to ``high`` percent of all, in the order of names."""
    if not low < high <= 100:
        raise ConfigError(
            f"Expected a range of singers within 0% to 100%; received {low}%-{high}%."
        )
    before = [0, *accumulate(counts[name] for name in names)]
    cuts = [
        min(range(len(before)), key=lambda n: abs(100 * before[n] - share * before[-1]))
        for share in (low, high)
    ]
    if cuts[0] == cuts[1]:
        logger.warning(
            "%d singers are too few for %d%%-%d%%: these ranges overlap.", len(names), low, high
        )
        middle = (low + high) / 200 * before[-1]
        cuts = [n := next(n for n in range(len(names)) if before[n + 1] > middle), n + 1]
    return set(names[slice(*cuts)])


def side_of(clip: str, split: str = "disjoint") -> str:
    """The side of ``split`` that a clip (by name, e.g. ``"abjones_1_01"``) is on."""
    singer, song = clip.rsplit("_", 2)[0], clip.rsplit("_", 1)[0]
    if split == "disjoint":
        if singer in TEST_SINGERS:
            return "test"
        return "valid" if singer in VALID_SINGERS else "train"
    if clip in _official_test_clips():
        return "test"
    return "valid" if song in _official_valid_songs() else "train"


@lru_cache(maxsize=1)
def _official_test_clips() -> frozenset[str]:
    lines = (
        (Path(__file__).parent / "mir1k_official_test.txt").read_text(encoding="utf-8").splitlines()
    )
    rows = [line.split() for line in lines if not line.startswith("#")]
    return frozenset(f"{song}_{number}" for song, *numbers in rows for number in numbers)


@lru_cache(maxsize=1)
def _official_valid_songs() -> frozenset[str]:
    """Every tenth song: the authors select on test, we do not."""
    songs = sorted({clip.rsplit("_", 1)[0] for clip in _official_test_clips()})
    return frozenset(songs[::10])


@lru_cache(maxsize=4096)
def _rows(path: Path) -> np.ndarray:
    try:
        return np.loadtxt(path, dtype=np.float32, ndmin=1)
    except (OSError, ValueError) as err:
        raise DataError(f"Missing or unreadable label file {path}: unpack MIR-1K again.") from err


def _clip(path: Path) -> Clip:
    name = path.stem
    singer, song = name.rsplit("_", 2)[0], name.rsplit("_", 1)[0]
    return Clip(name, SAME_BACKING.get(song, song), singer, sf.info(path).frames)
