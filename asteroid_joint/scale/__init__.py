"""Jobs over many items, in this process or on other machines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class JobError:
    """Why a job has no result.

    Attributes:
        reason: One sentence.
    """

    reason: str


def run_jobs(
    make_worker: Callable[[], Callable[[T], R]],
    items: Sequence[T],
    *,
    engine: str = "local",
    address: str | None = None,
    n_workers: int | None = None,
) -> Iterator[tuple[T, R | JobError]]:
    """Do a job for every item; results come as they are finished.

    Args:
        make_worker: Called once per worker; what it returns does the jobs.
        items: Small values that can be pickled.
        engine: ``"local"``, in this process.
        address: Of a cluster.
        n_workers: How many workers.

    Yields:
        Each item with its result, or with why there is none; the rest goes on.

    Raises:
        ConfigError: If there is no such engine.
    """
    if engine != "local":
        raise ConfigError(f"Unknown engine {engine!r}: choose local.")
    worker = make_worker()
    for item in items:
        try:
            result: R | JobError = worker(item)
        except Exception as err:
            result = JobError(str(err))
        yield item, result
