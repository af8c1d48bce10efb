"""Engine that runs workers on a Ray cluster, each in its own process, on any number of machines.

A worker is an actor that holds a model and processes one item at a time. If it dies, by a signal,
for lack of memory or with its machine, only that item is affected: it is passed to another worker,
and a new worker is started. No dashboard is started and no usage statistics are sent.

References:
    P. Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
    https://docs.ray.io
"""

import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import ConfigError, UserError
from ..optional import optional
from ..registry import ENGINES
from .run import JobError, attempt

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

MAX_TRIES = 3  # workers that may die while processing an item, or while starting
CONNECT_SEC = 10.0  # timeout for connecting to an address
HEALTH_SEC = 60.0  # timeout for Ray's own health check, which takes seconds to start
PATIENCE_SEC = 60.0  # without a first worker before a warning
OBJECT_STORE_BYTES = 80 * 2**20  # in memory; items and results are small
USAGE_STATS = "RAY_USAGE_STATS_ENABLED"  # environment variable


@ENGINES.register("ray")
def run_on_ray(
    make_worker: Callable[[], Callable[[T], R]],
    items: Sequence[T],
    address: str | None = None,
    n_workers: int | None = None,
) -> Iterator[tuple[T, R | JobError]]:
    """See :func:`.run.run_jobs`.

    A process that is already connected to Ray stays connected, and ``address`` is ignored.

    Raises:
        UserError: If Ray is not installed or the address does not answer. During iteration, if
            Ray or its workers cannot be started, or the cluster lacks the requested GPUs.
    """
    ray = optional("ray", "scale")
    address = address or os.environ.get("RAY_ADDRESS") or None
    if items and not ray.is_initialized() and address not in (None, "local", "auto"):
        _check_reachable(str(address))
    return _run(ray, make_worker, items, address, n_workers)


def _run(
    ray: Any,
    make_worker: Callable[[], Callable[[T], R]],
    items: Sequence[T],
    address: str | None,
    n_workers: int | None,
) -> Iterator[tuple[T, R | JobError]]:
    if not items:
        return
    with _connected(ray, address, n_workers):
        n_gpus = float(getattr(make_worker, "n_gpus", 0))
        fitting = _count_fitting(ray, n_gpus)
        pool = _Pool(ray, make_worker, n_gpus, min(n_workers or fitting, len(items)))
        try:
            yield from pool.run(items)
        finally:  # also after Ctrl-C, or if the caller stops early
            pool.close()


class Worker:
    """The actor in a worker's process.

    Args:
        make_worker: See :func:`.run.run_jobs`.
        n_gpus: GPUs reserved for it; at 0 all are hidden, so that workers do not share one.
    """

    def __init__(self, make_worker: Callable[[], Callable[[Any], Any]], n_gpus: float) -> None:
        self._make_worker = make_worker
        self._work: Callable[[Any], Any] | None = None
        if not n_gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def start(self) -> UserError | None:
        """Call ``make_worker``. A ``UserError`` is returned, as Ray would change its class."""
        try:
            self._work = self._make_worker()
        except UserError as err:
            return err
        return None

    def run(self, item: Any) -> Any:
        """The result of an item, or why it failed."""
        assert self._work is not None
        return attempt(self._work, item)


class _Pool:
    """The workers and their current calls."""

    def __init__(
        self, ray: Any, make_worker: Callable[[], Any], n_gpus: float, n_workers: int
    ) -> None:
        self.ray, self.n_workers = ray, n_workers
        actor = ray.remote(Worker).options(num_cpus=1, num_gpus=n_gpus, max_restarts=0)
        self._new = lambda: actor.remote(make_worker, n_gpus)
        self._busy: dict[Any, tuple[Any, int | None]] = {}  # future: worker, item; None = starts
        self._idle: list[Any] = []
        self._failed_starts = 0

    def run(self, items: Sequence[T]) -> Iterator[tuple[T, Any]]:
        """Items and results; see :func:`.run.run_jobs`."""
        waiting, deaths, left = deque(range(len(items))), [0] * len(items), len(items)
        self._refill(left, "")
        while left:
            while waiting and self._idle:
                worker, index = self._idle.pop(), waiting.popleft()
                self._busy[worker.run.remote(items[index])] = worker, index
            future = self._next()
            worker, item = self._busy.pop(future)
            try:
                result = self.ray.get(future)
            except self.ray.exceptions.RayTaskError as err:
                if item is None:
                    raise  # an error in make_worker that is not a user's
                result = JobError(_reason(err), str(err))  # e.g. it cannot be pickled
            except self.ray.exceptions.RayError as err:
                self._kill(worker)  # it may be unreachable but alive, beside its replacement
                if item is None:
                    self._failed_starts += 1
                else:
                    deaths[item] += 1
                    if deaths[item] < MAX_TRIES:
                        waiting.appendleft(item)
                    else:
                        left -= 1
                        sentence = f"{MAX_TRIES} workers died over it: it may need more memory."
                        yield items[item], JobError(sentence, str(err))
                self._refill(left, _reason(err))
                continue
            if item is None and result is not None:
                raise result
            self._idle.append(worker)
            if item is not None:
                left -= 1
                yield items[item], result

    def close(self) -> None:
        """Stop all workers, including busy ones."""
        for worker in (*self._idle, *(worker for worker, _ in self._busy.values())):
            self._kill(worker)
        self._idle, self._busy = [], {}

    def _next(self) -> Any:
        """Wait for the next finished call."""
        started = bool(self._idle) or any(item is not None for _, item in self._busy.values())
        calls = list(self._busy)
        if not started:
            done, _ = self.ray.wait(calls, num_returns=1, timeout=PATIENCE_SEC)
            if done:
                return done[0]
            logger.warning("No worker of the Ray cluster is free yet: waiting for one.")
        return self.ray.wait(calls, num_returns=1)[0][0]

    def _refill(self, left: int, reason: str) -> None:
        """Replace workers that died, up to ``MAX_TRIES`` failed starts."""
        wanted = min(self.n_workers, left)
        while len(self._busy) + len(self._idle) < wanted and self._failed_starts < MAX_TRIES:
            worker = self._new()
            self._busy[worker.start.remote()] = worker, None
        if left and not self._busy and not self._idle:
            raise UserError(f"Ray could not start any worker: {reason}")

    def _kill(self, worker: Any) -> None:
        self.ray.kill(worker, no_restart=True)


def _reason(err: BaseException) -> str:
    """The last line of Ray's message: the error itself, below tracebacks."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return lines[-1] if lines else type(err).__name__


def _count_fitting(ray: Any, n_gpus: float) -> int:
    """Number of workers that fit on the cluster."""
    there = ray.cluster_resources()
    fitting = int(there.get("CPU", 0))
    if n_gpus:
        fitting = min(fitting, int(there.get("GPU", 0) / n_gpus))
        if not fitting:
            raise ConfigError("The Ray cluster has no free GPU for a worker: use --device cpu.")
    return max(fitting, 1)


@contextmanager
def _connected(ray: Any, address: str | None, n_workers: int | None) -> Iterator[None]:
    """Connect to the cluster at ``address``, or to a new one that is stopped afterwards."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"address": address or "local"}
    if options["address"] == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        options["num_cpus"] = n_workers
    before = os.environ.get(USAGE_STATS)
    os.environ[USAGE_STATS] = before or "0"
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as err:
        # version mismatches, no node of the cluster on this machine, a full disk, ...
        raise UserError(f"Ray cannot be used at {options['address']}: {_reason(err)}") from err
    finally:
        if before is None:
            del os.environ[USAGE_STATS]
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise ``UserError`` if no Ray answers at an address; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or "/" in host:
        raise ConfigError(f"Expected a Ray address as host:port or auto; received {address}.")
    refusal = UserError(
        f"No Ray cluster answers at {address}: start one there (ray start --head --port {port}), "
        "or correct the address."
    )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SEC).close()
    except (OSError, OverflowError) as err:
        raise refusal from err
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        healthy = not subprocess.run(check, capture_output=True, timeout=HEALTH_SEC).returncode
    except subprocess.TimeoutExpired:
        healthy = False
    if not healthy:
        raise refusal
