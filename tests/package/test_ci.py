"""Continuous integration elsewhere: the same commands, on every system and Python promised."""

import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def jobs():
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]


def commands(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_it_runs_what_ci_runs(jobs):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("lint", "dist", "test"):
        assert re.search(rf"^make {name}\b", script, re.MULTILINE)
        assert commands(jobs[name])[-1] == f"make {name} PYTHON=python"


def test_systems_and_pythons(jobs):
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {os.partition("-")[0] for os in matrix["os"]} == {"ubuntu", "macos", "windows"}
    named = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', PROJECT)
    pythons = sorted(map(int, named))
    assert pythons == list(range(pythons[0], pythons[-1] + 1))  # without a gap
    assert f'requires-python = ">=3.{pythons[0]}"' in PROJECT
    oldest, newest = (int(python.removeprefix("3.")) for python in matrix["python"])
    assert oldest == pythons[0] and newest >= pythons[-1]


def test_it_names_no_host():
    assert not re.search(r"https?:|\w\.(org|com|io|net)\b", WORKFLOW.read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "system, python", [("Windows_NT", "Scripts/python.exe"), ("", "bin/python")]
)
def test_make_finds_the_environment_of_each_system(system, python, tmp_path):
    said = subprocess.run(
        ["make", "-n", "test", f"OS={system}", f"VENV={tmp_path / 'fresh'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{tmp_path}/fresh/{python} -m pytest" in said
    assert f"{tmp_path}/fresh/{python} -m pip install" in said


def test_what_is_built_is_checked():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split("\ndist:")[1].split("\n\n")[0]
    assert recipe.endswith("-m build\n\t$(PY) -m twine check --strict dist/*")
