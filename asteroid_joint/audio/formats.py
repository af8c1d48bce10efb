"""Formats that stems can be written in: what each of them can hold.

libsndfile writes all of them. What it answers to a rate or a number of channels that a format does
not have ranges from a sentence to a crash, hence the limits are known here.
"""

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import AudioError
from ..registry import Registry

AUDIO_FORMATS = Registry("audio format")
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz


@dataclass(frozen=True)
class AudioFormat:
    """A format of stems.

    Attributes:
        name: What ``--format`` calls it; also the extension.
        rates: Sample rates that it has, Hz; ``None`` for any.
        most_channels: That it holds.
        subtype: libsndfile's name of the coding; ``None`` where it follows the input.
        compression: libsndfile's level, from 0 (best) to 1 (smallest); ``None`` for its default.
    """

    name: str
    rates: Collection[int] | None
    most_channels: int
    subtype: str | None = None
    compression: float | None = None

    def sample_type(self, of_input: str) -> str:
        """How samples are handed over: ``"PCM_24"`` (integers) or ``"FLOAT"``.

        Args:
            of_input: That of the input: :attr:`AudioReader.subtype`.
        """
        if self.subtype is None:
            return of_input
        return "PCM_24" if self.subtype == "PCM_24" else "FLOAT"

    def check(self, sample_rate: int, n_channels: int, of: object) -> None:
        """Refuse what the format cannot hold.

        Args:
            sample_rate: Hz.
            n_channels: Number of channels.
            of: What has them, for the message.

        Raises:
            AudioError: One sentence that says what it holds.
        """
        if self.rates is not None and sample_rate not in self.rates:
            raise AudioError(
                f"{self.name} cannot hold the {sample_rate} Hz of {of} (it has "
                f"{_said(self.rates)}): choose --format wav."
            )
        if n_channels > self.most_channels:
            raise AudioError(
                f"{self.name} cannot hold the {n_channels} channels of {of} (it has up to "
                f"{self.most_channels}): choose --format wav."
            )


def channels_text(n_channels: int) -> str:
    """What a number of channels is called.

    Example:
        >>> channels_text(2), channels_text(6)
        ('stereo', '6 channels')
    """
    return {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")


def _said(rates: Collection[int]) -> str:
    if isinstance(rates, range):
        return f"rates up to {rates[-1]} Hz"
    *first, last = sorted(rates)
    return f"{', '.join(map(str, first))} and {last} Hz"


for _format in (
    AudioFormat("wav", None, 1024),
    AudioFormat("flac", range(1, 655351), 8, "PCM_24"),
    AudioFormat("mp3", MP3_RATES, 2, "MPEG_LAYER_III", 0.1),  # about 220 kbit/s
    AudioFormat("ogg", range(1, 200001), 255, "VORBIS", 0.2),  # about 260 kbit/s
):
    AUDIO_FORMATS[_format.name] = _format
del _format
