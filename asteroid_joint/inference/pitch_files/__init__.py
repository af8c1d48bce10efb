"""F0 curves as files, written incrementally: one class per format, one line to register it."""

from .arrays import NpyPitch, RvcPitch
from .base import PITCH_FORMATS, PitchWriter
from .diffsinger import DiffSingerPitch
from .jams import JamsPitch
from .praat import PraatPitch
from .svl import MODEL_WIDTH, SvlPitch
from .text import F0_FILE, F0_HEADER, CsvPitch, MirEvalPitch, f0_csv_line

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
    "PitchWriter",
    "PraatPitch",
    "RvcPitch",
    "SvlPitch",
    "f0_csv_line",
]
