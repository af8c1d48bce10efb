"""Data of the page's plot of a song: the voice's spectrogram as pictures, the rest as numbers.

Files of the song are read block by block, in little memory. The spectrogram is divided into tiles,
of which a browser loads those in view; zoomed out, it shows an overview made of the maxima of
neighbouring columns.
"""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from ...audio.reading import BLOCK
from ...dsp.columns import COLUMN_SEC, RANGE_DB, Columns, LogSpectrogram, shades_db
from ...dsp.downmix import audible_channel
from ...inference.pitch_files import F0_FILE
from ...optional import optional
from ...pitch import hz_to_midi

LOWEST_HZ, HIGHEST_HZ = 55.0, 5000.0
STEP_DB, FLOOR_DB = 0.5, -120.0  # levels are stored as one byte each
TILE_COLUMNS = 1024  # 20 s
MOST_OVERVIEW = 2048  # columns
MOST_WAVE = 2048  # points of a waveform's outline
NOTES_FILE = "notes.csv"
MARGIN_BELOW, MARGIN_ABOVE = 5, 14  # semitones shown around the melody
LEAST_VIEW = 30.0  # semitones
USUAL_VIEW = 45.0, 84.0  # without singing, MIDI pitch
# dark blue to sand: the curve drawn on top is visible at every level
COLORS = {0.0: "#0e1420", 0.35: "#173046", 0.6: "#2a5a66", 0.82: "#6f9a8d", 1.0: "#d9dcc0"}


def make_view(folder: Path, sources: tuple[str, ...]) -> dict[str, Any]:
    """Write the pictures of a separated song and return the data to draw over them.

    Args:
        folder: Folder with the stems and, if the model estimates pitch, ``f0.csv`` and
            ``notes.csv``; ``tile-<n>.png`` and ``overview.png`` are written there.
        sources: Names of the stems, the voice first.

    Returns:
        Plain values for JSON: ``seconds``; ``picture`` (``column_sec``, ``tile_columns``,
        ``tiles``, ``overview_columns``, ``low``, ``high`` in MIDI semitones); ``pitch`` (``start``,
        ``hop`` in seconds, ``cents``: hundredths of MIDI semitones or 0 where unvoiced,
        ``confidence`` in percent); ``notes``: onset and offset in seconds,
        MIDI pitch, confidence from 0 to 1; ``waves``: the peaks of each stem in percent of the
        highest; ``range``: the pitches to show; ``peak``: the highest absolute sample of all stems.

    Raises:
        UserError: If Pillow is not installed.
    """
    with sf.SoundFile(folder / f"{sources[0]}.wav") as file:
        seconds = file.frames / file.samplerate
    picture = _draw(folder, [folder / f"{source}.wav" for source in sources])
    waves = {source: _outline(folder / f"{source}.wav") for source in sources}
    peak = max(float(wave.max(initial=0)) for wave in waves.values())
    has_pitch = (folder / F0_FILE).exists()
    notes = _notes(folder / NOTES_FILE) if has_pitch else []
    pitch = _pitch(folder / F0_FILE) if has_pitch else None
    return {
        "seconds": seconds,
        "picture": picture,
        "pitch": pitch,
        "notes": notes,
        "waves": {
            source: np.rint(100 * wave / max(peak, 1e-9)).astype(int).tolist()
            for source, wave in waves.items()
        },
        "range": _range(notes, picture),
        "peak": peak,
    }


def _draw(folder: Path, stems: list[Path]) -> dict[str, Any]:
    """Write the tiles and the overview of the first stem; all together are the mixture."""
    with sf.SoundFile(stems[0]) as file:
        spectrogram = LogSpectrogram(file.samplerate, LOWEST_HZ, HIGHEST_HZ)
        column_sec = spectrogram.hop / file.samplerate
        blocks = file.blocks(BLOCK, dtype="float32", always_2d=True)  # (T, C) each
        parts = [
            _levels(spectrogram.push(audible_channel(b.T)), spectrogram.unit_power) for b in blocks
        ]
    parts.append(_levels(spectrogram.finish(), spectrogram.unit_power))
    levels = np.concatenate(parts)  # (N, F)
    overview = Columns(lambda block: block.max(1), MOST_OVERVIEW)
    overview.push(levels)
    highest_db = STEP_DB * int(levels.max(initial=0))
    black = shades_db(highest_db, _below_db(stems))[0] / STEP_DB
    for n, start in enumerate(range(0, len(levels), TILE_COLUMNS)):
        _save(folder / f"tile-{n}.png", levels[start : start + TILE_COLUMNS], black)
    _save(folder / "overview.png", whole := overview.values(), black)
    low, high = hz_to_midi(spectrogram.hz[[0, -1]]).tolist()
    return {
        "column_sec": column_sec,
        "tile_columns": TILE_COLUMNS,
        "columns": len(levels),
        "tiles": -(-len(levels) // TILE_COLUMNS),
        "overview_columns": len(whole),
        "overview_column_sec": column_sec * overview.width,
        "low": low - 0.25,  # a row covers a quarter of a semitone on either side of its centre
        "high": high + 0.25,
    }


def _below_db(stems: list[Path]) -> float:
    """Level of the loudest 20 ms of the sum of stems above that of the first alone."""
    loudest = np.zeros(2)  # mean squares of the first, of all
    with ExitStack() as opened:
        files = [opened.enter_context(sf.SoundFile(stem)) for stem in stems]
        step = max(1, round(COLUMN_SEC * files[0].samplerate))
        blocks = (file.blocks(step * 256, dtype="float32", always_2d=True) for file in files)
        for block in zip(*blocks, strict=True):  # (T, C) of each stem
            mono = np.stack([audible_channel(stem.T) for stem in block])  # (S, T)
            both = np.pad([mono[0], mono.sum(0)], ((0, 0), (0, -mono.shape[1] % step)))
            powers = np.square(both.reshape(2, -1, step)).mean(2)
            loudest = np.maximum(loudest, powers.max(1, initial=0))
    voice_db, mixture_db = 10 * np.log10(np.maximum(loudest, 1e-12))
    return float(mixture_db - voice_db)


def _levels(power: np.ndarray, unit_power: float) -> np.ndarray:
    """Convert powers ``(N, F)`` to bytes: steps of ``STEP_DB`` above ``FLOOR_DB``."""
    level_db = 10 * np.log10(np.maximum(power / unit_power, 1e-12))
    return ((level_db - FLOOR_DB) / STEP_DB).clip(0, 255).astype(np.uint8)


def _save(path: Path, levels: np.ndarray, black: float) -> None:
    """Write levels ``(N, F)`` as a picture with the lowest frequency at the bottom."""
    image = optional("PIL.Image", "demo")
    steps = RANGE_DB / STEP_DB
    shades = ((levels.astype(np.float32) - black) / steps * 63).clip(0, 63).astype(np.uint8)
    picture = image.fromarray(np.ascontiguousarray(shades.T[::-1]))  # (F, N)
    picture.putpalette(_palette())
    picture.save(path, optimize=True)


def _palette() -> bytes:
    """64 colours as RGB bytes."""
    places = list(COLORS)
    known = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLORS.values()])
    at = np.linspace(0, 1, 64)
    return np.stack([np.interp(at, places, part) for part in known.T], 1).astype(np.uint8).tobytes()


def _outline(path: Path) -> np.ndarray:
    """Peaks ``(n,)`` of consecutive segments of a file."""
    peaks = Columns(lambda block: block.max(1), MOST_WAVE)
    with sf.SoundFile(path) as file:
        step = max(1, round(COLUMN_SEC * file.samplerate))
        for block in file.blocks(step * 256, dtype="float32", always_2d=True):
            loud = np.abs(block).max(1)  # (T,)
            whole = np.pad(loud, (0, -len(loud) % step)).reshape(-1, step)
            peaks.push(whole.max(1, keepdims=True))
    return peaks.values().reshape(-1)


def _pitch(path: Path) -> dict[str, Any]:
    rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).reshape(-1, 4)
    time, hz, confidence, voiced = rows.T
    sung = (voiced > 0) & (hz > 0)
    cents = np.where(sung, 100 * hz_to_midi(np.where(hz > 0, hz, 440)), 0)
    hop = float(time[-1] - time[0]) / (len(time) - 1) if len(time) > 1 else COLUMN_SEC
    return {
        "start": float(time[0]) if len(time) else 0.0,
        "hop": hop,
        "cents": np.rint(cents).astype(int).tolist(),
        "confidence": np.rint(100 * confidence.clip(0, 1)).astype(int).tolist(),
    }


def _notes(path: Path) -> list[list[float]]:
    """Onset, offset, MIDI pitch and confidence of each note; what is new goes to the end."""
    with open(path, encoding="ascii", newline="") as file:
        return [
            [
                *(round(float(row[key]), 3) for key in ("onset", "offset", "pitch_midi")),
                float(row["confidence"]),
            ]
            for row in csv.DictReader(file)
        ]


def _range(notes: list[list[float]], picture: dict[str, Any]) -> list[float]:
    """Lowest and highest pitch to show, MIDI pitch."""
    pitches = [note[2] for note in notes]
    low, high = USUAL_VIEW
    if pitches:
        low, high = min(pitches) - MARGIN_BELOW, max(pitches) + MARGIN_ABOVE
        high = max(high, low + LEAST_VIEW)
    return [max(low, picture["low"]), min(high, picture["high"])]
