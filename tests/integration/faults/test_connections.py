"""A connection that breaks at a COMMIT, after the server has done it: the verb asks what became of it, and says so.

Where the server stays away, nobody knows: that is said in plain words, nothing is taken back, and it is done again. All
else that can happen to a registry in PostgreSQL is tried with what is tried in SQLite: ``test_kills``, ``test_errors``.
"""

from __future__ import annotations

import errno

import pytest

from tests.integration.faults.conftest import Counts, scenarios, wanted
from tests.integration.faults.laboratory import PASSING, Laboratory, Rows, finish, records, require_sound
from tests.integration.faults.scenarios import SCENARIOS
from tests.integration.faults.syscalls import CONNECTION, Fault
from tests.integration.faults.test_kills import kill, whole

pytestmark = pytest.mark.usefixtures("surroundings")

ENVIRONMENT = 7
COMMITS = 4
VERBS = ("register base", "alias", "materialize to a folder", "import", "restore")
"""What these leave for good is recorded by one COMMIT."""


def lasting(rows: Rows) -> Rows:
    return {table: sorted(map(repr, found)) for table, found in rows.items() if table not in PASSING - {"alias"}}


def broken(laboratory: Laboratory, counts: Counts, name: str, last: int, *, away: bool) -> None:
    """``last``: only so many of the commits, the last ones, unless 0; ``away``: the server stays away from there on."""
    scenario = SCENARIOS[name]
    steps, expected = whole(laboratory, name)
    laboratory.reset()
    before, undecided = records(laboratory.root), 0
    commits = sum(step.kind == "committed" for step in steps)
    places = range(1, commits + 1)[-last:]
    for at in places:
        laboratory.reset()
        trial = laboratory.trial(scenario, Fault(errno.ECONNRESET, at, ("committed",), CONNECTION if away else ()))
        assert (trial.status, bool(trial.met)) == (0, True), (name, at)
        answer = trial.answers[-1]
        assert answer["code"] in (0, ENVIRONMENT), (name, at, answer)
        if lasting(records(laboratory.root)) != lasting(before):
            # It is on record: that is said, or that it may be, and not that there was nothing.
            assert answer["code"] == 0 or (away and "is on record, or is not" in answer["err"]), (name, at, answer)
        undecided += "is on record, or is not" in answer["err"]
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, (name, at, answer)
    assert bool(undecided) == away
    counts.add(
        "server away at a commit" if away else "answer lost at a commit",
        laboratory.called(name),
        points=commits,
        tried=len(places),
    )


@scenarios([], ["merge"])
def test_killed_at_some_steps(laboratory: Laboratory, counts: Counts, name: str) -> None:
    kill(laboratory, counts, name, 2)


@scenarios([], ["alias"])
def test_an_answer_that_is_lost_is_asked_for(laboratory: Laboratory, counts: Counts, name: str) -> None:
    broken(laboratory, counts, name, 2, away=False)


@pytest.mark.slow
@scenarios([], VERBS)
def test_any_answer_that_is_lost_is_asked_for(laboratory: Laboratory, counts: Counts, name: str) -> None:
    broken(laboratory, counts, name, wanted(laboratory, 0, COMMITS), away=False)


@pytest.mark.slow
@scenarios([], ["materialize to a folder", "restore"])
def test_a_server_that_stays_away_leaves_it_open(laboratory: Laboratory, counts: Counts, name: str) -> None:
    broken(laboratory, counts, name, wanted(laboratory, 0, COMMITS), away=True)
