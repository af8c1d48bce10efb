"""The page "Add your own model in one file", followed literally: its blocks, in their order."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf
from conftest import ROOT, child_env
from contract_checks import CHECKS

PAGE = ROOT / "docs" / "add_a_model.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\w+\.\w+)(, continued)?\n")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder with the checkout in it; commands find this interpreter and its scripts."""
    (tmp_path / "asteroid-joint").symlink_to(ROOT)
    scripts = tmp_path.with_name(f"{tmp_path.name}_bin")
    scripts.mkdir()
    for name, module in (("python", ""), ("asteroid-joint", "-m asteroid_joint.cli")):
        script = scripts / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def shell(text: str) -> None:
    """Run a block as a user's shell would; the package is that of this checkout."""
    path = os.environ["PATH"]
    text = text.replace("PYTHONPATH=$PWD", f"PYTHONPATH=$PWD{os.pathsep}{ROOT}")
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        env={**child_env(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_the_page_can_be_followed(folder):
    from asteroid_joint import MODELS

    files: dict[str, str] = {}
    kinds = []
    for kind, text in BLOCK.findall(PAGE.read_text()):
        named = NAMED.match(text)
        if named:
            name, continued = named.groups()
            assert bool(continued) == (name in files), name
            files[name] = files.get(name, "") + text[named.end() if continued else 0 :]
            (folder / name).write_text(files[name])
            kinds.append(name)
        elif kind == "sh":
            shell(text)
            kinds.append("sh")
        else:
            assert kind == "python", kind
            exec(compile(text, str(PAGE), "exec"), {})
            kinds.append("python")
    assert kinds == ["gru_mask.py"] * 2 + ["python", "sh", "gru_mask.yml", "sh", "sh"]
    assert "GRUMask" in MODELS
    assert len([x for x in files["gru_mask.py"].splitlines() if x]) < 60, "the page promises little"

    for check in CHECKS:  # which the page invites to
        (kept := folder / check.__name__).mkdir()
        check(MODELS["GRUMask"], kept)

    (song,) = (folder / "corpus" / "test").glob("test_000_*/mixture.wav")
    mixture, rate = sf.read(song)
    for stem in ("vocals", "accompaniment"):
        wav, stem_rate = sf.read(folder / "out" / "mixture" / f"{stem}.wav")
        assert (wav.shape, stem_rate) == (mixture.shape, rate)
    with (folder / "out" / "mixture" / "f0.csv").open() as file:
        times = [float(row["time"]) for row in csv.DictReader(file)]
    assert times[1] == pytest.approx(256 / 16000, abs=1e-5)
    assert times[-1] == pytest.approx(len(mixture) / rate, abs=0.02)
