"""Many songs in one call: which they are, what is done, and what a manifest says of it."""

from .inputs import Found, Song, find_songs
from .manifest import MANIFEST, Manifest
from .run import Outcome, run_collection

__all__ = [
    "MANIFEST",
    "Found",
    "Manifest",
    "Outcome",
    "Song",
    "find_songs",
    "run_collection",
]
