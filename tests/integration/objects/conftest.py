"""Object storages for tests: a real RGW, started once and on demand, and a bucket for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.objects.gateway import PACKAGES, Gateway, free_port, missing


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    pytest.importorskip("obstore")
    if missing():
        reason = f"no S3-compatible server here (missing {', '.join(missing())}): apt-get install {PACKAGES}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    home = Path(tempfile.mkdtemp(prefix="mergestore-rgw-", dir="/tmp"))  # paths of sockets must be short
    running = Gateway(home, free_port(), free_port())
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def bucket(gateway: Gateway, surroundings: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, which the environment has the keys for."""
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)
    return gateway.make_bucket()
