"""Loading the compiler behind the kernels without what it takes along for others: a fifth of a materialization's start.

numba looks for SciPy, for the linear algebra of those who use it in kernels, and for cffi; ours use neither. Both stay
out while numba is loaded, and can be imported afterwards. Only the command line does this: a process of its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_UNUSED = ("scipy", "cffi")
_SEEKERS = ("numba", "numba.np.arraymath", "numba.core.typing.cffi_utils")  # where numba looks for them


def load_compiler() -> None:
    """Load numba, unless it is loaded already."""
    if "numba" in sys.modules:
        return
    with _hidden(name for name in _UNUSED if name not in sys.modules):
        for module in _SEEKERS:
            with suppress(ImportError):  # numba is rearranged now and then: then it loads them itself, later
                importlib.import_module(module)
    if sys.stderr.isatty():
        tell_of_compiling()


def tell_of_compiling() -> None:
    """Have the first compilation of this process said on stderr: it takes long, and looks like nothing."""
    from numba.core import event

    class Teller(event.Listener):  # type: ignore[misc]  # numba has no types
        def on_start(self, event: object) -> None:
            if not told:
                told.append(event)
                from storage.encodings.kernels import cache_folder

                once = "once after installing, for each kind of merge"
                kept = once if cache_folder() else "in each process, for want of a place for it (mergestore doctor)"
                sys.stderr.write(f"compiling for this machine: {kept}\n")

        def on_end(self, event: object) -> None:
            pass

    told: list[object] = []
    event.register("numba:compile", Teller())


@contextmanager
def _hidden(names: Iterator[str]) -> Iterator[None]:
    hidden = list(names)
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import of this name fails
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
