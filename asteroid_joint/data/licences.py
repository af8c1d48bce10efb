"""What a model file says of the data that a model was trained on."""

from typing import Any

JOINT = "singing voice separation and pitch estimation"
DETECTION = "singing voice detection"
PITCH = "pitch estimation"


def dataset_infos(
    dataset: str,
    *,
    author: str,
    license: str,
    task: str = JOINT,
    title: str = "",
    title_link: str = "",
    author_link: str = "",
    license_link: str = "",
    non_commercial: bool = False,
) -> dict[str, Any]:
    """Facts about a dataset under Asteroid's keys; a link that is not known is empty.

    Args:
        dataset: Its name.
        author: Who made it.
        license: What it may be used for, in a few words.
        task: What it is for.
        title: What its licence calls it; by default its name.
        title_link, author_link, license_link: Addresses of the data, their authors and the licence.
        non_commercial: Whether commercial use is forbidden.

    Returns:
        ``dataset``, ``task`` and ``licenses``, a list of one dictionary: what
        :attr:`~.base.JointDataset.infos` holds.
    """
    licence = {
        "title": title or dataset,
        "title_link": title_link,
        "author": author,
        "author_link": author_link,
        "license": license,
        "license_link": license_link,
        "non_commercial": non_commercial,
    }
    return {"dataset": dataset, "task": task, "licenses": [licence]}
