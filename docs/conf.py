"""Sphinx configuration: ``make docs``. Pages are Markdown, the reference comes from docstrings.

The pages under ``reference/`` are made from the package and from the tables of the recipes whenever
the site is built, so that they cannot be out of date.
"""

import functools
import importlib
import importlib.util
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import asteroid_joint  # noqa: E402

project = "asteroid-joint"
author = "the asteroid-joint authors"
project_copyright = author
release = asteroid_joint.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_argparse_cli",
]
exclude_patterns = ["_build", "README.md"]
suppress_warnings = ["ref.python"]  # several rooms have a class of one name
nitpicky = False  # types of other projects: resolving them would need the network

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of named tuples are there already, with their types
napoleon_custom_sections = [("Class attributes", "params_style"), ("Shape", "notes")]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"asteroid-joint {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]

SINGLE = "package"  # page of the modules that lie in no room
ROOMS = {
    "package": "The package, its command and its registries",
    "inference": "Inference: from a song to stems, pitch, notes and files",
    "models": "Models: the contract and the systems",
    "masknn": "Blocks that the systems are made of",
    "pitch": "Pitch: grid, labels, decoders",
    "losses": "Losses and task weighting",
    "data": "Datasets, mixing, batches",
    "engine": "Training, evaluation, pseudo labels, publishing",
    "metrics": "Metrics",
    "share": "Facts about models and weights, the hub, ONNX",
    "drop_in": "Interfaces that programs already call",
    "jobs": "Jobs on several processes and machines",
    "audio": "Reading and writing audio",
    "dsp": "Signal processing",
    "apps": "Applications: commands, live input, web page, made corpus, reports",
}


@functools.cache
def modules() -> list[str]:
    """Every public module of the package, packages before what they hold."""
    found = pkgutil.walk_packages(asteroid_joint.__path__, "asteroid_joint.")
    names = ["asteroid_joint", *(module.name for module in found)]
    return sorted(name for name in names if not any(p.startswith("_") for p in name.split(".")))


def room_of(module: str) -> str:
    """The page that a module is on."""
    parts = module.split(".")
    found = importlib.util.find_spec(".".join(parts[:2]))
    is_room = len(parts) > 1 and found is not None and found.submodule_search_locations
    return parts[1] if is_room else SINGLE


def reference_pages() -> dict[str, str]:
    """Text of every page of the reference by its file name."""
    rooms: dict[str, list[str]] = {}
    for module in modules():
        rooms.setdefault(room_of(module), []).append(module)
    order = [*(name for name in ROOMS if name in rooms), *sorted(rooms.keys() - ROOMS.keys())]
    index = ["Reference", "=========", "", "Made from the docstrings of every module.", ""]
    index += [".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in order), ""]
    pages = {"index.rst": "\n".join(index)}
    for name in order:
        title = ROOMS.get(name, name.capitalize())
        lines = [title, "=" * len(title), ""]
        for module in rooms[name]:
            lines += [module, "-" * len(module), "", f".. automodule:: {module}", ""]
        pages[f"{name}.rst"] = "\n".join(lines)
    return pages


def results_page() -> str:
    """The tables of all recipes that have stored results, taken from their own pages."""
    lines = []
    for folder in sorted((ROOT / "recipes").glob("*/*/results")):
        recipe = folder.parent.relative_to(ROOT)
        lines += [f"## {'/'.join(recipe.parts[1:])}", ""]
        lines += [f"How it was made: `{recipe}/README.md`.", ""]
        lines += [f"```{{include}} ../../{recipe}/README.md"]
        lines += [":start-after: <!-- results -->", ":end-before: <!-- /results -->", "```", ""]
    return "# Tables of the recipes\n\n" + "\n".join(lines)


def write_generated(*_: Any) -> None:
    """Write what is generated; a file that is as it should be keeps its date."""
    folder = ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    pages = {**reference_pages(), "results_tables.md": results_page()}
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


OUTSIDE = re.compile(r"\[([^\[\]]+)\]\(\.\./(?!docs/)([^)#\s]+)(#[^)\s]*)?\)")


def name_outside_files(app: Any, docname: str, source: list[str]) -> None:
    """Links to files of the checkout, which are no pages here, become their paths."""

    def path(found: re.Match[str]) -> str:
        words, target, anchor = found.groups()
        if target == "benchmarks/README.md":
            return f"[{words}](benchmarks.md{anchor or ''})"
        name = target.removesuffix("/README.md")
        return f"`{name}`" if words.strip("`") in name else f"{words} (`{name}`)"

    source[0] = OUTSIDE.sub(path, source[0])


def home_of(target: str) -> str | None:
    """Where an object that a docstring names is documented: ``asteroid_joint.DJCM``'s module."""
    parts = target.lstrip(".").split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
            for part in parts[split:]:
                found = getattr(found, part)
        except (ImportError, AttributeError):
            continue
        module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        return f"{module}.{name}" if module and name else None
    return None


def resolve_reexport(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Link a name that a package re-exports to where it is documented."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    asked_from = node.get("py:module") or ""
    rooms = [asked_from, asked_from.rpartition(".")[0], "asteroid_joint"]
    for name in [target, *(f"{room}.{target}" for room in rooms if room)]:
        home = home_of(name)
        if home and home.startswith("asteroid_joint") and home in env.domains["py"].objects:
            node["reftarget"] = home
            domain = env.domains["py"]
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", home, node, contnode
            )
    return None


def absolute_references(app: Any, what: str, name: str, obj: Any, _: Any, lines: list[str]) -> None:
    """Read relative names in a docstring as an import would; Sphinx takes any that ends so."""
    module = sys.modules.get(name if what == "module" else getattr(obj, "__module__", None) or "")
    package = getattr(module, "__package__", None)
    if not package:
        return

    def absolute(found: re.Match[str]) -> str:
        role, _, target = found.groups()
        full = importlib.util.resolve_name(target, package)
        return f":{role}:`~{full}`" if full in modules() or home_of(full) else found.group()

    lines[:] = [re.sub(r":(\w+):`(~?)(\.+[\w.]+)`", absolute, line) for line in lines]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", absolute_references)
    app.connect("config-inited", write_generated)
    app.connect("missing-reference", resolve_reexport)
    app.connect("source-read", name_outside_files)
