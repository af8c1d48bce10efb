"""What the texts say is what is stored and what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "recipes").rglob("README.md"))]


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


def test_options_in_recipe_pages_exist():
    """Every ``--option`` of the recipe's page is one of run.sh, eval.py or a key of conf.yml."""
    recipe = ROOT / "recipes/mir1k/DJCM"
    known = (
        (recipe / "run.sh").read_text()
        + (recipe / "local/conf.yml").read_text()
        + (ROOT / "asteroid_joint/engine/recipe.py").read_text()
        + (ROOT / "asteroid_joint/engine/config.py").read_text()
    )
    named = set(re.findall(r"--([a-z_]+)", (recipe / "README.md").read_text()))
    assert {name for name in named if name not in known} == set()
