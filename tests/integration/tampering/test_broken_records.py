"""Records that lead nowhere, or that nobody can read: `verify` tells it, and no other command takes it for a bug."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from registry.records.database import migrating, open_engine, sqlite_url
from tests.integration.shell import Shell
from tests.integration.tampering.conftest import Everything
from tests.integration.tampering.test_records import TABLES, Change, changes

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY = 6
REFUSALS = {0, 3, 4, 5, INTEGRITY}  # an answer, or an error that a person can do something about
COMMANDS = (
    ("audit", "assistant@1"),
    ("show", "math"),
    ("audit", "twice", "--rebuild"),
    ("find", "materializations"),
    ("diff", "math@1", "code@1"),
    ("impact", "golden/base"),
    ("show", "twice"),
    ("find", "events"),
    ("check", "weighed", "--quick"),
    ("stats", "list"),
    ("find", "skills"),
    ("verify", "assistant@1"),
    ("audit", "assistant@1", "--tensor", "*"),
    ("find", "merges"),
    ("list",),
)


@pytest.fixture
def home(everything: Everything, tmp_path: Path) -> Path:
    """A store, all of its records in one file."""
    home = tmp_path / "store"
    shutil.copytree(everything.home, home, ignore=shutil.ignore_patterns("cache"))
    engine = open_engine(sqlite_url(home / "registry.db"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return home


@pytest.mark.slow
def test_no_broken_record_looks_like_a_bug(home: Path) -> None:
    database = home / "registry.db"
    sound = database.read_bytes()
    turn = 0
    for change in list(_breaking(home))[::3]:
        engine = open_engine(sqlite_url(database))
        try:
            with migrating(engine) as connection:
                connection.execute(text("PRAGMA ignore_check_constraints = ON"))
                with guards_aside(connection):
                    change.do(connection)
        except IntegrityError:  # a key that another row has
            continue
        finally:
            engine.dispose()
        some = (("verify",), *(COMMANDS[(turn + step) % len(COMMANDS)] for step in range(2)))
        turn += 2
        for words in some:
            code, out, err = Shell(home)(*words, "--json")
            assert code in REFUSALS, (change.what, words, out + err)
            assert code == INTEGRITY or words != ("verify",), change.what
        for file in home.glob("registry.db*"):
            file.unlink()
        database.write_bytes(sound)
    assert turn > 100


@pytest.mark.parametrize("attributes", ["null", '"x"', "[1]", "NaN"])
def test_a_document_that_is_no_object_looks_like_no_bug(home: Path, tmp_path: Path, attributes: str) -> None:
    engine = open_engine(sqlite_url(home / "registry.db"))
    with migrating(engine) as connection, guards_aside(connection):
        connection.execute(text("UPDATE model_version SET attributes = :told"), {"told": attributes})
    engine.dispose()
    for words in (("check",), ("verify",), ("backup", str(tmp_path / "backup")), ("repair",), ("show", "math")):
        code, out, err = Shell(home)(*words, "--json")
        assert code == INTEGRITY, (words, out + err)


@contextmanager
def guards_aside(connection: Connection) -> Iterator[None]:
    """Triggers are gone meanwhile, and stand there again: that they are missing would be found by itself."""
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    triggers = connection.execute(query).all()
    for name, _ in triggers:
        connection.execute(text(f"DROP TRIGGER {name}"))
    yield
    for _, definition in triggers:
        connection.exec_driver_sql(definition)


def _breaking(home: Path) -> Iterator[Change]:
    """Rows that are gone, keys that lead elsewhere, texts and times that are none."""
    engine = open_engine(sqlite_url(home / "registry.db"))
    for table in TABLES:
        keys = {column.name for column in table.columns if column.foreign_keys or column.primary_key}
        readable = {"canonical", "details", "value", "attributes", "created_at", "shape", "versions"}
        for change in changes(engine, table):
            word = change.what.partition(": ")[2].partition(" ")[0]
            junk = change.what.endswith("-> junk")
            if change.what.startswith("delete") or word in readable or word in keys or junk:
                yield change
    engine.dispose()
