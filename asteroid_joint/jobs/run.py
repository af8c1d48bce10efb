"""The interface of all engines: workers process items and yield results as they are finished.

Items, results and ``make_worker`` are pickled and sent to other processes and machines. Hence
``make_worker`` is best a small dataclass with ``__call__`` in an installed package: it is pickled
by name and needs only that package on the other machine.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import ConfigError, UserError
from ..registry import ENGINES

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class JobError:
    """Why there is no result for an item.

    Args:
        reason: One sentence.
        details: Traceback, unless the reason is a :class:`UserError`.
    """

    reason: str
    details: str = field(default="", repr=False, compare=False)


def run_jobs(
    make_worker: Callable[[], Callable[[T], R]],
    items: Sequence[T],
    *,
    engine: str = "local",
    address: str | None = None,
    n_workers: int | None = None,
) -> Iterator[tuple[T, R | JobError]]:
    """Process every item by a worker.

    Args:
        make_worker: Called once in every worker process, for example to load a model; returns the
            function that is applied to items. Its attribute ``n_gpus``, if it has one, is the
            number of GPUs reserved for each worker.
        items: Small and picklable; pass large data as file names.
        engine: ``"local"`` (in this process) or ``"ray"`` (on a Ray cluster).
        address: Address of a running cluster (``host:port`` or ``"auto"``), whose machines need
            this package and access to the files. ``None`` takes that in the environment variable
            ``RAY_ADDRESS`` or else starts a cluster on this machine.
        n_workers: Number of workers on a cluster; by default, as many as fit.

    Returns:
        Items with their results in order of completion, each item once. An exception for one item
        becomes a :class:`JobError` and the others go on; so does an item over which worker
        processes die repeatedly.

    Raises:
        UserError: If there is no such engine, it is not installed, or the cluster does not answer.
            One raised by ``make_worker`` keeps its class and text.

    Example:
        >>> from asteroid_joint.jobs import run_jobs
        >>> def make_worker():
        ...     return lambda x: 6 / x
        >>> list(run_jobs(make_worker, [2, 0]))
        [(2, 3.0), (0, JobError(reason='ZeroDivisionError: division by zero'))]
    """
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"Expected at least one worker, received {n_workers}.")
    run: Callable[..., Iterator[tuple[T, R | JobError]]] = ENGINES[engine]
    return run(make_worker, items, address, n_workers)


def attempt(work: Callable[[T], R], item: T) -> R | JobError:
    """``work(item)``, or why it failed."""
    try:
        return work(item)
    except UserError as err:
        return JobError(str(err))
    except Exception as err:  # the other items go on
        logger.debug("%s", item, exc_info=True)
        return JobError(_sentence(err), traceback.format_exc())


def _sentence(err: BaseException) -> str:
    text = str(err).strip().splitlines()
    return f"{type(err).__name__}: {text[0]}" if text else type(err).__name__
