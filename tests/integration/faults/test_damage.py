"""What cannot be read for want of files, memory or rights is not damaged: the command ends, and changes nothing."""

from __future__ import annotations

import errno

import pytest
from blake3 import blake3

import mergestore
from registry.records.database import reading
from registry.records.told import Told
from registry.upkeep.repairing import REPAIR
from tests.integration.faults.conftest import Counts
from tests.integration.faults.laboratory import Laboratory, Rows, content, records
from tests.integration.faults.scenarios import Scenario, damaged
from tests.integration.faults.syscalls import Fault

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY, ENVIRONMENT = 6, 7
PASSING = (errno.EMFILE, errno.ENOMEM, errno.EACCES)
"""What says nothing of a file."""
READERS = {
    "check --read-data": Scenario("check --read-data"),
    "verify": Scenario("verify"),
    "repair --apply": Scenario("repair --apply --from {root}/backup"),
    "repair --apply of damage": Scenario("repair --apply --from {root}/backup", damaged),
}


def committed(rows: Rows) -> Rows:
    """Every row, but for when an object was read last."""
    return {**rows, "blob": [row[:2] for row in rows["blob"]]}


def openings(laboratory: Laboratory, scenario: Scenario, *folders: str) -> dict[int, str]:
    """Which openings of a verb are of files below these folders, before it changes anything there."""
    laboratory.reset()
    steps = [step for step in laboratory.trial(scenario).steps if step.kind in ("open", "rename")]
    changing = [step.kind == "rename" and step.path.startswith("/store/") for step in steps]
    reading = steps[: changing.index(True)] if True in changing else steps
    opened = enumerate((step.path for step in reading if step.kind == "open"), 1)
    return {at: path for at, path in opened if path.startswith(folders) and (laboratory.root / path[1:]).is_file()}


def sound(laboratory: Laboratory) -> set[str]:
    """The objects that are what their names say."""
    files = (laboratory.root / "store" / "objects" / "blake3").rglob("*")
    named = {path.name: path for path in files if path.is_file()}
    return {f"blake3:{name}" for name, path in named.items() if blake3(path.read_bytes()).hexdigest() == name}


def mended_on_record(laboratory: Laboratory) -> set[str]:
    """The objects that the audit log says were mended."""
    with mergestore.open(laboratory.root / "store", create=False) as store, reading(store.engine) as session:
        return {digest for event in Told(session).all(REPAIR) for digest in event.details["objects"]}


@pytest.mark.parametrize("kind", [pytest.param("create", marks=pytest.mark.slow), "rename"])
def test_what_was_mended_before_the_disk_failed_is_on_record(laboratory: Laboratory, kind: str) -> None:
    scenario = READERS["repair --apply of damage"]
    laboratory.prepare(scenario)
    laboratory.reset()
    before, numbers = sound(laboratory), set[int]()
    steps = [step for step in laboratory.trial(scenario).steps if step.kind == kind]
    for at in [at for at, step in enumerate(steps, 1) if step.path.startswith(("/store/tmp", "/store/objects"))]:
        laboratory.reset()
        trial = laboratory.trial(scenario, Fault(errno.ENOSPC, at, (kind,)))
        assert (trial.met, trial.answers[-1]["code"]) == (1, ENVIRONMENT)
        mended = sound(laboratory) - before
        assert mended_on_record(laboratory) == mended, steps[at - 1]
        numbers.add(len(mended))
    assert {0, 1} <= numbers


def test_an_object_that_cannot_be_opened_now_is_not_damaged(laboratory: Laboratory, counts: Counts) -> None:
    short(laboratory, counts, "repair --apply", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_what_cannot_be_opened_now_is_not_damaged(laboratory: Laboratory, counts: Counts, name: str) -> None:
    short(laboratory, counts, name)


def short(laboratory: Laboratory, counts: Counts, name: str, wanted: int | None = None) -> None:
    scenario = READERS[name]
    laboratory.prepare(scenario)
    places = openings(laboratory, scenario, "/store/objects", "/store/cache", "/backup")
    laboratory.reset()
    before, rows = content(laboratory.root), records(laboratory.root)
    for number, (at, path) in enumerate(list(places.items())[:wanted]):
        laboratory.reset()
        # What nobody may read is no copy; and it keeps nothing else from being mended.
        errors = PASSING[:2] if path.startswith("/backup") or scenario.state is damaged else PASSING
        what = errors[number % len(errors)]
        trial = laboratory.trial(scenario, Fault(what, at, ("open",)))
        answer = trial.answers[-1]
        assert (trial.met, answer["code"]) == (1, ENVIRONMENT), (what, path, answer)
        assert "Traceback" not in answer["err"]
        assert content(laboratory.root) == before
        assert committed(records(laboratory.root)) == committed(rows)
    counts.add("no damage", scenario.verb, points=len(places), tried=len(list(places)[:wanted]))
    assert places


@pytest.mark.parametrize("name", ["check --read-data", "verify"])
def test_what_the_disk_cannot_read_is_damaged(laboratory: Laboratory, name: str) -> None:
    scenario = READERS[name]
    laboratory.prepare(scenario)
    place = min(openings(laboratory, scenario, "/store/objects"))
    laboratory.reset()
    answer = laboratory.trial(scenario, Fault(errno.EIO, place, ("open",))).answers[-1]
    assert answer["code"] == INTEGRITY, answer
    assert "Input/output error" in answer["out"] + answer["err"]


def test_what_the_disk_cannot_read_is_mended(laboratory: Laboratory) -> None:
    scenario = READERS["repair --apply"]
    laboratory.prepare(scenario)
    place = min(openings(laboratory, scenario, "/store/objects"))
    laboratory.reset()
    before = content(laboratory.root / "store" / "objects")
    answer = laboratory.trial(scenario, Fault(errno.EIO, place, ("open",))).answers[-1]
    assert answer["code"] == 0, answer
    assert content(laboratory.root / "store" / "objects") == before
    assert len(list((laboratory.root / "store" / "quarantine").iterdir())) == 1
