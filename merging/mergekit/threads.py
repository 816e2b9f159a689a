"""torch on one thread: sums over many elements are split among threads, and so depend on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.Lock()
_inside = 0  # threads within ``one_thread``
_before = 1  # how many torch had when the first of them came


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Within it torch computes on the calling thread alone; afterwards on as many as before.

    torch keeps the number for each thread, and beside it one for threads to come: only the first to come in can tell
    what it was, and each that leaves puts it back for itself and for those to come.
    """
    global _inside, _before
    with _LOCK:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            torch.set_num_threads(_before)
