"""Any folder in the layout of MUSDB: a folder per track, a file per stem.

    <data_dir>/{train,valid,test}/<track>/{mixture,vocals,drums,bass,other}.wav

Beside the audio of a track there may be labels; a track without them is used without them:

- ``vocals_f0.csv``: time in seconds and F0 of the lead voice in Hz (0 = unvoiced), in even steps.
- ``vocals_activity.csv``: start and end in seconds of what is sung; no rows = nothing is; see
  :mod:`.segments`.
- ``meta.json``: ``song`` and ``singer``, by which sides are told apart.

F0 may also lie in a folder of its own, where a teacher has put it: see :mod:`.teacher`.
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
from .files import AudioFile, audio_file, check_side, common_format, f0_from_file, read_stretch
from .licences import dataset_infos
from .loudness import loud_at
from .segments import read_segments

STEMS = ("vocals", "drums", "bass", "other", "accompaniment")
F0_FILE = "vocals_f0.csv"
ACTIVITY_FILE = "vocals_activity.csv"
META_FILE = "meta.json"
LABELS_FILE = "labels.json"  # beside labels that a teacher made, written after them
MUSDB18 = "musdb18"  # in place of names: the validation tracks that the package musdb publishes


@DATASETS.register("multitrack")
class Multitrack(JointDataset):
    """One side of a folder of multitracks.

    Args:
        data_dir: Folder that holds ``train``, ``test`` and, perhaps, ``valid``.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        sample_rate: Hz that clips are resampled to; ``None`` is the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` leaves them as on disk.
        sources: Stems in the order of the model. ``accompaniment`` is the mixture minus the first
            stem; the others are files. Labels are those of ``vocals``: where another stem comes
            first there are none.
        accompaniment: Stems that make up the accompaniment, if a remix (``remix_stems``) is to take
            each from a track of its own; otherwise it is one recording.
        valid_tracks: Folders in ``train`` that make up the validation side, where there is no
            ``valid``; ``"musdb18"`` is the 14 published for MUSDB18, unless there is a ``valid``.
        labels_dir: Folder of labels that a teacher made, looked up before those beside the audio.
        activity_from_stem: Where a track has no file of activity, its vocals say when they are
            heard: see :mod:`.loudness`.

    Raises:
        DataError: If tracks or files are missing, or differ in rate, channels or length.
    """

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
    ) -> None:
        check_side(side)
        self.activity_from_stem = activity_from_stem
        self.sources, self._parts = tuple(sources), tuple(accompaniment)
        _check_stems(self.sources, self._parts)
        self.root = Path(data_dir).expanduser()
        self.infos = _infos(self.root, type(self).infos)
        named = _named(valid_tracks, self.root)
        self.folders = self._wanted(_folders(self.root, side, named))
        self._has_labels = self.sources[0] == "vocals"
        self._f0_files = [
            _f0_file(folder, self.root, labels_dir) if self._has_labels else None
            for folder in self.folders
        ]
        stems = [name for name in self.sources if name != "accompaniment"]
        self._n_read = 1 + len(stems)  # files of `read`
        self._names = ["mixture", *stems, *self._parts]
        self._files = [
            [audio_file(f / f"{name}.wav") for name in self._names] for f in self.folders
        ]
        everything = [file for files in self._files for file in files]
        common_format(everything, None, n_channels)  # one rate on disk, whatever is asked for
        self.sample_rate, self.n_channels = common_format(everything, sample_rate, n_channels)
        self.clips = [
            _clip(folder, files, self.sample_rate)
            for folder, files in zip(self.folders, self._files, strict=True)
        ]

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See :meth:`JointDataset.read`."""
        files = self._files[index][: self._n_read]
        wavs = read_stretch(files, self.sample_rate, self.n_channels, start, n_samples)
        mixture, stems = wavs[0], iter(wavs[1:])  # wavs: (files, C, T)
        accompaniment = mixture - wavs[1]
        sources = [accompaniment if s == "accompaniment" else next(stems) for s in self.sources]
        return mixture, np.stack(sources)

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """See :meth:`JointDataset.read_source`."""
        return self._read_stem(index, source, self.sources[source], start, n_samples)

    def part_names(self, index: int, source: int) -> tuple[str, ...]:
        """See :meth:`JointDataset.part_names`."""
        accompanies = self.sources[source] == "accompaniment"
        return self._parts if self._parts and accompanies else super().part_names(index, source)

    def read_part(
        self, index: int, source: int, part: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        """See :meth:`JointDataset.read_part`."""
        name = self.part_names(index, source)[part]
        return self._read_stem(index, source, name, start, n_samples)

    def _wanted(self, folders: list[Path]) -> list[Path]:
        """Those that are used: all, but where a subclass has reasons against some."""
        return folders

    def _read_stem(
        self, index: int, source: int, name: str, start: int, n_samples: int | None
    ) -> np.ndarray | None:
        """A stem, or the part of it that is in a file of that name, ``(C, T)``."""
        if name not in self._names:  # accompaniment: what the others leave
            return super().read_source(index, source, start, n_samples)
        file = self._files[index][self._names.index(name)]
        return read_stretch([file], self.sample_rate, self.n_channels, start, n_samples)[0]

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.f0_at`."""
        return f0_from_file(self._f0_files[index], times)

    def activity_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        """See :meth:`JointDataset.activity_at`."""
        if not self._has_labels:
            return None
        path = self.folders[index] / ACTIVITY_FILE
        if not path.is_file():
            if not self.activity_from_stem:
                return None
            return loud_at(self._voice(index), times)
        return read_segments(path, self._voice(index).length_sec).active_at(times)

    def _voice(self, index: int) -> AudioFile:
        """File of the vocals."""
        return self._files[index][1]


def _check_stems(sources: tuple[str, ...], accompaniment: tuple[str, ...]) -> None:
    """Refuse stems that no file can give, or that would be heard twice."""
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
    """What ``make-corpus`` says of a corpus it made; ``otherwise`` for any other folder."""
    try:
        made = json.loads((root / "corpus.json").read_text())
        tracks, seed = made["settings"]["tracks"], made["settings"]["seed"]
        licence = {**otherwise["licenses"][0], "title": "make-corpus", "author": "generated"}
        licence["license"] = str(made["licence"])
    except (OSError, ValueError, KeyError, TypeError):
        return otherwise
    name = f"a made corpus ({tracks} tracks, seed {seed})"
    return {**otherwise, "dataset": name, "licenses": [licence]}


def track_folders(folder: Path) -> list[Path]:
    """Folders in ``folder`` that hold a mixture, sorted by name.

    Hidden ones are left out: they are halfway through being written, or of no concern.
    """
    found = sorted(path.parent for path in folder.glob("*/mixture.wav"))
    return [track for track in found if not track.name.startswith(".")]


def _folders(root: Path, side: str, valid_tracks: list[str] | None) -> list[Path]:
    """Folders of the tracks of a side, sorted by name."""
    in_train = valid_tracks is not None
    if side == "valid" and not in_train and not (root / "valid").is_dir():
        raise DataError(
            f"{root} has no folder valid: list tracks of train as valid_tracks (data_args)."
        )
    folder = root / ("train" if side == "valid" and in_train else side)
    tracks = track_folders(folder)
    if not tracks:
        raise DataError(f"No tracks in {folder}: expected <track>/mixture.wav, as in MUSDB.")
    if not in_train or side == "test":
        return tracks
    chosen = set(valid_tracks or [])
    missing = chosen - {track.name for track in tracks}
    if missing:
        raise DataError(f"{folder} has no track {min(missing)}: correct valid_tracks.")
    kept = [track for track in tracks if (track.name in chosen) == (side == "valid")]
    if not kept:
        raise DataError(
            f"valid_tracks leaves no track for {side}: list some, not all, of those in train."
        )
    return kept


def _named(valid_tracks: list[str] | str | None, root: Path) -> list[str] | None:
    """Names of validation tracks, where a word stands for them."""
    if not isinstance(valid_tracks, str):
        return valid_tracks
    if valid_tracks != MUSDB18:
        raise ConfigError(
            f"valid_tracks must be a list of names or {MUSDB18}, received {valid_tracks}."
        )
    return None if (root / "valid").is_dir() else musdb18_valid_tracks()


def musdb18_valid_tracks() -> list[str]:
    """The published validation tracks of MUSDB18, from the package ``musdb``, not imported.

    Importing it would demand ffmpeg.

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
    beside = folder / F0_FILE
    if labels_dir:
        labels = Path(labels_dir).expanduser() / folder.relative_to(root)
        if (labels / LABELS_FILE).is_file() and (labels / F0_FILE).is_file():
            return labels / F0_FILE
        if not beside.is_file():
            raise DataError(f"{labels} has no complete labels: run local/prepare.py (stage 1).")
    return beside if beside.is_file() else None


def _clip(folder: Path, files: list[AudioFile], sample_rate: int) -> Clip:
    mixture = files[0]
    for file in files:
        if file.n_samples != mixture.n_samples:
            raise DataError(
                f"{file.path} and {mixture.path} differ in length: download them again."
            )
    meta = _meta(folder / META_FILE)
    song, singer = str(meta.get("song") or folder.name), str(meta.get("singer") or "")
    return Clip(folder.name, song, singer, mixture.length_at(sample_rate))


def _meta(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        meta = json.loads(path.read_text())
    except ValueError as err:
        raise DataError(f"{path} is not valid JSON ({err}): correct it.") from err
    if not isinstance(meta, dict):
        raise DataError(f"{path} must contain a JSON object with the keys song and singer.")
    return meta
