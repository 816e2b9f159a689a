"""Which software had a part in a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("mergestore", "numpy", "numba", "zstandard", "torch")


def versions() -> dict[str, str | None]:
    """Versions of what has a part in the result."""
    return {"python": platform.python_version()} | {name: package_version(name) for name in _PACKAGES}


def package_version(name: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
