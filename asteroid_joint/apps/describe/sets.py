"""Datasets for the folders that a user names, recognized by their content."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...data.activity_folder import LABELS, ActivityFolder
from ...data.base import JointDataset
from ...data.files import FormatError
from ...data.jamendo import Jamendo
from ...data.mir1k import HALVES, MIR1K, SIDES, side_of
from ...data.multitrack import Multitrack, track_folders
from ...errors import ConfigError, DataError

MIXED_RATE = 44100  # Hz, to which sets with different formats are resampled
LAYOUTS = (
    "Wavfile/*.wav (MIR-1K), {train,valid,test}/<track>/mixture.wav (MUSDB's layout), songs with "
    f".lab files (Jamendo) or with <name>{LABELS}"
)


class SongSet(NamedTuple):
    """A set of songs."""

    name: str  # for tables and pictures
    datasets: list[JointDataset]  # its splits
    note: str = ""  # sentences on what was skipped or converted


def find_sets(named: Sequence[str]) -> list[SongSet]:
    """Open sets of songs.

    Args:
        named: ``FOLDER``, ``NAME=FOLDER`` or ``NAME:PART=FOLDER``; ``PART`` is a split (``train``,
            ``valid``, ``test``) or, for MIR-1K, ``first_half`` or ``second_half`` of the training
            singers. The default name is that of the folder.

    Raises:
        DataError: If a folder is missing or contains no set that this package reads.
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
        raise ConfigError(f"{text!r} has no name before the =: give FOLDER or NAME=FOLDER.")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}: give one that contains a set of songs.")
    if part and part not in (*SIDES, *HALVES):
        raise ConfigError(f"A set has no part {part!r}: choose one of {', '.join(SIDES + HALVES)}.")
    if any((root / "Wavfile").glob("*.wav")):
        return SongSet(name, _mir1k(root, part))
    if part in HALVES:
        raise ConfigError(f"{root} is not MIR-1K, the only set with a {part}: give a split.")
    sides = [part] if part else list(SIDES)
    if any(_tracks(root, side) for side in SIDES):
        there = [side for side in sides if _tracks(root, side)]
        if not there:
            raise DataError(f"There are no tracks in {root / part}: give another part or none.")
        return _multitracks(name, root, there)
    if any(root.rglob("*.lab")):
        return _recordings(name, root, sides, Jamendo)
    if any(root.rglob(f"*{LABELS}")):
        return _recordings(name, root, sides, ActivityFolder)
    raise DataError(f"{root} does not contain a known set of songs: expected {LAYOUTS}.")


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
    except FormatError as err:  # stems at different rates cannot be added
        raise DataError(
            f"The tracks in {root} are at different sample rates: resample them first "
            "(python -m asteroid_joint.data.resampled)."
        ) from err
    return SongSet(
        name, mono, f"{name}: tracks differ in channels, so all were mixed down to mono."
    )


def _recordings(
    name: str, root: Path, sides: Sequence[str], build: Callable[..., JointDataset]
) -> SongSet:
    """Recordings in their format on disk, or all in one format if they differ."""
    try:
        return _those_there(name, root, sides, build)
    except FormatError:
        one = _those_there(name, root, sides, build, sample_rate=MIXED_RATE, n_channels=1)
    changed = (
        f"{name}: recordings differ in sample rate or channels, so all were converted to "
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
    """Open the available splits: sets with labels only may lack some."""
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
