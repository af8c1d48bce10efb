"""MIR-ST500: notes of the singers of 500 Chinese pop songs, distributed without audio.

Expected layout, at any depth: ``MIR-ST500_corrected.json``, and the user's audio, as the authors'
script stores it, ``<number>/Mixture.mp3``, or as ``<number>.mp3``. Songs without audio are left
out. Songs 1 to 360 are for training, 361 to 400 for validation (ours) and 401 to 500 for the test.

The file of notes is ``{"<number>": [[onset, offset, MIDI pitch], ...]}``, in seconds. A frame in a
note has its pitch, with quality 0.5, as singers glide and use vibrato; frames within 40 ms of an
onset or offset also have this quality. Other frames are unvoiced. These quality rules are ours.

References:
    J.-Y. Wang, J.-S. R. Jang, "On the Preparation and Validation of a Large-Scale Dataset of
    Singing Transcription", ICASSP 2021, https://github.com/york135/singing_transcription_ICASSP2021
"""

import json
import logging
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..pitch import midi_to_hz
from ..registry import DATASETS
from .base import Clip
from .files import AUDIO, AudioFile, files_below
from .licences import PITCH, dataset_infos
from .recordings import Recordings

logger = logging.getLogger(__name__)

NOTES_FILE = "MIR-ST500_corrected.json"
SIDES = {"train": range(1, 361), "valid": range(361, 401), "test": range(401, 501)}
NOTE_QUALITY = 0.5
EDGE_SEC = 0.04  # either side of where a note begins or ends


@DATASETS.register("mir_st500")
class MIRST500(Recordings):
    """One side of MIR-ST500: mixtures with F0 from notes.

    Args:
        data_dir: Folder of the file of notes and the audio.
        side, sample_rate, n_channels: See :class:`.recordings.Recordings`.

    Raises:
        DataError: If notes are missing or damaged, no song has audio, or formats differ.
    """

    infos = dataset_infos(
        "MIR-ST500",
        author="Jun-You Wang and Jyh-Shing Roger Jang",
        license="annotations for research; songs belong to their owners",
        task=PITCH,
        title_link="https://github.com/york135/singing_transcription_ICASSP2021",
        author_link="https://github.com/york135",
        license_link="https://github.com/york135/singing_transcription_ICASSP2021",
        non_commercial=True,
    )

    def find(self, side: str) -> tuple[Path, list[tuple[Path, Path | None]]]:
        files = files_below(self.root)
        noted = next((path for path in files if path.name == NOTES_FILE), None)
        if noted is None:
            raise DataError(f"{self.root} has no {NOTES_FILE}: point mir_st500_dir at MIR-ST500.")
        notes = read_notes(noted)
        audio = {number: path for path in files if (number := _number(path)) is not None}
        numbers = [n for n in SIDES[side] if n in notes and n in audio]
        if not numbers:
            raise DataError(
                f"{self.root} contains no audio for the {side} side: expected <number>/Mixture.mp3 "
                f"with numbers from {SIDES[side][0]} to {SIDES[side][-1]}."
            )
        missing = sum(n in notes for n in SIDES[side]) - len(numbers)
        if missing:
            logger.warning("%d songs of the %s side have no audio and are left out.", missing, side)
        self._notes = [notes[n] for n in numbers]
        return self.root, [(audio[n], None) for n in numbers]

    def clip(self, file: AudioFile) -> Clip:
        number = _number(file.path)
        return Clip(str(number), f"MIR-ST500 {number}", "", file.length_at(self.sample_rate))

    def f0_at(self, index: int, times: np.ndarray) -> np.ndarray:
        notes = self._notes[index]  # (notes, 3)
        place = np.searchsorted(notes[:, 0], times, "right") - 1
        note = notes[place.clip(0)]  # (N, 3)
        inside = (place >= 0) & (times < note[:, 1])
        f0_hz = np.where(inside, midi_to_hz(note[:, 2]), 0.0)
        f0_hz[(times < 0) | (times > self._files[index].length_sec)] = np.nan
        return f0_hz.astype(np.float32)

    def f0_quality_at(self, index: int, times: np.ndarray) -> np.ndarray:
        f0_hz = self.f0_at(index, times)
        edges = np.sort(self._notes[index][:, :2].ravel())  # (2 notes,)
        after = np.searchsorted(edges, times).clip(0, len(edges) - 1)
        apart = np.minimum(
            np.abs(times - edges[after]), np.abs(times - edges[np.maximum(after - 1, 0)])
        )
        doubtful = (f0_hz > 0) | (apart <= EDGE_SEC)
        return np.where(doubtful, NOTE_QUALITY, 1.0).astype(np.float32)


@lru_cache(maxsize=4)
def read_notes(path: Path) -> dict[int, np.ndarray]:
    """Notes of every song by its number: onset and offset in seconds and MIDI pitch, ``(n, 3)``.

    Raises:
        DataError: If the file contains anything else.
    """
    try:
        songs = json.loads(path.read_text(encoding="utf-8"))
        notes = {int(n): np.array(rows, float).reshape(-1, 3) for n, rows in songs.items()}
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise DataError(f"{path} is not a file of notes: download it again.") from err
    for number, rows in notes.items():
        if not len(rows) or not np.isfinite(rows).all() or (rows[:, 1] < rows[:, 0]).any():
            raise DataError(f"{path}, song {number}: expected notes that end after they begin.")
        notes[number] = rows[np.argsort(rows[:, 0], kind="stable")]
    return notes


def _number(path: Path) -> int | None:
    """Number of the song whose mixture a file contains, if any."""
    if path.suffix.lower() not in AUDIO:
        return None
    name = path.parent.name if path.stem.casefold() == "mixture" else path.stem
    return int(name) if re.fullmatch(r"\d{1,3}", name) else None
