"""Pitch: the grid, labels and decoders."""

from .decoders import F0, decode_argmax, decode_viterbi
from .grid import PitchGrid, cents_to_hz, hz_to_cents, hz_to_midi, midi_to_hz
from .labels import pitch_targets, resample_f0

__all__ = [
    "F0",
    "PitchGrid",
    "cents_to_hz",
    "decode_argmax",
    "decode_viterbi",
    "hz_to_cents",
    "hz_to_midi",
    "midi_to_hz",
    "pitch_targets",
    "resample_f0",
]
