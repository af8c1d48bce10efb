"""Sizes of corpora, known without importing what makes them."""

PRESETS = {"ci": (8, 8.0), "small": (32, 30.0), "medium": (160, 45.0)}  # tracks, seconds of each
BYTES_PER_SEC = 5 * 2 * 2 * 44100  # five stereo files of 16 bits
