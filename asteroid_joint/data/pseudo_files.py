"""Labels that a teacher made for what a set lacks, on disk.

A folder of pseudo labels holds ``pseudo.json`` (which teacher made them, on which grid, with which
settings and thresholds) and, by dataset, two files per piece of a clip: ``<piece>.npz`` (F0 and its
quality, or the quality of the separated voice, and what both were judged by) and, where sources
were missing, ``<piece>.wav`` (all stems but the last, which is what they leave of the mixture).
Every piece says by whom it was made; what another teacher made is refused.
"""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import soundfile as sf
from scipy.io import wavfile

from ..errors import DataError
from ..files import atomic_write, write_bytes, write_text
from ..pitch import PitchGrid
from .base import JointDataset

FORMAT = 1  # of the files and of the rules they were made by
HEADER_FILE = "pseudo.json"


@dataclass(frozen=True)
class Header:
    """Who made the labels of a folder, and how.

    Args:
        teacher: SHA-256 of the model file.
        grid: Of F0 and its quality; see :meth:`PitchGrid.to_dict`.
        settings: Of the rules.
        thresholds: Chosen on validation data.
        voicing_threshold: The teacher's own, for labels that are not filtered.
    """

    teacher: str
    grid: dict[str, Any]
    settings: dict[str, Any]
    thresholds: dict[str, float]
    voicing_threshold: float

    @property
    def identity(self) -> str:
        """Short name of all of it; stands in every piece."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def pitch_grid(self) -> PitchGrid:
        """The grid of the labels."""
        return PitchGrid(**self.grid)

    def write(self, folder: Path) -> None:
        """Write ``pseudo.json``."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_text(folder / HEADER_FILE, text)


class Piece(NamedTuple):
    """A stretch of a clip that is judged as a whole.

    Attributes:
        clip: Index of the clip.
        start: Sample, on a frame.
        n_samples: Length.
        name: The clip's, with ``@`` and a number where there are several.
    """

    clip: int
    start: int
    n_samples: int
    name: str


def read_header(folder: Path) -> Header:
    """Who made the labels in ``folder``.

    Raises:
        DataError: If there are none, or none of this version.
    """
    path = folder / HEADER_FILE
    try:
        facts = json.loads(path.read_text())
        if facts.pop("format") != FORMAT:
            raise ValueError
        return Header(**facts)
    except FileNotFoundError as err:
        raise DataError(
            f"There are no pseudo labels in {folder}: make them with "
            "python -m asteroid_joint.engine.pseudo."
        ) from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} is damaged or of another version: make the labels again with --relabel."
        ) from err


def cut(dataset: JointDataset, piece_sec: float, grid: PitchGrid) -> list[Piece]:
    """Equal pieces of at most ``piece_sec`` of every clip, from frame to frame; 0 = whole clips."""
    pieces = []
    for index, clip in enumerate(dataset.clips):
        count = max(1, -(-clip.n_samples // max(round(piece_sec * dataset.sample_rate), 1)))
        count = count if piece_sec else 1
        hop = grid.hop_length
        length = -(-clip.n_samples // (count * hop)) * hop
        for number, start in enumerate(range(0, clip.n_samples, length)):
            name = clip.name if count == 1 else f"{clip.name}@{number}"
            pieces.append(Piece(index, start, min(length, clip.n_samples - start), name))
    return pieces


def missing_label(dataset: JointDataset, index: int) -> str | None:
    """``"f0"`` or ``"sources"`` where a clip has the other; else ``None``: nothing to go by."""
    has_f0 = dataset.f0_at(index, np.zeros(1)) is not None
    has_sources = dataset.read(index, 0, 1)[1] is not None
    return None if has_f0 == has_sources else "sources" if has_f0 else "f0"


def piece_path(folder: Path, dataset_name: str, piece: Piece) -> Path:
    """File of a piece, without its suffix."""
    return folder / dataset_name / quote(piece.name, safe=" @")


def write_piece(path: Path, header: Header, stems: np.ndarray | None, **facts: Any) -> None:
    """Write the files of a piece, the one that says it is complete last.

    Args:
        path: See :func:`piece_path`.
        header: Of the folder.
        stems: ``(n_src - 1, n_channels, time)``, where sources were missing.
        **facts: What is known of it: arrays and numbers.

    Raises:
        DataError: If that is not possible.
    """
    npz = path.parent / f"{path.name}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stems is not None:
            flat = stems.reshape(-1, stems.shape[-1]).T  # (T, S C)
            rate, audio = header.pitch_grid.sample_rate, io.BytesIO()
            # not libsndfile: into files of floats it writes the time of day
            wavfile.write(audio, int(rate), np.ascontiguousarray(flat, np.float32))
            write_bytes(path.parent / f"{path.name}.wav", audio.getvalue())
        with atomic_write(npz) as part:
            np.savez(part, identity=header.identity, **facts)
    except OSError as err:
        raise DataError(f"Cannot write {npz}: {err.strerror or err}.") from err


def read_piece(path: Path, header: Header) -> dict[str, np.ndarray] | None:
    """What :func:`write_piece` was given; ``None`` where it is missing or damaged.

    Raises:
        DataError: If another teacher made it, or this one with other settings.
    """
    npz = path.parent / f"{path.name}.npz"
    try:
        with np.load(npz, allow_pickle=False) as content:
            facts = dict(content)
    except (OSError, ValueError, EOFError, KeyError):
        return None
    except Exception as err:  # zipfile's own, of a file that was cut off
        if type(err).__name__ != "BadZipFile":
            raise
        return None
    if str(facts.get("identity")) != header.identity:
        raise DataError(
            f"{npz} comes from another teacher or other settings than {HEADER_FILE} says: "
            "make all labels again (--relabel), or give another folder."
        )
    return facts


def read_stems(
    path: Path, n_channels: int, start: int = 0, n_samples: int | None = None
) -> np.ndarray:
    """Stems of a piece, but the last, ``(n_src - 1, n_channels, time)`` float32.

    Raises:
        DataError: If they cannot be read.
    """
    wav = path.parent / f"{path.name}.wav"
    frames = -1 if n_samples is None else n_samples
    try:
        flat, _ = sf.read(wav, frames, start, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as err:
        raise DataError(f"{wav} is missing or damaged: make the labels again.") from err
    return flat.T.reshape(-1, n_channels, len(flat))
