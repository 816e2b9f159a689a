"""The command line: parse, call the Store, render the answer. No logic of the registry lives here."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

__all__ = ["EXIT_TERMINATED", "Terminated", "ending_as_asked", "main", "terminate"]

EXIT_TERMINATED = 143

_STDERR = 2  # its number, the last of the three that every process begins with
_OBJECTS = 1_000_000  # made before garbage is looked for: by default 700, which finds none while modules are loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit code."""
    if arguments is None:
        _fill_closed_streams()
        _lighten_start()
        for asked in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(asked) == signal.SIG_DFL:  # else whoever started this wants it to go on, as nohup does
                signal.signal(asked, terminate)
    try:
        from cli.edge import run
    except ImportError as problem:  # a rival package on the path, or a broken installation
        sys.stderr.write(f"error: mergestore cannot start: {problem}\n")
        return 7
    except Terminated:
        return EXIT_TERMINATED
    except KeyboardInterrupt:  # before the edge is there to say so
        sys.stderr.write("error: interrupted\n")
        return 130
    if arguments is not None:
        return run(arguments)
    code = run(sys.argv[1:])
    gc.freeze()  # what is left needs no search for garbage: the process ends
    return code


class Terminated(KeyboardInterrupt):
    """Somebody asks this process to end, as when a service stops, a machine is wanted back, or a terminal closes."""


def terminate(*_: object) -> None:
    """Leave nothing half-written; whoever asks again does not want to wait for that."""
    for asked in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, signal.SIG_DFL)
    raise Terminated


@contextmanager
def ending_as_asked() -> Iterator[None]:
    """A block that ends with Terminated or KeyboardInterrupt where one came, whatever else went wrong because of that:
    a library that is told so between two steps may fail at the next.
    """
    try:
        yield
    except Exception as trouble:
        before: BaseException | None = trouble
        while before is not None and not isinstance(before, KeyboardInterrupt):
            before = before.__context__
        if before is not None:
            raise before from None
        raise


def _fill_closed_streams() -> None:
    """Give stdout and stderr that were closed (``>&-``) a place that takes everything.

    Their numbers are taken too: the next file that is opened would have them, and what is written there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123  (to the end)


def _lighten_start() -> None:
    """Spare this process what loading libraries would do for nothing."""
    gc.set_threshold(_OBJECTS)
    # numpy's linear algebra would start a thread for every core; nothing here calls it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
