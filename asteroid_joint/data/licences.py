"""What a model file tells about the training data."""

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
    """Facts about a dataset under Asteroid's keys, for :attr:`~.base.JointDataset.infos`.

    Args:
        dataset: Name of the dataset.
        author: Its authors.
        license: Permitted use, in a few words.
        task: Task that it serves.
        title: Its name in the licence; by default its name.
        title_link, author_link, license_link: Addresses of data, authors and licence, if known.
        non_commercial: Whether commercial use is forbidden.

    Returns:
        ``dataset``, ``task`` and ``licenses``, a list of one dictionary.
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


def musdb18_infos(title: str, link: str) -> dict[str, Any]:
    """:func:`dataset_infos` of an edition of MUSDB18."""
    page = "https://sigsep.github.io/datasets/musdb.html"
    return dataset_infos(
        title,
        author="Zafar Rafii, Antoine Liutkus, Fabian-Robert Stöter, Stylianos Ioannis Mimilakis "
        "and Rachel Bittner",
        license="for non-commercial research, mostly CC BY-NC-SA 4.0",
        title_link=link,
        author_link=page,
        license_link=page,
        non_commercial=True,
    )
