"""Where the stems of a track are: a folder with a file for each, or one ``.stem.mp4``."""

from collections.abc import Sequence
from pathlib import Path

from .files import AUDIO, AudioFile, audio_file, formed_like, sum_of
from .stem_mp4 import STREAMS, SUFFIX

F0_FILE = "vocals_f0.csv"
BAND = ("drums", "bass", "other")


def track_name(track: Path) -> str:
    """Name of a track, which is a folder or a file ``<track>.stem.mp4``."""
    return track.name.removesuffix(SUFFIX)


def tracks_in(folder: Path) -> list[Path]:
    """Tracks in a folder by name, without hidden, say unfinished, ones."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if not path.name.startswith(".") and _is_track(path)]


def _is_track(path: Path) -> bool:
    if path.is_dir():
        return any(_stem(path, name).is_file() for name in ("mixture", "vocals"))
    return path.name.endswith(SUFFIX)


def _stem(folder: Path, name: str) -> Path:
    """File of a stem in a folder, of whatever format; where there is none, the WAV it lacks."""
    files = [folder / f"{name}{suffix}" for suffix in AUDIO]
    return next((file for file in files if file.is_file()), files[0])


def files_of_track(track: Path, names: Sequence[str]) -> list[AudioFile]:
    """Files of stems, and of ``"mixture"``.

    Where that is the sum of the stems, they have its length and channels: silent after their end,
    mono on all channels.

    Args:
        track: See :func:`track_name`.
        names: What to find.

    Raises:
        DataError: If one is missing.
    """
    if track.is_dir() and _stem(track, "mixture").is_file():
        return [audio_file(_stem(track, name)) for name in names]
    files = _summands(track)
    mixture = sum_of(list(files.values()))
    files = {name: formed_like(file, mixture) for name, file in files.items()}
    files["mixture"] = mixture
    return [files[name] if name in files else audio_file(_stem(track, name)) for name in names]


def _summands(track: Path) -> dict[str, AudioFile]:
    """The stems whose sum is the mixture."""
    if not track.is_dir():
        return {name: audio_file(track, n) for n, name in enumerate(STREAMS) if name != "mixture"}
    rest = ("accompaniment",) if _stem(track, "accompaniment").is_file() else BAND
    return {name: audio_file(_stem(track, name)) for name in ("vocals", *rest)}


def f0_file_beside(track: Path, root: Path) -> Path | None:
    """File of F0 that comes with a track: beside its audio, or in ``<root>/f0/<side>``."""
    elsewhere = root / "f0" / track.parent.relative_to(root) / f"{track_name(track)}.csv"
    return next((file for file in (f0_target(track), elsewhere) if file.is_file()), None)


def f0_target(track: Path) -> Path:
    """Where F0 beside the audio of a track belongs."""
    if track.is_dir():
        return track / F0_FILE
    return track.with_name(f"{track_name(track)}_f0.csv")
