"""One laboratory for all faults of a run, and counts of what was tried, told to a file where one is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults import syscalls
from tests.integration.faults.laboratory import Laboratory


@pytest.fixture(scope="module")
def laboratory(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    if not syscalls.available():
        reason = "this kernel does not ask about system calls (seccomp's user notification: Linux 5.6, x86-64 or arm64)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    found = Laboratory(tmp_path_factory.mktemp("laboratory"))
    yield found
    found.close()


FILE = os.environ.get("MERGESTORE_FAULTS_COUNTS")


class Counts:
    """What was tried. ``MERGESTORE_FAULTS_COUNTS`` names a file that gets a JSON document a line."""

    def add(self, family: str, scenario: str, **counts: int) -> None:
        if FILE:
            with Path(FILE).open("a") as opened:
                opened.write(json.dumps({"family": family, "scenario": scenario, **counts}) + "\n")


@pytest.fixture(scope="session")
def counts() -> Counts:
    return Counts()
