"""A Python that has imported torch, Lightning and the package already: scripts start at once.

The recipes' ``run.sh`` starts three interpreters, and most of their time goes into imports. What
``--python_path`` gets here is a small client: it hands its arguments, folder, environment and files
to a server that forks, and the fork runs the script as a fresh interpreter would, from
``__main__`` to its exit code. The scripts of one recipe, those of ``docs/`` and ``plugin/``, and
whatever is to be killed, start from the very start.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

IMPORTS = """
    asteroid_joint.data.check asteroid_joint.engine.training.train
    asteroid_joint.engine.evaluation.evaluate asteroid_joint.engine.evaluation.pictures
    pytorch_lightning.callbacks pytorch_lightning.loggers torch.utils.tensorboard
    matplotlib.backends.backend_agg matplotlib.figure mir_eval.melody scipy.stats
""".split()
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    job = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(job).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(job)
    code = server.recv(1)
sys.exit(code[0] if code else "The process of this script is gone.")
"""
PROGRAM = """#!/bin/sh
case "$1" in -*) exec "{python}" "$@" ;; esac  # -c and -m are not for the server
exec "{python}" -ISE "{folder}/client.py" "{folder}/socket" "$@"
"""


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Path]:
    """A program to be called as ``python script.py arguments``."""
    from conftest import child_env

    if sys.platform in ("win32", "darwin"):  # the one has no fork, the other none with threads
        yield Path(sys.executable)
        return
    with tempfile.TemporaryDirectory() as name:  # names of sockets are short
        folder = Path(name)
        (folder / "client.py").write_text(CLIENT)
        (folder / "python").write_text(PROGRAM.format(python=sys.executable, folder=folder))
        (folder / "python").chmod(0o755)
        command = [sys.executable, __file__, str(folder / "socket")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=child_env(), stdin=pipe, stdout=pipe) as server:
            assert server.stdout is not None and server.stdout.readline() == b"warm\n"
            yield folder / "python"  # the server ends when its standard input does


def serve(address: str) -> None:
    """Answer each client by a fork that runs its script and says how that ended.

    Args:
        address: Path of the socket to listen at, until standard input ends.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("warm", flush=True)
        while True:
            if sys.stdin in select.select([server, sys.stdin], [], [])[0]:
                return
            client, _ = server.accept()
            if os.fork() == 0:
                break
            client.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as stream:
        arguments, folder, environment = json.loads(stream.read(int.from_bytes(size, "big")))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = arguments
    further = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(arguments[0]).resolve().parent), *filter(None, further)]
    code = run_script(arguments[0])
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    client.sendall(bytes([code & 255]))
    os._exit(code)  # taking all that was imported apart takes as long as importing it


def run_script(path: str) -> int:
    """Run it as the main module; returns its exit code."""
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for needed in IMPORTS:
        importlib.import_module(needed)
    gc.collect()
    gc.freeze()  # forks leave these pages alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    serve(sys.argv[1])
