"""Libraries that only some purposes need: imported late, missed in one sentence."""

import importlib
from types import ModuleType

from .errors import UserError


def optional(module: str, extra: str) -> ModuleType:
    """Import a module that an extra of this package brings.

    Args:
        module: Dotted name.
        extra: Name of the extra in ``pyproject.toml``.

    Raises:
        UserError: If it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name != module.partition(".")[0]:
            raise  # it is there, but something it needs is not: say which
        raise UserError(
            f"{err.name} is not installed: pip install 'asteroid-joint[{extra}]'."
        ) from err
