"""Sample formats of PCM, by the names that FFmpeg gives them."""

from typing import NamedTuple


class SampleFormat(NamedTuple):
    """How one sample of one channel is written; 24-bit samples are widened to ``dtype``."""

    n_bytes: int
    dtype: str  # of NumPy
    full_scale: int  # what 1.0 is written as
    zero: int = 0  # what silence is written as


SAMPLE_FORMATS = {
    "u8": SampleFormat(1, "u1", 1 << 7, 1 << 7),
    "s16le": SampleFormat(2, "<i2", 1 << 15),
    "s24le": SampleFormat(3, "<i4", 1 << 23),
    "s32le": SampleFormat(4, "<i4", 1 << 31),
    "f32le": SampleFormat(4, "<f4", 1),
}
