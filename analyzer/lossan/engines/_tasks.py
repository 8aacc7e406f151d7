"""Many tasks, whoever works on them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, TypeVar, final

_A = TypeVar("_A")
_R = TypeVar("_R")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the tasks done and the tasks there are."""


class Tasks(Protocol):
    """Runs tasks that depend on nothing but their arguments, any number of times if need be."""

    def map(
        self, what: str, task: Callable[[Any, _A], _R], common: Any, each: Sequence[_A]
    ) -> Iterator[_R]:
        """Yield ``task(common, one)`` for each one, in their order.

        Parameters
        ----------
        what : str
            What progress calls it.
        task : callable
            A function of a module.
        common : object
            What all tasks share; sent to a worker once.
        each : sequence
        """


@final
class Threads:
    """Tasks on the cores of this machine.

    Parameters
    ----------
    progress : callable, optional
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._cores = os.cpu_count() or 1

    def map(
        self, what: str, task: Callable[[Any, _A], _R], common: Any, each: Sequence[_A]
    ) -> Iterator[_R]:
        """Yield the results in order, no more of them made ahead than there are cores."""
        with ThreadPoolExecutor(self._cores) as pool:
            waiting: deque[Future[_R]] = deque()
            rest: Iterable[_A] = iter(each)
            done = 0
            try:
                for one in islice(rest, self._cores):
                    waiting.append(pool.submit(task, common, one))
                while waiting:
                    result = waiting.popleft().result()
                    waiting.extend(pool.submit(task, common, one) for one in islice(rest, 1))
                    done += 1
                    if self._progress is not None:
                        self._progress(what, done, len(each))
                    yield result
            finally:
                for future in waiting:
                    future.cancel()
