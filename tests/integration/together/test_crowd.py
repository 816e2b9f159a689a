"""Many processes on one store: no update is lost, nothing is made twice, nobody sees an error that is not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.together import crowd

pytestmark = pytest.mark.usefixtures("surroundings")


def test_a_crowd(database_url: str, tmp_path: Path) -> None:
    told = crowd.run(tmp_path, database_url, seed=1, members=6, deeds=12)
    assert set(told.codes.values()) == {0}
    assert not told.killed
    found = crowd.check(tmp_path, database_url, told)
    assert found["skill"] > 0
    assert found["collect"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2])
def test_a_crowd_at_length(database_url: str, tmp_path: Path, seed: int) -> None:
    told = crowd.run(tmp_path, database_url, seed=seed, members=7, deeds=60)
    assert not told.killed
    crowd.check(tmp_path, database_url, told)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3])
def test_a_crowd_of_which_some_are_killed(database_url: str, tmp_path: Path, seed: int) -> None:
    told = crowd.run(tmp_path, database_url, seed=seed, members=7, deeds=20, kills=20)
    assert len(told.killed) >= 10
    crowd.check(tmp_path, database_url, told)
