"""What the texts say is what is stored and what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asteroid_joint.engine.training.config import recipe_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "recipes").rglob("README.md"))]
RECIPE_PAGES = sorted((ROOT / "recipes").glob("*/*/README.md"))


def test_tables_are_those_of_the_stored_reports():
    done = subprocess.run(
        [sys.executable, "docs/tables.py", "check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    local = [link for link in links if not link.startswith("http")]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", RECIPE_PAGES, ids=lambda p: str(p.parent.relative_to(ROOT)))
def test_options_in_recipe_pages_exist(page):
    """Every ``--option`` of a recipe's page is one of a command, or a key of the configuration."""
    recipe, package = page.parent, ROOT / "asteroid_joint"
    engine = ("training/config", "recipe", "average", "pseudo/make")
    sources = [recipe / "run.sh", package / "cli.py", package / "data/resampled.py"]
    sources += [package / "engine" / f"{name}.py" for name in engine]
    sources += list((package / "apps/commands").glob("*.py"))
    sources += list((ROOT / "benchmarks").glob("*.py"))
    sources += list(recipe.parent.glob("run.sh"))  # what recipes on one dataset share
    text = "".join(path.read_text() for path in sources)
    keys = {key for group in recipe_config(recipe).values() for key in group}
    named = set(re.findall(r"--([a-z][a-z0-9_]*)", page.read_text()))
    assert {name for name in named - keys if name not in text} == set()
