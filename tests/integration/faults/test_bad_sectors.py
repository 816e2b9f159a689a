"""A file on a bad sector, of which every reading fails, costs that file and nothing else."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest

from tests.integration.faults.laboratory import Laboratory
from tests.integration.faults.scenarios import Scenario, removed
from tests.integration.faults.syscalls import Fault
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY, ENVIRONMENT = 6, 7


def largest_of(laboratory: Laboratory, place: str) -> str:
    """The path of the largest object in a folder of the laboratory's, as steps name it; no registry."""
    manifest = laboratory.root / place / "manifest.json"
    registry = json.loads(manifest.read_text())["registry"]["digest"] if manifest.exists() else ""
    files = [path for path in (laboratory.root / place / "objects" / "blake3").rglob("*") if path.is_file()]
    objects = [path for path in files if path.name != registry.removeprefix("blake3:")]
    return "/" + str(max(objects, key=lambda path: path.stat().st_size).relative_to(laboratory.root))


def read_badly(laboratory: Laboratory, line: str, place: str) -> tuple[str, int, dict[str, Any]]:
    """The digest of an object there that cannot be read, and what a command line says to that."""
    path = largest_of(laboratory, place)
    trial = laboratory.trial(Scenario(f"{line} --json"), Fault(errno.EIO, 0, ("open",), path=path))
    answer = trial.answers[-1]
    assert trial.met, path
    assert "Traceback" not in answer["err"]
    return f"blake3:{path.rpartition('/')[2]}", answer["code"], json.loads(answer["out"])


def test_in_the_store_it_is_left_out_of_a_backup_and_named(laboratory: Laboratory) -> None:
    laboratory.prepare(Scenario("backup {root}/new-backup"))
    digest, code, answer = read_badly(laboratory, "backup {root}/new-backup", "store")
    assert (code, answer["lost"]) == (INTEGRITY, [digest])
    assert answer["objects"] == answer["copied"] > 5
    shell = Shell(laboratory.root / "elsewhere")
    assert shell.json("restore", laboratory.root / "new-backup", "--check", code=INTEGRITY)["lost"] == [digest]


@pytest.mark.slow
def test_a_registry_that_was_half_written_is_not_taken_for_a_backups(laboratory: Laboratory) -> None:
    """SQLite says nothing of a write that fails as it brings its log into the file at the end."""
    scenario = Scenario("backup {root}/new-backup")
    laboratory.prepare(scenario)
    steps = [step.path for step in laboratory.trial(scenario).steps if step.kind == "write"]
    places = [at for at, path in enumerate(steps, 1) if path.startswith("/new-backup/tmp/registry")]
    for at in places:
        laboratory.reset()
        trial = laboratory.trial(scenario, Fault(errno.EIO, at, ("write",), then=("write",)))
        assert trial.met, at
        assert trial.answers[-1]["code"] == ENVIRONMENT, (at, trial.answers[-1])
        assert not (laboratory.root / "new-backup" / "manifest.json").exists()
    for at in places:
        laboratory.reset()
        trial = laboratory.trial(scenario, Fault(errno.EIO, at, ("write",)))
        if trial.answers[-1]["code"] == 0:
            Shell(laboratory.root / "elsewhere").text("restore", laboratory.root / "new-backup", "--check")
    assert len(places) > 20


def test_in_a_backup_it_is_copied_anew_when_it_is_read(laboratory: Laboratory) -> None:
    laboratory.prepare(Scenario("backup {root}/backup --read-data"))
    digest, code, answer = read_badly(laboratory, "backup {root}/backup --read-data", "backup")
    assert (code, answer["lost"], answer["mended"]) == (0, [], [digest])
    assert Shell(laboratory.root / "elsewhere").json("restore", laboratory.root / "backup", "--check")["ok"]


def test_a_store_is_made_of_what_else_a_backup_has(laboratory: Laboratory) -> None:
    laboratory.prepare(Scenario("restore {root}/backup", removed))
    digest, code, answer = read_badly(laboratory, "restore {root}/backup", "backup")
    assert code == INTEGRITY
    assert digest in str(answer["error"])
    assert not (laboratory.root / "store").exists()
    digest, code, answer = read_badly(laboratory, "restore {root}/backup --partial", "backup")
    assert (code, answer["lost"]) == (INTEGRITY, [digest])
    problems = Shell(laboratory.root / "store").json("check", code=INTEGRITY)["problems"]
    assert {each["digest"] for each in problems} == {digest}
