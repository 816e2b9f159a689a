"""Asked to end at any step, as by a service manager: it ends at once, and takes back what is half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.faults.conftest import Counts, scenarios, wanted
from tests.integration.faults.laboratory import Laboratory, Trial, finish, records, require_sound, temporary
from tests.integration.faults.scenarios import ON_SERVER, SCENARIOS
from tests.integration.faults.syscalls import CHANGING, Fault
from tests.integration.faults.test_kills import spread, whole

pytestmark = pytest.mark.usefixtures("surroundings")

DONE, TERMINATED = 0, 143
TERMINATIONS, TERMINATIONS_ON_SERVER = 3, 1


def excused(trial: Trial, at: int, left: list[str]) -> bool:
    """Whether it was asked to end just when it had made what is left, or was deleting: then ``gc`` does that."""
    met = [step for step in trial.steps if step.kind in CHANGING][at - 1]
    made = met.kind in ("create", "mkdir") and left == [met.path[1:]]
    return made or met.kind == "unlink" or all(Path(each).name.startswith("evicted.") for each in left)


def terminate(laboratory: Laboratory, counts: Counts, name: str, wanted: int) -> None:
    scenario = SCENARIOS[name]
    steps, expected = whole(laboratory, name)
    laboratory.reset()
    before = records(laboratory.root)
    places, ended = [step for step in steps if step.kind in CHANGING], 0
    for at in spread(len(places), wanted):
        laboratory.reset()
        trial = laboratory.trial(scenario, Fault("terminate", at, CHANGING))
        answer = trial.answers[-1]
        assert trial.status == 0, (name, at)
        assert answer["code"] in (DONE, TERMINATED), (name, at, answer["err"])
        assert "Traceback" not in answer["err"], (name, at, answer)
        ended += answer["code"] == TERMINATED
        left = temporary(laboratory.root)
        assert left == [] or excused(trial, at, left), (name, at, left)
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, (name, at)
    counts.add("ended", laboratory.called(name), points=len(places), tried=ended)
    assert ended > 0


@scenarios(["materialize to a folder"], [])
def test_asked_to_end_at_some_steps(laboratory: Laboratory, counts: Counts, name: str) -> None:
    terminate(laboratory, counts, name, 4)


@pytest.mark.slow
@scenarios(SCENARIOS, ON_SERVER)
def test_asked_to_end_at_any_step(laboratory: Laboratory, counts: Counts, name: str) -> None:
    terminate(laboratory, counts, name, wanted(laboratory, TERMINATIONS, TERMINATIONS_ON_SERVER))
