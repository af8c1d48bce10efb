"""Stems in formats that are made when somebody asks for them."""

from pathlib import Path

import soundfile as sf

from ...audio import AUDIO_FORMATS, StemWriter, to_pcm24
from ...audio.reading import BLOCK
from ...errors import AudioError

FORMATS = ("flac", "mp3")


def convertible(files: list[Path]) -> dict[str, Path]:
    """Names of what can be made of the WAV files among some, and what of.

    Formats that do not support a file's sample rate or channels are left out.

    Args:
        files: Files of a song.
    """
    found = {}
    for path in files:
        if path.suffix == ".wav" and path.exists():
            info = sf.info(path)
            for name in FORMATS:
                try:
                    AUDIO_FORMATS[name].check(info.samplerate, info.channels, path.name)
                except AudioError:
                    continue
                found[f"{path.stem}.{name}"] = path
    return found


def convert(source: Path, name: str) -> Path:
    """Make a file of a stem beside it, unless it is there; it appears when it is complete.

    Args:
        source: A WAV file.
        name: Name of the other, a key of :func:`convertible`.

    Raises:
        OutputError: If it cannot be written.
    """
    target = source.with_name(name)
    if target.exists():
        return target
    part = target.with_name(f".part-{name}")
    try:
        with sf.SoundFile(source) as file:
            kind = "PCM_24" if file.subtype == "PCM_24" else "FLOAT"
            form = file.samplerate, file.channels, kind, None, target.suffix[1:]
            with StemWriter(part, *form) as writer:
                for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
                    wav = block.T  # (C, T)
                    exact = writer.sample_type == "PCM_24"  # float32 holds 24 bits
                    writer.write(to_pcm24(wav, wav[None], None)[0] if exact else wav)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
