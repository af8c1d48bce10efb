"""From what a user names to the clips of a set: folders are known by what is in them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...data.activity_folder import LABELS, ActivityFolder
from ...data.base import JointDataset
from ...data.files import FormatError
from ...data.jamendo import Jamendo
from ...data.mir1k import HALVES, MIR1K, side_of
from ...data.multitrack import Multitrack, track_folders
from ...errors import ConfigError, DataError

SIDES = ("train", "valid", "test")
MIXED_RATE = 44100  # Hz that files of different formats are brought to
LAYOUTS = (
    "Wavfile/*.wav (MIR-1K), {train,valid,test}/<track>/mixture.wav (MUSDB's layout), songs with "
    f".lab files (Jamendo) or with <name>{LABELS}"
)


class SongSet(NamedTuple):
    """A set to be described.

    Attributes:
        name: For tables and pictures.
        datasets: Its sides.
        note: What was left out or changed, in a sentence each; empty where nothing was.
    """

    name: str
    datasets: list[JointDataset]
    note: str = ""


def find_sets(named: Sequence[str]) -> list[SongSet]:
    """Open the sets that are named.

    Args:
        named: ``FOLDER``, ``NAME=FOLDER`` or ``NAME:PART=FOLDER``; ``PART`` is a side (``train``,
            ``valid``, ``test``) or, of MIR-1K, ``first_half`` or ``second_half`` of the training
            singers. Without a name the folder's serves.

    Raises:
        DataError: If a folder is missing or holds no set that this package reads.
        ConfigError: If a name is used twice, or there is no such part.
    """
    sets = [_find(text) for text in named]
    names = [one.name for one in sets]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two sets are called {name}: give NAME=FOLDER to tell them apart.")
    return sets


def _find(text: str) -> SongSet:
    name, equals, folder = text.partition("=")
    if Path(text).expanduser().exists() or not equals:  # a folder may have = in its name
        root = Path(text).expanduser()
        name = root.resolve().name
        part = ""
    else:
        root = Path(folder).expanduser()
        part = name.partition(":")[2]
    if not name.partition(":")[0]:
        raise ConfigError(f"{text!r} begins with no name: give FOLDER or NAME=FOLDER.")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}: name one that holds a set of songs.")
    if part and part not in (*SIDES, *HALVES):
        raise ConfigError(f"A set has no part {part!r}: choose one of {', '.join(SIDES + HALVES)}.")
    if any((root / "Wavfile").glob("*.wav")):
        return SongSet(name, _mir1k(root, part))
    if part in HALVES:
        raise ConfigError(f"{root} is not MIR-1K, which alone has a {part}: name a side.")
    sides = [part] if part else list(SIDES)
    if any(_tracks(root, side) for side in SIDES):
        there = [side for side in sides if _tracks(root, side)]
        if not there:
            raise DataError(f"No tracks in {root / part}: name another part or none.")
        return _multitracks(name, root, there)
    if any(root.rglob("*.lab")):
        return _recordings(name, root, sides, Jamendo)
    if any(root.rglob(f"*{LABELS}")):
        return _recordings(name, root, sides, ActivityFolder)
    raise DataError(f"{root} holds no set of songs that can be read: expected {LAYOUTS}.")


def _mir1k(root: Path, part: str) -> list[JointDataset]:
    if part in HALVES:
        return [MIR1K(str(root), "train", singers=part)]
    present = {side_of(path.stem) for path in (root / "Wavfile").glob("*.wav")}
    sides = [part] if part else [side for side in SIDES if side in present]
    return [MIR1K(str(root), side) for side in sides]


def _tracks(root: Path, side: str) -> bool:
    return bool(track_folders(root / side))


def _multitracks(name: str, root: Path, sides: Sequence[str]) -> SongSet:
    try:
        return SongSet(name, [Multitrack(str(root), side) for side in sides])
    except FormatError:
        pass
    try:
        mono: list[JointDataset] = [Multitrack(str(root), side, n_channels=1) for side in sides]
    except FormatError as err:  # stems at rates of their own do not add up
        raise DataError(
            f"The tracks in {root} are at different sample rates: bring them to one first "
            "(python -m asteroid_joint.data.resampled)."
        ) from err
    return SongSet(name, mono, f"{name}: tracks differ in channels, so all were mixed to mono.")


def _recordings(
    name: str, root: Path, sides: Sequence[str], build: Callable[..., JointDataset]
) -> SongSet:
    """Recordings as they are on disk, or all in one format if they differ."""
    try:
        return _those_there(name, root, sides, build)
    except FormatError:
        one = _those_there(name, root, sides, build, sample_rate=MIXED_RATE, n_channels=1)
    changed = (
        f"{name}: recordings differ in sample rate or channels, so all were brought to "
        f"{MIXED_RATE} Hz and mono."
    )
    return one._replace(note=" ".join(filter(None, [changed, one.note])))


def _those_there(
    name: str,
    root: Path,
    sides: Sequence[str],
    build: Callable[..., JointDataset],
    **options: Any,
) -> SongSet:
    """The sides that can be opened: sets of labels only need not have all three."""
    datasets, errors = [], []
    for side in sides:
        try:
            datasets.append(build(str(root), side, **options))
        except FormatError:
            raise
        except DataError as err:
            errors.append(err)
    if not datasets:
        raise errors[0]
    return SongSet(name, datasets, f"{name}: {' '.join(map(str, errors))}" if errors else "")
