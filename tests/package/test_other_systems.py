"""Windows and macOS, as far as Linux can play them: what they lack is taken away.

Names, files that another program has open, patterns and consoles are tested where they are dealt
with: ``test_files.py``, ``inference/test_bad_input.py``, ``inference/test_collection.py``.
"""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from conftest import child_env
from torch.utils.data import DataLoader

import asteroid_joint
from asteroid_joint import PitchGrid
from asteroid_joint.data import MIR1K, Collate, DrawnExamples, DrawSampler
from asteroid_joint.data.drawing import one_thread_per_worker

PACKAGE = Path(asteroid_joint.__file__).parent
WITHOUT_POSIX = """
import os, signal, sys
import asteroid.models, av, matplotlib.figure, pytorch_lightning, soundfile, torch, uvicorn
for name in "fcntl grp pty pwd resource termios tty".split():  # libraries keep what they have
    sys.modules[name] = None
for name in [n for n in sys.modules if n.partition(".")[0] in ("filelock", "asteroid_joint")]:
    del sys.modules[name]
for name in '''chown fork forkpty geteuid getgid getloadavg getpgid getuid killpg mkfifo nice
    sched_getaffinity setsid sysconf uname wait4'''.split():
    if hasattr(os, name):
        delattr(os, name)
for name in "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGUSR1 SIGUSR2".split():
    delattr(signal, name)
"""
KILLED = """
import os, sys
sys.modules["fcntl"] = None
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
os._exit(9)
"""
SEPARATES = (
    f"KILLED = {KILLED!r}"
    + """
import importlib, pkgutil, subprocess, tempfile
from pathlib import Path
import asteroid_joint
for module in pkgutil.walk_packages(asteroid_joint.__path__, "asteroid_joint."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from asteroid_joint.apps.page.songs import LOCK, PREFIX, Songs
from asteroid_joint.apps.page.uploads import Limits
from asteroid_joint.cli import main
from asteroid_joint.inference.destination import HiddenFolder, remove_leftovers

weights, music, out = sys.argv[1:]
command = ["separate", music, "-o", out, "--model", weights]
assert main(command) == 0
assert main([*command, "--resume"]) == 0
left = Path(out, ".song.part-abcdefgh")
left.mkdir()
os.utime(left, (1, 1))
with HiddenFolder(Path(out), "other") as live:
    assert remove_leftovers(Path(out)) == 1 and live.exists()
assert not live.exists()

dead = Path(tempfile.mkdtemp(prefix=PREFIX))
subprocess.run([sys.executable, "-c", KILLED, str(dead / LOCK)])
assert (dead / LOCK).exists()
songs = Songs(lambda song, progress: None, Limits(), 60.0)
other = Songs(lambda song, progress: None, Limits(), 60.0)
assert songs.root.exists() and other.root.exists() and not dead.exists()
other.close(), songs.close()
assert not songs.root.exists() and not other.root.exists()
"""
)


def test_songs_are_separated_and_locked_without_posix(weights, tmp_path):
    """Every module is imported, a folder separated twice, leftovers of killed runs removed."""
    music = tmp_path / "music"
    music.mkdir()
    sf.write(music / "song.wav", np.zeros(1600), 16000)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX + SEPARATES]
        + [str(weights), str(music), str(tmp_path / "out")],
        env={**child_env(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "song" / "vocals.wav").exists()


def test_spawned_workers_draw_what_forked_ones_do(mir1k_dir):
    """Windows and macOS have no fork for threads: what a loader needs is pickled."""
    draws = DrawnExamples(MIR1K(str(mir1k_dir), "train"), PitchGrid(320, 16000), 8000, seed=3)
    batches = [
        list(
            DataLoader(
                draws,
                batch_size=2,
                sampler=DrawSampler(4, 0, 1),
                collate_fn=Collate(2, 320),
                num_workers=n_workers,
                worker_init_fn=one_thread_per_worker,
                multiprocessing_context="spawn" if n_workers else None,
            )
        )
        for n_workers in (0, 1)
    ]
    for here, there in zip(*batches, strict=True):
        assert here["name"] == there["name"]
        assert torch.equal(here["mixture"], there["mixture"])


# ------------------------------------------------------------------ text is UTF-8 everywhere


def texts_of_unsaid_encoding(path: Path) -> list[str]:
    """Calls that read or write text in whatever encoding the system prefers."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(k.arg == "encoding" for k in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        method = isinstance(node.func, ast.Attribute)
        mode = next((k.value for k in node.keywords if k.arg == "mode"), None)
        if name == "open" and not method:
            mode = mode or (node.args[1] if len(node.args) > 1 else None)
            text = not (isinstance(mode, ast.Constant) and "b" in mode.value)
        else:
            text = method and (
                (name == "read_text" and not node.args)
                or (name == "write_text" and len(node.args) == 1)
            )
        if text and "files." not in ast.unparse(node.func):
            found.append(f"{path}:{node.lineno} {ast.unparse(node)[:60]}")
    return found


def test_text_files_name_their_encoding():
    """Windows' own is none that holds every name."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert not [line for path in files for line in texts_of_unsaid_encoding(path)]
