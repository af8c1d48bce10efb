"""A teacher's labels on disk.

A folder of pseudo labels contains ``pseudo.json`` (teacher, grid, settings and thresholds) and, by
dataset, two files per segment of a clip: ``<segment>.npz`` (F0 and its quality, or the quality of
the separated voice, and the criteria for both) and, where sources were missing, ``<segment>.wav``
(all stems but the last, the remainder of the mixture). Every segment names its teacher; those of
another teacher are refused.
"""

import hashlib
import io
import json
import zipfile
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

FORMAT = 1  # version of the files and of the rules behind them
HEADER_FILE = "pseudo.json"


@dataclass(frozen=True)
class Header:
    """Origin of the labels in a folder.

    Args:
        teacher: SHA-256 of the teacher's model file.
        grid: Pitch grid of F0 and its quality; see :meth:`PitchGrid.to_dict`.
        settings: Settings of the rules.
        thresholds: Thresholds chosen on validation data.
        voicing_threshold: The teacher's own, for unfiltered labels.
    """

    teacher: str
    grid: dict[str, Any]
    settings: dict[str, Any]
    thresholds: dict[str, float]
    voicing_threshold: float

    @property
    def identity(self) -> str:
        """Short checksum of all fields, stored in every segment."""
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
    """A segment of a clip that is judged as a whole.

    Attributes:
        clip: Index of the clip.
        start: First sample, on a frame.
        n_samples: Length in samples.
        name: Name of the clip, with ``@`` and a number if it has several segments.
    """

    clip: int
    start: int
    n_samples: int
    name: str


def read_header(folder: Path) -> Header:
    """Read the :class:`Header` of ``folder``.

    Raises:
        DataError: If there are no labels, or none of this version.
    """
    path = folder / HEADER_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
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
    """Equal segments of at most ``piece_sec`` of every clip, cut at frames; 0 = whole clips."""
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
    """``"f0"`` or ``"sources"``, if a clip has only the other; else ``None``."""
    has_f0 = dataset.f0_at(index, np.zeros(1)) is not None
    has_sources = dataset.read(index, 0, 1)[1] is not None
    return None if has_f0 == has_sources else "sources" if has_f0 else "f0"


def piece_path(folder: Path, dataset_name: str, piece: Piece) -> Path:
    """File of a segment, without its suffix."""
    return folder / dataset_name / quote(piece.name, safe=" @")


def write_piece(path: Path, header: Header, stems: np.ndarray | None, **facts: Any) -> None:
    """Write the files of a segment, last the ``.npz`` that marks it as complete.

    Args:
        path: See :func:`piece_path`.
        header: Header of the folder.
        stems: ``(n_src - 1, n_channels, time)``, where sources were missing.
        **facts: Arrays and numbers to store.

    Raises:
        DataError: If a file cannot be written.
    """
    npz = path.parent / f"{path.name}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stems is not None:
            flat = stems.reshape(-1, stems.shape[-1]).T  # (T, S C)
            rate, audio = header.pitch_grid.sample_rate, io.BytesIO()
            # not libsndfile, which stores the time of day in float files
            wavfile.write(audio, int(rate), np.ascontiguousarray(flat, np.float32))
            write_bytes(path.parent / f"{path.name}.wav", audio.getvalue())
        with atomic_write(npz) as part:
            np.savez(part, identity=header.identity, **facts)
    except OSError as err:
        raise DataError(f"Cannot write {npz}: {err.strerror or err}.") from err


def read_piece(path: Path, header: Header) -> dict[str, np.ndarray] | None:
    """Read the facts of :func:`write_piece`; ``None`` if they are missing or damaged.

    Raises:
        DataError: If they come from another teacher or other settings.
    """
    npz = path.parent / f"{path.name}.npz"
    try:
        with np.load(npz, allow_pickle=False) as content:
            facts = dict(content)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
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
    """Read all stems of a segment but the last, ``(n_src - 1, n_channels, time)`` float32.

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
