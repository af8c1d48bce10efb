"""Files, folders and patterns to songs, each with its own folder for results.

A folder contributes all audio files below it, recognised by extension, except hidden ones; results
keep the relative path below the output folder. A pattern (``*``, ``?``, ``[...]``, ``**``) serves
shells that do not expand it; paths are kept from its first wildcard on. Results of a file given by
name go directly below the output folder.

Links are resolved, and a file reached twice is separated once. Results are never inputs: the output
folder is not searched, stems of an earlier run in it are skipped, and a call whose results would
appear in a searched folder is refused.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError
from ..destination import output_name
from ..pitch_files import PITCH_FORMATS

AUDIO_EXTENSIONS = frozenset(
    "aac ac3 aif aifc aiff alac amr ape au caf dsf flac m4a m4b mka mp2 mp3 mpc oga ogg opus ra "
    "rf64 snd spx tta voc w64 wav wave wma wv".split()
)


@dataclass(frozen=True)
class Song:
    """An input.

    Attributes:
        path: The file.
        name: Folder of its results below the output folder, with ``/`` between its parts.
    """

    path: Path
    name: str


@dataclass
class Found:
    """Result of the search.

    Attributes:
        songs: In the order of the inputs; those of a folder are sorted.
        problems: One sentence on each input without a song.
        n_results: Number of files skipped as results of an earlier run.
        searched: Whether one of the inputs was a folder or a pattern.
    """

    songs: list[Song] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    n_results: int = 0
    searched: bool = False


@dataclass(frozen=True)
class _File:
    """A file and the folder its path is relative to, ``None`` if it was given by name."""

    path: Path
    base: Path | None


def find_songs(inputs: Sequence[str | os.PathLike], out: Path) -> Found:
    """Find songs.

    Args:
        inputs: Files, folders, patterns.
        out: Output folder; it need not exist.

    Returns:
        The songs, including files given by name that do not exist.

    Raises:
        UserError: If two inputs would be written to one folder, or results into a folder that is
            being searched.
    """
    found, files, seen, folders = Found(), [], set(), []
    real_out = Path(os.path.realpath(out))
    for given in inputs:
        path, text = Path(given), os.fspath(given)
        if path.is_dir():
            new, found.searched = list(_walk(path, path, real_out, found)), True
            folders.append(path)
            if not new:
                found.problems.append(f"{path} contains no audio files.")
        elif not path.exists() and glob.has_magic(text):
            new, found.searched = list(_matches(text, real_out, found)), True
            if not new:
                found.problems.append(f"No audio file matches {text}.")
        else:
            new = [_File(path, None)]
        for file in new:
            # broken links with the same target are reported one by one
            real = (os.path.realpath if os.path.exists(file.path) else os.path.abspath)(file.path)
            if _is_result(Path(real), real_out):
                found.n_results += 1
            elif real not in seen:
                seen.add(real)
                files.append(file)
    found.songs = _named(files, out)
    _check_places(found.songs, real_out, folders)
    return found


def _walk(folder: Path, base: Path, out: Path, found: Found) -> Iterator[_File]:
    """Audio files below a folder; links to folders are followed, each folder once."""
    been: set[tuple[int, int]] = set()

    def unreadable(err: OSError) -> None:
        found.problems.append(f"{err.filename} cannot be read: {err.strerror}.")

    for at, below, names in os.walk(folder, onerror=unreadable, followlinks=True):
        status = os.stat(at)
        if (status.st_dev, status.st_ino) in been or os.path.realpath(at) == str(out):
            below.clear()
            continue
        been.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            extension = os.path.splitext(name)[1][1:].lower()
            path = Path(at, name)
            if extension in AUDIO_EXTENSIONS and not name.startswith("."):
                if path.is_file() or not path.exists():  # a broken link must be reported
                    yield _File(path, base)


def _matches(pattern: str, out: Path, found: Found) -> Iterator[_File]:
    """Audio files that a pattern matches, and those below folders that it matches."""
    parts = Path(pattern).parts
    first = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:first])
    real_base = Path(os.path.realpath(base))
    searches_out = out != real_base and out not in real_base.parents
    for match in sorted(glob.glob(pattern, recursive=True)):
        path = Path(match)
        real = Path(os.path.realpath(path))
        if searches_out and (real == out or out in real.parents):
            found.n_results += path.is_file()
        elif path.is_dir():
            yield from _walk(path, base, out, found)
        elif path.suffix[1:].lower() in AUDIO_EXTENSIONS:
            yield _File(path, base)


def _is_result(path: Path, out: Path) -> bool:
    """Whether a file lies beside an F0 curve below the output folder: an earlier run wrote it."""
    if out not in path.parent.parents:
        return False
    names = [name for known in PITCH_FORMATS.values() for name in known.file_names()]
    return any((path.parent / name).exists() for name in names)


def _named(files: list[_File], out: Path) -> list[Song]:
    """Give every file its own folder.

    It is named after the file without its extension, but with it if another file of a searched
    folder (``song.wav`` beside ``song.mp3``), or a folder, has that name.
    """
    places = [_place(file) for file in files]
    short = [str(place.with_name(output_name(place))) for place in places]
    taken = Counter(name.casefold() for name in short)  # some file systems ignore case
    for folder in {str(above).casefold() for place in places for above in place.parents}:
        taken[folder] += 1
    songs: list[Song] = []
    owners: dict[str, Path] = {}
    for file, place, name in zip(files, places, short, strict=True):
        if file.base is not None and taken[name.casefold()] > 1:
            name = str(place)
        other = owners.setdefault(name.casefold(), file.path)
        if other is not file.path:
            raise UserError(
                f"{other} and {file.path} would both be written to {out / name}: "
                "separate them into different folders."
            )
        songs.append(Song(file.path, Path(name).as_posix()))
    return songs


def _place(file: _File) -> Path:
    """Path of a file relative to its base."""
    place = Path(file.path.name) if file.base is None else file.path.relative_to(file.base)
    return Path(place.name) if ".." in place.parts else place  # never above the output folder


def _check_places(songs: list[Song], out: Path, folders: list[Path]) -> None:
    """Refuse results in a searched folder, as the next run would take them for songs."""
    for folder in folders:
        real = Path(os.path.realpath(folder))
        if real in out.parents:
            continue  # the output folder is not searched
        if real == out or any(real in (out / song.name / "stem").parents for song in songs):
            raise UserError(
                f"Results would appear in {folder}, which is being searched for songs: choose "
                "another folder for them."
            )
