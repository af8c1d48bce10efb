"""The Dockerfile: what it copies is there, and its steps are run where there is no Docker."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from graphs import halves

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-image-only"


def steps() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile and their arguments."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]


def listed(instruction: str) -> list[str]:
    return [rest for name, rest in steps() if name == instruction]


def test_what_is_copied_is_sent_to_docker():
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert kept[0] == "*"
    for copied in listed("COPY"):
        source, target = copied.split()
        assert source == target and (ROOT / source).is_dir() and f"!{source}" in kept


def test_the_image_starts_the_page_and_needs_a_token(capsys, monkeypatch):
    from asteroid_joint.cli import main

    monkeypatch.delenv("ASTEROID_JOINT_TOKEN", raising=False)
    (entry,), (command,) = map(json.loads, listed("ENTRYPOINT")), map(json.loads, listed("CMD"))
    assert entry == ["asteroid-joint"]
    assert main([*command, "--port", "0"]) == 2
    assert "is reached by other computers: give --token" in capsys.readouterr().err
    assert listed("EXPOSE") == ["7860"] and listed("USER") != ["root"]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("DOCKERFILE_STEPS"), reason="a minute, and the network")
def test_its_steps_make_a_server(tmp_path):
    """In a fresh environment, with copies of what Docker would be sent, and no more."""
    pytest.importorskip("onnx")
    source, venv = tmp_path / "src", tmp_path / "venv"
    without = shutil.ignore_patterns("__pycache__", "*.pth", "*.htsvoice", "build", "*.egg-info")
    for copied in listed("COPY"):
        name = copied.split()[0]
        shutil.copytree(ROOT / name, source / name, ignore=without)
    assert subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False).returncode == 0
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env['PATH']}"
    for step in listed("RUN"):
        done = subprocess.run(step, shell=True, cwd=source, env=env, capture_output=True, text=True)
        if "No matching distribution" in done.stderr or "Could not find a ver" in done.stderr:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, (step, done.stderr)
    graph = tmp_path / "halves.onnx"
    halves(graph)
    command = shlex.join([*json.loads(listed("ENTRYPOINT")[0]), *json.loads(listed("CMD")[0])])
    process = subprocess.Popen(
        f"exec {command} --port 0 --model {graph}",
        shell=True,
        cwd=tmp_path,
        env={**env, "ASTEROID_JOINT_TOKEN": TOKEN, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://0\.0\.0\.0:(\d+)/", line)
        assert found, line
        url = f"http://127.0.0.1:{found[1]}/"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            opener.open(url)
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        assert b"asteroid-joint" in opener.open(asked).read()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
