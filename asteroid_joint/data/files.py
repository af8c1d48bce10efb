"""Reading audio files at any rate and label files as CSV, for datasets of plain folders."""

import os
import zlib
from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from ..errors import ConfigError, DataError
from ..pitch import resample_f0
from .stem_mp4 import read_stream, stream_facts

AUDIO = (".wav", ".flac", ".ogg", ".mp3")
SIDES = ("train", "valid", "test")
MARGIN = 512  # samples at the lower rate on either side of a stretch: soxr's HQ filter is shorter


class FormatError(DataError):
    """Files of one dataset that differ in rate or channels."""


class AudioFile(NamedTuple):
    """Facts of an audio file, of a stream in it, or of the sum of several.

    Attributes:
        path: Where it is; of a sum, the first of its files.
        sample_rate: Hz.
        n_channels: Audio channels.
        n_samples: Length in samples.
        stream: Which of the streams of a ``.stem.mp4``; ``None`` = a file of its own.
        summands: Files of one rate whose sum it is, each silent after its end; empty = no sum.
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    stream: int | None = None
    summands: "tuple[AudioFile, ...]" = ()

    @property
    def length_sec(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate

    def length_at(self, sample_rate: int) -> int:
        """Length of the resampled file in samples."""
        return (2 * self.n_samples * sample_rate + self.sample_rate) // (2 * self.sample_rate)


def audio_file(path: Path, stream: int | None = None) -> AudioFile:
    """Facts of the file at ``path``, or of a stream of a ``.stem.mp4``.

    Raises:
        DataError: If it is missing, unreadable or empty.
    """
    if stream is not None:
        return AudioFile(path, *stream_facts(path, stream), stream)
    try:
        info = sf.info(path)
    except (sf.LibsndfileError, OSError) as err:
        raise DataError(
            f"{path} is missing or not an audio file: download the data again."
        ) from err
    if not info.frames:
        raise DataError(f"{path} contains no samples: remove it or download it again.")
    return AudioFile(path, info.samplerate, info.channels, info.frames)


def sum_of(files: Sequence[AudioFile]) -> AudioFile:
    """The sum of files as one, silent where they have ended; mono ones are on all channels.

    Raises:
        FormatError: If they differ in their rate, or in their channels and none is mono.
    """
    common_format([file for file in files if file.n_channels > 1] or files, None, None)
    rate, _ = common_format(files, None, 1)
    channels, longest = (max(getattr(f, of) for f in files) for of in ("n_channels", "n_samples"))
    return AudioFile(files[0].path, rate, channels, longest, summands=tuple(files))


def formed_like(file: AudioFile, other: AudioFile) -> AudioFile:
    """A file with the length and channels of another, of which it has fewer, or mono."""
    channels, length = other.n_channels, other.n_samples
    if (file.n_channels, file.n_samples) == (channels, length):
        return file
    return sum_of([file])._replace(n_channels=channels, n_samples=length)


def common_format(
    files: Sequence[AudioFile], sample_rate: int | None, n_channels: int | None
) -> tuple[int, int]:
    """Common rate in Hz and number of channels; ``None`` keeps those on disk.

    Raises:
        FormatError: If files differ in what is kept, or cannot have the requested channels.
    """
    first = files[0]
    for other in files:
        if sample_rate is None and other.sample_rate != first.sample_rate:
            raise FormatError(
                f"{first.path} is at {first.sample_rate} Hz and {other.path} at "
                f"{other.sample_rate} Hz: give a sample_rate or resample them to one rate."
            )
        if n_channels != 1 and other.n_channels != (n_channels or first.n_channels):
            raise FormatError(
                f"{other.path} has {other.n_channels} channels, not "
                f"{n_channels or first.n_channels}: set n_channels to 1 to mix down."
            )
    return sample_rate or first.sample_rate, n_channels or first.n_channels


def read_stretch(
    files: Sequence[AudioFile],
    sample_rate: int,
    n_channels: int,
    start: int = 0,
    n_samples: int | None = None,
) -> np.ndarray:
    """Read the same excerpt of files of one rate and length, at another rate.

    The result equals that excerpt of the whole resampled files, but only the excerpt and the reach
    of the resampling filter are read.

    Args:
        files: Audio files.
        sample_rate: Sample rate of the result in Hz.
        n_channels: Channels of the result: those of the files, or 1 for their mean.
        start: First sample, at ``sample_rate``.
        n_samples: Length at ``sample_rate``; ``None`` reads to the end.

    Returns:
        ``(n_files, n_channels, T)`` float32; shorter than ``n_samples`` where the files end.
    """
    first = files[0]
    total = first.length_at(sample_rate)
    start = min(start, total)
    stop = total if n_samples is None else min(start + n_samples, total)
    if first.sample_rate == sample_rate:
        return _read(files, n_channels, start, stop)
    import soxr

    # `up` samples of the result take as long as `down` on disk: there the two grids meet
    common = gcd(first.sample_rate, sample_rate)
    up, down = sample_rate // common, first.sample_rate // common
    margin = -(-MARGIN * max(up, down) // down)  # at `sample_rate`
    block = max(start - margin, 0) // up
    end = min(-(-(stop + margin) * down // up), first.n_samples)
    wav = _read(files, n_channels, block * down, end)
    flat = wav.reshape(-1, wav.shape[-1]).T  # (T, files C)
    out = soxr.resample(np.ascontiguousarray(flat), first.sample_rate, sample_rate, quality="HQ")
    out = out.reshape(-1, flat.shape[1]).T[:, start - block * up : stop - block * up]
    return np.ascontiguousarray(out).reshape(*wav.shape[:2], -1)


def _read(files: Sequence[AudioFile], n_channels: int, start: int, stop: int) -> np.ndarray:
    """``(n_files, n_channels, stop - start)`` at the rate on disk."""
    out = np.empty((len(files), n_channels, stop - start), np.float32)
    for row, file in zip(out, files, strict=True):
        if file.summands:
            row[:] = _read_sum(file.summands, n_channels, start, stop)
            continue
        wav = _read_file(file, start, stop)  # (T, C)
        if len(wav) != stop - start:
            raise DataError(f"{file.path} is shorter than its header says: download it again.")
        if n_channels == 1:  # a product, since a mean along two samples takes 30 times as long
            row[0] = wav @ np.full(wav.shape[1], 1 / wav.shape[1], np.float32)
        else:
            row[:] = wav.T
    return out


def _read_sum(files: Sequence[AudioFile], n_channels: int, start: int, stop: int) -> np.ndarray:
    """The sum of files, ``(n_channels, stop - start)``, zero after the end of each."""
    total = np.zeros((n_channels, stop - start), np.float32)
    for file in files:
        end = min(stop, file.n_samples)
        if start < end:
            total[:, : end - start] += _read([file], n_channels, start, end)[0]
    return total


def _read_file(file: AudioFile, start: int, stop: int) -> np.ndarray:
    """``(stop - start, C)`` of one file, or of a stream in it."""
    if file.stream is not None:
        return read_stream(file.path, file.stream, start, stop).T
    return sf.read(file.path, stop - start, start, dtype="float32", always_2d=True)[0]


@lru_cache(maxsize=4096)
def read_columns(path: Path) -> np.ndarray:
    """Read the first two columns of a text file of numbers, ``(rows, 2)`` float64.

    Columns are separated by commas, semicolons or blanks; a first line without numbers is a header.

    Raises:
        DataError: If the file has any other content.
    """
    try:
        text = path.read_text(encoding="utf-8").replace(",", " ").replace(";", " ")
        lines = [line for line in text.splitlines() if line.strip()]
        if lines and not _is_number(lines[0].split()[0]):
            lines = lines[1:]
        if not lines:
            return np.zeros((0, 2))
        return np.loadtxt(lines, usecols=(0, 1), ndmin=2)
    except (OSError, ValueError, IndexError) as err:
        raise DataError(
            f"{path} does not contain two columns of numbers: download it again."
        ) from err


def read_f0(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and F0 in Hz (0 = unvoiced, NaN = unknown) of a label file.

    Raises:
        DataError: If it holds no rows, or its times do not increase.
    """
    times, f0_hz = read_columns(path).T
    if not len(times) or not np.all(np.diff(times) > 0):
        raise DataError(
            f"{path} must contain rows of time and frequency, sorted by time: correct it."
        )
    return times, np.where(f0_hz <= 0, 0.0, f0_hz)


def f0_from_file(path: Path | None, times: np.ndarray) -> np.ndarray | None:
    """F0 in Hz of a label file at ``times`` (seconds); ``None`` where there is no file.

    Raises:
        DataError: See :func:`read_f0`.
    """
    if path is None:
        return None
    label_times, f0_hz = read_f0(path)
    return resample_f0(f0_hz, label_times, times)


def check_side(side: str) -> None:
    """Raise a :class:`ConfigError` for a name that is not a side of a split."""
    if side not in SIDES:
        raise ConfigError(f"Expected train, valid or test as side, received {side!r}.")


def files_below(root: Path) -> list[Path]:
    """All files in a folder at any depth, in order; links to folders are followed."""
    return sorted(
        Path(top) / name for top, _, names in os.walk(root, followlinks=True) for name in names
    )


def side_by_name(path: Path, top: Path) -> str:
    """Side of a file by a checksum of a name: one in ten is for validation, one for the test.

    The name is that of the file's folder, say a singer's, or of a file directly in ``top``.
    """
    key = path.parent.name if path.parent != top else path.stem
    return {0: "test", 1: "valid"}.get(zlib.crc32(key.encode()) % 10, "train")


def files_of_side(
    root: Path, side: str, suffixes: Sequence[str], whole_side: str = ""
) -> tuple[Path, list[Path]]:
    """Files of one side: those in its folder, or, where no side has one, by :func:`side_by_name`.

    Args:
        root: Folder of the dataset.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        suffixes: Suffixes of the files, lower case, with the dot.
        whole_side: Side that the whole folder is for; empty = as above.

    Returns:
        The searched folder and its files at any depth, in order.
    """
    if whole_side:
        check_side(whole_side)
        found = files_below(root) if side == whole_side else []
        return root, [path for path in found if path.suffix.lower() in suffixes]
    by_folder = any((root / name).is_dir() for name in SIDES)
    top = root / side if by_folder else root
    found = [path for path in files_below(top) if path.suffix.lower() in suffixes]
    return top, [path for path in found if by_folder or side_by_name(path, top) == side]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
