"""Tables from name to object, in which models, datasets, losses and decoders are registered.

Example:
    >>> from asteroid_joint.registry import Registry
    >>> SHAPES = Registry("shape")
    >>> @SHAPES.register("round")
    ... def circle(): ...
    >>> SHAPES["round"] is circle
    True
"""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import ConfigError

T = TypeVar("T")


class Registry(dict[str, Any]):
    """A dictionary that answers an unknown key with an error listing the known ones.

    Args:
        kind: What the table holds, in the singular, for messages.

    Attributes:
        homes: Modules that fill the table, set by ``registration`` and imported at the latest when
            a name is not found.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.homes: tuple[str, ...] = ()

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that stores its argument under ``name``.

        Registering again after a module reload replaces the entry; a different object under a name
        that is taken raises ``ValueError``.
        """

        def decorator(obj: T) -> T:
            known = self.get(name)
            if known is not None and _origin(known) != _origin(obj):
                raise ValueError(
                    f"The {self.kind} name {name!r} is taken by {_origin(known)}: "
                    "register under another name."
                )
            self[name] = obj
            return obj

        return decorator

    def __missing__(self, name: str) -> Any:
        for home in self.homes:
            importlib.import_module(home)
            if name in self:
                return self[name]
        raise ConfigError(f"Unknown {self.kind} {name!r}: choose one of {', '.join(sorted(self))}.")


def _origin(obj: Any) -> str:
    return f"{obj.__module__}.{obj.__qualname__}"


def import_plugins(modules: str) -> None:
    """Import plugin modules, which register their contents.

    Args:
        modules: Module names, separated by commas.

    Raises:
        ConfigError: If one of them is not found.
    """
    for name in filter(None, (name.strip() for name in modules.split(","))):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as err:
            if err.name != name:
                raise  # it exists, but one of its dependencies does not
            raise ConfigError(
                f"There is no plugin module {name}: put its folder on PYTHONPATH."
            ) from err


DATASETS = Registry("dataset")
DECODERS = Registry("pitch decoder")
ENGINES = Registry("engine")
ESTIMATORS = Registry("pitch estimator")
LOSSES = Registry("loss term")
MODELS = Registry("model")
OPERATIONS = Registry("operation on a model")
WEIGHTINGS = Registry("weighting")
