"""Sample formats of PCM, by the names that FFmpeg gives them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleFormat:
    """How one sample of one channel is written.

    Attributes:
        n_bytes: Size.
        dtype: NumPy's name; for three bytes the type that they are widened to.
        full_scale: What 1.0 is written as.
        zero: What silence is written as.
    """

    n_bytes: int
    dtype: str
    full_scale: int
    zero: int = 0


SAMPLE_FORMATS = {
    "u8": SampleFormat(1, "u1", 1 << 7, 1 << 7),
    "s16le": SampleFormat(2, "<i2", 1 << 15),
    "s24le": SampleFormat(3, "<i4", 1 << 23),
    "s32le": SampleFormat(4, "<i4", 1 << 31),
    "f32le": SampleFormat(4, "<f4", 1),
}
