"""The plan of the house: rooms in one order, imports that go down it, no circle anywhere."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import asteroid_joint
from asteroid_joint.registration import HOMES

PACKAGE = Path(asteroid_joint.__file__).parent

# From the ground up: a file may import from its own room and from those above it in this list.
# A file belongs to the longest name here that its own begins with.
ROOMS = """
    errors version optional files registry compat
    dsp audio pitch jobs masknn data
    models losses metrics
    inference.fast inference.notes inference inference.collection
    engine.training engine.evaluation engine.pseudo engine
    share
    drop_in
    apps.corpus apps.describe apps.live apps.page apps.commands apps
    registration cli
""".split()
MOST_UNITS = 23  # folders and modules at the top


class Import(NamedTuple):
    """A name that a file takes from a file of the same package, wherever in it that is written."""

    file: Path
    line: int
    module: str  # that imports
    target: str  # module that is imported; "" is the package itself
    name: str  # what is taken from it; "" is the module


def modules_of(package: Path) -> dict[str, Path]:
    """Files by name, ``inference.notes`` for ``inference/notes/__init__.py``; ``""`` is the top."""

    def name(path: Path) -> str:
        parts = path.relative_to(package).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    return {name(path): path for path in sorted(package.rglob("*.py"))}


def imports_of(package: Path) -> list[Import]:
    """All of a package but those of its own ``__init__``, which only hands out names of rooms."""
    modules = modules_of(package)
    return [found for name in modules if name for found in imports_in(name, modules, package.name)]


def imports_in(module: str, modules: dict[str, Path], top: str) -> Iterator[Import]:
    """Those of a file, lazy ones and those under ``TYPE_CHECKING`` too."""
    path = modules[module]
    folder = module.split(".")[: None if path.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, _, target = alias.name.partition(".")
                if first == top:
                    yield Import(path, node.lineno, module, target, "")
        elif isinstance(node, ast.ImportFrom):
            base = [part for part in (node.module or "").split(".") if part]
            if node.level:
                base = folder[: len(folder) - node.level + 1] + base
            elif base[0] == top:
                base = base[1:]
            else:
                continue
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                found = (whole, "") if whole in modules else (".".join(base), alias.name)
                yield Import(path, node.lineno, module, *found)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            text = ast.unparse(node.args[0])
            by_string = isinstance(node.args[0], ast.Constant | ast.JoinedStr)
            ours = text.lstrip("f'\"").startswith((".", top, "{__package__}", "{__name__}"))
            assert not (by_string and ours), (
                f"{path}:{node.lineno} imports by a string, where no test sees it."
            )


def room(name: str, rooms: Sequence[str] = ROOMS) -> str:
    """The room that a module belongs to."""
    fits = [r for r in rooms if name == r or name.startswith(r + ".")]
    assert fits, f"{name} has no room: give it one, or name its room in {Path(__file__).name}."
    return max(fits, key=len)


def climbing(imports: list[Import], rooms: Sequence[str] = ROOMS) -> list[str]:
    """A sentence for every import from a room further down the list."""

    def floor(name: str) -> int:
        return rooms.index(room(name, rooms))

    return [
        f"{i.file}:{i.line} in {room(i.module, rooms)} imports {i.target}, of a room above it"
        for i in imports
        if i.target and floor(i.target) > floor(i.module)
    ]


def below_its_table(imports: list[Import], homes: dict[str, tuple[str, ...]]) -> list[str]:
    """A sentence for every file that takes a table from below a room that fills it."""
    return [
        f"{i.file}:{i.line} looks names up in {i.name}, which {home} above it fills"
        for i in imports
        for home in (homes.get(i.name, ()) if i.target == "registry" else ())
        if ROOMS.index(room(i.module)) < ROOMS.index(room(home))
    ]


def arrows(pairs: list[tuple[str | None, str | None]]) -> dict[str, set[str]]:
    """Who imports whom, without those that import themselves."""
    found: dict[str, set[str]] = {}
    for here, there in pairs:
        if here and there and here != there:
            found.setdefault(here, set()).add(there)
    return found


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


MODULES = modules_of(PACKAGE)


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Those of the package."""
    return imports_of(PACKAGE)


def test_imports_go_down(imports):
    assert not climbing(imports), "\n".join(climbing(imports))


def test_nobody_imports_the_roof(imports):
    assert not [f"{i.file}:{i.line}" for i in imports if not i.target]


def test_names_of_a_table_stand_below_nobody_who_needs_it(imports):
    """What fills a table is below, or in the room of, those that look names up in it."""
    assert {home for homes in HOMES.values() for home in homes} <= MODULES.keys()
    # OPERATIONS is there to hand things down: `model.transcribe` is the README's first line, and
    # what it does, or what a hub and ONNX are, is no business of a model's contract.
    homes = {table: where for table, where in HOMES.items() if table != "OPERATIONS"}
    assert not below_its_table(imports, homes), "\n".join(below_its_table(imports, homes))
    needed = {i.name for i in imports if i.target == "registry"}
    assert HOMES.keys() <= needed, "a table that nobody looks names up in"


def test_no_circle_of_files(imports):
    assert circle(arrows([(i.module, i.target) for i in imports])) == []


@pytest.mark.parametrize("folder", sorted({n.rpartition(".")[0] for n in MODULES}))
def test_no_circle_of_neighbours(folder, imports):
    """Files and folders of a folder, each folder taken as one: a staircase at every level."""
    prefix = folder + "." if folder else ""

    def neighbour(name: str) -> str | None:
        inside = name.startswith(prefix) and name != folder
        return name[len(prefix) :].split(".")[0] if inside else None

    assert circle(arrows([(neighbour(i.module), neighbour(i.target)) for i in imports])) == []


def test_the_top_is_short():
    units = [
        path.name
        for path in PACKAGE.iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("_")
    ]
    assert len(units) <= MOST_UNITS, sorted(units)


# The test itself


@pytest.fixture
def house(tmp_path) -> Path:
    """A package of two rooms, the cellar and what stands on it, without a fault."""
    package = tmp_path / "house"
    (package / "attic").mkdir(parents=True)
    (package / "__init__.py").write_text("from .attic import beam\n")
    (package / "cellar.py").write_text("import os\n")
    (package / "attic" / "__init__.py").write_text("from ..cellar import coal\nbeam = 1\n")
    (package / "attic" / "roof.py").write_text("from . import beam\nfrom house import cellar\n")
    return package


def test_a_sound_house(house):
    imports = imports_of(house)
    assert climbing(imports, ["cellar", "attic"]) == []
    found = [(i.module, i.target, i.name) for i in imports]
    assert found == [
        ("attic", "cellar", "coal"),
        ("attic.roof", "attic", "beam"),
        ("attic.roof", "cellar", ""),
    ]
    assert circle(arrows([(i.module, i.target) for i in imports])) == []


@pytest.mark.parametrize(
    "way",
    [
        "from .attic import beam",
        "from . import attic",
        "import house.attic",
        "from house.attic import beam",
        "from house.attic.roof import *",
        "def late():\n    from .attic import beam",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .attic import Beam",
    ],
)
def test_a_way_up_is_seen_wherever_it_is_written(house, way):
    (house / "cellar.py").write_text(f"{way}\n")
    (sentence,) = climbing(imports_of(house), ["cellar", "attic"])
    n_lines = way.count("\n") + 1
    assert sentence.startswith(f"{house / 'cellar.py'}:{n_lines} in cellar imports attic")


@pytest.mark.parametrize("name", ["'house.attic'", "'.attic', 'house'", "f'{__package__}.attic'"])
def test_a_way_up_by_a_string_is_refused(house, name):
    (house / "cellar.py").write_text(f"import importlib\nimportlib.import_module({name})\n")
    with pytest.raises(AssertionError, match="cellar.py:2 imports by a string"):
        imports_of(house)


def test_a_file_without_a_room_is_refused(house):
    with pytest.raises(AssertionError, match="attic.* has no room"):
        climbing(imports_of(house), ["cellar"])


def test_a_table_that_is_filled_above_is_seen(tmp_path):
    package = tmp_path / "house"
    (package / "dsp").mkdir(parents=True)
    (package / "registry.py").touch()
    (package / "dsp" / "a.py").write_text("def f():\n    from ..registry import LOSSES, MODELS\n")
    faults = {table: below_its_table(imports_of(package), {table: HOMES[table]}) for table in HOMES}
    assert [table for table in faults if faults[table]] == ["LOSSES", "MODELS"]
    assert "looks names up in LOSSES, which losses above it fills" in faults["LOSSES"][0]


def test_the_test_sees_circles():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
