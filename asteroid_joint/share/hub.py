"""Models on the Hugging Face hub, as Asteroid has them there: ``pytorch_model.bin`` and a card.

What is shared here loads anywhere Asteroid does, ``BaseModel.from_pretrained("user/name")`` after
``import asteroid_joint``, and with :func:`asteroid_joint.load`. The file holds plain data and is
read with ``weights_only=True``.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError, UserError

if TYPE_CHECKING:
    from ..models.base import JointModel

CARD_FILE = "README.md"
FACTS = ("infos", "dataset", "task", "licenses")  # of a model file, beside the model itself
NO_CONNECTION = ("ConnectError", "ConnectionError", "Timeout", "OfflineMode", "LocalEntryNotFound")


def push_to_hub(
    model: "JointModel | str | os.PathLike",
    repo_id: str,
    *,
    facts: Mapping[str, Any] | None = None,
    private: bool = False,
    token: str | None = None,
    message: str = "",
) -> str:
    """Share a model on the Hugging Face hub.

    Args:
        model: Name of shipped weights, a model file, or a model.
        repo_id: ``"user/name"``; the repository is made if there is none.
        facts: See :func:`write_folder`.
        private: Whether a new repository is for its owner's eyes only.
        token: Of the hub; by default that of ``hf auth login`` or of ``HF_TOKEN``.
        message: Of the commit.

    Returns:
        Address of the model's page.

    Raises:
        CheckpointError: If the model file cannot be used.
        UserError: One sentence on why the hub did not take it: no token, no connection, no right.
    """
    import huggingface_hub
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as err:
        raise ConfigError(f"{repo_id!r} is no name on the hub: give user/name.") from err
    if repo_id.count("/") != 1:
        raise ConfigError(f"{repo_id!r} is no name on the hub: give user/name.")
    with tempfile.TemporaryDirectory() as folder:
        write_folder(model, folder, name=repo_id, facts=facts)
        try:
            api = huggingface_hub.HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=message or f"{repo_id.partition('/')[2]}, by asteroid-joint",
            )
        except Exception as err:  # a network stack raises what it likes
            raise UserError(f"{repo_id} was not shared: {_reason(err)}.") from err
    return f"https://huggingface.co/{repo_id}"


def write_folder(
    model: "JointModel | str | os.PathLike",
    folder: str | os.PathLike,
    *,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write what a repository of the hub holds: ``pytorch_model.bin`` and ``README.md``.

    Args:
        model: Name of shipped weights, a model file, or a model.
        folder: Created if need be; files of these names are replaced.
        name: Of the model in its card; the folder's by default.
        facts: For a model in memory, what its card can say: any of ``infos`` (with
            ``evaluations``, ``run_facts``, ``training_config``), ``dataset``, ``task``,
            ``licenses`` as in the files that training writes. A file brings its own.

    Returns:
        The folder.

    Raises:
        CheckpointError: If the model file cannot be used.
        UserError: If the folder cannot be written to.

    Example:
        >>> import asteroid_joint
        >>> model = asteroid_joint.DJCM.from_preset("tiny")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(os.listdir(write_folder(model, folder, name="me/mine")))
        ['README.md', 'pytorch_model.bin']
    """
    from ..models.store import HUB_FILE
    from .card import hub_card

    conf = _model_file(model, facts)
    folder = Path(folder)
    card = hub_card(conf, name or folder.resolve().name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as hidden:
            _save(conf, Path(hidden) / HUB_FILE)
            (Path(hidden) / CARD_FILE).write_text(card, encoding="utf-8")
            for file in (HUB_FILE, CARD_FILE):
                (Path(hidden) / file).replace(folder / file)
    except OSError as err:
        raise UserError(f"{folder} cannot be written to: {err.strerror or err}.") from err
    return folder


def fetch(name: str) -> str:
    """Download a model, or find it where it was downloaded to before.

    Args:
        name: What ``asteroid.utils.hub_utils.cached_download`` knows: a repository of the hub,
            ``user/name`` or ``user/name@revision``, an address, a name of Asteroid's own table.

    Returns:
        Path of the file.

    Raises:
        CheckpointError: One sentence on why there is none.
    """
    from asteroid.utils.hub_utils import cached_download

    try:
        return cached_download(name)
    except Exception as err:  # a network stack raises what it likes
        raise CheckpointError(
            f"{name} is neither a file nor a model to be fetched: {_reason(err)}."
        ) from err


def _model_file(
    model: "JointModel | str | os.PathLike", facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The content of a model file, checked by making the model."""
    from ..compat import plain_types
    from ..models.base import JointModel, read_model_file
    from ..models.store import full_name, model_path

    if isinstance(model, JointModel):
        conf, more = model.serialize(), dict(facts or {})
        infos = {**(more.pop("infos", None) or {}), **conf["infos"]}
        known = {key: value for key, value in more.items() if key in FACTS}
        return plain_types({**conf, **known, "infos": infos})
    if facts is not None:
        raise ConfigError("Facts are for a model in memory: a model file brings its own.")
    conf = read_model_file(model_path(full_name(os.fspath(model))))
    JointModel.from_pretrained(conf)
    return plain_types(conf)


def _save(conf: dict[str, Any], path: Path) -> None:
    import torch

    torch.save(conf, path)


def _reason(error: BaseException) -> str:
    """What to do about an error of the hub's library, half a sentence."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if any(part in kind for kind in kinds for part in NO_CONNECTION):
        return "there is no connection to the hub, or it is switched off (HF_HUB_OFFLINE)"
    if "LocalTokenNotFoundError" in kinds or status == 401:
        return "the hub asks for a token, or has no such repository: run hf auth login first"
    if status == 403:
        return "the token has no right to do that: ask for one that may write"
    if "RepositoryNotFoundError" in kinds or status == 404:
        return "the hub has no such repository or file, or it is private: run hf auth login first"
    return f"{type(error).__name__} {' '.join(str(error).split())[:120]}".rstrip(" .")
