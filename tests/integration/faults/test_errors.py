"""A disk that is full, broken or out of quota, no file to be had, half a write: told in plain words, and undone.

Each fault meets one system call of a verb, or all from there on, as a full disk does: SQLite's own are among them.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator

import pytest

from tests.integration.faults.conftest import Counts
from tests.integration.faults.laboratory import Laboratory, finish, records, require_sound, temporary
from tests.integration.faults.scenarios import SCENARIOS
from tests.integration.faults.syscalls import FAILING, FULL, Fault, Step
from tests.integration.faults.test_kills import spread, whole

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY, ENVIRONMENT = 6, 7
EACH = int(os.environ.get("MERGESTORE_FAULTS_EACH", "6"))


def faults(steps: list[Step], wanted: int) -> Iterator[Fault]:
    """Errors of every kind at steps of every kind, half writes, and disks that stay full, spread over all steps."""
    found = []
    for kind, errors in FAILING.items():
        total = sum(step.kind == kind for step in steps)
        found += [Fault(what, at, (kind,)) for at, what in itertools.product(range(1, total + 1), errors)]
    total = sum(step.kind == "write" for step in steps)
    found += [Fault("short", at, ("write",)) for at in range(1, total + 1)]
    full = [Fault(errno.ENOSPC, at, FULL, lasting=True) for at in range(1, sum(s.kind in FULL for s in steps) + 1)]
    found += full
    return (found[at - 1] for at in spread(len(found), wanted))


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
        if "unlink" not in fault.kinds:
            # What was evicted and could not be opened to be deleted is left to gc, as what could not be deleted is.
            assert [path for path in temporary(laboratory.root) if "/evicted." not in path] == [], told
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, told
        what = errno.errorcode[fault.what] if isinstance(fault.what, int) else str(fault.what)
        label = f"{what} from there on" if fault.lasting else what
        tried[label] = tried.get(label, 0) + 1
    counts.add("error", name, points=len(list(faults(steps, 0))), tried=sum(tried.values()), **tried)
    assert sum(tried.values()) > 0.8 * wanted


@pytest.mark.parametrize("name", ["materialize to a folder"])
def test_some_steps_fail(laboratory: Laboratory, counts: Counts, name: str) -> None:
    fail(laboratory, counts, name, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_step_fails(laboratory: Laboratory, counts: Counts, name: str) -> None:
    fail(laboratory, counts, name, EACH)
