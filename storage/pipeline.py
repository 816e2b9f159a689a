"""Work on a pool of threads: answers that come back in order, or tasks that are begun in order."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from storage.errors import UsageError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_NAME = "mergestore"
MOST_THREADS = 256
"""More are refused, but on a machine that has a fourth of them: they could only be in each other's way."""


def thread_count(threads: int | None) -> int:
    """How many threads to use: as asked, or as many as this process may run on.

    Raises UsageError for so many that they could only be in each other's way.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads is None:
        return own
    if threads > (most := max(MOST_THREADS, 4 * own)):
        raise UsageError(f"{threads} threads are too many: at most {most} are used", hint="leave it out for all cores")
    return max(1, threads)


def in_order(
    work: Callable[[Task], Answer], tasks: Iterable[Task], threads: int, lookahead: int = 2
) -> Generator[Answer, None, None]:
    """Run ``work`` on a pool and yield the answers in the order of the tasks, few of them in flight at once.

    Threads are at work until the iterator is exhausted or closed: where the loop over it may fail, put it into
    ``contextlib.closing``.
    """
    pending: deque[Future[Answer]] = deque()
    feed = iter(tasks)
    with ThreadPoolExecutor(threads, thread_name_prefix=_NAME) as pool:
        try:
            pending.extend(pool.submit(work, task) for task in itertools.islice(feed, threads + lookahead))
            while pending:
                answer = pending.popleft().result()
                pending.extend(pool.submit(work, task) for task in itertools.islice(feed, 1))
                yield answer
        finally:
            for future in pending:
                future.cancel()


def run_all(
    work: Callable[[Task], None], tasks: Iterable[Task], threads: int, stop: Callable[[], None] = lambda: None
) -> None:
    """Do every task on a pool of threads, begun in order. When this returns or raises, no thread is at work.

    The first error ends it: tasks that have begun are finished, no other begins, and of several errors that of the
    earliest task is raised. ``stop`` is called then, and must wake what ``tasks`` or ``work`` may be waiting for.
    """
    feed = _Feed(tasks)

    def halt() -> None:
        feed.close()
        stop()

    with ThreadPoolExecutor(threads, thread_name_prefix=_NAME) as pool:
        try:
            workers = [pool.submit(_labour, work, feed, halt) for _ in range(threads)]
            failures = [failure for worker in workers if (failure := worker.result()) is not None]
        finally:
            halt()
    if failures:
        raise min(failures, key=lambda failure: failure[0])[1]


def _labour(
    work: Callable[[Task], None], feed: _Feed[Task], halt: Callable[[], None]
) -> tuple[int, BaseException] | None:
    """Work until there is nothing left; what went wrong, with the number of the task."""
    number = -1
    try:
        while (begun := feed.begin()) is not None:
            number, task = begun
            work(task)
    except BaseException as error:
        halt()
        return number, error
    return None


class _Feed(Generic[Task]):
    """Tasks for several threads, numbered and given out one by one until it is closed."""

    def __init__(self, tasks: Iterable[Task]):
        self._tasks = enumerate(tasks)
        self._lock = threading.Lock()
        self._closed = False

    def begin(self) -> tuple[int, Task] | None:
        with self._lock:
            return None if self._closed else next(self._tasks, None)

    def close(self) -> None:
        # Without the lock: a thread may hold it while its task is being made, and that may be what has to be stopped.
        self._closed = True


class Strand:
    """Steps that are brought in any order and run in the order of their numbers, one at a time.

    There is no thread of its own: a thread that brings the step being waited for runs it, and those that follow it
    and are there already. Steps of different strands run side by side. After a step that fails, none runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Callable[[], None]] = {}
        self._next = 0
        self._busy = False

    def bring(self, number: int, step: Callable[[], None]) -> None:
        """Run the step now, or leave it to the thread that is at work here or brings the steps before it."""
        with self._lock:
            self._waiting[number] = step
            if self._busy or number != self._next:
                return
            self._busy = True
        # Still busy where a step raises, so that nothing comes after it.
        while (following := self._take()) is not None:
            following()

    def _take(self) -> Callable[[], None] | None:
        with self._lock:
            step = self._waiting.pop(self._next, None)
            self._next += 1 if step else 0
            self._busy = step is not None
            return step
