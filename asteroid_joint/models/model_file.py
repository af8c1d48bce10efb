"""Model files, read as data or downloaded as Asteroid does."""

import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import torch

from ..compat import plain_types
from ..errors import CheckpointError
from ..files import atomic_write

MODEL_KEYS = {"model_name", "state_dict", "model_args"}  # of an Asteroid model file
MODEL_SUFFIXES = (".bin", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors", ".th")
NO_CONNECTION = ("ConnectError", "ConnectionError", "Timeout", "OfflineMode", "LocalEntryNotFound")


def read_model_file(path: str) -> dict[str, Any]:
    """Read a model file as data, never as code.

    Args:
        path: File, URL, or hub id with or without a revision: ``user/name``, ``user/name@v1.0``.

    Raises:
        CheckpointError: If it is missing, unreadable, or contains anything but plain data.
    """
    if not pathlib.Path(path).is_file():
        if not can_be_fetched(path):
            raise CheckpointError(f"There is no model file {path}: correct the path.")
        path = fetch(path)
    try:
        conf = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise CheckpointError(
            f"{path} is not a plain model file: it is corrupt or contains code, and was not run."
        ) from err
    except Exception as err:  # bytes that are no pickle raise what they happen to run into
        raise CheckpointError(
            f"{path} cannot be read as a model file (corrupt or truncated): download it again."
        ) from err
    if not isinstance(conf, dict) or not MODEL_KEYS <= conf.keys():
        raise CheckpointError(
            f"{path} is not an Asteroid model file: it must contain "
            f"{', '.join(sorted(MODEL_KEYS))}."
        )
    return conf


def write_model_file(conf: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a model file that is read as data, completely or not at all.

    Args:
        conf: Output of ``model.serialize()`` and any other facts about the model.
        path: File to write or replace, in an existing folder.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_write(path) as part:
        torch.save(plain_types(conf), part)


def can_be_fetched(name: str) -> bool:
    """Whether a name other than a file may refer to the hub or the web.

    Dots do not matter, as in ``user/model-v2.1@v1.0``.

    Returns:
        ``True`` for a URL and for ``user/name``, with or without ``@revision``; ``False`` for
        names that end like a model file or lie in an existing folder.

    Example:
        >>> [can_be_fetched(name) for name in ("me/model-v2.1", "exp/best_model.pth", "model")]
        [True, False, False]
    """
    if name.startswith(("http://", "https://")):
        return True
    model_id, _, revision = name.partition("@")
    path = pathlib.PurePosixPath(model_id)
    if path.is_absolute() or len(path.parts) != 2 or path.parts[0] in (".", "..", "~"):
        return False
    is_file = path.suffix in MODEL_SUFFIXES or pathlib.Path(path.parts[0]).is_dir()
    return bool(revision) or not is_file


def fetch(name: str) -> str:
    """Download a model, or find it in the cache.

    Args:
        name: Name for ``asteroid.utils.hub_utils.cached_download``: a hub repository ``user/name``
            or ``user/name@revision``, an address, or a name of Asteroid's own table.

    Returns:
        Path of the file.

    Raises:
        CheckpointError: If it is not available.
    """
    from asteroid.utils.hub_utils import cached_download

    try:
        return cached_download(name)
    except Exception as err:  # a network stack raises what it likes
        raise CheckpointError(
            f"{name} is neither a file nor a model that can be downloaded: {hub_reason(err)}."
        ) from err


def hub_reason(error: BaseException) -> str:
    """Cause and remedy of an error of the hub's library, for the end of a sentence."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if any(part in kind for kind in kinds for part in NO_CONNECTION):
        return "there is no connection to the hub, or it is switched off (HF_HUB_OFFLINE)"
    if "LocalTokenNotFoundError" in kinds or status == 401:
        return "the hub asks for a token, or has no such repository: run hf auth login first"
    if status == 403:
        return "the token does not permit that: use one with write access"
    if "RepositoryNotFoundError" in kinds or status == 404:
        return "the hub has no such repository or file, or it is private: run hf auth login first"
    return f"{type(error).__name__} {' '.join(str(error).split())[:120]}".rstrip(" .")
