"""Hundreds of files that went wrong: no crash, no hang, no silent loss, and the others are done.

More of them, or others::

    FUZZ_INPUTS=100000 FUZZ_FIRST=1000 make test ARGS=tests/inference/test_fuzz.py
"""

import os
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
from fuzz_files import FAULTS, FFMPEG, SNDFILE, fault_of, make, valid

from asteroid_joint.cli import main

IN_CI = 460
N_INPUTS = int(os.environ.get("FUZZ_INPUTS", IN_CI))
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))
N_SEPARATED = 46  # two of every container


def test_files_that_went_wrong_are_read_as_far_as_they_go(run, tmp_path):
    """In a process of its own, as a decoder that crashes takes its process with it."""
    program = Path(__file__).parents[1] / "fuzz_files.py"
    for first in range(FIRST, FIRST + N_INPUTS, 10000):
        count = min(10000, FIRST + N_INPUTS - first)
        done = run(sys.executable, program, first, count, tmp_path)
        assert done.returncode == 0, (
            f"crashed at file {done.stderr.split()[-1]}: {done.stderr[-500:]}"
        )
        assert done.stdout == ""


def test_a_collection_with_files_that_went_wrong_is_done(weights, tmp_path, capsys):
    inputs = []
    for number in range(FIRST, FIRST + N_SEPARATED):
        name, data = make(number)
        inputs.append(tmp_path / f"{number}.{name}")
        inputs[-1].write_bytes(data)
    for at in (0, N_SEPARATED // 2, N_SEPARATED):
        inputs.insert(at, tmp_path / f"good{at}.wav")
        sf.write(inputs[at], np.random.default_rng(at).uniform(-0.5, 0.5, 8000), 16000)
    out = tmp_path / "out"
    code = main(["separate", *map(str, inputs), "-o", str(out), "--model", str(weights)])
    said = capsys.readouterr().err
    assert code in (0, 1) and "Traceback" not in said and "--debug" not in said
    assert said.count("\n") <= len(inputs)
    for path in inputs:
        done = (out / path.stem / "vocals.wav").exists()
        assert done or str(path) in said
        assert done or not path.stem.startswith("good")


def test_the_files_are_as_they_should_be():
    assert make(5) == make(5) and make(5) != make(5 + len(SNDFILE) + len(FFMPEG))
    data = valid("pcm.wav", 0)
    rng = np.random.default_rng(0)
    assert all(fault(data, rng) != data for fault in FAULTS)


def test_a_fault_is_seen(tmp_path, monkeypatch):
    import asteroid_joint.audio.reading as reading

    path = tmp_path / "song.wav"
    path.write_bytes(valid("pcm.wav", 0))
    assert fault_of(path) == ""
    monkeypatch.setattr(reading.AudioReader, "blocks", lambda self: iter(()))
    assert "1.32 s are there, 0.00 s were read" in fault_of(path)
    monkeypatch.setattr(reading, "open_source", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in fault_of(path)
