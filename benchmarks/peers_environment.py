"""The environment of the peers: a venv in the cache folder, on top of the one that is running."""

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

REQUIREMENTS = Path(__file__).with_name("peers-requirements.txt")


class Environment(NamedTuple):
    """Where the peers live.

    Attributes:
        python: Its interpreter.
        versions: Version of each package that could be installed.
        missing: Reason, for each that could not.
    """

    python: Path
    versions: dict[str, str]
    missing: dict[str, str]


def default_folder() -> Path:
    """A folder of the user's cache that changes with interpreter and requirements."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    facts = f"{sys.prefix} {sys.version} {REQUIREMENTS.read_text()}"
    return cache / "asteroid-joint" / f"peers-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def make_environment(folder: Path) -> Environment:
    """Make the environment, or finish one that was begun.

    One package at a time, so that one that cannot be had does not keep the others away. The
    packages of the running environment are seen, too: pip counts them as installed, and what a
    peer wants in another version is installed beside them, for the peers alone.

    Args:
        folder: Where it is or shall be.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit(
                f"peers: no environment can be made in {folder}: install python3-venv, or pass "
                "--peers-env with a folder that can be written to."
            )
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    seen = sysconfig.get_path("purelib")  # after its own packages, as the last path file
    (site / "zz_running_environment.pth").write_text(f"{seen}\n")
    versions, missing = {}, {}
    for line in REQUIREMENTS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name = line.partition("==")[0]
        installed = _installed(site)
        if name not in installed:
            pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", line]
            done = subprocess.run(pip, capture_output=True, text=True)
            installed = _installed(site)
            if done.returncode:
                errors = [x for x in done.stderr.splitlines() if x.startswith("ERROR")]
                missing[name] = (errors or ["ERROR: pip failed"])[-1].removeprefix("ERROR: ")
        if name not in missing:
            versions[name] = installed[name]
    return Environment(python, versions, missing)


def _installed(site: Path) -> dict[str, str]:
    """Name and version of what lies in a site-packages folder itself."""
    found = distributions(path=[str(site)])
    return {d.metadata["Name"].lower().replace("_", "-"): d.version for d in found}
