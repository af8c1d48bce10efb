"""What a decoder of one file offers to :class:`~asteroid_joint.audio.AudioReader`."""

from collections.abc import Iterator

import numpy as np

TOLERANCE_SEC = 0.1  # decoders differ by this much at the end of a file


class CannotDecode(Exception):
    """This decoder does not know the format; another one may."""


class Source:
    """A decoder and its open file.

    Attributes:
        sample_rate: Hz.
        n_channels: Number of channels.
        subtype: How to store the samples without loss, ``"PCM_24"`` or ``"FLOAT"``.
        announced: Samples per channel according to the header, ``None`` if it does not say.
        estimated: Whether that is a guess from the size of the file.

    The following are known after decoding.

    Attributes:
        damaged: Whether parts could not be decoded.
        n_silenced: Samples per channel that could not be decoded and are silent instead.
        first_silenced: Position of the first of them, in samples.
        goes_on: Whether the file continues beyond the last that could be decoded.
    """

    sample_rate: int
    n_channels: int
    subtype: str
    announced: int | None
    estimated: bool = False
    damaged: bool = False
    n_silenced: int = 0
    first_silenced: int = 0
    goes_on: bool = False

    def decode(self) -> Iterator[np.ndarray]:
        """Yield float32 ``(T, C)`` of any length, once from beginning to end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError
