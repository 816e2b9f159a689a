"""Getting a large file onto the disk while it is still being written, so that little is left for the last flush.

Linux only; elsewhere everything here does nothing, and the flush at the end does all. None of it makes anything
durable: that is fsync's part, which also reports what went wrong here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

_STEP = 32 << 20
_KEEP_SIZE = 1
_START_WRITING = 2


def reserve(descriptor: int, nbytes: int) -> None:
    """Take the blocks that a file of this size needs; its size stays. OSError when the disk has not got them."""
    allocate = _linux("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if allocate is None or nbytes < _STEP or allocate(descriptor, _KEEP_SIZE, 0, nbytes) == 0:
        return
    code = ctypes.get_errno()
    # Many filesystems cannot reserve: writing then finds out how far it gets.
    if code in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(code, os.strerror(code))


class Writeback:
    """A thread that tells the kernel to begin writing out what is finished, 32 MiB at a time.

    The call can wait for the disk, which is why no thread that computes makes it.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._begin_writing = _linux("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        self._finished = 0
        self._told = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def reach(self, position: int) -> None:
        """All bytes before ``position`` are written and stay as they are."""
        if self._begin_writing is None or position - self._told < _STEP:
            return
        with self._changed:
            self._finished = position
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mergestore-writeback", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stop; the file can be closed after this."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._begin_writing is not None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._finished > self._told)
                if self._ended:
                    return
                start, self._told = self._told, self._finished
            self._begin_writing(self._descriptor, start, self._told - start, _START_WRITING)


def _linux(name: str, *arguments: Any) -> Callable[..., int] | None:
    """A function of the C library, given its arguments' types; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is not None:
        function.argtypes = arguments
    return function  # type: ignore[no-any-return]  # ctypes has no types for what a library holds
