"""The plan of the house: rooms in one order, imports that go down it, no circle anywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import asteroid_joint
from asteroid_joint.registration import HOMES

PACKAGE = Path(asteroid_joint.__file__).parent
TOP = PACKAGE.name

# From the ground up: a file may import from its own room and from those above it in this list.
# A file belongs to the longest name here that its own begins with.
ROOMS = """
    errors version optional registry compat
    dsp audio pitch jobs masknn data
    models losses metrics
    inference.fast inference.notes inference inference.collection
    engine.training engine.evaluation engine.pseudo engine
    share
    apps.corpus apps.describe apps.live apps.page apps.commands apps
    registration cli
""".split()
MOST_UNITS = 22  # folders and modules at the top


def module_name(path: Path) -> str:
    """``inference.notes`` for ``inference/notes/__init__.py``; the package itself is ``""``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> Iterator[tuple[int, str]]:
    """Line and target of every import of this package in a file, wherever in it they stand."""
    path = MODULES[name]
    folder = name.split(".") if name else []
    if path.name != "__init__.py":
        folder = folder[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == TOP:
                    yield node.lineno, alias.name[len(TOP) + 1 :]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".")
            if node.level:
                base = folder[: len(folder) - node.level + 1] + [b for b in base if b]
            elif base[0] == TOP:
                base = base[1:]
            else:
                continue
            for alias in node.names:
                target = ".".join([*base, alias.name])
                yield node.lineno, target if target in MODULES else ".".join(base)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0]
            assert not (isinstance(first, ast.Constant) and TOP in str(first.value)), (
                f"{path}:{node.lineno} imports the package by a string, where no test sees it."
            )


IMPORTS = [
    (name, line, target)
    for name in MODULES
    if name  # the package's own __init__ only hands out names of the rooms
    for line, target in imported(name)
]


def room(name: str) -> str:
    """The room that a module belongs to."""
    fits = [r for r in ROOMS if name == r or name.startswith(r + ".")]
    assert fits, f"{name} has no room: give it one, or name its room in {Path(__file__).name}."
    return max(fits, key=len)


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Names along a circle of arrows, or nothing."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for target in sorted(arrows.get(name, ())):
            if found := visit(target, [*way, name]):
                return found
        done.add(name)
        return []

    for start in sorted(arrows):
        if found := visit(start, []):
            return found
    return []


def test_imports_go_down():
    floor = {name: n for n, name in enumerate(ROOMS)}
    climbing = [
        f"{MODULES[name]}:{line} in {room(name)} imports {target}, of {room(target)} above it"
        for name, line, target in IMPORTS
        if target and floor[room(target)] > floor[room(name)]
    ]
    assert not climbing, "\n".join(climbing)


def test_nobody_imports_the_roof():
    assert not [f"{MODULES[name]}:{line}" for name, line, target in IMPORTS if not target]


def test_names_of_a_table_stand_below_nobody_who_needs_it():
    """What fills a table is a room of its own, not one above those that look names up in it."""
    for table, homes in HOMES.items():
        assert all(home in MODULES for home in homes), table


def test_no_circle_of_files():
    arrows: dict[str, set[str]] = {}
    for name, _, target in IMPORTS:
        arrows.setdefault(name, set()).add(target)
    assert circle(arrows) == []


@pytest.mark.parametrize("folder", sorted({n.rpartition(".")[0] for n in MODULES}))
def test_no_circle_of_neighbours(folder):
    """Files and folders of a folder, each folder taken as one: a staircase at every level."""
    prefix = folder + "." if folder else ""

    def neighbour(name: str) -> str | None:
        inside = name.startswith(prefix) and name != folder
        return name[len(prefix) :].split(".")[0] if inside else None

    arrows: dict[str, set[str]] = {}
    for name, _, target in IMPORTS:
        here, there = neighbour(name), neighbour(target)
        if here and there and here != there:
            arrows.setdefault(here, set()).add(there)
    assert circle(arrows) == []


def test_the_top_is_short():
    units = [
        path.name
        for path in PACKAGE.iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("_")
    ]
    assert len(units) <= MOST_UNITS, sorted(units)


def test_the_test_sees_circles():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
