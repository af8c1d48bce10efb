"""What stands beside the README for those who carry on: it names what there is."""

import re

import pytest
import yaml
from conftest import ROOT

import asteroid_joint

PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def section(heading: str) -> str:
    """The text below a heading of the page."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_rooms_are_those_of_the_house_test_in_their_order():
    house = (ROOT / "tests/package/test_house.py").read_text()
    rooms = re.search(r'^ROOMS = """(.*?)"""', house, re.MULTILINE | re.DOTALL)
    assert rooms
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section("The rooms"), re.MULTILINE)
    assert [room for room, _ in rows] == rooms[1].split()


def test_every_file_it_names_exists():
    named = re.findall(r"`([\w.]+(?:/[\w.]+)+)`|\]\(([^)#:]+)\)|`(\w+\.(?:py|md))`", PAGE)
    paths = {"".join(groups) for groups in named} - {"checkpoints/last.ckpt"}  # of an experiment
    assert len(paths) > 25
    places = ROOT, ROOT / "recipes/mir1k/DJCM"  # the recipe to imitate
    missing = [path for path in paths if not any((place / path).exists() for place in places)]
    assert missing == []


def test_every_name_to_imitate_is_in_its_file():
    rows = re.findall(r"`(\w+)` in `([\w/]+\.py)`", section("How to add something"))
    assert len(rows) >= 4
    for name, path in rows:
        assert re.search(rf"^(class|def) {name}\b", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_decorator_is_used_in_the_file_to_imitate():
    for row in section("How to add something").splitlines():
        for decorator in re.findall(r"`(@\w+(?:\.register)?)[(`]", row):
            (path,) = re.findall(r"`(asteroid_joint/\S+\.py)` \| `@", row)
            assert decorator in (ROOT / path).read_text(), row


def test_each_command_of_make_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)", section("Tests")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_links_it():
    assert "](CONTRIBUTING.md)" in (ROOT / "README.md").read_text()


def test_the_citation_file():
    """The keys that the Citation File Format 1.2.0 asks for, and those of this release."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cff["cff-version"] == "1.2.0" and cff["type"] == "software"
    assert cff["message"] and cff["title"] == "asteroid-joint" and cff["license"] == "MIT"
    assert cff["version"] == asteroid_joint.__version__
    (author,) = cff["authors"]
    assert author["name"] in (ROOT / "LICENSE").read_text()
    for reference in cff["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
    readme = (ROOT / "README.md").read_text()
    systems = set(re.findall(r"\(\[[^]]*\]\((https://arxiv.org/abs/[\d.]+)\)\)", readme))
    assert len(systems) >= 5
    assert systems <= {reference.get("url") for reference in cff["references"]}


@pytest.mark.parametrize("hook", ["ruff check .", "ruff format --check .", "mypy"])
def test_the_hooks_before_a_commit_are_make_lint(hook):
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local" and all(h["language"] == "system" for h in local["hooks"])
    assert f".venv/bin/{hook}" in [h["entry"] for h in local["hooks"]]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert lint.count("$(BIN)/") == len(local["hooks"])
    assert f"\t$(BIN)/{hook}\n" in f"{lint}\n"
