"""Reading ``.stem.mp4``, the format of MUSDB18: one file with a stream of audio per stem.

Any excerpt equals that of the decoded stream up to rounding, though only the excerpt is decoded.
"""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

STREAMS = ("mixture", "drums", "bass", "other", "vocals")  # in the file, in this order
SUFFIX = ".stem.mp4"
PREROLL = 4096  # samples: a frame of AAC overlaps the one before it


def stream_facts(path: Path, stream: int) -> tuple[int, int, int]:
    """Sample rate in Hz, channels and length in samples of a stream.

    Raises:
        DataError: If the file is missing or unreadable, or has no such stream.
    """
    import av

    try:
        with av.open(str(path)) as container:
            audio = container.streams.audio[stream]
            rate, layout = audio.codec_context.sample_rate, audio.codec_context.layout
            return rate, layout.nb_channels, round((audio.duration or 0) * _per_tick(audio))
    except (av.FFmpegError, OSError, IndexError, TypeError) as err:
        raise DataError(
            f"{path} is missing or has no stream of {STREAMS[stream]}: download it again."
        ) from err


def read_stream(path: Path, stream: int, start: int, stop: int) -> np.ndarray:
    """Decode an excerpt of a stream, ``(C, stop - start)`` float32.

    Args:
        path: File.
        stream: Index among its streams of audio; see :data:`STREAMS`.
        start: First sample, at the rate on disk.
        stop: Sample after the last one.

    Raises:
        DataError: If it cannot be decoded.
    """
    import av

    parts: list[np.ndarray] = []
    at = None  # sample at which the decoded parts begin
    try:
        with av.open(str(path)) as container:
            audio = container.streams.audio[stream]
            if start > PREROLL:
                container.seek(round((start - PREROLL) / _per_tick(audio)), stream=audio)
            for frame in container.decode(audio):
                first = round((frame.pts or 0) * _per_tick(audio))
                at = first if at is None else at
                if first >= stop:
                    break
                parts.append(frame.to_ndarray())  # (C, T): planar float
    except (av.FFmpegError, OSError, IndexError) as err:
        raise DataError(f"{path} cannot be decoded ({err}): download it again.") from err
    if at is None:
        raise DataError(f"{path} is shorter than its header says: download it again.")
    return np.concatenate(parts, 1)[:, start - at : stop - at].astype(np.float32)


def _per_tick(audio: "AudioStream") -> Fraction:
    """Samples per unit of a stream's clock."""
    return (audio.time_base or Fraction(0)) * audio.codec_context.sample_rate
