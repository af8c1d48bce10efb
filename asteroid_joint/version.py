"""What this release is called, and what it uses unless told otherwise; imports nothing."""

__version__ = "0.1.0"
DEFAULT_MODEL = "djcm_pop"  # shipped weights
