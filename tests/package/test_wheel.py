"""What is installed is what is here: sdist, wheel, and a song separated far from the checkout."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import ROOT, child_env

PACKAGE = ROOT / "asteroid_joint"
NEEDED = ("pyproject.toml", "README.md", "LICENSE")  # beside the package, by a build
BUILD_SDIST = "import sys; from setuptools import build_meta as b; b.build_sdist(sys.argv[1])"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
OFFLINE = ("--no-deps", "--no-index", "--quiet")
RATE = 44100


def command(*arguments: object, cwd: Path, path: str = "") -> str:
    """Run it in ``cwd`` with ``path`` in place of the checkout; its output."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env={**child_env(), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of_the_package() -> set[str]:
    """Everything in the package, as it is named in archives."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def build(folder: Path) -> None:
    """The sdist from a copy, as a build leaves folders beside the package; the wheel from it."""
    checkout = folder / "checkout"
    checkout.mkdir(parents=True)
    for name in NEEDED:
        shutil.copy(ROOT / name, checkout)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, checkout / PACKAGE.name, ignore=ignored)
    command(sys.executable, "-W", "ignore", "-c", BUILD_SDIST, folder, cwd=checkout)
    (sdist,) = folder.glob("*.tar.gz")
    here = ("--no-build-isolation", "--wheel-dir", folder)  # with the setuptools that is here
    command(*PIP, "wheel", *OFFLINE, *here, sdist, cwd=folder)


@pytest.fixture(scope="module")
def sdist(made_once) -> Path:
    (built,) = made_once("dist", build).glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(made_once) -> Path:
    (built,) = made_once("dist", build).glob("*.whl")
    return built


@pytest.mark.slow
def test_the_sdist_has_the_package_and_what_a_build_needs(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {*NEEDED, *files_of_the_package()}


@pytest.mark.slow
def test_the_wheel_is_the_package_and_nothing_else(wheel):
    """Weights, voices, cues of notes and the web page included; tests and recipes are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        described = archive.read(metadata).decode()
    assert names == files_of_the_package()
    assert "Description-Content-Type: text/markdown" in described
    assert "# asteroid-joint\n" in described


@pytest.mark.slow
def test_a_song_is_separated_far_from_the_checkout(wheel, tmp_path):
    """By the installed command, with the default weights, which are in the wheel."""
    installed = tmp_path / "installed"
    command(*PIP, "install", *OFFLINE, "--no-compile", "--target", installed, wheel, cwd=tmp_path)
    times = np.arange(RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 220 * times)
    sf.write(tmp_path / "song.wav", np.stack([tone, 0.5 * tone], 1), RATE, subtype="PCM_16")
    code = "import asteroid_joint; print(asteroid_joint.__file__)"
    found = command(sys.executable, "-W", "ignore", "-c", code, cwd=tmp_path, path=str(installed))
    assert Path(found.strip()).is_relative_to(installed)
    (program,) = (installed / "bin").glob("asteroid-joint*")
    command(program, "separate", "song.wav", "-o", "out", cwd=tmp_path, path=str(installed))
    song, _ = sf.read(tmp_path / "song.wav", dtype="int32")
    stems = [
        sf.read(tmp_path / "out/song" / f"{stem}.wav", dtype="int32")[0]
        for stem in ("vocals", "accompaniment")
    ]
    assert np.array_equal(stems[0] + stems[1], song)
    assert len((tmp_path / "out/song/f0.csv").read_text().splitlines()) > 50
