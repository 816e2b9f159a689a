"""The command line: parse, call the Store, render the answer. No logic of the registry lives here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit code."""
    try:
        from cli.edge import run
    except ImportError as problem:  # a rival package on the path, or a broken installation
        sys.stderr.write(f"error: mergestore cannot start: {problem}\n")
        return 7
    return run(sys.argv[1:] if arguments is None else arguments)
