"""What readers find: links and anchors that exist, terms that are explained, figures that agree."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import ROOT

from asteroid_joint.cli import _parser

GLOSSARY = ROOT / "docs" / "glossary.md"
RECIPES = sorted((ROOT / "recipes").rglob("README.md"))
EXPLAINED = [  # pages on which each term is linked where it first appears
    *(ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "song.md"),
    *(ROOT / "benchmarks" / "README.md", *RECIPES),
]
ALL = sorted({*EXPLAINED, *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"})
TERMS = {  # as they are written, and the heading that explains them
    **{name: name for name in ("NSDR", "SDR", "SI-SDR", "RPA", "RCA", "OA", "VR", "VFA")},
    **{"AU-ROC": "AU-ROC", "COnP": "COnP", "F0": "F0", "stems?": "Stem", "voiced": "Voiced"},
    **{"presets?": "Preset", "overlays?": "Overlay", "posteriorgrams?": "Posteriorgram"},
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    """The text with blanks in place of blocks, indented or fenced, and of code within lines."""

    def blank(found: re.Match) -> str:
        return re.sub(r"\S", " ", found.group())

    text = re.sub(r"^```.*?^```", blank, text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ {4}.*$", blank, text, flags=re.MULTILINE)
    return re.sub(r"`[^`]+`", blank, text)


def anchor(heading: str) -> str:
    """What a heading is called in addresses, at GitHub as on the site."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {anchor(LINK.sub(r"\2", heading)) for heading in headings}


def local_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Every file that a page links, and the anchor in it."""
    for _, _, target in LINK.findall(without_code(page.read_text())):
        if not target.startswith(("http:", "https:", "mailto:")):
            path, _, name = target.partition("#")
            yield (page.parent / path).resolve() if path else page, name


@pytest.mark.parametrize("page", ALL, ids=page_name)
def test_links_lead_to_files_and_headings_that_exist(page):
    for path, name in local_links(page):
        assert path.exists(), f"{page_name(page)} links {path}"
        path = path / "README.md" if path.is_dir() and name else path
        assert not name or name in anchors(path), f"{page_name(page)} links {path}#{name}"


# ------------------------------------------------------------------------------ the glossary


def test_the_glossary_is_in_order_and_explains_what_it_says():
    text = GLOSSARY.read_text()
    terms = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert terms == sorted(terms, key=str.lower) and len(set(terms)) == len(terms)
    assert set(TERMS.values()) <= set(terms)
    assert not re.search(r"^## .+\n+(?=## |\Z)", text, re.MULTILINE), "a term without a sentence"


def is_running_text(text: str, where: int) -> bool:
    """Whether it is neither a row of a table nor a heading."""
    return text[text.rfind("\n", 0, where) + 1 :][:1] not in ("|", "#")


def not_explained(page: Path) -> list[str]:
    """Terms of a page that the glossary explains and that it does not link where they appear.

    That is the first place in running text; of what is in tables alone, anywhere on the page.
    """
    text = without_code(page.read_text())
    links = list(LINK.finditer(text))
    pictures = [link.span() for link in links if link[1]]
    addresses = [link.span(3) for link in links]
    found = []
    for written, heading in TERMS.items():
        uses = [m.start() for m in re.finditer(rf"(?<![\w-]){written}(?![\w-])", text)]
        uses = [use for use in uses if not within(use, pictures + addresses)]
        prose = [use for use in uses if is_running_text(text, use)]
        target = f"glossary.md#{anchor(heading)}"
        explained = [link.span(2) for link in links if link[3].endswith(target)]
        if not (within(prose[0], explained) if prose else explained or not uses):
            found.append(written)
    return found


def within(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)


@pytest.mark.parametrize("page", EXPLAINED, ids=page_name)
def test_terms_are_explained_where_they_first_appear(page):
    assert not_explained(page) == []


# ------------------------------------------------------------------------------- the README

README = (ROOT / "README.md").read_text()
FIRST_SCREEN = README.split("\n## ")[0]
GRAPH = ROOT / "asteroid_joint" / "weights" / "djcm_pop.onnx"


def test_the_first_screen_is_for_everybody():
    """What it is, a picture, the two commands; no figure, no commit."""
    assert len(README.splitlines()) <= 150
    assert "](docs/picture.png)" in FIRST_SCREEN.split("```")[0]
    assert re.findall(r"^make (\w+)", FIRST_SCREEN, re.MULTILINE) == ["demo", "test"]
    assert not re.findall(r"\d", FIRST_SCREEN.replace("Python 3.10", ""))
    assert not re.search(r"\b(NSDR|SDR|RPA|OA|dB)\b", FIRST_SCREEN)


def figures(line: str) -> set[str]:
    return set(re.findall(r"\d+\.\d+", LINK.sub(r"\2", line)))


def test_figures_of_the_readme_are_those_of_the_page_of_results():
    stored = (ROOT / "docs" / "results.md").read_text().splitlines()
    rows = [line for line in README.splitlines() if line[:1] == "|" and figures(line)]
    assert len(rows) >= 6
    for row in rows:
        assert any(line[:1] == "|" and figures(row) <= figures(line) for line in stored), row


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", [0, 1])
def test_python_of_the_readme_runs(number, tmp_path, monkeypatch):
    blocks = python_blocks(README)
    assert len(blocks) == 2
    if "asteroid_joint_light" in blocks[number]:
        pytest.importorskip("onnxruntime")
        if not GRAPH.exists():
            pytest.skip("the graph of the default model is not shipped yet")
        monkeypatch.syspath_prepend(str(ROOT / "light"))
    monkeypatch.chdir(tmp_path)
    noise = 0.01 * np.random.default_rng(0).standard_normal((44100, 2))
    sf.write("song.mp3", noise, 44100)
    space: dict = {}
    exec(compile(blocks[number], "README.md", "exec"), space)
    assert len(space["f0_hz"]) and "voiced" in space


def test_commands_of_the_readme_are_understood(capsys):
    """Those of ``asteroid-joint`` by its parser, those of make by the Makefile."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))
    fenced = "\n".join(re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    lines = [line.partition("#")[0].strip() for line in [*spans, *fenced.splitlines()]]
    ours = [line.split()[1:] for line in lines if re.match(r"(\S*/)?asteroid-joint \w", line)]
    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    makefile = (ROOT / "Makefile").read_text()
    assert len(ours) >= 3 and {"demo", "test", "page", "docs"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for arguments in ours:
        if arguments != ["make-corpus"]:  # which is named, not called
            _parser().parse_args(arguments)


@pytest.mark.parametrize("page", ALL, ids=page_name)
def test_comments_in_code_are_not_cut(page):
    """A page shows a hundred characters of a line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line for line in lines if "  # " in line and len(line) > 100] == []


def test_every_system_is_in_the_tables_of_the_readme_and_of_the_results():
    results = (ROOT / "docs" / "results.md").read_text().split("## The systems")[1]
    systems = json.loads((ROOT / "asteroid_joint/share/sizes.json").read_text())
    assert len(systems) >= 9
    for name in systems:
        assert re.search(rf"^\|.*`{name}`", README, re.MULTILINE), name
        assert f"`{name}`" in results, name


# -------------------------------------------------------------------------- the site's index


def test_the_index_shows_each_page_once_and_a_picture():
    """The lists of contents are in the margin; in the text every page has one link."""
    text = (ROOT / "docs" / "index.md").read_text()
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    listed = [line for tree in trees for line in tree.splitlines() if re.match(r"[\w/]+$", line)]
    assert all(":hidden:" in tree for tree in trees)
    linked = re.findall(r"\]\(([\w/]+)\.md\)|`[^`<]+<([\w/]+)>`", text)
    assert sorted(a or b for a, b in linked) == sorted(listed)
    assert re.search(r"!\[[^\]]+\]\(picture\.png\)", text)
