"""Sizes of corpora, apart from the synthesis so that ``--help`` does not import it."""

PRESETS = {"ci": (8, 8.0), "small": (32, 30.0), "medium": (160, 45.0)}  # tracks, seconds of each
BYTES_PER_SEC = 5 * 2 * 2 * 44100  # five 16-bit stereo files
