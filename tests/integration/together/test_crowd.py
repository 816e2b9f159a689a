"""Many processes on one store: no update is lost, nothing is made twice, nobody sees an error that is not theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.together import crowd

pytestmark = pytest.mark.usefixtures("surroundings")
CROWDS = int(os.environ.get("CROWDS", "1"))
"""How many crowds of each kind; each does other things."""


def test_a_crowd(database_url: str, tmp_path: Path) -> None:
    told = crowd.run(tmp_path, database_url, seed=0, members=5, deeds=5)
    assert set(told.codes.values()) == {0}
    assert not told.killed
    found = crowd.check(tmp_path, database_url, told)
    assert found["skill"] >= 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, CROWDS + 1))
def test_a_crowd_at_length(database_url: str, tmp_path: Path, seed: int) -> None:
    told = crowd.run(tmp_path, database_url, seed=seed, members=7, deeds=50)
    assert not told.killed
    print(crowd.check(tmp_path, database_url, told))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1001, CROWDS + 1001))
def test_a_crowd_of_which_some_are_killed(database_url: str, tmp_path: Path, seed: int) -> None:
    told = crowd.run(tmp_path, database_url, seed=seed, members=7, deeds=20, kills=20)
    assert len(told.killed) >= 10
    print(crowd.check(tmp_path, database_url, told))
