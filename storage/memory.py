"""Memory that is used again: fresh memory costs a page fault every 4 KiB, many times what reading into it costs."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Hands out buffers of up to ``size`` bytes and takes them back; any thread may do either.

    There are as many as were ever out at once: how many that is, is up to those who take them.
    """

    def __init__(self, size: int):
        self.size = size
        self._free: deque[NDArray[np.uint8]] = deque()

    def take(self, nbytes: int) -> memoryview:
        """A buffer of ``nbytes``, at most ``size``; what it holds is left over from its last use."""
        if nbytes > self.size:
            raise ValueError(f"buffers hold {self.size} bytes, {nbytes} were asked for")
        try:
            whole = self._free.pop()
        except IndexError:
            whole = np.empty(self.size, np.uint8)
        return as_view(whole)[:nbytes]

    def give(self, buffer: memoryview) -> None:
        """Take back what ``take`` gave; from now on nothing may look at it or at a view of it."""
        whole: object = buffer.obj
        assert isinstance(whole, np.ndarray)
        self._free.append(whole)


def as_view(array: NDArray[np.uint8]) -> memoryview:
    """The bytes of an array, not copied."""
    return memoryview(array)  # type: ignore[arg-type]  # numpy arrays are buffers
