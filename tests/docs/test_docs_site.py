"""The pages: every link leads somewhere, every module is in the reference, the site is built."""

import ast
import math
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import fuzz_files
import pytest
import test_bad_input
import test_fuzz
from browser import running_browser
from conftest import ROOT, child_env

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINKED = [*PAGES, ROOT / "benchmarks" / "README.md"]
TARGET = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """``docs/conf.py`` as a module."""
    pytest.importorskip("sphinx")
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = [link for link in TARGET.findall(page.read_text()) if not link.startswith("http")]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_files_of_the_checkout_that_the_pages_name_exist():
    text = "\n".join(page.read_text() for page in PAGES)
    named = re.findall(r"`((?:recipes|tests|docs|benchmarks)/[\w./-]+)`", text)
    assert named and [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_a_table_of_contents():
    text = "\n".join(page.read_text() for page in PAGES)
    listed = set(re.findall(r"^([\w/]+)$", text, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"index"} <= listed


def test_every_public_module_is_in_the_reference(conf):
    files = {path.relative_to(ROOT) for path in (ROOT / "asteroid_joint").rglob("*.py")}
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    public = {name for name in names if not any(p.startswith("_") for p in name.split("."))}
    text = "\n".join(conf.reference_pages().values())
    assert set(re.findall(r"automodule:: (\S+)", text)) == public


def test_every_recipe_with_results_is_on_the_page_of_results(conf):
    page = conf.results_page()
    for folder in (ROOT / "recipes").glob("*/*/results"):
        recipe = folder.parent
        assert f"## {recipe.parent.name}/{recipe.name}\n" in page
        assert "<!-- results -->" in (recipe / "README.md").read_text()


def test_re_exported_names_are_led_home(conf):
    assert conf.home_of("asteroid_joint.DJCM") == "asteroid_joint.models.djcm.DJCM"
    assert conf.home_of("asteroid_joint.pitch.PitchGrid") == "asteroid_joint.pitch.grid.PitchGrid"
    assert conf.home_of("asteroid_joint.nothing.here") is None


def messages(path: Path) -> set[str]:
    """Every text in a module, what is filled in as ``…``."""

    def text(node: ast.AST) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(text(part) or "…" for part in node.values)
        return None

    return {found for node in ast.walk(ast.parse(path.read_text())) if (found := text(node))}


def test_the_sentences_of_the_troubleshooting_page_are_those_of_the_program():
    said = {t for path in (ROOT / "asteroid_joint").rglob("*.py") for t in messages(path)}
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = re.findall(r"^`(.+)`\n:", page, re.MULTILINE)
    assert len(quoted) > 15
    assert [sentence for sentence in quoted if sentence not in said] == []


def n_cases(test: object) -> int:
    """How many cases a test has: one for each set of its parameters."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return math.prod(len(mark.args[1]) for mark in marks)


def test_the_counts_of_the_troubleshooting_page_are_those_of_the_tests():
    page = " ".join((DOCS / "troubleshooting.md").read_text().split())
    tests = [test for name, test in vars(test_bad_input).items() if name.startswith("test_")]
    n_odd = sum(map(n_cases, tests))
    n_formats = len(fuzz_files.SNDFILE) + len(fuzz_files.FFMPEG)
    longest, loss = fuzz_files.MOST_SEC, fuzz_files.TOLERANCE_SEC
    assert f"The tests try {n_odd} cases of odd input one by one, and {test_fuzz.IN_CI} " in page
    assert f"files of {n_formats} formats with bytes overwritten" in page
    assert f"hang for {longest:g} s, lose more than {loss} s of sound" in page


def test_options_in_the_pages_exist():
    package = ROOT / "asteroid_joint"
    sources = [*package.rglob("*.py"), *(ROOT / "recipes").rglob("*.sh")]
    sources += [*(ROOT / "recipes/_common").glob("*.yml"), *(ROOT / "benchmarks").glob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    for page in [*PAGES, ROOT / "README.md"]:
        for name in re.findall(r"--([a-z][a-z0-9_-]*)", page.read_text()):
            assert re.search(rf"\b{name}\b", text), f"{page.name}: --{name}"


@pytest.fixture(scope="module")
def site(made_once) -> Path:
    """The pages as HTML; a warning is an error."""
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")

    def build(folder: Path) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "sphinx", "-W", "--keep-going", "-q"]
        done = subprocess.run(
            [*command, "-b", "html", "-d", folder / "trees", DOCS, folder / "html"],
            env=child_env(),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr

    return made_once("docs_site", build) / "html"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(site):
    commands = (site / "commands.html").read_text()
    assert "--decoder" in commands and "make-corpus" in commands
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="(https?:[^"]+)"', text)
        assert not loaded, f"{page.name} loads {loaded}"


CUT = """() => [...document.querySelectorAll('.table-wrapper, pre, .content')]
    .filter(part => part.scrollWidth > part.clientWidth + 1)
    .map(part => part.className + ': ' + part.innerText.slice(0, 60))"""
WIDE = "() => document.documentElement.scrollWidth > window.innerWidth"


@pytest.mark.slow
def test_tables_and_code_fit_the_page(site):
    """On a laptop nothing is cut; on a phone tables scroll, and the page does not."""
    names = [*(page.stem for page in PAGES), "reference/index", "reference/results_tables"]
    with running_browser() as browser:
        laptop = browser.new_page(viewport={"width": 1280, "height": 800})
        phone = browser.new_page(viewport={"width": 390, "height": 800})
        for name in names:
            laptop.goto((site / f"{name}.html").as_uri(), wait_until="domcontentloaded")
            assert laptop.evaluate(CUT) == [], name
        for name in ("index", "results", "drop_in"):
            phone.goto((site / f"{name}.html").as_uri())
            assert not phone.evaluate(WIDE), f"{name} on a phone"
