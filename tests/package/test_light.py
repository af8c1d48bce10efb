"""The light distribution: the same packages, installed without torch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from graphs import halves

pytest.importorskip("onnx")
LIGHT = Path(__file__).parents[2] / "light"
RATE = 16000

LOADED = """
import sys
for name in ("torch", "torchaudio", "asteroid"):
    sys.modules[name] = None  # importing it fails
import asteroid_joint.apps.live.session
import asteroid_joint.apps.page.server
import asteroid_joint.drop_in.audio_separator
import asteroid_joint.drop_in.ddsp_svc
import asteroid_joint.drop_in.demucs.separate
import asteroid_joint.drop_in.rmvpe
import asteroid_joint.drop_in.stems
import asteroid_joint.drop_in.swift_f0
import asteroid_joint.drop_in.torchcrepe
import asteroid_joint.inference.collection.run
import asteroid_joint.inference.track
import asteroid_joint.inference.transcription
from asteroid_joint.cli import _parser
from asteroid_joint.inference.notes import NoteTracker
_parser()
ours = [module for name, module in sys.modules.items() if name.startswith("asteroid_joint")]
print(*sorted({module.__spec__.parent for module in ours}))
"""

TRANSCRIBED = """
import importlib.util, sys
import asteroid_joint_light as aj
song = aj.load(sys.argv[1]).transcribe(sys.argv[2])
assert not {"torch", "asteroid"} & {name.partition(".")[0] for name in sys.modules}
assert importlib.util.find_spec("torch") is None and importlib.util.find_spec("asteroid") is None
print(*sorted(song.stems), song.stems["vocals"].shape)
"""


def listed() -> set[str]:
    """Packages of the light distribution."""
    lines = (LIGHT / "pyproject.toml").read_text().splitlines()
    start = lines.index("packages = [") + 1
    return {line.strip(' ",') for line in lines[start : lines.index("]", start)]}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, **environment}
    )


def test_all_packages_that_are_needed_are_listed():
    done = run(sys.executable, "-c", LOADED, PYTHONPATH=str(LIGHT.parent))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= listed()
    for name in listed() - {"asteroid_joint_light"}:
        assert (LIGHT.parent / name.replace(".", "/") / "__init__.py").is_file(), name


@pytest.mark.slow
def test_a_fresh_environment_has_no_torch(tmp_path):
    """Installed by pip, it transcribes a song; what needs torch is refused in one sentence."""
    here = tmp_path / "venv"
    assert run(sys.executable, "-m", "venv", str(here)).returncode == 0
    bin_dir = here / ("Scripts" if os.name == "nt" else "bin")
    done = run(str(bin_dir / "python"), "-m", "pip", "install", "-q", str(LIGHT))
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    graph, song = tmp_path / "halves.onnx", tmp_path / "song.wav"
    halves(graph)
    rng = np.random.default_rng(0)
    sf.write(song, 0.1 * rng.standard_normal((3 * RATE, 2)), RATE, subtype="PCM_16")
    done = run(str(bin_dir / "python"), "-c", TRANSCRIBED, str(graph), str(song))
    assert done.stdout.split() == ["accompaniment", "vocals", "(2,", f"{3 * RATE})"], done.stderr
    command = str(bin_dir / "asteroid-joint")
    done = run(command, "separate", str(song), "-o", str(tmp_path / "out"), "--model", str(graph))
    assert done.returncode == 0, done.stderr
    for arguments in (["list"], ["export", "pop", str(tmp_path / "x.onnx")]):
        done = run(command, *arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert "This needs the full package" in done.stderr
