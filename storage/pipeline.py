"""Work on a pool of threads whose answers come back in order, with few of them in flight."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def thread_count(threads: int | None) -> int:
    """How many threads to use: as asked, or as many as this process may run on."""
    if threads is not None:
        return max(1, threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    work: Callable[[Task], Answer], tasks: Iterable[Task], threads: int, lookahead: int = 2
) -> Iterator[Answer]:
    """Run ``work`` on a pool and yield the answers in the order of the tasks, few of them in flight at once."""
    pending: deque[Future[Answer]] = deque()
    feed = iter(tasks)
    with ThreadPoolExecutor(threads, thread_name_prefix="mergestore") as pool:
        try:
            pending.extend(pool.submit(work, task) for task in itertools.islice(feed, threads + lookahead))
            while pending:
                answer = pending.popleft().result()
                pending.extend(pool.submit(work, task) for task in itertools.islice(feed, 1))
                yield answer
        finally:
            for future in pending:
                future.cancel()
