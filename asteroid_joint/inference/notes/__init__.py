"""Notes of a sung melody from its F0 curve, its confidence, the separated voice and the mixture.

What finds notes, and torch with it, is loaded on first use: ``--help`` lists the formats of files.
"""

from typing import TYPE_CHECKING, Any

from .files import NotesCsv, NotesMidi
from .formats import NOTES_FORMATS, NotesText, NotesWriter, SongFacts, note_name
from .labels import NotesLabels, NotesTextGrid
from .lyrics import Line, lyrics_beside
from .musicxml import NotesMusicXml
from .note import Note
from .segment import NoteRules
from .ultrastar import NotesUltraStar

if TYPE_CHECKING:
    from .tracker import NoteTracker, track_notes

__all__ = [
    "NOTES_FORMATS",
    "Line",
    "Note",
    "NoteRules",
    "NoteTracker",
    "NotesCsv",
    "NotesLabels",
    "NotesMidi",
    "NotesMusicXml",
    "NotesText",
    "NotesTextGrid",
    "NotesUltraStar",
    "NotesWriter",
    "SongFacts",
    "lyrics_beside",
    "note_name",
    "track_notes",
]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use."""
    if name not in ("NoteTracker", "track_notes"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import tracker

    return getattr(tracker, name)
