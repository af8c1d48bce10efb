"""Files, folders and patterns to songs, each with its own folder for results.

A folder contributes all audio files below it, recognised by extension, except hidden ones; results
keep the relative path below the output folder. A pattern (``*``, ``?``, ``[...]``, ``**``) serves
shells that do not expand it; paths are kept from its first wildcard on. One that names an extension
(``*.webm``) contributes all files it matches, any other the audio files among them. What is left
out is counted, with the reason. Results of a file given by name go directly below the output
folder.

Whatever is wrong with one file is a sentence about that file, and the others are separated.

Links are resolved, and a file reached twice is separated once. Results are never inputs: the output
folder is not searched, stems of an earlier run in it are skipped, and a call whose results would
appear in a searched folder is refused.
"""

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from ...errors import UserError
from ...files import portable_name
from ..destination import HIDDEN, STEM_ENDINGS, output_name
from ..pitch_files import PITCH_FORMATS
from .manifest import LOCK, MANIFEST

AUDIO_EXTENSIONS = frozenset(
    "aac ac3 aif aifc aiff alac amr ape au caf dsf flac m4a m4b mka mp2 mp3 mpc oga ogg opus ra "
    "rf64 snd spx tta voc w64 wav wave wma wv".split()
)
VIDEO_EXTENSIONS = frozenset(
    "3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts vob webm wmv".split()
)
MOST_EXTENSIONS = 5  # that a sentence lists


AnyPath = TypeVar("AnyPath", bound=PurePath)


@dataclass(frozen=True)
class Song:
    """An input.

    Attributes:
        path: The file.
        name: Folder of its results below the output folder, with ``/`` between its parts.
        refusal: Why it cannot be separated in this call, one sentence; ``None`` if it can.
    """

    path: Path
    name: str
    refusal: str | None = None


@dataclass
class Found:
    """Result of the search.

    Attributes:
        songs: In the order of the inputs; those of a folder are sorted.
        problems: One sentence on each input without a song.
        left_out: One sentence for each folder or pattern on what was left out of it and why.
        n_results: Number of files skipped as results of an earlier run.
        searched: Whether one of the inputs was a folder or a pattern.
    """

    songs: list[Song] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    n_results: int = 0
    searched: bool = False


@dataclass(frozen=True)
class _File:
    """A file and the folder its path is relative to, ``None`` if it was given by name."""

    path: Path
    base: Path | None


@dataclass
class _LeftOut:
    """Files of a folder or pattern that are no songs: numbers, by extension where that decides."""

    where: str
    videos: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    n_hidden: int = 0
    n_pipes: int = 0

    def leaves_out(self, path: Path) -> bool:
        """Whether a file is no song; counts it then."""
        if not _is_audio(path.name):
            if not path.name.startswith("."):
                extension = path.suffix.lower()
                kind = self.videos if extension[1:] in VIDEO_EXTENSIONS else self.others
                kind[extension] += 1
        elif path.name.startswith("."):
            self.n_hidden += 1
        elif os.path.exists(path) and not os.path.isfile(path):
            self.n_pipes += 1
        else:
            return False  # a broken link is a song, too, as it must be reported
        return True

    def sentences(self) -> list[str]:
        """One sentence, or none if nothing was left out."""
        parts = []
        if self.videos:
            ((first, _),) = self.videos.most_common(1)
            base = os.path.join(glob.escape(self.where), "**") if os.path.isdir(self.where) else ""
            pattern = os.path.join(base, f"*{first}")
            hint = f": a pattern such as '{pattern}' takes them"
            parts.append(_count(self.videos.total(), "video", _listed(self.videos) + hint))
        if self.others:
            n_others = self.others.total()
            parts.append(_count(n_others, "file", _listed(self.others) + ": no audio by extension"))
        if self.n_hidden:
            parts.append(_count(self.n_hidden, "hidden file"))
        if self.n_pipes:
            parts.append(_count(self.n_pipes, "pipe"))
        return [f"{self.where}: left out {', '.join(parts)}."] if parts else []


def _is_audio(name: str) -> bool:
    name = name.lower()
    return os.path.splitext(name)[1][1:] in AUDIO_EXTENSIONS or name.endswith(STEM_ENDINGS)


def _count(number: int, noun: str, remark: str = "") -> str:
    return f"{number} {noun}{'s' * (number > 1)}" + (f" ({remark})" if remark else "")


def _listed(extensions: Counter[str]) -> str:
    """Extensions, the most frequent first."""
    most = [name or "without extension" for name, _ in extensions.most_common(MOST_EXTENSIONS)]
    return ", ".join(most) + ", ..." * (len(extensions) > MOST_EXTENSIONS)


def find_songs(inputs: Sequence[str | os.PathLike], out: Path) -> Found:
    """Find songs.

    Args:
        inputs: Files, folders, patterns.
        out: Output folder; it need not exist.

    Returns:
        The songs, including files given by name that do not exist.

    Raises:
        UserError: If two files given by name would be written to one folder, or results into a
            folder that is being searched.
    """
    found, files, seen, folders = Found(), [], set(), []
    real_out = Path(os.path.realpath(out))
    for given in inputs:
        path, text = Path(given), os.fspath(given)
        left = _LeftOut(text)
        if os.path.isdir(path):  # unlike Path's own tests, those of os.path never raise
            new, found.searched = list(_walk(path, path, real_out, found, left)), True
            folders.append(path)
            if not new:
                found.problems.append(f"{path} contains no audio files.")
        elif not os.path.exists(path) and glob.has_magic(text):
            new, found.searched = list(_matches(text, real_out, found, left)), True
            if not new:
                found.problems.append(f"No audio file matches {text}{_bracket_hint(text)}.")
        else:
            new = [_File(path, None)]
        found.left_out += left.sentences()
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


def _bracket_hint(pattern: str) -> str:
    """How to write a name with brackets, which is easily taken for a pattern."""
    if "[" not in pattern:
        return ""
    literal = pattern.replace("[", "[[]")
    return f": [ ] are wildcards, too; for a name that has them, write '{literal}'"


def _walk(folder: Path, base: Path, out: Path, found: Found, left: _LeftOut) -> Iterator[_File]:
    """Audio files below a folder; links to folders are followed, each folder once."""
    been: set[tuple[int, int]] = set()

    def unreadable(err: OSError) -> None:
        found.problems.append(f"{err.filename} cannot be read: {err.strerror}.")

    for at, below, names in os.walk(folder, onerror=unreadable, followlinks=True):
        try:
            status = os.stat(at)
        except OSError as err:  # gone since its parent was read
            unreadable(err)
            continue
        if (status.st_dev, status.st_ino) in been or os.path.realpath(at) == str(out):
            below.clear()
            continue
        been.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if not left.leaves_out(path := Path(at, name)):
                yield _File(path, base)


def _matches(pattern: str, out: Path, found: Found, left: _LeftOut) -> Iterator[_File]:
    """Files that a pattern matches, and audio files below folders that it matches."""
    explicit = Path(pattern).suffix not in ("", ".*")
    base = pattern_base(Path(pattern))
    real_base = Path(os.path.realpath(base))
    searches_out = out != real_base and out not in real_base.parents
    for match in sorted(glob.glob(pattern, recursive=True)):
        path = Path(match)
        real = Path(os.path.realpath(path))
        if searches_out and (real == out or out in real.parents):
            found.n_results += os.path.isfile(path)
        elif os.path.isdir(path):
            yield from _walk(path, base, out, found, left)
        elif explicit or not left.leaves_out(path):
            yield _File(path, base)


def pattern_base(pattern: AnyPath) -> AnyPath:
    """The folder that a pattern begins with, up to its first wildcard.

    Example:
        >>> pattern_base(PurePath("songs/*/live.wav")).as_posix()
        'songs'
    """
    first = next(n for n, part in enumerate(pattern.parts) if glob.has_magic(part))
    return type(pattern)(*pattern.parts[:first])


def _is_result(path: Path, out: Path) -> bool:
    """Whether a file lies beside an F0 curve below the output folder: an earlier run wrote it."""
    if out not in path.parent.parents:
        return False
    names = [name for known in PITCH_FORMATS.values() for name in known.file_names()]
    return any(os.path.exists(path.parent / name) for name in names)


def _named(files: list[_File], out: Path) -> list[Song]:
    """Give every file its own folder.

    It is named after the file without its extension, but with it if another file of a searched
    folder (``song.wav`` beside ``song.mp3``), or a folder, has that name. Of two files that would
    still share a folder, the second is refused.
    """
    places = [_place(file) for file in files]
    short = [str(place.with_name(output_name(place))) for place in places]
    taken = Counter(map(_alike, short))
    taken.update({_alike(str(above)) for place in places for above in place.parents})
    songs: list[Song] = []
    owners: dict[str, tuple[_File, str]] = {}
    for file, place, name in zip(files, places, short, strict=True):
        if file.base is not None and taken[_alike(name)] > 1:
            name = str(place)
        name = _beside_own_files(name)
        other, other_name = owners.setdefault(_alike(name), (file, name))
        refusal = None
        if other is not file:
            refusal = (
                f"{other.path} and {file.path} would both be written to {out / other_name}: "
                "separate them into different folders."
            )
            if other.base is file.base is None and other_name == name:
                raise UserError(refusal)  # the call itself asks for it
        songs.append(Song(file.path, Path(name).as_posix(), refusal))
    return songs


def _alike(name: str) -> str:
    """What two names have in common that some file system takes for one: case, composed accents."""
    return unicodedata.normalize("NFC", name).lower()


def _beside_own_files(name: str) -> str:
    """The name of a folder for results, changed if a file of the collection itself has it."""
    first, *below = Path(name).parts
    if _alike(first) in (MANIFEST, LOCK) or HIDDEN.fullmatch(first):
        return str(Path(first + "_", *below))
    return name


def _place(file: _File) -> Path:
    """Path of a file relative to its base, in names that every system has."""
    place = Path(file.path.name) if file.base is None else file.path.relative_to(file.base)
    if ".." in place.parts:
        place = Path(place.name)  # never above the output folder
    return Path(*map(portable_name, place.parts))


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
