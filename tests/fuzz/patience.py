"""Waiting for something that an enemy has made, and not for ever."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
    """A block that ends in a TimeoutError where it does not end by itself."""

    def give_up(*_: object) -> None:
        raise TimeoutError("it does not end")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
