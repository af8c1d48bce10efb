"""Many songs in one call: finding, separating and recording them."""

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
