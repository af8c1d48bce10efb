"""MedleyDB and MIR-ST500 in little, as documented in their modules; nothing is downloaded."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile as sf
import yaml

RATE = 44100
HOP_SEC = 256 / RATE  # of MedleyDB's melodies


class Song(NamedTuple):
    """What a song of the miniature is like: instruments of its stems, the one that leads."""

    name: str
    instruments: tuple[str, ...] = ("male singer", "drum set", "electric bass")
    lead: int = 1
    melody: bool = True
    ranking: bool = True
    bleed: str = "no"


# sides go by artists: see data/medleydb.py
SONGS = (
    Song("Ann_HighNoon", ("female singer", "vocalists", "piano")),  # train
    Song("Ann_LowTide", ("piano", "male rapper"), lead=2, ranking=False),
    Song("Cleo_Alone", ("choir",)),
    Song("Jan_Guitar", ("male singer", "clean electric guitar"), lead=2),  # melody of a guitar
    Song("Jan_NoLabels", melody=False),
    Song("Tom_Instrumental", ("piano", "drum set")),
    Song("Tom_Bleeding", bleed="yes"),
    Song("Ida_OneAndTwo"),  # valid
    Song("Dora_One", ("drum set", "male singer", "female singer"), lead=3),  # test
    Song("Max_Two"),
)


def lead_hz(sec: np.ndarray, base_hz: float) -> np.ndarray:
    """Two notes with a rest between, 0 Hz there."""
    return np.where((sec > 0.8) & (sec < 1.0), 0.0, base_hz * np.where(sec < 0.9, 1.0, 1.25))


def write_song(root: Path, song: Song, seed: int) -> None:
    """Stems beside metadata; annotations in a tree of their own."""
    rng = np.random.default_rng(seed)
    base_hz = 180.0 + 15 * seed
    audio, notes = root / "V1" / song.name, root / "Annotations" / f"{song.name}_ANNOTATIONS"
    (audio / f"{song.name}_STEMS").mkdir(parents=True)
    notes.mkdir(parents=True)
    sec = np.arange(int(1.9 * RATE) + 100 * seed) / RATE
    stems = {}
    for number, instrument in enumerate(song.instruments, 1):
        file = f"{song.name}_STEM_{number:02d}.wav"
        wav = 0.02 * rng.standard_normal(len(sec))
        if number == song.lead:
            hz = lead_hz(sec, base_hz)
            wav = 0.2 * (hz > 0) * np.sin(2 * np.pi * np.cumsum(hz) / RATE)
        stereo = np.stack([wav, 0.5 * wav], 1)
        sf.write(audio / f"{song.name}_STEMS" / file, stereo, RATE, subtype="FLOAT")
        component = "melody" if number == song.lead else ""
        stems[f"S{number:02d}"] = {
            "component": component,
            "filename": file,
            "instrument": instrument,
        }
    facts = {"artist": song.name.split("_")[0], "has_bleed": song.bleed, "stems": stems}
    facts["instrumental"] = "no"
    (audio / f"{song.name}_METADATA.yaml").write_text(yaml.safe_dump(facts))
    if song.melody:
        times = HOP_SEC * np.arange(int(sec[-1] / HOP_SEC) + 1)
        rows = np.stack([times, lead_hz(times, base_hz)], 1)
        np.savetxt(notes / f"{song.name}_MELODY1.csv", rows, fmt="%.6f", delimiter=",")
    if song.ranking:
        line = f"{song.name}_STEM_{song.lead:02d}.csv,1\n"
        (notes / f"{song.name}_RANKING.txt").write_text(line)


def write_mir_st500(root: Path) -> None:
    """Two songs for training and one each for validation and the test; one has no audio."""
    rng = np.random.default_rng(0)
    notes = {}
    for number, side in ((1, "train"), (7, "train"), (8, ""), (380, "train"), (500, "test")):
        notes[str(number)] = [[0.25, 0.75, 57.0], [0.75, 1.0, 59.0], [1.25, 1.75, 60.0]]
        if not side:
            continue
        (root / side / str(number)).mkdir(parents=True)
        sec = np.arange(2 * 16000) / 16000
        wav = 0.01 * rng.standard_normal(len(sec))
        for onset, offset, midi in notes[str(number)]:
            hz = 440 * 2 ** ((midi - 69) / 12)
            wav += 0.1 * ((sec >= onset) & (sec < offset)) * np.sin(2 * np.pi * hz * sec)
        sf.write(root / side / str(number) / "Mixture.wav", wav, 16000)
    (root / "MIR-ST500_20210206").mkdir()
    (root / "MIR-ST500_20210206" / "MIR-ST500_corrected.json").write_text(json.dumps(notes))


def write_medleydb(root: Path) -> None:
    """See :data:`SONGS`."""
    for seed, song in enumerate(SONGS):
        write_song(root, song, seed)


@pytest.fixture(scope="session")
def medleydb_dir(made_once) -> Path:
    """See :func:`write_medleydb`; to be read only."""
    return made_once("MedleyDB", write_medleydb)


@pytest.fixture(scope="session")
def mir_st500_dir(made_once) -> Path:
    """See :func:`write_mir_st500`; to be read only."""
    return made_once("MIR-ST500", write_mir_st500)
