"""Any folder in the layout of MUSDB: a folder per track, a file per stem.

    <data_dir>/{train,valid,test}/<track>/{mixture,vocals,drums,bass,other}.wav

WAV may be FLAC, Ogg or MP3. Without a mixture it is the sum of the stems: of the vocals and
``accompaniment``, if there is such a file, else of the four. A track may also be one file
``<track>.stem.mp4``, as in MUSDB18; its own mixture, coded like the stems, is not their sum and is
not used.

Optional labels lie beside the audio of a track:

- ``vocals_f0.csv``: time in seconds and F0 of the lead voice in Hz (0 = unvoiced, ``nan`` =
  unknown), in even steps; beside ``<track>.stem.mp4`` it is ``<track>_f0.csv``, and both may lie in
  ``<data_dir>/f0/<side>/<track>.csv`` instead.
- ``vocals_activity.csv``: start and end of singing, seconds; no rows = none; see :mod:`.segments`.
- ``meta.json``: ``song`` and ``singer``, by which sides are kept disjoint.

F0 that a teacher estimated lies in a separate folder: see :mod:`.teacher`.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..errors import ConfigError, DataError, UserError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import AudioFile, check_side, common_format, f0_from_file, read_stretch
from .licences import dataset_infos
from .loudness import loud_at
from .segments import read_segments
from .track_files import F0_FILE, f0_file_beside, f0_target, files_of_track, track_name, tracks_in

STEMS = ("vocals", "drums", "bass", "other", "accompaniment")
ACTIVITY_FILE = "vocals_activity.csv"
META_FILE = "meta.json"
LABELS_FILE = "labels.json"  # beside a teacher's labels, written after them
MUSDB18 = "musdb18"  # instead of names: the validation tracks of the package musdb


@DATASETS.register("multitrack")
class Multitrack(JointDataset):
    """One side of a folder of multitracks.

    Args:
        data_dir: Folder that contains ``train``, ``test`` and, optionally, ``valid``.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.
        sources: Stems in the order of the model. ``accompaniment`` is the mixture minus the first
            stem; the others are files. Labels are those of ``vocals`` and need it as first stem.
        accompaniment: Stems of the accompaniment, for remixes (``remix_stems``) that take each from
            a different track; otherwise it is one recording.
        valid_tracks: Folders in ``train`` that form the validation side if there is no ``valid``;
            ``"musdb18"`` is the 14 published for MUSDB18, unless there is a ``valid``.
        labels_dir: Folder of a teacher's labels, preferred to those beside the audio.
        activity_from_stem: Derive missing activity from the vocals: see :mod:`.loudness`.
        whole_side: Side that all tracks are for; they lie in ``data_dir`` itself then.

    Class attributes:
        partial: Whether some of the validation tracks may be missing.
        one_rate: Whether all tracks, not only the stems of each, must have one rate on disk.

    Raises:
        DataError: If tracks or files are missing, or differ in rate, channels or length.
    """

    partial = False
    one_rate = True

    infos = dataset_infos(
        "multitrack folder in the layout of MUSDB",
        author="see the meta.json of its tracks",
        license="see the meta.json of its tracks",
        title="Multitrack folder",
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        sources: tuple[str, ...] = ("vocals", "accompaniment"),
        valid_tracks: list[str] | str | None = None,
        labels_dir: str | None = None,
        activity_from_stem: bool = False,
        accompaniment: tuple[str, ...] = (),
        whole_side: str = "",
    ) -> None:
        check_side(side)
        self.activity_from_stem = activity_from_stem
        self.sources, self._parts = tuple(sources), tuple(accompaniment)
        _check_stems(self.sources, self._parts)
        self.root = Path(data_dir).expanduser()
        self.infos = _infos(self.root, type(self).infos)
        if whole_side:
            self.folders = self._wanted(_whole(self.root, side, whole_side))
        else:
            named = _named(valid_tracks, self.root)
            self.folders = self._wanted(_folders(self.root, side, named, self.partial))
        self._has_labels = self.sources[0] == "vocals"
        self._f0_files = [
            _f0_file(folder, self.root, labels_dir) if self._has_labels else None
            for folder in self.folders
        ]
        stems = [name for name in self.sources if name != "accompaniment"]
        self._n_read = 1 + len(stems)  # files of `read`
        self._names = ["mixture", *stems, *self._parts]
        self._files = [files_of_track(folder, self._names) for folder in self.folders]
        everything = [file for files in self._files for file in files]
        for files in [everything] if self.one_rate else self._files:
            common_format(files, None, n_channels)  # on disk, even if it is resampled
        self.sample_rate, self.n_channels = common_format(everything, sample_rate, n_channels)
        self.clips = [
            _clip(folder, files, self.sample_rate)
            for folder, files in zip(self.folders, self._files, strict=True)
        ]

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        files = self._files[index][: self._n_read]
        wavs = read_stretch(files, self.sample_rate, self.n_channels, start, n_samples)
        mixture, stems = wavs[0], iter(wavs[1:])  # wavs: (files, C, T)
        accompaniment = mixture - wavs[1]
        sources = [accompaniment if s == "accompaniment" else next(stems) for s in self.sources]
        return mixture, np.stack(sources)

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        return self._read_stem(index, source, self.sources[source], start, n_samples)

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        accompanies = self.sources[source] == "accompaniment"
        return self._parts if self._parts and accompanies else super().part_names(index, source)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        name = self.part_names(index, source)[part]
        return self._read_stem(index, source, name, start, n_samples)

    def unlabelled(self) -> list[tuple[AudioFile, Path]]:
        """Vocals without F0, each with the file in which :mod:`.agreed` is to write it."""
        return [
            (files[1], f0_target(folder))
            for folder, files, f0 in zip(self.folders, self._files, self._f0_files, strict=True)
            if f0 is None and self._has_labels
        ]

    def _wanted(self, folders: list[Path]) -> list[Path]:
        """Tracks in use; a subclass may exclude some."""
        return folders

    def _read_stem(
        self, index: int, source: int, name: str, start: int, n_samples: int | None
    ) -> np.ndarray | None:
        """A stem, or its part in the file ``name``, ``(C, T)``."""
        if name not in self._names:  # accompaniment: what the others leave
            return super().read_source(index, source, start, n_samples)
        file = self._files[index][self._names.index(name)]
        return read_stretch([file], self.sample_rate, self.n_channels, start, n_samples)[0]

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return f0_from_file(self._f0_files[index], times)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        if not self._has_labels:
            return None
        path, vocals = self.folders[index] / ACTIVITY_FILE, self._files[index][1]
        if not path.is_file():
            return loud_at(vocals, times) if self.activity_from_stem else None
        return read_segments(path, vocals.length_sec).active_at(times)


def _check_stems(sources: tuple[str, ...], accompaniment: tuple[str, ...]) -> None:
    """Refuse stems that have no file, or that would occur twice."""
    if not set(sources) <= set(STEMS) or sources[:1] in ((), ("accompaniment",)):
        raise ConfigError(
            f"Expected sources from {STEMS} that begin with any but accompaniment, received "
            f"{sources}."
        )
    alone = set(STEMS) - {*sources, "accompaniment"}
    if accompaniment and not ("accompaniment" in sources and set(accompaniment) <= alone):
        raise ConfigError(
            f"The accompaniment of {sources} can consist of {sorted(alone)}, not of "
            f"{accompaniment}."
        )


def _infos(root: Path, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Facts that ``make-corpus`` stored with its corpus; ``otherwise`` for any other folder."""
    try:
        made = json.loads((root / "corpus.json").read_text(encoding="utf-8"))
        tracks, seed = made["settings"]["tracks"], made["settings"]["seed"]
        licence = {**otherwise["licenses"][0], "title": "make-corpus", "author": "generated"}
        licence["license"] = str(made["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        return otherwise
    name = f"a made corpus ({tracks} tracks, seed {seed})"
    return {**otherwise, "dataset": name, "licenses": [licence]}


def track_folders(folder: Path) -> list[Path]:
    """Folders in ``folder`` with a mixture, by name, without hidden, say unfinished, ones."""
    found = sorted(path.parent for path in folder.glob("*/mixture.wav"))
    return [track for track in found if not track.name.startswith(".")]


def _whole(root: Path, side: str, whole_side: str) -> list[Path]:
    """Tracks of a folder that is for one side."""
    check_side(whole_side)
    tracks = tracks_in(root) if side == whole_side else []
    if not tracks:
        raise DataError(
            f"{root} has no tracks for the {side} side (<track>/vocals.wav): give another folder, "
            "or another whole_side."
        )
    return tracks


def _folders(root: Path, side: str, valid_tracks: list[str] | None, partial: bool) -> list[Path]:
    """Folders of the tracks of a side, sorted by name."""
    in_train = valid_tracks is not None
    if side == "valid" and not in_train and not (root / "valid").is_dir():
        raise DataError(
            f"{root} has no folder valid: list tracks of train as valid_tracks (data_args)."
        )
    folder = root / ("train" if side == "valid" and in_train else side)
    tracks = tracks_in(folder)
    if not tracks:
        raise DataError(f"No tracks in {folder}: expected <track>/mixture.wav, as in MUSDB.")
    if not in_train or side == "test":
        return tracks
    chosen = set(valid_tracks or [])
    missing = chosen - {track_name(track) for track in tracks}
    if missing and not partial:
        raise DataError(f"{folder} has no track {min(missing)}: correct valid_tracks.")
    kept = [track for track in tracks if (track_name(track) in chosen) == (side == "valid")]
    if not kept:
        raise DataError(
            f"valid_tracks leaves no track for {side}: list some, not all, of those in train."
        )
    return kept


def _named(valid_tracks: list[str] | str | None, root: Path) -> list[str] | None:
    """Names of validation tracks, given as such or by ``MUSDB18``."""
    if not isinstance(valid_tracks, str):
        return valid_tracks
    if valid_tracks != MUSDB18:
        raise ConfigError(
            f"valid_tracks must be a list of names or {MUSDB18}, received {valid_tracks}."
        )
    return None if (root / "valid").is_dir() else musdb18_valid_tracks()


def musdb18_valid_tracks() -> list[str]:
    """The published validation tracks, read from the package ``musdb``, whose import needs ffmpeg.

    Raises:
        UserError: If the package is missing.
    """
    spec = importlib.util.find_spec("musdb")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "configs" / "mus.yaml"
        if path.is_file():
            return list(yaml.safe_load(path.read_text(encoding="utf-8"))["validation_tracks"])
    raise UserError("musdb is not installed: pip install 'asteroid-joint[eval]'.")


def _f0_file(folder: Path, root: Path, labels_dir: str | None) -> Path | None:
    """Labels of a track: the teacher's, or those beside the audio."""
    beside = f0_file_beside(folder, root)
    if labels_dir:
        labels = (
            Path(labels_dir).expanduser() / folder.parent.relative_to(root) / track_name(folder)
        )
        if (labels / LABELS_FILE).is_file() and (labels / F0_FILE).is_file():
            return labels / F0_FILE
        if beside is None:
            raise DataError(f"{labels} has no complete labels: run local/prepare.py (stage 1).")
    return beside


def _clip(folder: Path, files: list[AudioFile], sample_rate: int) -> Clip:
    mixture = files[0]
    for file in files:
        if file.n_samples != mixture.n_samples:
            raise DataError(
                f"{file.path} and {mixture.path} differ in length: download them again."
            )
    meta = _meta(folder / META_FILE)
    name = track_name(folder)
    song, singer = str(meta.get("song") or name), str(meta.get("singer") or "")
    return Clip(name, song, singer, mixture.length_at(sample_rate))


def _meta(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        raise DataError(f"{path} is not valid JSON ({err}): correct it.") from err
    if not isinstance(meta, dict):
        raise DataError(f"{path} must contain a JSON object with the keys song and singer.")
    return meta
