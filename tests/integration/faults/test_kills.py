"""Killed before any step on the disk: what was committed is there, all of it is whole, and the rest is done again.

Every verb that writes is run over the same state and killed at a chosen one of its system calls: before each write of a
file or of SQLite's pages and log, each file or folder made, renamed, cut or deleted; before all that is sent to
PostgreSQL, and when that has committed and the answer was not read yet.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from storage.processes import process_name
from tests.integration.faults.conftest import Counts, scenarios, wanted
from tests.integration.faults.laboratory import Laboratory, finish, records, require_sound, temporary
from tests.integration.faults.scenarios import ON_SERVER, SCENARIOS
from tests.integration.faults.syscalls import CHANGING, Fault, Step
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")

KILLS, KILLS_ON_SERVER = 38, 4
"""How many of a verb's steps are tried, spread over all of them: over a thousand together."""
SEED = int(os.environ.get("FAULTS_SEED", "20261128"))
"""Another one tries others of the steps."""


def spread(total: int, wanted: int) -> list[int]:
    """So many numbers of 1 to ``total``, a random one of each part of equal size; all of them if 0 are wanted."""
    if wanted in (0, total) or wanted > total:
        return list(range(1, total + 1))
    chance = random.Random(SEED)
    return [1 + int((part + chance.random()) * total / wanted) for part in range(wanted)]


def whole(laboratory: Laboratory, name: str) -> tuple[list[Any], dict[str, str]]:
    """What a verb does when nothing happens: its steps, and what there is when all is done."""
    scenario = SCENARIOS[name]
    laboratory.prepare(scenario)
    for _ in range(2):  # the first run imports what all others have from the start
        laboratory.reset()
        done = laboratory.trial(scenario)
        assert [answer["code"] for answer in done.answers] == [0], done.answers
    return done.steps, finish(laboratory.root, scenario, thorough=True)


def deaths(steps: list[Step], wanted: int) -> list[Fault]:
    """Kills spread over all steps, and half as many over the commits that were not heard of."""
    chosen = ((CHANGING, wanted), (("committed",), (wanted + 1) // 2))
    return [
        Fault("kill", at, kinds)
        for kinds, each in chosen
        for at in spread(sum(step.kind in kinds for step in steps), each)
    ]


def kill(laboratory: Laboratory, counts: Counts, name: str, wanted: int) -> None:
    scenario = SCENARIOS[name]
    steps, expected = whole(laboratory, name)
    laboratory.reset()
    before = records(laboratory.root)
    killed = 0
    for death in deaths(steps, wanted):
        laboratory.reset()
        trial = laboratory.trial(scenario, death)
        # Of what libpq has to send at once it may make one call or several: a run may have fewer steps than another.
        assert (trial.status == -9) == (sum(step.kind in death.kinds for step in trial.steps) >= death.at)
        killed += trial.status == -9
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, (SEED, name, death, trial.steps[-1])
    counts.add("kill", laboratory.called(name), points=len(deaths(steps, 0)), tried=killed)
    assert killed > 0.8 * len(deaths(steps, wanted)) - 1


@scenarios(["register skill (dare)", "gc --apply"], [])
def test_killed_at_some_steps(laboratory: Laboratory, counts: Counts, name: str) -> None:
    kill(laboratory, counts, name, 4)


def test_what_sqlite_has_beside_a_temporary_file_is_collected(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "store")
    shell.text("init")
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = process_name().split(".")[0]
    left = []
    for folder in ("tmp", "backups"):
        (shell.home / folder).mkdir(exist_ok=True)
        left += [shell.home / folder / f"registry.{host}.{dead.pid}.0.tmp{each}" for each in ("", "-journal", "-wal")]
    for path in left:
        path.touch()
    assert [each["path"] for each in shell.json("gc", "--apply")["leftovers"]] == [str(path) for path in left]
    assert not any(path.exists() for path in left)


ELSEWHERE = ["materialize to a folder", "materialize over a folder", "materialize --as lora", "export"]
"""What writes outside of the store."""


@scenarios(["export"], [])
def test_gc_collects_what_a_kill_leaves_elsewhere(laboratory: Laboratory, name: str) -> None:
    collected_elsewhere(laboratory, name, 6)


@pytest.mark.slow
@scenarios(ELSEWHERE, [])
def test_gc_collects_what_any_kill_leaves_elsewhere(laboratory: Laboratory, name: str) -> None:
    collected_elsewhere(laboratory, name, wanted(laboratory, KILLS, 0))


def collected_elsewhere(laboratory: Laboratory, name: str, wanted: int) -> None:
    """Also where nobody does it again."""
    scenario = SCENARIOS[name]
    steps, _ = whole(laboratory, name)
    outside = 0
    for death in deaths(steps, wanted):
        laboratory.reset()
        laboratory.trial(scenario, death)
        shell = Shell(laboratory.root / "store")
        left = temporary(laboratory.root)
        outside += any(not each.startswith("store/") for each in left)
        told = shell.json("gc", "--grace", "0s")["leftovers"]
        found = {Path(each["path"]) for each in told}
        assert {each for each in left if Path(each).parent == Path()} <= {path.name for path in found}
        assert temporary(laboratory.root) == left, "nothing was to be applied"
        shell.text("gc", "--apply", "--grace", "0s")
        assert temporary(laboratory.root) == []
    assert outside > 1, "or nothing was seen here"


@pytest.mark.slow
@scenarios(SCENARIOS, ON_SERVER)
def test_killed_at_any_step(laboratory: Laboratory, counts: Counts, name: str) -> None:
    kill(laboratory, counts, name, wanted(laboratory, KILLS, KILLS_ON_SERVER))
