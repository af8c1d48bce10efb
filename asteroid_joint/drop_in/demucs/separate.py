"""``demucs.separate.main([...])`` with ``--two-stems vocals``.

References:
    A. Défossez et al., Demucs 4, ``demucs/separate.py`` (options, names of files).
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...dsp.roles import COMPLEMENT, VOICE
from ...errors import ConfigError, UserError
from ..stems import write_stems

FILE_NAME = "{track}/{stem}.{ext}"


def main(opts: Sequence[str] | None = None) -> None:
    """Separate songs into ``vocals`` and ``no_vocals``, as Demucs' own function does.

    Args:
        opts: Demucs' options and files; by default those of the process. Options about its
            computation (``--shifts``, ``--overlap``, ``--segment``, ...) have no effect. Integer
            songs give 24-bit stems that add up to the song, others 32-bit float.

    Raises:
        UserError: One sentence on what is wrong, or why a song cannot be separated.

    Example:
        >>> main(["--two-stems", "drums", "song.mp3"])
        Traceback (most recent call last):
        ...
        asteroid_joint.errors.ConfigError: Only the voice is separated: give --two-stems vocals.
    """
    args = _parser().parse_args(opts)
    if args.stem != VOICE:
        raise ConfigError("Only the voice is separated: give --two-stems vocals.")
    kind = "mp3" if args.mp3 else "flac" if args.flac else "wav"
    for track in args.tracks:
        if not track.exists():
            raise UserError(f"There is no file {track}.")
    for track in args.tracks:
        write_stems(
            track,
            args.out / args.name,
            (VOICE, COMPLEMENT),
            kind,
            partial(_place, args.filename, track, kind),
            args.device,
        )


def _place(pattern: str, track: Path, kind: str, stem: str) -> str:
    """Path of a stem of a track below the folder, without its extension."""
    name, _, extension = track.name.rpartition(".")
    called = VOICE if stem == VOICE else f"no_{VOICE}"
    try:
        path = pattern.format(track=name or extension, trackext=extension, stem=called, ext=kind)
    except (KeyError, ValueError, IndexError) as err:
        raise ConfigError(f"The pattern {pattern!r} is not valid: correct it.") from err
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ConfigError(f"The pattern {pattern!r} leaves the folder: correct it.")
    return path.removesuffix(f".{kind}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("demucs.separate", allow_abbrev=False)
    parser.add_argument("tracks", nargs="+", type=Path)
    parser.add_argument("-n", "--name", default="htdemucs")
    parser.add_argument("-o", "--out", type=Path, default=Path("separated"))
    parser.add_argument("--filename", default=FILE_NAME)
    parser.add_argument("-d", "--device")
    parser.add_argument("--two-stems", dest="stem", metavar="STEM")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--mp3", action="store_true")
    kinds.add_argument("--flac", action="store_true")
    for flag in ("-v", "--verbose"), ("--no-split",), ("--int24",), ("--float32",):
        parser.add_argument(*flag, action="store_true")
    for name in (
        "--shifts",
        "--overlap",
        "--segment",
        "--clip-mode",
        "--mp3-bitrate",
        "--mp3-preset",
        "--repo",
        "--other-method",
    ):
        parser.add_argument(name)
    parser.add_argument("-s", "--sig")
    parser.add_argument("-j", "--jobs")
    return parser
