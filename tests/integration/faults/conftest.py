"""One laboratory for all faults of a run, and counts of what was tried, told to a file where one is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.integration.faults import syscalls
from tests.integration.faults.laboratory import WORK, Laboratory
from tests.integration.faults.scenarios import DATABASE


@pytest.fixture(scope="module")
def laboratory(
    request: pytest.FixtureRequest, surroundings: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """With the registry in SQLite, or where the parameter says ``postgresql`` in that."""
    if not syscalls.available():
        reason = "this kernel does not ask about system calls (seccomp's user notification: Linux 5.6, x86-64 or arm64)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with pytest.MonkeyPatch.context() as patch:
        server = None
        if getattr(request, "param", "sqlite") == "postgresql":
            server = request.getfixturevalue("postgres_server")
            patch.setenv(DATABASE, server.url(WORK).render_as_string())
        found = Laboratory(tmp_path_factory.mktemp("laboratory"), server)
        yield found
        found.close()


def scenarios(sqlite: Iterable[str], postgresql: Iterable[str]) -> pytest.MarkDecorator:
    """Runs a test of ``laboratory`` and ``name`` for each of these, with the registry there."""
    cases = [pytest.param("sqlite", name, id=name) for name in sqlite]
    cases += [
        pytest.param("postgresql", name, id=f"{name}, PostgreSQL", marks=pytest.mark.server) for name in postgresql
    ]
    return pytest.mark.parametrize(("laboratory", "name"), cases, indirect=["laboratory"], scope="module")


EACH = os.environ.get("MERGESTORE_FAULTS_EACH")


def wanted(laboratory: Laboratory, sqlite: int, postgresql: int) -> int:
    """How many of a verb's places are tried, spread over all of them; 0 means every one, as for ``spread``."""
    return int(EACH or (sqlite if laboratory.server is None else postgresql))


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
