"""Jamendo: 93 songs under Creative Commons licences, with labels of vocal activity.

As distributed: folders ``train``, ``valid`` and ``test`` of ``.ogg`` and ``.mp3`` files (61, 16 and
16 songs) and ``jamendo_lab/<song>.lab``, lines of ``start end sing`` or ``start end nosing``. Also
accepted: all audio in one folder and a list of songs for each side, ``jam_<side>_list.txt``,
``<side>.txt`` or ``<side>``.

References:
    M. Ramona, G. Richard, B. David, "Vocal Detection in Music with Support Vector Machines",
    ICASSP 2008.
"""

from pathlib import Path

from ..errors import DataError
from ..registry import DATASETS
from .files import AUDIO, files_below
from .licences import DETECTION, dataset_infos
from .recordings import Recordings

LISTS = ("jam_{}_list.txt", "{}.txt", "{}")  # in the order of preference
LISTED = (*AUDIO, ".trs", ".lab")  # how a song's name may end in a list


@DATASETS.register("jamendo")
class Jamendo(Recordings):
    """One side of Jamendo's split for the detection of singing.

    Args:
        data_dir: Folder to search for songs, ``.lab`` files and lists, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.

    Raises:
        DataError: If songs, labels or a listed song are missing, or formats differ.
    """

    infos = dataset_infos(
        "Jamendo (singing voice detection)",
        author="Mathieu Ramona (annotations) and the artists of its songs",
        license="Creative Commons, one for each song",
        task=DETECTION,
        title="Jamendo corpus for singing detection",
        title_link="http://www.mathieuramona.com/wp/data/jamendo/",
        author_link="http://www.mathieuramona.com",
        license_link="https://creativecommons.org/licenses/",
        non_commercial=True,
    )

    # songs are compressed: programs disagree on how long they are by the delay of their decoders
    tolerance_sec = 1.0

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        files = files_below(self.root)
        songs = _of_side([p for p in files if p.suffix.lower() in AUDIO], files, side, self.root)
        labels = {path.stem: path for path in files if path.suffix.lower() == ".lab"}
        pairs = [(song, labels.get(song.stem)) for song in songs]
        if all(label is None for _, label in pairs):
            raise DataError(
                f"No song of the {side} side in {self.root} has a .lab file of the same name: "
                "unpack jam_annote.tar.gz there as well."
            )
        return self.root, pairs


def _of_side(songs: list[Path], files: list[Path], side: str, root: Path) -> list[Path]:
    """Songs in a folder of the side's name; where there is none, those that a list names."""
    in_folder = [song for song in songs if side in song.relative_to(root).parts[:-1]]
    if in_folder:
        return in_folder
    names = [name.format(side) for name in LISTS]
    lists = [path for name in names for path in files if path.name == name]
    if not lists:
        raise DataError(
            f"{root} contains neither a folder {side} with songs nor a list {names[0]}: unpack "
            "Jamendo there."
        )
    by_name = {song.stem: song for song in songs}
    listed = [_stem(line.strip()) for line in _text(lists[0]).splitlines()]
    missing = [name for name in listed if name and name not in by_name]
    if missing:
        raise DataError(f"{root} lacks {missing[0]}, which {lists[0].name} lists: download it.")
    return sorted(by_name[name] for name in listed if name)


def _text(path: Path) -> str:
    """Text of a list: UTF-8, or Latin-1, as lists of 2008 may be."""
    try:
        content = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path} cannot be read: download it again.") from err
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _stem(name: str) -> str:
    """Name of a song without a known suffix; dots within it stay."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in LISTED else name
