"""``demucs.separate``, for programs that call Demucs from Python."""

from . import separate

__all__ = ["separate"]
