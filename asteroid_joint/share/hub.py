"""Models on the Hugging Face hub, in Asteroid's form: ``pytorch_model.bin`` and a model card.

A shared model loads with ``BaseModel.from_pretrained("user/name")`` after
``import asteroid_joint``, and with :func:`asteroid_joint.load`. The file contains plain data and is
read with ``weights_only=True``.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, UserError
from ..files import atomic_write
from ..models.model_file import hub_reason, write_model_file
from ..registry import OPERATIONS

if TYPE_CHECKING:
    from ..models.base import JointModel

CARD_FILE = "README.md"
FACTS = ("infos", "dataset", "task", "licenses")  # of a model file, besides the model itself


@OPERATIONS.register("push_to_hub")
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
        repo_id: ``"user/name"``; the repository is created if necessary.
        facts: See :func:`write_folder`.
        private: Whether a new repository is private.
        token: Access token of the hub; by default that of ``hf auth login`` or ``HF_TOKEN``.
        message: Commit message.

    Returns:
        Address of the model's page.

    Raises:
        CheckpointError: If the model file cannot be used.
        UserError: One sentence on why the upload failed: token, connection or permission.
    """
    import huggingface_hub
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
        if repo_id.count("/") != 1:
            raise HFValidationError("no user")
    except HFValidationError as err:
        raise ConfigError(f"{repo_id!r} is not a valid name on the hub: give user/name.") from err
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
            raise UserError(f"{repo_id} was not shared: {hub_reason(err)}.") from err
    return f"https://huggingface.co/{repo_id}"


def write_folder(
    model: "JointModel | str | os.PathLike",
    folder: str | os.PathLike,
    *,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the content of a hub repository: ``pytorch_model.bin`` and ``README.md``.

    Args:
        model: Name of shipped weights, a model file, or a model.
        folder: Created if necessary; files of these names are replaced.
        name: Name of the model in its card; the folder's by default.
        facts: Facts for the card of a model in memory: any of ``infos`` (with ``evaluations``,
            ``run_facts``, ``training_config``), ``dataset``, ``task``, ``licenses`` as in the files
            that training writes. A model file contains its own.

    Returns:
        The folder.

    Raises:
        CheckpointError: If the model file cannot be used.
        UserError: If the folder is not writable.

    Example:
        >>> import asteroid_joint
        >>> model = asteroid_joint.DJCM.from_preset("tiny")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(os.listdir(write_folder(model, folder, name="me/mine")))
        ['README.md', 'pytorch_model.bin']
    """
    from ..models.pretrained import HUB_FILE
    from .facts import describe_content
    from .model_card import hub_card

    conf = _model_file(model, facts)
    folder = Path(folder)
    card = hub_card(describe_content(conf), name or folder.resolve().name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / CARD_FILE) as part:  # appears after the model file
            part.write_text(card, encoding="utf-8")
            write_model_file(conf, folder / HUB_FILE)
    except OSError as err:
        raise UserError(f"{folder} cannot be written to: {err.strerror or err}.") from err
    return folder


def _model_file(
    model: "JointModel | str | os.PathLike", facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The content of a model file, checked by loading the model."""
    from ..compat import plain_types
    from ..models.base import JointModel
    from ..models.model_file import read_model_file
    from ..models.pretrained import full_name, model_path

    if isinstance(model, JointModel):
        conf, more = model.serialize(), dict(facts or {})
        infos = {**(more.pop("infos", None) or {}), **conf["infos"]}
        known = {key: value for key, value in more.items() if key in FACTS}
        return plain_types({**conf, **known, "infos": infos})
    if facts is not None:
        raise ConfigError("Facts are for a model in memory: leave them out for a model file.")
    conf = read_model_file(model_path(full_name(os.fspath(model))))
    JointModel.from_pretrained(conf)
    return plain_types(conf)
