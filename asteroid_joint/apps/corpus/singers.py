"""The singers: timbre, range and style of each. No singer is in two splits.

Training and validation singers are warped versions of one voice trained on real singing; those of
the test split derive from another voice, so a model is never tested on a timbre source it was
trained on.
"""

from dataclasses import dataclass

from .hts import SPOKEN, SUNG


@dataclass(frozen=True)
class Singer:
    """A singer."""

    name: str  # unique
    side: str  # "train", "valid" or "test"
    voice: str  # source of timbre, see hts
    formant: float  # factor of all formant frequencies; 0.85 sounds like a man, 1.1 like a child
    low_midi: int  # lowest note
    high_midi: int  # highest note
    tilt_db: float  # per octave above 500 Hz; negative is dark, positive bright
    breath: float  # noise between the harmonics, relative to the amplitude
    vibrato_hz: float  # rate
    vibrato_cents: float  # depth on long notes
    glide_sec: float  # rise time from note to note
    damping: float  # of the glide; below 1 the pitch overshoots
    scoop_cents: float  # interval below the note from which phrases begin
    drift_cents: float  # standard deviation of slow pitch drift


_COLUMNS = (
    # name side voice formant low high tilt breath vibrato (Hz, cents) glide damping scoop drift
    ("alto", "train", SUNG, 0.96, 55, 72, -0.5, 0.03, 5.6, 35, 0.055, 0.70, 90, 5),
    ("soprano", "train", SUNG, 1.00, 60, 79, 0.0, 0.02, 6.1, 60, 0.045, 0.80, 60, 4),
    ("girl", "train", SUNG, 1.09, 60, 78, 0.5, 0.05, 5.2, 20, 0.040, 0.85, 120, 8),
    ("belter", "train", SUNG, 1.03, 57, 76, 1.5, 0.01, 5.9, 70, 0.050, 0.65, 150, 5),
    ("whisperer", "train", SUNG, 0.98, 55, 71, -1.5, 0.12, 5.0, 15, 0.065, 0.75, 60, 7),
    ("jazz", "train", SUNG, 0.93, 53, 70, -1.0, 0.06, 5.3, 45, 0.075, 0.70, 180, 6),
    ("tenor", "train", SUNG, 0.87, 48, 67, 0.0, 0.02, 5.7, 50, 0.050, 0.70, 90, 5),
    ("baritone", "train", SUNG, 0.84, 44, 63, -1.0, 0.03, 5.4, 40, 0.060, 0.75, 70, 5),
    ("rocker", "train", SUNG, 0.89, 49, 69, 2.0, 0.08, 5.8, 30, 0.045, 0.62, 200, 9),
    ("boy", "train", SUNG, 0.91, 50, 68, -0.5, 0.05, 5.1, 18, 0.055, 0.80, 100, 8),
    ("crooner", "train", SUNG, 0.85, 45, 64, -2.0, 0.05, 5.0, 65, 0.070, 0.68, 140, 4),
    ("straight", "train", SUNG, 1.05, 58, 75, 0.0, 0.02, 5.5, 6, 0.040, 0.90, 30, 4),
    ("mezzo", "valid", SUNG, 0.945, 56, 73, 0.5, 0.04, 5.8, 40, 0.050, 0.72, 110, 6),
    ("folk", "valid", SUNG, 1.02, 57, 74, -1.0, 0.06, 5.2, 25, 0.060, 0.78, 130, 7),
    ("bass", "valid", SUNG, 0.83, 43, 61, 0.0, 0.03, 5.5, 45, 0.055, 0.70, 80, 5),
    ("high_tenor", "valid", SUNG, 0.88, 50, 69, 1.0, 0.03, 6.0, 35, 0.045, 0.75, 60, 5),
    ("mei", "test", SPOKEN, 1.00, 57, 75, 0.0, 0.03, 5.7, 40, 0.050, 0.72, 100, 5),
    ("mei_dark", "test", SPOKEN, 0.93, 54, 71, -1.0, 0.05, 5.3, 30, 0.060, 0.75, 130, 7),
    ("mei_man", "test", SPOKEN, 0.86, 46, 65, 0.0, 0.03, 5.5, 45, 0.055, 0.70, 90, 5),
    ("mei_bright", "test", SPOKEN, 1.06, 59, 77, 1.0, 0.02, 6.0, 55, 0.045, 0.80, 70, 4),
)
SINGERS = {row[0]: Singer(*row) for row in _COLUMNS}


def singers_of(side: str) -> list[Singer]:
    """The singers of a split."""
    return [singer for singer in SINGERS.values() if singer.side == side]
