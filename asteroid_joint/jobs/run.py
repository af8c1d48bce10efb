"""What engines have in common: a worker that is made once, items, and results as they are finished.

Items, results and whatever makes a worker travel between processes and machines. Hence
``make_worker`` is best a small dataclass with ``__call__`` in an installed package: pickled by its
name, it needs nothing on the other machine but that package.
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
        details: A traceback, where the reason is no user's error.
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
    """Let workers do something to every item.

    Args:
        make_worker: Called once in every worker, where it loads the model, say. A number
            ``n_gpus`` that it has as an attribute is how many each worker is to have to itself.
        items: Small and picklable; what is large is better named than sent.
        engine: ``"local"``, in this process, or ``"ray"``, on a Ray cluster.
        address: Of a running cluster (``host:port``, or ``"auto"``), whose machines need to have
            this package installed and to see the files that are worked on. ``None`` starts one on
            this machine, or takes that in the environment variable ``RAY_ADDRESS``.
        n_workers: On a cluster; as many as fit by default.

    Returns:
        Items with their results as they are finished, each item once. An exception for one of them
        becomes a :class:`JobError`, and the rest goes on. So does the end of a worker, by the
        system or the loss of a machine, when it has come over an item again and again.

    Raises:
        UserError: If ``make_worker`` raises one, its class and text are kept. If there is no such
            engine, it is not installed, or the cluster does not answer.

    Example:
        >>> from asteroid_joint.jobs import run_jobs
        >>> def make_worker():
        ...     return lambda x: 6 / x
        >>> list(run_jobs(make_worker, [2, 0]))
        [(2, 3.0), (0, JobError(reason='ZeroDivisionError: division by zero'))]
    """
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"There have to be workers from 1 on, not {n_workers}.")
    run: Callable[..., Iterator[tuple[T, R | JobError]]] = ENGINES[engine]
    return run(make_worker, items, address, n_workers)


def attempt(work: Callable[[T], R], item: T) -> R | JobError:
    """``work(item)``, or why there is none."""
    try:
        return work(item)
    except UserError as err:
        return JobError(str(err))
    except Exception as err:  # the other items are none the worse for it
        logger.debug("%s", item, exc_info=True)
        return JobError(_sentence(err), traceback.format_exc())


def _sentence(err: BaseException) -> str:
    text = str(err).strip().splitlines()
    return f"{type(err).__name__}: {text[0]}" if text else type(err).__name__
