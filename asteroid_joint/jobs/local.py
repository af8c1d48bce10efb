"""Engine that runs in this process, one item after the other."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ..errors import ConfigError
from ..registry import ENGINES
from .run import JobError, attempt

T = TypeVar("T")
R = TypeVar("R")


@ENGINES.register("local")
def run_here(
    make_worker: Callable[[], Callable[[T], R]],
    items: Sequence[T],
    address: str | None = None,
    n_workers: int | None = None,
) -> Iterator[tuple[T, R | JobError]]:
    """See :func:`.run.run_jobs`.

    Raises:
        ConfigError: If an address or more than one worker is requested.
    """
    if address:
        raise ConfigError(f"The engine local has no address ({address}): name another engine.")
    if n_workers and n_workers > 1:
        raise ConfigError(f"The engine local has one worker, not {n_workers}: name another engine.")
    return _run(make_worker, items)


def _run(
    make_worker: Callable[[], Callable[[T], R]], items: Sequence[T]
) -> Iterator[tuple[T, R | JobError]]:
    if not items:
        return  # without loading a model
    worker = make_worker()
    for item in items:
        yield item, attempt(worker, item)
