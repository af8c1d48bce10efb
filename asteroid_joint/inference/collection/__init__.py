"""Many songs in one call: which they are, who does them, and what a manifest says is done."""

from .inputs import Found, Song, find_songs
from .manifest import MANIFEST, Manifest
from .worker import Outcome, SeparateOptions

__all__ = [
    "MANIFEST",
    "Found",
    "Manifest",
    "Outcome",
    "SeparateOptions",
    "Song",
    "find_songs",
]
