"""Resample a folder in the layout of MUSDB once, rather than during every training.

``python -m asteroid_joint.data.resampled SOURCE DEST [--sample_rate 16000] [--n_channels 1]``

Stems are resampled exactly as :mod:`.files` does on the fly. Other files of a track (labels,
``meta.json``) and notes on the whole dataset beside its sides (``corpus.json``) are copied.
Existing tracks are kept.
"""

import argparse
import shutil
import sys
from pathlib import Path

import soundfile as sf
from tqdm import tqdm

from ..errors import ConfigError, DataError, UserError
from ..files import atomic_folder, atomic_write
from .files import audio_file, common_format, read_stretch
from .multitrack import track_folders

SIDES = ("train", "valid", "test")
NOTES = ("", ".csv", ".json", ".md", ".txt", ".yml", ".yaml")  # not the archives themselves


def resample_folder(
    source: str | Path, dest: str | Path, sample_rate: int, n_channels: int | None = None
) -> int:
    """Write ``source`` to ``dest`` in 32-bit float at another rate.

    Args:
        source: Folder that contains ``train``, ``test`` and, optionally, ``valid``.
        dest: Folder, created if necessary. A track appears in it when it is complete.
        sample_rate: Hz, above 0.
        n_channels: 1 for the mean of the channels; ``None`` keeps them.

    Returns:
        Number of written tracks.

    Raises:
        DataError: If tracks are missing or unreadable, or ``dest`` is not writable or has tracks of
            another format.
        ConfigError: If the rate or number of channels is invalid.
    """
    if sample_rate <= 0:
        raise ConfigError(f"{sample_rate} is not a usable sample rate: give one above 0 Hz.")
    if n_channels is not None and n_channels <= 0:
        raise ConfigError(
            f"{n_channels} is not a usable number of channels: give 1 or leave it out."
        )
    source, dest = Path(source).expanduser(), Path(dest).expanduser()
    tracks = [track for side in SIDES for track in track_folders(source / side)]
    if not tracks:
        raise DataError(f"No tracks in {source}: expected train/<track>/mixture.wav, as in MUSDB.")
    pairs = [(track, dest / track.relative_to(source)) for track in tracks]
    missing = [(track, target) for track, target in pairs if not target.is_dir()]
    for _, target in pairs:
        if target.is_dir():
            _check_written(target, sample_rate, n_channels)
    for track, target in tqdm(missing, desc=f"{sample_rate} Hz", unit="track", disable=None):
        try:
            with atomic_folder(target) as part:
                _write_track(track, part, sample_rate, n_channels)
        except (OSError, sf.LibsndfileError, AssertionError) as err:  # the last: a short write
            raise _failure(target, err) from err
    for path in _plain_files(source):
        if path.suffix.lower() in NOTES:
            _copy_note(path, dest / path.name)
    return len(missing)


def _check_written(target: Path, sample_rate: int, n_channels: int | None) -> None:
    """Refuse an existing track of another format."""
    there = audio_file(target / "mixture.wav")
    if there.sample_rate != sample_rate or there.n_channels != (n_channels or there.n_channels):
        raise DataError(
            f"{target} already exists, at {there.sample_rate} Hz with {there.n_channels} "
            "channels: give another folder, or remove it."
        )


def _write_track(track: Path, part: Path, sample_rate: int, n_channels: int | None) -> None:
    for path in _plain_files(track):
        if path.suffix != ".wav":
            shutil.copy(path, part)
            continue
        file = audio_file(path)
        rate, channels = common_format([file], sample_rate, n_channels)
        wav = read_stretch([file], rate, channels)[0]  # (C, T)
        sf.write(part / path.name, wav.T, rate, subtype="FLOAT")


def _copy_note(path: Path, target: Path) -> None:
    try:
        with atomic_write(target) as part:
            shutil.copy(path, part)
    except OSError as err:
        raise _failure(target, err) from err


def _plain_files(folder: Path) -> list[Path]:
    """Files of a folder in order, without hidden ones."""
    return [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]


def _failure(target: Path, err: Exception) -> DataError:
    reason = getattr(err, "strerror", None) or str(err) or "not all of it was written"
    return DataError(f"{target} cannot be written ({reason}): check disk and permissions.")


def main(argv: list[str] | None = None) -> None:
    """Command line; errors are one sentence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--sample_rate", type=int, default=16000)
    parser.add_argument("--n_channels", type=int)
    args = parser.parse_args(argv)
    try:
        n = resample_folder(args.source, args.dest, args.sample_rate, args.n_channels)
    except UserError as err:
        sys.exit(f"resampled: {err}")
    print(f"{n} tracks written to {args.dest}")


if __name__ == "__main__":
    main()
