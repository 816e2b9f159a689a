"""The doctor of a store that cannot be opened: what is wrong with the registry, and all other checks."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import UsageError
from migrations import REVISIONS, VERSION_TABLE, downgrade, head
from registry.records.database import open_engine, sqlite_url
from tests.integration.shell import Shell, listing

PAGE = 4096
OTHERS = {"sqlite", "home", "policy", "filesystem", "disk space", "limits", "kernels", "torch", "mlflow"}
"""What is looked at beside the registry."""
INSIDE = {"triggers", "clock", "quota", "outbox"}


def told(shell: Shell, *words: str) -> dict[str, Any]:
    """The finding about the registry; all other checks were made, and nothing was changed."""
    before = listing(shell.home)
    checks = {each["name"]: each for each in shell.json(*words, "doctor", code=7)["checks"]}
    assert (OTHERS - ({"sqlite"} if words else set())) <= checks.keys()
    assert not INSIDE & checks.keys()
    assert listing(shell.home) == before
    assert checks["database"]["level"] == "error"
    assert checks["database"]["hint"]
    code, out, err = shell(*words, "doctor")
    assert (code, err) == (7, "")
    assert "error    database:" in out
    return dict(checks["database"])


def damage(registry: Path) -> None:
    registry.write_bytes(b"this is not a database at all" * 200)


def cut_short(registry: Path) -> None:
    registry.write_bytes(registry.read_bytes()[:5000])


def newer(registry: Path) -> None:
    with sqlite3.connect(registry) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0099'")
    connection.close()


def older(registry: Path) -> None:
    engine = open_engine(sqlite_url(registry))
    downgrade(engine, REVISIONS[-2], registry.parent / "backups")
    engine.dispose()


def folder_instead(registry: Path) -> None:
    registry.unlink()
    registry.mkdir()


def a_link_to_itself(registry: Path) -> None:
    registry.unlink()
    registry.symlink_to(registry.name)


def a_pipe(registry: Path) -> None:
    registry.unlink()
    os.mkfifo(registry)


def empty(registry: Path) -> None:
    registry.write_bytes(b"")


def gone(registry: Path) -> None:
    registry.unlink()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (damage, "is damaged"),
        (cut_short, "is damaged"),
        (newer, "has schema 0099"),
        (older, f"this mergestore needs {head()}"),
        (folder_instead, "registry.db is not a file"),
        (a_pipe, "registry.db is not a file"),
        (empty, "the registry database that names them is not there, or is empty"),
        (a_link_to_itself, "registry"),
        (gone, "the registry database that names them is not there"),
    ],
)
def test_a_registry_that_does_not_open_is_a_finding(place: Path, harm: Any, says: str) -> None:
    harm(place / "store" / "registry.db")
    assert says in told(Shell(place / "store"))["detail"]


def test_a_server_that_is_away_is_a_finding(place: Path) -> None:
    found = told(Shell(place / "store"), "--database", "postgresql://ann:hunter2@127.0.0.1:9/registry")
    assert "127.0.0.1" in found["detail"]
    assert "hunter2" not in str(found)
    assert "server runs" in found["hint"]


def test_no_store_is_a_finding_and_none_is_made(place: Path) -> None:
    shutil.rmtree(place / "store")
    found = mergestore.doctor(place / "store")
    assert found["ok"] is False
    assert "there is no store" in found["checks"][0]["detail"]
    assert not any(each["name"] == "home" for each in found["checks"])
    assert not (place / "store").exists()


@pytest.mark.parametrize("harm", [empty, gone])
def test_whoever_meets_a_store_without_its_registry_is_told_the_same(place: Path, harm: Any) -> None:
    harm(place / "store" / "registry.db")
    shell = Shell(place / "store", place)
    for words in (("init",), ("list",), ("check",), ("gc", "--apply")):
        refusal = shell.refused(6, *words)
        assert "the registry database that names them is not there" in refusal["message"]
        assert "mergestore restore" in refusal["hint"]


def test_what_is_no_url_is_no_finding(place: Path) -> None:
    with pytest.raises(UsageError):
        mergestore.doctor(place / "store", database="mysql://localhost/x")


def test_a_store_that_opens_is_examined_in_full(place: Path) -> None:
    found = mergestore.doctor(place / "store")
    assert {each["name"] for each in found["checks"]} >= OTHERS | INSIDE | {"database"}


def spoil_pages(registry: Path, *names: str) -> None:
    """Overwrite the beginning of the first page of tables and indexes, as a failing disk does."""
    with sqlite3.connect(registry) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        pages = [connection.execute(query, [name]).fetchone()[0] for name in names]
    connection.close()
    content = bytearray(registry.read_bytes())
    for page in pages:
        for place in range((page - 1) * PAGE, (page - 1) * PAGE + 64):
            content[place] ^= 0x5A
    registry.write_bytes(content)


@pytest.mark.parametrize("table", ["alias", "audit_event", "tensor"])
def test_a_table_that_makes_no_sense_is_a_finding(place: Path, table: str) -> None:
    """Opening the registry does not come by it."""
    spoil_pages(place / "store" / "registry.db", table)
    shell = Shell(place / "store")
    checks = shell.json("doctor", code=7)["checks"]
    (found,) = [each for each in checks if each["name"] == "database"]
    assert (found["level"], "is damaged: database disk image is malformed" in found["detail"]) == ("error", True)
    assert "mergestore restore" in found["hint"]


def test_an_index_that_makes_no_sense_is_told_apart(place: Path) -> None:
    spoil_pages(place / "store" / "registry.db", "ix_audit_event_subject", "ix_model_version_digest")
    checks = Shell(place / "store").json("doctor", code=7)["checks"]
    (found,) = [each for each in checks if each["name"] == "database"]
    assert (found["level"], "and its tables can be read whole: Page" in found["detail"]) == ("error", True)
    spoil_pages(place / "store" / "registry.db", "version_file")
    checks = Shell(place / "store").json("doctor", code=7)["checks"]
    (found,) = [each for each in checks if each["name"] == "database"]
    assert "tables" not in found["detail"]
