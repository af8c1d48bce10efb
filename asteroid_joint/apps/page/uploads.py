"""Limits and checks of the files that visitors upload."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import AudioError
from ...files import portable_name

MOST_NAME = 80  # characters of a name that are kept
MOST_CHANNELS = 8


@dataclass(frozen=True)
class Limits:
    """Limits of the page."""

    minutes: float = 10.0  # of a song
    megabytes: float = 200.0  # of a file, 10^6 bytes
    songs: int = 8  # of a visitor at a time
    waiting: int = 20  # unfinished songs of all visitors


def clean_name(name: str) -> str:
    """Name of a file on the page and in downloads, never a path.

    Example:
        >>> [clean_name(name) for name in ("../../x.mp3", "My song.wav", "..", "con.wav")]
        ['x', 'My song', 'song', 'con_']
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem = kept.rpartition(".")[0] or kept
    return portable_name(stem[:MOST_NAME].strip(" .") or "song")


async def receive(stream: AsyncIterator[bytes], path: Path, limits: Limits) -> None:
    """Write an upload to a file.

    Args:
        stream: Body of the request.
        path: File to write; after an error the caller removes it.
        limits: Limits of the page.

    Raises:
        AudioError: If the upload is too large.
    """
    left = round(limits.megabytes * 1e6)
    with open(path, "wb") as file:
        async for block in stream:
            left -= len(block)
            if left < 0:
                raise too_large(limits)
            file.write(block)


def too_large(limits: Limits) -> AudioError:
    """The error for a file above the limit."""
    return AudioError(
        f"The file is larger than {limits.megabytes:g} MB, the most that this page accepts: "
        "send a shorter or compressed file (FLAC, MP3)."
    )


def check_song(path: Path, limits: Limits) -> None:
    """Refuse a file that contains no audio, or is too long according to its header.

    Raises:
        AudioError: The reason in one sentence.
    """
    from ...audio import open_audio

    with open_audio(path) as reader:
        if reader.n_channels > MOST_CHANNELS:
            raise AudioError(
                f"The song has {reader.n_channels} channels: send one with at most {MOST_CHANNELS}."
            )
        if reader.announced is not None:
            check_length(reader.announced / reader.sample_rate, limits)


def check_length(seconds: float, limits: Limits) -> None:
    """Refuse a song above the limit.

    Raises:
        AudioError: If it is too long.
    """
    if seconds > 60 * limits.minutes:
        raise AudioError(
            f"The song is longer than {limits.minutes:g} minutes, the most that this page accepts: "
            "use 'asteroid-joint separate', which has no limit."
        )
