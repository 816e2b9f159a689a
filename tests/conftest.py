"""What holds for every test run.

``MERGESTORE_SLOW_UNTIL``: seconds since the epoch after which no slow test is begun, where a run must end by then.
"""

import os
import time
from pathlib import Path

import pytest

# What tests share tells as much of a failure as they do.
pytest.register_assert_rewrite("tests.integration", "tests.property", "tests.unit")

ROOT = Path(__file__).parents[1]


def pytest_configure(config):
    """Drop compiled kernels older than any kernel: they are not used any more, and numba leaves them."""
    if hasattr(config, "workerinput"):
        return
    newest = max(path.stat().st_mtime for path in ROOT.glob("[!.]*/**/*kernels.py"))
    for cached in ROOT.glob("[!.]*/**/__pycache__/*.nb[ci]"):
        if cached.stat().st_mtime < newest:
            cached.unlink(missing_ok=True)


def pytest_runtest_setup(item):
    """Skip what there is no time left for."""
    until = os.environ.get("MERGESTORE_SLOW_UNTIL")
    if until and item.get_closest_marker("slow") and time.time() > float(until):
        pytest.skip("no time is left for slow tests")
