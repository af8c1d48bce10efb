"""Pitch labels by a teacher: torchcrepe applied to the true vocals of datasets without labels.

For a folder in the layout of MUSDB, ``<labels_dir>/<side>/<track>/`` gets ``vocals_f0.csv``
(``time_sec,f0_hz``, every 10 ms; 0 = unvoiced, ``nan`` = unknown) and ``labels.json`` (settings,
checksum of the audio). Losses and metrics ignore unknown frames, as a label that may be wrong is
worse than none. Keep labels corrected by hand in another folder: here, labels that do not match
their ``labels.json`` are made again. Where two networks have to agree instead: :mod:`.agreed`.

References:
    J. W. Kim et al., "CREPE: A convolutional representation for pitch estimation", ICASSP 2018,
    https://arxiv.org/abs/1802.06182 (the network; the rules for unknown frames are ours).
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..errors import ConfigError, DataError
from ..files import sha256, write_text
from ..optional import optional, pick_device
from ..pitch import PitchGrid, decode_argmax
from .files import AudioFile, audio_file, read_columns, read_stretch
from .multitrack import F0_FILE, LABELS_FILE, track_folders

FORMAT = 1  # version of labels.json and of the rules below
GRID = PitchGrid(160, 16000)  # 10 ms at CREPE's rate
WINDOW = 1024  # samples that CREPE sees per frame
BLOCK_FRAMES = 3000  # in memory at a time
BATCH_FRAMES = 256
RANGE_DB = 60.0  # below the loudest frame: quieter frames do not affect the gate
FLOOR_DB = -90.0  # dBFS; no voice is quieter
CONFUSED_CENTS = (1200, 1900, 2400)  # octave, twelfth, two octaves: partials of one voice
AROUND = 5  # frames on either side that `crowd` considers


@dataclass(frozen=True)
class TeacherSettings:
    """Settings of the labelling.

    Frames more than ``gate_db`` below the loud ones, or with a confidence below ``low``, are
    unvoiced; those with a confidence of at least ``high`` are voiced. Unknown are frames

    - between the two;
    - with a second voice: a peak of the activation of at least ``second`` times the strongest,
      more than 100 cents from it, and not by an octave, a twelfth or two octaves (as found in a
      single voice);
    - above the gate, if such frames are a share of ``crowd`` of the 11 around: CREPE alternates
      between two voices, at times with confidence.

    Args:
        model: ``"full"`` or ``"tiny"`` of torchcrepe.
        low, high: Confidence, 0 to 1.
        gate_db: Gate below a track's loud frames (95th percentile of the audible ones) in dB.
        second, crowd: See above; more than 1 disables the rule.
        min_hz, max_hz: Range of F0 in Hz.

    Raises:
        ConfigError: If a value is invalid.
    """

    model: str = "full"
    low: float = 0.25
    high: float = 0.6
    gate_db: float = 45.0
    second: float = 0.5
    crowd: float = 0.3
    min_hz: float = 50.0
    max_hz: float = 1500.0

    def __post_init__(self) -> None:
        if self.model not in ("full", "tiny"):
            raise ConfigError(
                f"Expected full or tiny as the teacher's model, received {self.model!r}."
            )
        if not 0 <= self.low <= self.high <= 1:
            raise ConfigError(f"Expected 0 <= low <= high <= 1, received {self.low}, {self.high}.")
        if self.gate_db <= 0 or self.second <= 0 or self.crowd <= 0:
            raise ConfigError("gate_db, second and crowd of the teacher must be above 0.")
        if not 0 < self.min_hz < self.max_hz:
            raise ConfigError(f"Expected 0 < min_hz < max_hz, received {self.min_hz, self.max_hz}.")


def label_vocals(
    data_dir: str | Path,
    labels_dir: str | Path,
    settings: TeacherSettings | None = None,
    device: str = "auto",
    progress: bool = True,
    relabel: bool = False,
) -> str:
    """Label the vocals of all tracks that have no labels of these settings yet.

    An interrupted run can be resumed, as every track is written completely or not at all.

    Args:
        data_dir: Folder with ``train``, ``test`` and, optionally, ``valid``; a folder per track.
        labels_dir: Folder for the labels.
        settings: Settings of the labelling.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        progress: Whether to show a bar, in seconds of audio.
        relabel: Whether to replace labels of other settings, which are refused otherwise.

    Returns:
        A one-sentence report.

    Raises:
        DataError: If tracks are missing, files are missing or not audio, or existing labels have
            other settings.
        UserError: If a GPU is requested but not available.
    """
    settings = settings or TeacherSettings()
    root, target = Path(data_dir).expanduser(), Path(labels_dir).expanduser()
    folders = [path for side in ("train", "valid", "test") for path in track_folders(root / side)]
    if not folders:
        raise DataError(
            f"No tracks in {root}: expected train/<track>/mixture.wav and test/..., as in MUSDB."
        )
    jobs = [(audio_file(f / "vocals.wav"), target / f.relative_to(root)) for f in folders]
    if not relabel:
        for _, folder in jobs:
            _refuse_other_settings(folder / LABELS_FILE, settings)
    chosen = pick_device(device)
    made = 0
    shares: list[tuple[int, int, int]] = []  # frames, voiced, unknown
    total = round(sum(audio.n_samples / audio.sample_rate for audio, _ in jobs))
    off = None if progress else True  # None: off unless on a terminal
    with tqdm(total=total, desc=f"torchcrepe {settings.model}", unit="s", disable=off) as bar:
        for audio, folder in jobs:
            checksum = sha256(audio.path)
            facts = _current(folder, settings, checksum)
            if facts is None:
                f0_hz = label_voice(audio, settings, chosen, bar.update)
                facts = _write(folder, f0_hz, settings, checksum)
                made += 1
            else:
                bar.update(audio.n_samples / audio.sample_rate)
            shares.append((facts["frames"], facts["voiced"], facts["unknown"]))
    frames, voiced, unknown = np.sum(shares, 0)
    return (
        f"labels of {len(jobs)} tracks in {target}: {made} made, {len(jobs) - made} kept; "
        f"{100 * voiced / frames:.0f} % of frames voiced, {100 * unknown / frames:.0f} % unknown"
    )


def label_voice(
    audio: AudioFile,
    settings: TeacherSettings,
    device: str | torch.device = "cpu",
    update: Callable[[float], Any] | None = None,
) -> np.ndarray:
    """Estimate F0 of a recorded voice; channels are mixed down.

    Args:
        audio: Recording of any rate and length, read in blocks.
        settings: Settings of the labelling.
        device: Device of the network.
        update: Called with the seconds of each processed block.

    Returns:
        ``(frames,)`` Hz every 10 ms, 0 = unvoiced, NaN = unknown.
    """
    parts = []
    for wav in _blocks(audio):  # with half a window on either side
        parts.append(_estimate(wav, settings, device))
        if update:
            update(len(parts[-1][0]) * float(GRID.hop))
    hz, confidence, second, power = (np.concatenate(x) for x in zip(*parts, strict=True))
    return judge(hz, confidence, second, 10 * np.log10(power + 1e-12), settings)


def judge(
    hz: np.ndarray,
    confidence: np.ndarray,
    second: np.ndarray,
    level_db: np.ndarray,
    settings: TeacherSettings,
) -> np.ndarray:
    """Which frames are voiced, unvoiced (0) and unknown (NaN); see :class:`TeacherSettings`.

    Args:
        hz: F0 of the strongest peak, ``(frames,)`` like the others.
        confidence: Activation of that peak.
        second: Activation of another voice.
        level_db: Level in dBFS.
        settings: Thresholds.
    """
    loud_db = np.percentile(level_db[level_db >= level_db.max() - RANGE_DB], 95)
    audible = level_db > max(loud_db - settings.gate_db, FLOOR_DB)
    doubtful = (confidence >= settings.low) & (confidence < settings.high)
    doubtful |= (confidence >= settings.low) & (second >= settings.second * confidence)
    doubtful &= audible
    share = np.convolve(doubtful, np.full(2 * AROUND + 1, 1 / (2 * AROUND + 1)), "full")
    crowded = audible & (share[AROUND : AROUND + len(hz)] >= settings.crowd)
    f0_hz = np.where(audible & (confidence >= settings.high), hz, 0.0)
    f0_hz[doubtful | crowded] = np.nan
    return f0_hz


def _blocks(audio: AudioFile) -> Iterator[np.ndarray]:
    """Blocks at CREPE's rate that overlap by a window less a hop, zeros beyond the ends."""
    n_samples = audio.length_at(GRID.sample_rate)
    n_frames = GRID.n_frames(max(n_samples, 1))
    for first in range(0, n_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, n_frames) - 1
        start, stop = (i * GRID.hop_length for i in (first, last))
        start, stop = start - WINDOW // 2, stop + WINDOW // 2
        inside = max(start, 0)
        wav = read_stretch([audio], GRID.sample_rate, 1, inside, stop - inside)[0, 0]
        if not np.isfinite(wav).all():
            raise DataError(f"{audio.path} contains NaN or infinite samples: download it again.")
        yield np.pad(wav, (inside - start, stop - inside - len(wav)))


@torch.inference_mode()
def _estimate(
    wav: np.ndarray, settings: TeacherSettings, device: str | torch.device
) -> tuple[np.ndarray, ...]:
    """Hz, confidence, activation of a second voice and power of the frames of a block."""
    crepe = optional("torchcrepe", "eval")
    hop = GRID.hop_length
    batches = crepe.preprocess(
        torch.from_numpy(wav)[None], GRID.sample_rate, hop, BATCH_FRAMES, device, pad=False
    )
    activation = torch.cat([crepe.infer(x, settings.model, device).cpu() for x in batches])
    activation[:, : math.ceil(GRID.hz_to_bin(settings.min_hz))] = 0.0  # (N, P)
    activation[:, math.floor(GRID.hz_to_bin(settings.max_hz)) + 1 :] = 0.0
    f0 = decode_argmax(activation, GRID)  # torchcrepe's own decoders dither
    centre = wav[WINDOW // 2 - hop : len(wav) - WINDOW // 2 + hop]
    power = np.convolve(centre.astype(float) ** 2, np.full(2 * hop, 0.5 / hop), "valid")[::hop]
    second = _second_voice(activation.numpy())
    return f0.hz.numpy(), f0.confidence.numpy(), second, power[: len(second)]


def _second_voice(activation: np.ndarray) -> np.ndarray:
    """Activation of the strongest peak of another voice, from activations ``(N, P)``, ``(N,)``."""
    first = activation.argmax(1)
    cents = np.abs(np.arange(activation.shape[1]) - first[:, None]) * GRID.cents_per_bin
    other = cents > 100
    for interval in CONFUSED_CENTS:
        other &= np.abs(cents - interval) > 50
    padded = np.pad(activation, [(0, 0), (1, 1)])
    peak = (activation >= padded[:, :-2]) & (activation >= padded[:, 2:])
    return np.where(other & peak, activation, 0.0).max(1)


def _made_by(settings: TeacherSettings) -> dict[str, Any]:
    return {"format": FORMAT, **asdict(settings)}


def _read_facts(path: Path) -> dict[str, Any] | None:
    """Content of ``labels.json``; ``None`` if it is missing or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return facts if isinstance(facts, dict) and "settings" in facts else None
    except (OSError, ValueError):
        return None


def _refuse_other_settings(path: Path, settings: TeacherSettings) -> None:
    facts, wanted = _read_facts(path), _made_by(settings)
    if facts is None or facts["settings"] == wanted:
        return
    was = facts["settings"] if isinstance(facts["settings"], dict) else {}
    changed = [f"{k} {was.get(k)}, now {v}" for k, v in wanted.items() if was.get(k) != v]
    raise DataError(
        f"{path} was made with other settings ({'; '.join(changed) or 'unknown ones'}): use "
        "--relabel true to make all labels again, or another --labels_dir."
    )


def _current(folder: Path, settings: TeacherSettings, checksum: str) -> dict[str, Any] | None:
    """Facts of labels that are up to date, else ``None``."""
    facts, labels = _read_facts(folder / LABELS_FILE), folder / F0_FILE
    wanted = {"settings": _made_by(settings), "vocals_sha256": checksum}
    if facts is None or not labels.is_file() or any(facts.get(k) != v for k, v in wanted.items()):
        return None
    whole = facts.get("labels_sha256") == sha256(labels)
    return facts if whole and {"frames", "voiced", "unknown"} <= facts.keys() else None


def _write(
    folder: Path, f0_hz: np.ndarray, settings: TeacherSettings, checksum: str
) -> dict[str, Any]:
    """Write both files, last ``labels.json``, which marks the other as complete."""
    times = GRID.times(len(f0_hz))
    rows = [f"{sec:.2f},{hz:.3f}" for sec, hz in zip(times, f0_hz, strict=True)]
    labels = "\n".join(["time_sec,f0_hz", *rows]) + "\n"
    facts = {
        "settings": _made_by(settings),
        "vocals_sha256": checksum,
        "labels_sha256": hashlib.sha256(labels.encode()).hexdigest(),
        "frames": len(f0_hz),
        "voiced": int(np.sum(f0_hz > 0)),
        "unknown": int(np.isnan(f0_hz).sum()),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LABELS_FILE).unlink(missing_ok=True)
        write_text(folder / F0_FILE, labels)
        write_text(folder / LABELS_FILE, json.dumps(facts, indent=1) + "\n")
    except OSError as err:
        raise DataError(f"Cannot write labels to {folder}: {err.strerror or err}.") from err
    read_columns.cache_clear()  # it may contain earlier labels
    return facts
