"""A folder in the layout of MUSDB at another rate, once, for trainings that would do it every time.

``python -m asteroid_joint.data.resampled SOURCE DEST [--sample_rate 16000] [--n_channels 1]``

Every stem is resampled as :mod:`.files` does it on the fly, so that a training hears the same;
other files of a track (labels, ``meta.json``) are copied. Tracks that are there are left alone.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import soundfile as sf
from tqdm import tqdm

from ..errors import DataError, UserError
from .files import audio_file, common_format, read_stretch

SIDES = ("train", "valid", "test")


def resample_folder(
    source: str | Path, dest: str | Path, sample_rate: int, n_channels: int | None = None
) -> int:
    """Write ``source`` to ``dest`` in 32-bit float at another rate.

    Args:
        source: Folder that holds ``train``, ``test`` and, perhaps, ``valid``.
        dest: Folder; made if need be. A track appears in it when it is complete.
        sample_rate: Hz.
        n_channels: 1 for the mean of the channels; ``None`` leaves them.

    Returns:
        Tracks that were written.

    Raises:
        DataError: If there are no tracks, or they cannot be read.
    """
    source, dest = Path(source).expanduser(), Path(dest).expanduser()
    tracks = [p.parent for side in SIDES for p in sorted((source / side).glob("*/mixture.wav"))]
    if not tracks:
        raise DataError(f"No tracks in {source}: expected train/<track>/mixture.wav, as in MUSDB.")
    written = 0
    for track in tqdm(tracks, desc=f"{sample_rate} Hz", unit="track", disable=None):
        target = dest / track.relative_to(source)
        if target.is_dir():
            continue
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for path in sorted(track.iterdir()):
            if path.suffix != ".wav":
                shutil.copy(path, part)
                continue
            file = audio_file(path)
            rate, channels = common_format([file], sample_rate, n_channels)
            wav = read_stretch([file], rate, channels)[0]  # (C, T)
            sf.write(part / path.name, wav.T, rate, subtype="FLOAT")
        os.replace(part, target)
        written += 1
    return written


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's error is one sentence."""
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
