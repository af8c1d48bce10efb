"""One song of the page, file to files."""

import os
from pathlib import Path

import numpy as np
import soundfile as sf

from ..audio.reading import BLOCK
from ..models.base import JointModel
from ..notes import Note, NotesCsv, NotesMidi, NoteTracker
from ..separate import F0_FILE, Progress, separate_file

NOTES_FILE = "notes.csv"
MIDI_FILE = "notes.mid"


def process(
    model: JointModel, path: str | os.PathLike, folder: str | os.PathLike, progress: Progress
) -> tuple[list[Path], str | None]:
    """Separate a song and write down what was sung.

    Args:
        model: Any joint model.
        path: The song.
        folder: Where a folder with the files is made.
        progress: Called with the seconds done and in all; what it raises ends the work.

    Returns:
        The files: one WAV file per stem and, of a model that reads pitch, ``f0.csv``,
        ``notes.csv`` and ``notes.mid``; and one sentence if the input was cut off or damaged.

    Raises:
        AudioError: One sentence on why the song cannot be separated.
    """
    done = separate_file(model, path, folder, progress=progress)
    files = [done.folder / f"{source}.wav" for source in model.sources]
    if model.has_pitch:
        notes = find_notes(model, files[0], done.folder / F0_FILE)
        with NotesCsv(done.folder / NOTES_FILE) as table:
            table.write(notes)
        with NotesMidi(done.folder / MIDI_FILE) as midi:
            midi.write(notes)
        files += [done.folder / name for name in (F0_FILE, NOTES_FILE, MIDI_FILE)]
    return files, done.warning


def find_notes(model: JointModel, voice: Path, f0_file: Path) -> list[Note]:
    """Notes of a separated voice and its F0 curve.

    Args:
        model: That made them.
        voice: WAV file.
        f0_file: ``f0.csv`` of the same song.
    """
    with sf.SoundFile(voice) as file:
        tracker = NoteTracker(
            float(model.pitch_grid.hop), float(model.voicing_threshold), file.samplerate
        )
        notes = tracker.push(read_f0(f0_file))
        for block in file.blocks(BLOCK, dtype="float32", always_2d=True):  # (T, C)
            notes += tracker.push(np.zeros((0, 4)), block.T)
    return [*notes, *tracker.finish()]


def read_f0(path: Path) -> np.ndarray:
    """Rows of ``f0.csv``, ``(n_frames, 4)``: time, frequency in Hz, confidence, voiced."""
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).reshape(-1, 4)
