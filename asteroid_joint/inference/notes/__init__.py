"""Notes of a sung melody from its F0 curve, its confidence, the separated voice and the mixture."""

from .files import NotesCsv, NotesMidi, note_name
from .segment import NoteRules
from .tracker import Note, NoteTracker, track_notes

__all__ = [
    "Note",
    "NoteRules",
    "NoteTracker",
    "NotesCsv",
    "NotesMidi",
    "note_name",
    "track_notes",
]
