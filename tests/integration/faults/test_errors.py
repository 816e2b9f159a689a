"""A disk that is full, broken or out of quota, no file to be had, half a write: told in plain words, and undone.

Each fault meets one system call of a verb, or all from there on, as a full disk does: SQLite's own are among them. With
the registry in PostgreSQL, connections break too: once, or all from there on.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.conftest import Counts, scenarios, wanted
from tests.integration.faults.laboratory import Laboratory, Trial, finish, records, require_sound, temporary
from tests.integration.faults.scenarios import ON_SERVER, SCENARIOS, Scenario
from tests.integration.faults.syscalls import CONNECTION, FAILING, FULL, Fault, Step
from tests.integration.faults.test_kills import spread, whole

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY, ENVIRONMENT = 6, 7
ERRORS, ERRORS_ON_SERVER = 6, 2
COMMIT = ("commit", "committed")


def faults(steps: list[Step], wanted: int) -> Iterator[Fault]:
    """Errors of every kind at steps of every kind, half writes, and disks and servers that stay away, spread over all
    steps; and as many connections that break at a commit.
    """

    def places(*kinds: str) -> range:
        return range(1, sum(step.kind in kinds for step in steps) + 1)

    found = []
    for kind, errors in FAILING.items():
        if kind not in COMMIT:
            found += [Fault(what, at, (kind,)) for at, what in itertools.product(places(kind), errors)]
    found += [Fault("short", at, ("write",)) for at in places("write")]
    found += [Fault(errno.ENOSPC, at, FULL, then=FULL) for at in places(*FULL)]
    found += [Fault(errno.ECONNRESET, at, CONNECTION, then=CONNECTION) for at in places(*CONNECTION)]
    commits = [Fault(errno.ECONNRESET, at, COMMIT) for at in places(*COMMIT)]
    for each in (found, commits):
        yield from (each[at - 1] for at in spread(len(each), wanted))


def undeletable(left: str, scenario: Scenario, trial: Trial, fault: Fault) -> bool:
    """Whether it is the fault that something temporary was not deleted, which is then left to ``gc``."""
    met = [step for step in trial.steps if step.kind in fault.kinds][fault.at - 1]
    within = f"{met.path}/".startswith(f"/{left}/")
    if met.kind == "unlink":
        return within or left.startswith(met.path[1:])  # or what SQLite has beside it
    if met.kind == "open" and within:  # a folder that was to be emptied: of what is of no use any more, nobody is told
        return trial.answers[-1]["code"] == 0
    # What is evicted was renamed, and is deleted when that is on the disk.
    evicting = scenario.verb in ("gc", "repair") and Path(left).name.startswith("evicted.")
    return evicting and (met.kind, met.path) in (("open", "/store/cache"), ("sync", "/store/cache"))


def fail(laboratory: Laboratory, counts: Counts, name: str, wanted: int) -> None:
    scenario = SCENARIOS[name]
    steps, expected = whole(laboratory, name)
    laboratory.reset()
    before = records(laboratory.root)
    tried = dict[str, int]()
    for fault in faults(steps, wanted):
        laboratory.reset()
        trial = laboratory.trial(scenario, fault)
        if not trial.met:
            continue
        assert trial.status == 0, (name, fault)
        answer = trial.answers[-1]
        told = (name, fault, answer)
        if answer["code"]:
            # What the disk cannot read is damaged: a check that says so has done its work.
            damage = scenario.verb == "check" and fault.what == errno.EIO and fault.kinds == ("open",)
            assert answer["code"] in (ENVIRONMENT, INTEGRITY if damage else ENVIRONMENT), told
            if answer["code"] == INTEGRITY:
                assert "Input/output error" in answer["out"], told
                continue
            assert "Traceback" not in answer["err"], told
            assert answer["err"].startswith("error: "), told
            assert fault.what != "short", told
        left = temporary(laboratory.root)
        assert [path for path in left if not undeletable(path, scenario, trial, fault)] == [], told
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, told
        what = errno.errorcode[fault.what] if isinstance(fault.what, int) else str(fault.what)
        label = f"{what} from there on" if fault.then else what
        tried[label] = tried.get(label, 0) + 1
    counts.add("error", laboratory.called(name), points=len(list(faults(steps, 0))), tried=sum(tried.values()), **tried)
    assert sum(tried.values()) > 0.8 * wanted


@scenarios(["materialize to a folder"], [])
def test_some_steps_fail(laboratory: Laboratory, counts: Counts, name: str) -> None:
    fail(laboratory, counts, name, 6)


@pytest.mark.slow
@scenarios(SCENARIOS, ON_SERVER)
def test_any_step_fails(laboratory: Laboratory, counts: Counts, name: str) -> None:
    fail(laboratory, counts, name, wanted(laboratory, ERRORS, ERRORS_ON_SERVER))
