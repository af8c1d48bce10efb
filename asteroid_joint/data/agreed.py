"""Pitch labels by two trackers on a true voice, where they agree: FCPE and SwiftF0.

The other teacher, :mod:`.teacher`, asks one network how sure it is. Here two that were built and
trained apart must say the same. A frame of 20 ms is

- voiced with the mean (of logarithms) of both, if both hear a pitch and they differ by at most
  ``within_cents``;
- unvoiced, 0, if neither hears one, or it is ``gate_db`` below the loud frames of the recording;
- unknown, ``nan``, otherwise. Losses and metrics ignore it.

Labels are written beside the audio, where the datasets look for them. Files that are there are
never replaced: remove them to have them made again.

References:
    Y. Luo et al., "FCPE: A Fast Context-based Pitch Estimation Model", 2025,
    https://arxiv.org/abs/2509.15140
    L. Nieradzik, "SwiftF0: Fast and Accurate Monophonic Pitch Detection", 2025,
    https://arxiv.org/abs/2508.18440
    (the networks; the rule is ours)
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import ConfigError, DataError
from ..files import write_text
from ..optional import optional
from ..pitch import PitchGrid, resample_f0
from ..pitch.grid import hz_to_cents
from .base import JointDataset, Wrapped
from .files import AudioFile, read_columns, read_stretch
from .teacher import FLOOR_DB, RANGE_DB

GRID = PitchGrid(320, 16000)  # 20 ms at the rate of both trackers
BLOCK_FRAMES = 1500  # 30 s in memory at a time
MARGIN_FRAMES = 50  # on either side of a block, heard but not labelled: networks need context
Tracker = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # (T,) to seconds and Hz, 0 = none


@dataclass(frozen=True)
class AgreedSettings:
    """Settings of the labelling; see the module.

    Args:
        within_cents: Greatest difference of trackers that agree.
        gate_db: Gate below the loud frames (95th percentile of the audible ones) in dB.
        fcpe: Threshold of FCPE's confidence, 0 to 1; 0.006 is its own.
        swift_f0: Likewise of SwiftF0, whose own is 0.5: a compromise, found on MIR-1K and records,
            between false alarms and unknown frames; see benchmarks/README.md.

    Raises:
        ConfigError: If a value is invalid.
    """

    within_cents: float = 40.0
    gate_db: float = 45.0
    fcpe: float = 0.006
    swift_f0: float = 0.75

    def __post_init__(self) -> None:
        if self.within_cents <= 0 or self.gate_db <= 0:
            raise ConfigError("within_cents and gate_db of agreed labels must be above 0.")
        if not (0 <= self.fcpe <= 1 and 0 <= self.swift_f0 <= 1):
            raise ConfigError("Expected thresholds of FCPE and SwiftF0 from 0 to 1.")


def unlabelled_voices(dataset: JointDataset) -> Iterator[tuple[AudioFile, Path]]:
    """True voices without F0 of a dataset, or of those in a blend, each with the file for labels.

    Only datasets whose labels lie beside their audio have any: they have a method ``unlabelled``.
    """
    if not isinstance(dataset, Wrapped):
        yield from getattr(dataset, "unlabelled", list)()
        return
    for within in {id(place.dataset): place.dataset for place in dataset.places}.values():
        yield from unlabelled_voices(within)


def label_agreed(
    voices: Sequence[tuple[AudioFile, Path]],
    settings: AgreedSettings | None = None,
    progress: bool = True,
) -> str:
    """Write F0 of voices that lack it.

    An interrupted run can be resumed, as every file is written completely or not at all.

    Args:
        voices: Recordings, each with the file to write: see :func:`unlabelled_voices`.
        settings: Settings of the labelling.
        progress: Whether to show a bar, in seconds of audio.

    Returns:
        A one-sentence report.

    Raises:
        DataError: If a file cannot be written, or audio has NaN or infinite samples.
        UserError: If a tracker is not installed.
    """
    if not voices:
        return "agreed F0: no voice lacks it"
    settings = settings or AgreedSettings()
    trackers = make_trackers(settings)
    frames, voiced, unknown = 0, 0, 0
    off = None if progress else True  # None: off unless on a terminal
    total = round(sum(audio.length_sec for audio, _ in voices))
    with tqdm(total=total, desc="agreed F0", unit="s", disable=off) as bar:
        for audio, target in voices:
            f0_hz = agreed_f0(audio, trackers, settings)
            _write(target, f0_hz)
            frames, voiced = frames + len(f0_hz), voiced + int(np.sum(f0_hz > 0))
            unknown += int(np.isnan(f0_hz).sum())
            bar.update(audio.length_sec)
    return (
        f"agreed F0 of {len(voices)} voices: {100 * voiced / frames:.0f} % of frames voiced, "
        f"{100 * unknown / frames:.0f} % unknown"
    )


def make_trackers(settings: AgreedSettings) -> tuple[Tracker, Tracker]:
    """FCPE and SwiftF0, which take samples at 16 kHz.

    Raises:
        UserError: If one is not installed.
    """
    import torch

    fcpe, swift_f0 = optional("torchfcpe", "labels"), optional("swift_f0", "labels")
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it assumes
        network = fcpe.spawn_bundled_infer_model("cpu")
    detector = swift_f0.SwiftF0(threads=1)

    @torch.inference_mode()
    def first(wav: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = torch.from_numpy(wav)[None, :, None]  # (B, T, 1)
        hz = network.infer(given, sr=GRID.sample_rate, threshold=settings.fcpe)[0, :, 0].numpy()
        return 0.01 * np.arange(len(hz)), hz

    def second(wav: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = detector.detect(wav, GRID.sample_rate)
        return found.timestamps, np.where(found.confidence >= settings.swift_f0, found.pitch_hz, 0)

    return first, second


def agreed_f0(
    audio: AudioFile, trackers: tuple[Tracker, Tracker], settings: AgreedSettings
) -> np.ndarray:
    """F0 of a recorded voice on which two trackers agree.

    Args:
        audio: Recording of any rate and length, read in blocks; channels are mixed down.
        trackers: See :func:`make_trackers`.
        settings: Settings of the labelling.

    Returns:
        ``(frames,)`` Hz every 20 ms, 0 = unvoiced, NaN = unknown.
    """
    heard: list[list[np.ndarray]] = [[], []]
    powers = []
    for wav, n_frames in _blocks(audio):
        times = (MARGIN_FRAMES + np.arange(n_frames)) * float(GRID.hop)
        for curve, tracker in zip(heard, trackers, strict=True):
            at, hz = tracker(wav)
            curve.append(np.nan_to_num(resample_f0(hz, at, times)))
        powers.append(_power(wav, n_frames))
    first, second = (np.concatenate(curve) for curve in heard)
    return agree(first, second, 10 * np.log10(np.concatenate(powers) + 1e-12), settings)


def agree(
    first_hz: np.ndarray, second_hz: np.ndarray, level_db: np.ndarray, settings: AgreedSettings
) -> np.ndarray:
    """What two F0 curves have in common; see the module.

    Args:
        first_hz: F0 by one tracker, 0 = none, ``(frames,)`` like the others.
        second_hz: F0 by the other.
        level_db: Level in dBFS.
        settings: Thresholds.
    """
    loud_db = np.percentile(level_db[level_db >= level_db.max() - RANGE_DB], 95)
    quiet = level_db <= max(loud_db - settings.gate_db, FLOOR_DB)
    both, neither = (first_hz > 0) & (second_hz > 0), (first_hz <= 0) & (second_hz <= 0)
    ratio = np.divide(first_hz, second_hz, out=np.ones(len(first_hz)), where=both)
    near = both & (np.abs(hz_to_cents(ratio, 1.0)) <= settings.within_cents)
    f0_hz = np.where(near, np.sqrt(first_hz.clip(0) * second_hz.clip(0)), np.nan)
    f0_hz[neither | quiet] = 0.0
    return f0_hz


def _blocks(audio: AudioFile) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks with margins, zeros beyond the ends, and the number of frames between the margins."""
    n_frames = GRID.n_frames(max(audio.length_at(GRID.sample_rate), 1))
    for first in range(0, n_frames, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, n_frames - first)
        start, stop = (
            (first + n) * GRID.hop_length for n in (-MARGIN_FRAMES, frames + MARGIN_FRAMES)
        )
        inside = max(start, 0)
        wav = read_stretch([audio], GRID.sample_rate, 1, inside, stop - inside)[0, 0]
        if not np.isfinite(wav).all():
            raise DataError(f"{audio.path} contains NaN or infinite samples: download it again.")
        yield np.pad(wav, (inside - start, stop - inside - len(wav))), frames


def _power(wav: np.ndarray, n_frames: int) -> np.ndarray:
    """Mean square of 40 ms around the centres of the frames of a block, ``(n_frames,)``."""
    halves = np.square(wav, dtype=np.float64).reshape(-1, GRID.hop_length).mean(1)  # of 20 ms
    return (halves[1:] + halves[:-1])[MARGIN_FRAMES - 1 :][:n_frames] / 2


def _write(target: Path, f0_hz: np.ndarray) -> None:
    times = GRID.times(len(f0_hz))
    rows = [f"{sec:.2f},{hz:.2f}\n" for sec, hz in zip(times, f0_hz, strict=True)]
    try:
        write_text(target, "time,f0_hz\n" + "".join(rows))
    except OSError as err:
        raise DataError(f"Cannot write {target}: {err.strerror or err}.") from err
    read_columns.cache_clear()  # it may contain earlier labels
