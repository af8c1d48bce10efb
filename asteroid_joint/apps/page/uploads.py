"""What the page accepts: names and bytes that visitors send."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import AudioError

MOST_NAME = 80  # characters that are kept
MOST_CHANNELS = 8


@dataclass(frozen=True)
class Limits:
    """What a visitor may send.

    Attributes:
        minutes: Longest song.
        megabytes: Largest file, 10^6 bytes.
        songs: Of one visitor at a time.
        waiting: Songs of all visitors that wait their turn.
    """

    minutes: float = 10.0
    megabytes: float = 200.0
    songs: int = 8
    waiting: int = 20


def clean_name(name: str) -> str:
    """What a file is called on the page and in downloads; never a path.

    Example:
        >>> clean_name("../../x.mp3"), clean_name("My song.wav"), clean_name("..")
        ('x', 'My song', 'song')
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem = kept.rpartition(".")[0] or kept
    return stem[:MOST_NAME].strip(" .") or "song"


async def receive(stream: AsyncIterator[bytes], path: Path, limits: Limits) -> None:
    """Write what a visitor sends to a file, up to the limit.

    Args:
        stream: The body of the request.
        path: File to write; what is left of it at an error is for the caller to remove.
        limits: Of the page.

    Raises:
        AudioError: If it is too large.
    """
    left = round(limits.megabytes * 1e6)
    with open(path, "wb") as file:
        async for block in stream:
            left -= len(block)
            if left < 0:
                raise too_large(limits)
            file.write(block)


def too_large(limits: Limits) -> AudioError:
    """What is said of a file above the limit."""
    return AudioError(
        f"The file is larger than {limits.megabytes:g} MB, the most this page takes: "
        "send a shorter or a compressed one (FLAC, MP3)."
    )


def check_song(path: Path, limits: Limits) -> None:
    """Refuse what is no song, or too long as far as its header tells.

    Raises:
        AudioError: One sentence on why.
    """
    from ...audio import open_audio

    with open_audio(path) as reader:
        if reader.n_channels > MOST_CHANNELS:
            raise AudioError(
                f"The song has {reader.n_channels} channels: this page takes up to {MOST_CHANNELS}."
            )
        if reader.announced is not None:
            check_length(reader.announced / reader.sample_rate, limits)


def check_length(seconds: float, limits: Limits) -> None:
    """Refuse a song above the limit.

    Raises:
        AudioError: One sentence.
    """
    if seconds > 60 * limits.minutes:
        raise AudioError(
            f"The song is longer than {limits.minutes:g} minutes, the most this page takes: "
            "'asteroid-joint separate' takes any length."
        )
