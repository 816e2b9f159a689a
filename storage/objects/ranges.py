"""Objects read by ranges, in blocks that come on several connections at once, the next ones before they are asked for.

Tensors that lie beside each other come in one block, and a block that several threads want comes once. What is held
is bounded for all readers together.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

BLOCK = 4 << 20
_HELD = 32  # blocks: 128 MiB
_CONNECTIONS = 8
_AHEAD = 3

Fetch = Callable[[str, int, int], memoryview]
"""Reads (key, start, length)."""


class Blocks:
    """The blocks of all objects that are being read."""

    def __init__(self, fetch: Fetch):
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="objects")
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[RangeReader, int], Future[memoryview]] = OrderedDict()

    def get(self, reader: RangeReader, number: int) -> memoryview:
        """A block of an object; those that follow are asked for."""
        with self._lock:
            last = min(number + _AHEAD, reader.blocks - 1)
            block, *_ = [self._ask(reader, each) for each in range(number, last + 1)]
        try:
            return block.result()
        except BaseException:
            with self._lock:  # whoever asks again has it fetched again
                self._held.pop((reader, number), None)
            raise

    def _ask(self, reader: RangeReader, number: int) -> Future[memoryview]:
        name = (reader, number)
        if name not in self._held:
            start = number * BLOCK
            length = min(BLOCK, reader.size - start)
            self._held[name] = self._pool.submit(self._fetch, reader.key, start, length)
        self._held.move_to_end(name)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return self._held[name]


@dataclass(frozen=True, eq=False)
class RangeReader:
    """One object of so many bytes, read through blocks. Another reader of the same object reads it anew."""

    held: Blocks
    key: str
    size: int

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return -(-self.size // BLOCK)

    def read_into(self, position: int, out: memoryview) -> None:
        """Fill ``out`` from ``position`` on; ValueError beyond the object's end."""
        if position < 0 or position + len(out) > self.size:
            raise ValueError(f"{self.key} has {self.size} bytes, asked for {position} to {position + len(out)}")
        done = 0
        while done < len(out):
            number, within = divmod(position + done, BLOCK)
            piece = self.held.get(self, number)[within : within + len(out) - done]
            out[done : done + len(piece)] = piece
            done += len(piece)

    def pieces(self) -> Iterator[memoryview]:
        """All bytes, in order."""
        for number in range(self.blocks):
            yield self.held.get(self, number)
