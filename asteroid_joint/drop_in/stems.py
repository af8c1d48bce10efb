"""Stems for programs that expect them as another program writes them."""

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..inference.destination import make_folder
from ..inference.options import SeparateOptions
from ..models.base import JointModel
from .pitch import ONE_AT_A_TIME, chosen_model, plain_device


@functools.lru_cache(maxsize=1)
def _model(name: str, device: str) -> JointModel:
    from ..inference.fast.devices import usable
    from ..inference.fast.fuse import optimize_for_inference
    from ..models.pretrained import load
    from ..optional import pick_device

    model = load(name)
    chosen = usable(model, pick_device(device, inference=True))
    return optimize_for_inference(model) if chosen.type == "cpu" else model.to(chosen)


def write_stems(
    song: str | os.PathLike,
    out_dir: Path,
    stems: Sequence[str],
    audio_format: str,
    place: Callable[[str], str],
    device: Any = None,
) -> dict[str, Path]:
    """Separate a song and put its stems where another program would.

    Existing files are replaced, as those programs do; no file is there before it is complete.

    Args:
        song: Any audio file.
        out_dir: Folder, created if necessary.
        stems: Names of the model's stems.
        audio_format: Name in ``AUDIO_FORMATS``.
        place: Stem to its path below ``out_dir``, without an extension.
        device: What the program passes as a device.

    Returns:
        Stem to its file.

    Raises:
        UserError: One sentence on why the song cannot be separated.
    """
    from ..inference.separate import separate_file

    make_folder(out_dir)
    with ONE_AT_A_TIME, tempfile.TemporaryDirectory(prefix=".part-", dir=out_dir) as hidden:
        options = SeparateOptions(stems=stems, audio_format=audio_format, f0_formats=())
        model = _model(chosen_model(), plain_device(device))
        done = separate_file(model, song, hidden, options, name="stems")
        found = {}
        for stem in stems:
            target = out_dir / f"{place(stem)}.{audio_format}"
            make_folder(target.parent)
            (done.folder / f"{stem}.{audio_format}").replace(target)
            found[stem] = target
    return found
