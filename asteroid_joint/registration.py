"""Registration of this package's models with Asteroid, without loading torch early.

``import asteroid_joint`` promises that Asteroid knows the models. Loading them at once would make
``asteroid-joint --help`` wait for torch and Asteroid, so they are registered when Asteroid's own
table of models is imported, before or after this package.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from . import registry

TABLE = "asteroid.models"
HOMES = {  # modules that fill each table
    "DATASETS": ("data",),
    "DECODERS": ("pitch",),
    "ENGINES": ("jobs",),
    "ESTIMATORS": ("models",),
    "LOSSES": ("losses",),
    "MODELS": ("models",),
    "OPERATIONS": ("inference.transcription", "share.hub", "share.onnx"),
    "WEIGHTINGS": ("losses",),
}


def tell_homes() -> None:
    """Tell every registry which modules fill it."""
    for table, homes in HOMES.items():
        getattr(registry, table).homes = tuple(f"{__package__}.{home}" for home in homes)


def register_models() -> None:
    """Add every model to Asteroid's table, whose own can be constructed from then on.

    Repeated calls are harmless.
    """
    from . import models  # noqa: F401  # each registers itself
    from .compat import mend_dccrnet, mend_xumx, register_once
    from .registry import MODELS

    mend_dccrnet()
    mend_xumx()
    for model in MODELS.values():  # again, for a process that cleared Asteroid's table
        register_once(model)


def register_with_asteroid() -> None:
    """Register the models now if Asteroid's table is loaded, otherwise as soon as it is."""
    if TABLE in sys.modules:
        register_models()
    # one finder only: if this package is imported again, the finder of the first import remains
    others = [finder for finder in sys.meta_path if type(finder).__module__ != __name__]
    sys.meta_path[:] = [_WhenAsteroidIsImported(), *others]


class _WhenAsteroidIsImported(importlib.abc.MetaPathFinder):
    """Lets the other finders find Asteroid's table and registers the models after its import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != TABLE:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _call_after(spec.loader)
                return spec
        return None


def _call_after(loader: importlib.abc.Loader) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        register_models()

    loader.exec_module = exec_module  # type: ignore[method-assign]
