"""Tasks on the workers of a Dask cluster."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from threading import current_thread, main_thread
from typing import Any, TypeVar, final

from lossan.engines._tasks import Progress
from lossan.errors import LossanError, OptionError

_A = TypeVar("_A")
_R = TypeVar("_R")
_SECONDS = 15.0  # that a scheduler may take to answer
_WAIT_SECONDS = 30.0  # that its workers may take to come
_log = logging.getLogger(__name__)


@final
class DaskTasks:
    """Tasks of a Dask client; a worker that is lost has its tasks done again by another.

    Parameters
    ----------
    client : distributed.Client
    progress : callable, optional
    """

    def __init__(self, client: Any, progress: Progress | None = None) -> None:
        self._client, self._progress = client, progress

    def map(
        self, what: str, task: Callable[[Any, _A], _R], common: Any, each: Sequence[_A]
    ) -> Iterator[_R]:
        """Yield the results in order."""
        from distributed import KilledWorker

        # A task, not scattered data: that would be lost with the worker that holds it.
        shared = self._client.submit(_same, common, pure=False)
        futures = [self._client.submit(task, shared, one, pure=False) for one in each]
        try:
            for done in range(len(futures)):
                result = futures[done].result()
                futures[done].release()
                if self._progress is not None:
                    self._progress(what, done + 1, len(each))
                yield result
        except KilledWorker as error:
            raise LossanError(
                f"workers died again and again over one task ({what}): {error}. Most often they "
                "lack memory: give each at least 2 GB."
            ) from error
        finally:
            self._client.cancel([shared, *futures], force=True)


@contextmanager
def dask_tasks(scheduler: str | None, progress: Progress | None) -> Iterator[DaskTasks]:
    """Connect to a scheduler, or start workers on the cores of this machine.

    Raises
    ------
    OptionError
        When Dask is not installed, the scheduler does not answer or no worker comes to it.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise OptionError(
            f"--engine dask needs the extra: pip install 'lossan[dask]' ({error})"
        ) from error
    if scheduler is None:
        with ExitStack() as stack:
            with _held_back(), _deaf_to_interrupts():
                cluster = LocalCluster(
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,  # what fails comes back, as one error
                )
                stack.enter_context(cluster)
            yield DaskTasks(stack.enter_context(Client(cluster)), progress)
        return
    with _connected(scheduler) as client:
        _wait_for_workers(client, scheduler)
        yield DaskTasks(client, progress)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let what is started here not hear Ctrl-C: we do, and end it, without a traceback from each.

    The thread that starts workers has the signals blocked of the one that started it, and so have
    they.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # where it is started the signals are unblocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _held_back() -> Iterator[None]:
    """Raise what interrupts only once all is started: what is half started cannot be ended.

    Of interrupts that end the process at once, as SIGTERM does where nobody takes it, none is held.
    """
    if current_thread() is not main_thread():  # only there Python lets one take signals
        yield
        return
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: held for number in numbers if callable(held := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, _: noted.append(number))
    try:
        yield
    finally:
        for number, held in before.items():
            signal.signal(number, held)
    if noted:
        signal.raise_signal(noted[0])


def _connected(scheduler: str) -> Any:
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as own:  # whoever calls may have a loop running, as notebooks do
            own.submit(lambda: asyncio.run(_greet(scheduler))).result()
    except TypeError as error:  # how Dask says that it has nothing to speak tls or ucx with
        raise OptionError(
            f"--scheduler {scheduler}: Dask cannot speak {scheduler.partition(':')[0]} here "
            f"({error}). Name the certificates in Dask's configuration, distributed.comm.tls, or "
            "give the address of a scheduler that speaks tcp."
        ) from error
    except (OSError, ValueError) as error:
        raise _no_scheduler(scheduler, error) from error
    try:
        return Client(scheduler, timeout=_SECONDS)
    except (OSError, ValueError, TypeError) as error:  # the last of a worker, asked as a scheduler
        raise _no_scheduler(scheduler, error) from error


def _no_scheduler(scheduler: str, error: Exception) -> OptionError:
    return OptionError(
        f"--scheduler {scheduler}: no scheduler answers there ({error}). Start one by "
        "`dask scheduler`, and workers by `dask worker ADDRESS`; its address is printed."
    )


async def _greet(scheduler: str) -> None:
    """See whether a scheduler says who it is: a client waits for that without end."""
    from distributed.comm.core import connect
    from distributed.security import Security

    options = Security().get_connection_args("client")
    greeted = connect(scheduler, timeout=_SECONDS, **options)
    try:
        # a second more than it takes to say why a connection fails
        comm = await asyncio.wait_for(greeted, _SECONDS + 1)
    except TimeoutError as error:
        message = f"something listens, but did not say within {_SECONDS + 1:g} s that it is one"
        raise TimeoutError(message) from error
    comm.abort()


def _wait_for_workers(client: Any, scheduler: str) -> None:
    """Go on once there is a worker: without one tasks would wait without end."""
    if client.scheduler_info()["workers"]:
        return
    wait = f"{_WAIT_SECONDS:g} s"
    _log.warning("the scheduler %s has no workers yet; waiting %s for one.", scheduler, wait)
    try:
        client.wait_for_workers(1, timeout=_WAIT_SECONDS)
    except TimeoutError as error:
        raise OptionError(
            f"--scheduler {scheduler}: the scheduler has no workers, and none came within {wait}. "
            f"Start some, on as many machines as there are: `dask worker {scheduler}`."
        ) from error


def _same(value: _R) -> _R:
    return value
