"""The command line: parse, call the Store, render the answer. No logic of the registry lives here."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_OBJECTS = 1_000_000  # made before garbage is looked for: by default 700, which finds none while modules are loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit code."""
    if arguments is None:
        _lighten_start()
    try:
        from cli.edge import run
    except ImportError as problem:  # a rival package on the path, or a broken installation
        sys.stderr.write(f"error: mergestore cannot start: {problem}\n")
        return 7
    except KeyboardInterrupt:  # before the edge is there to say so
        sys.stderr.write("error: interrupted\n")
        return 130
    if arguments is not None:
        return run(arguments)
    code = run(sys.argv[1:])
    gc.freeze()  # what is left needs no search for garbage: the process ends
    return code


def _lighten_start() -> None:
    """Spare this process what loading libraries would do for nothing."""
    gc.set_threshold(_OBJECTS)
    # numpy's linear algebra would start a thread for every core; nothing here calls it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
