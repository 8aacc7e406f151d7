"""Tasks on the workers of a Dask cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, final

from lossan.engines._tasks import Progress
from lossan.errors import LossanError, OptionError

_A = TypeVar("_A")
_R = TypeVar("_R")
_SECONDS = 15.0  # that a scheduler may take to answer


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
        When Dask is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise OptionError(
            f"--engine dask needs the extra: pip install 'lossan[dask]' ({error})"
        ) from error
    if scheduler is None:
        with (
            LocalCluster(
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,  # what fails comes back, as one error
            ) as cluster,
            Client(cluster) as client,
        ):
            yield DaskTasks(client, progress)
        return
    try:
        client = Client(scheduler, timeout=_SECONDS)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"--scheduler {scheduler}: no scheduler answers there ({error}). Start one by "
            "`dask scheduler`, and workers by `dask worker ADDRESS`; its address is printed."
        ) from error
    with client:
        yield DaskTasks(client, progress)


def _same(value: _R) -> _R:
    return value
