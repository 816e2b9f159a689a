"""A limited number of things that are lent out and come back: what holds work under way, and so bounds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Loan(Generic[Item]):
    """Something lent by a pool, to one holder at first. It goes back when the last holder has let go."""

    def __init__(self, pool: Pool[Item], item: Item):
        self._pool = pool
        self._holders = 1
        self._lock = threading.Lock()
        self.item = item

    def hold(self) -> None:
        """One more holder."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """One holder less."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._pool.take_back(self.item)


class Pool(Generic[Item]):
    """At most ``limit`` things, each made when there is none to lend again; what came back last is lent first."""

    def __init__(self, make: Callable[[], Item], limit: int):
        self._make = make
        self._limit = limit
        self._made = 0
        self._free: list[Item] = []
        self._closed = False
        self._changed = threading.Condition()

    @property
    def lent(self) -> int:
        """How many are out."""
        return self._made - len(self._free)

    @property
    def made(self) -> int:
        """How many there are."""
        return self._made

    def lend(self) -> Loan[Item] | None:
        """Wait until there is one to lend; None once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free or self._made < self._limit)
            if self._closed:
                return None
            if self._free:
                return Loan(self, self._free.pop())
            self._made += 1
        return Loan(self, self._make())

    def take_back(self, item: Item) -> None:
        """What a loan does when its last holder lets go."""
        with self._changed:
            self._free.append(item)
            self._changed.notify()

    def close(self) -> None:
        """Lend no more, and wake those who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
