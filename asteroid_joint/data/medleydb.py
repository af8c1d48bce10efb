"""MedleyDB: songs with a file for each instrument, and F0 of their melodies.

Files are found by their names, at any depth below the folder. So versions 1 and 2 may lie side by
side, and metadata and annotations in MedleyDB's repository or beside the audio:

- ``<Artist_Title>_METADATA.yaml``: which instrument is in which stem, and whether stems bleed;
- ``<Artist_Title>_STEM_<number>.wav``: the stems;
- ``<Artist_Title>_MELODY1.csv``: F0 of the predominant source;
- ``<Artist_Title>_RANKING.txt``: which stem that is.

The voice is the sum of all vocal stems, the accompaniment that of all others, and the mixture the
sum of both: the published mixes were mastered, so their stems do not add up to them. Songs without
vocals, and those whose stems bleed, are left out.

F0 is that of the lead voice, from the first of these that exists; a song with neither has no F0:

1. MELODY1, if the stem that ranks first (without a ranking: the only one of the component
   ``melody``) is a voice: from ``melody_dir``, mirdata's set ``medleydb_melody``, else from the
   folder;
2. the pitch of the stem, if only one stem is a voice: from ``pitch_dir``, mirdata's set
   ``medleydb_pitch``. (Files ``_PITCH/`` in the repository are not used: some were made by a
   tracker, which glides over rests.)

Where only other voices sing, it is unvoiced.

References:
    R. Bittner et al., "MedleyDB: A Multitrack Dataset for Annotation-Intensive MIR Research",
    ISMIR 2014, https://medleydb.weebly.com
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from ..errors import DataError
from ..registry import DATASETS
from .base import Clip, JointDataset
from .files import (
    AudioFile,
    audio_file,
    check_side,
    common_format,
    f0_from_file,
    files_below,
    read_stretch,
)
from .licences import dataset_infos
from .mirdata_f0 import f0_files

METADATA = "_METADATA.yaml"
WORDS = ("singer", "rapper", "screamer", "speaker")  # each male and female
VOICES = {f"{sex} {word}" for sex in ("male", "female") for word in WORDS}
VOICES |= {"vocalists", "choir", "beatboxing"}
# of an artist, by a checksum of the name modulo 10: about 42 songs with vocals are for training and
# 10 each for validation and the test, as nearly as whole artists can be divided
SIDES = ("test", "test", "valid", "train", "valid", "train", "train", "train", "train", "train")


class Song(NamedTuple):
    """Files of a song ``<Artist_Title>``: its stems and, if there is one, F0 of the lead voice."""

    name: str
    voices: list[AudioFile]
    others: list[AudioFile]
    f0: Path | None


@DATASETS.register("medleydb")
class MedleyDB(JointDataset):
    """One side of MedleyDB's songs with vocals; no artist is on two sides.

    Args:
        data_dir: Folder of stems, metadata and, optionally, annotations, at any depth.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.
        melody_dir: Folder of mirdata's ``medleydb_melody``; if empty, annotations in ``data_dir``.
        pitch_dir: Folder of mirdata's ``medleydb_pitch``; not used if empty.
        bleed: Also use songs whose stems contain other instruments.

    Raises:
        DataError: If songs or files are missing, or formats differ.
        UserError: If mirdata is needed but not installed.
    """

    infos = dataset_infos(
        "MedleyDB",
        author="Rachel Bittner, Justin Salamon, Mike Tierney, Matthias Mauch, Chris Cannam and "
        "Juan Bello",
        license="CC BY-NC-SA 4.0",
        title_link="https://medleydb.weebly.com",
        author_link="https://medleydb.weebly.com",
        license_link="https://creativecommons.org/licenses/by-nc-sa/4.0/",
        non_commercial=True,
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        melody_dir: str = "",
        pitch_dir: str = "",
        bleed: bool = False,
    ) -> None:
        check_side(side)
        self.root = Path(data_dir).expanduser()
        by_name = {path.name: path for path in files_below(self.root)}
        names = [name.removesuffix(METADATA) for name in by_name if name.endswith(METADATA)]
        melodies = f0_files("medleydb_melody", melody_dir) if melody_dir else None
        pitches = f0_files("medleydb_pitch", pitch_dir) if pitch_dir else {}
        found = (
            _song(name, by_name, melodies, pitches, bleed)
            for name in sorted(names)
            if side_of_artist(name) == side
        )
        self.songs = [song for song in found if song is not None]
        if not self.songs:
            raise DataError(
                f"{self.root} contains no songs with vocals for the {side} side (<song>{METADATA} "
                "and <song>_STEM_01.wav): point --data_dir at MedleyDB."
            )
        files = [file for song in self.songs for file in (*song.voices, *song.others)]
        self.sample_rate, self.n_channels = common_format(files, sample_rate, n_channels)
        self.clips = [_clip(song, self.sample_rate) for song in self.songs]

    @property
    def rest_weights(self) -> np.ndarray:
        """See :attr:`JointDataset.rest_weights`; 0 for a song of vocals alone."""
        return super().rest_weights * [bool(song.others) for song in self.songs]

    def read(
        self, index: int, start: int = 0, n_samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        song = self.songs[index]
        sources = np.stack(
            [self._sum(index, stems, start, n_samples) for stems in (song.voices, song.others)]
        )
        return sources.sum(0), sources  # (C, T), (S, C, T)

    def read_source(
        self, index: int, source: int, start: int = 0, n_samples: int | None = None
    ) -> np.ndarray | None:
        song = self.songs[index]
        return self._sum(index, (song.voices, song.others)[source], start, n_samples)

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray | None:
        return f0_from_file(self.songs[index].f0, times)

    def _sum(
        self, index: int, stems: list[AudioFile], start: int, n_samples: int | None
    ) -> np.ndarray:
        """An excerpt of the sum of stems, ``(C, T)``; after its end a stem is silent."""
        left = max(self.clips[index].n_samples - start, 0)
        total = np.zeros(
            (self.n_channels, left if n_samples is None else min(n_samples, left)), np.float32
        )
        for stem in stems:
            wav = read_stretch([stem], self.sample_rate, self.n_channels, start, total.shape[1])[0]
            total[:, : wav.shape[1]] += wav
        return total


def side_of_artist(name: str) -> str:
    """The side of a song ``<Artist_Title>``: that of all songs of its artist."""
    return SIDES[zlib.crc32(_artist(name).casefold().encode()) % len(SIDES)]


def titles(data_dir: str | Path) -> set[str]:
    """Names ``<Artist_Title>`` of all MedleyDB songs in a folder; a :class:`DataError` if none."""
    root = Path(data_dir).expanduser()
    names = {path.name for path in files_below(root) if path.name.endswith(METADATA)}
    if not names:
        raise DataError(
            f"{root} contains no MedleyDB songs (no <song>{METADATA}): correct the path."
        )
    return {name.removesuffix(METADATA) for name in names}


def _song(
    name: str,
    by_name: Mapping[str, Path],
    melodies: Mapping[str, Path] | None,
    pitches: Mapping[str, Path],
    bleed: bool,
) -> Song | None:
    """Files of a song, if it has vocals and its stems may be used."""
    path = by_name[name + METADATA]
    stems, bleeds = _metadata(path)
    if bleeds and not bleed:
        return None
    voices = {key for key, stem in stems.items() if VOICES & _instruments(stem)}
    if not voices:
        return None
    files = {key: _stem(stem, by_name, path) for key, stem in stems.items()}
    f0 = None
    if _lead(name, stems, by_name) in voices:
        beside = by_name.get(f"{name}_MELODY1.csv")
        f0 = beside if melodies is None else melodies.get(name)
    if f0 is None and len(voices) == 1:
        (only,) = voices
        f0 = pitches.get(f"{name}_STEM_{only[1:]}")
    sung = [file for key, file in files.items() if key in voices]
    return Song(name, sung, [file for key, file in files.items() if key not in voices], f0)


def _metadata(path: Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """Stems by their keys (S01, S02, ...), and whether they bleed."""
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
        stems = {str(key): dict(stem) for key, stem in sorted(facts["stems"].items())}
        # YAML reads yes without quotes as true
        return stems, str(facts.get("has_bleed", "no")).casefold() in ("yes", "true")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as err:
        raise DataError(f"{path} is not a MedleyDB metadata file: download it again.") from err


def _instruments(stem: Mapping[str, Any]) -> set[str]:
    """Instruments of a stem: one word, or in version 2 perhaps a list."""
    named = stem.get("instrument") or ()
    return {str(word).casefold() for word in ([named] if isinstance(named, str) else named)}


def _stem(stem: Mapping[str, Any], by_name: Mapping[str, Path], metadata: Path) -> AudioFile:
    name = str(stem.get("filename"))
    if name not in by_name:
        raise DataError(f"{metadata} lists the stem {name}, which is missing: download it again.")
    return audio_file(by_name[name])


def _lead(
    name: str, stems: Mapping[str, Mapping[str, Any]], by_name: Mapping[str, Path]
) -> str | None:
    """Key of the stem that MELODY1 is the F0 of, if that is known."""
    ranking = by_name.get(f"{name}_RANKING.txt")
    if ranking is None:
        melodic = [key for key, stem in stems.items() if stem.get("component") == "melody"]
        return melodic[0] if len(melodic) == 1 else None
    for line in ranking.read_text(encoding="utf-8").splitlines():  # <name>_STEM_08.csv,1
        file, _, rank = line.partition(",")
        if rank.strip() == "1":
            return "S" + Path(file.strip()).stem.rpartition("_")[2]
    return None


def _artist(name: str) -> str:
    return name.partition("_")[0]


def _clip(song: Song, sample_rate: int) -> Clip:
    longest = max(file.length_at(sample_rate) for file in (*song.voices, *song.others))
    return Clip(song.name, song.name, _artist(song.name), longest)
