"""F0 curves as files, written incrementally: one class per format, one line to register it."""

from .arrays import NpyPitch, RvcPitch
from .base import (
    F0_FILE,
    F0_HEADER,
    PITCH_FORMATS,
    CsvPitch,
    MirEvalPitch,
    PitchFiles,
    PitchWriter,
    f0_csv_line,
)
from .diffsinger import DiffSingerPitch
from .jams import JamsPitch
from .praat import PraatPitch
from .svl import MODEL_WIDTH, SvlPitch

__all__ = [
    "F0_FILE",
    "F0_HEADER",
    "MODEL_WIDTH",
    "PITCH_FORMATS",
    "CsvPitch",
    "DiffSingerPitch",
    "JamsPitch",
    "MirEvalPitch",
    "NpyPitch",
    "PitchFiles",
    "PitchWriter",
    "PraatPitch",
    "RvcPitch",
    "SvlPitch",
    "f0_csv_line",
]
