"""What importing the package costs, and what its documentation promises."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import asteroid_joint
from asteroid_joint.models import pretrained as store

REPOSITORY = Path(__file__).parents[2]
MODULES = [
    "asteroid_joint",
    *(m.name for m in pkgutil.walk_packages(asteroid_joint.__path__, "asteroid_joint.")),
]


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.alone
def test_import_is_light_and_quick():
    code = """
import sys, time
import asteroid
start = time.process_time()
import asteroid_joint
seconds = time.process_time() - start
heavy = {"pytorch_lightning", "museval", "matplotlib", "torchcrepe", "mir_eval", "musdb"}
print(seconds, *sorted(heavy & set(sys.modules)))
"""
    seconds = []
    for _ in range(4):
        found, *loaded = run(code).split()
        assert loaded == []
        seconds.append(float(found))
        if seconds[-1] < 0.5:
            break
    assert min(seconds) < 0.5, seconds


def test_processes_that_make_a_corpus_do_without_torch():
    """Each of ``--jobs`` is a fresh one and would load it anew."""
    assert (
        run("import asteroid_joint.apps.corpus.make, sys; print('torch' in sys.modules)") == "False"
    )


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module), name
    for attribute, value in vars(module).items():
        own = getattr(value, "__module__", None) == name
        if attribute.startswith("_") or not own:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{attribute}"
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    assert inspect.getdoc(getattr(value, method)), f"{name}.{attribute}.{method}"


def examples(module) -> list[doctest.DocTest]:
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    if store.DEFAULT_MODEL not in store.available_weights():  # a checkout before its weights exist
        found = [t for t in found if not any(store.DEFAULT_MODEL in e.source for e in t.examples)]
    return found


def test_examples_in_docstrings_are_true(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    ran = set()
    for name in MODULES:
        for test in examples(importlib.import_module(name)):
            results = doctest.DocTestRunner(verbose=False).run(test)
            assert results.failed == 0, test.name
            ran.add(test.name)
    assert {"asteroid_joint.pitch.grid.PitchGrid", "asteroid_joint.registry"} <= ran


def test_the_hub_example_is_true(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    spec = importlib.util.spec_from_file_location("hubconf_under_test", REPOSITORY / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    test = doctest.DocTestParser().get_doctest(module.__doc__, {}, "hubconf", None, 0)
    results = doctest.DocTestRunner(verbose=False).run(test)
    assert results.failed == 0 and results.attempted == 3


def test_public_names_are_there():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            assert hasattr(module, public), f"{name}.{public}"
