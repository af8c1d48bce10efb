"""Version of this release and its default weights; imports nothing."""

__version__ = "0.1.0"
DEFAULT_MODEL = "djcm_pop"  # shipped weights
