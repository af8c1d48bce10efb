"""How many files a reader of ``separate`` opens between the command and the first sample."""

import inspect
import sys
from pathlib import Path

import numpy as np
import soundfile as sf

import asteroid_joint
from asteroid_joint.cli import _parser

PACKAGE = Path(asteroid_joint.__file__).parent
ROOMS = "apps", "audio", "inference", "jobs"  # the model, its layers and dsp are beside the way
MOST = 12


def test_the_way_of_one_song_is_short(tmp_path, weights, monkeypatch):
    entered = {Path("cli.py")}
    write = sf.SoundFile.write

    def watch(frame, event, _):
        code = frame.f_code
        path = Path(code.co_filename)
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and PACKAGE in path.parents:
            entered.add(path.relative_to(PACKAGE))

    def arrived(self, *samples):
        sys.setprofile(None)
        return write(self, *samples)

    monkeypatch.setattr(sf.SoundFile, "write", arrived)
    path = tmp_path / "song.wav"
    with sf.SoundFile(path, "w", 44100, 2) as file:
        write(file, np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 2)))
    call = ["separate", str(path), "-o", str(tmp_path / "out"), "--model", str(weights)]
    args = _parser().parse_args(call)
    sys.setprofile(watch)
    try:
        assert args.run(args) == 0
        assert sys.getprofile() is None
    finally:
        sys.setprofile(None)
    way = sorted(
        str(file)
        for file in entered
        if file.parts[0] in (*ROOMS, "cli.py") and file.parts[1:2] != ("fast",)
    )
    assert "audio/writing.py" in way and len(way) <= MOST, way
