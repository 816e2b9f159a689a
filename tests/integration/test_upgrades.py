"""Stores that earlier schemas wrote are upgraded, and nothing in them changes: real records, on both databases."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, inspect, text

import mergestore
import migrations
from mergestore import EnvironmentFailure, IntegrityFailure, Store
from migrations.snapshots import snapshot
from registry.backups.writing import Wish, backup
from registry.records import outbox
from registry.records.database import migrating, reading, sqlite_url, writing
from registry.records.identity import store_id
from registry.records.recipes import set_mlflow_run
from registry.wish import Context
from storage.progress import Silent
from tests.integration.golden_stores import GOLDEN, SCHEMAS, copy_objects, expected, load_postgresql, load_sqlite
from tests.integration.models import LLAMA_CONFIG, llama, save
from tests.integration.shell import Shell

ROOT = Path(__file__).parents[2]

Connect = Callable[[str], Engine]
Rows = dict[str, list[tuple[Any, ...]]]

pytestmark = pytest.mark.usefixtures("surroundings")

OLDER = [name for name, schema in SCHEMAS.items() if schema != migrations.head()]
first = pytest.mark.parametrize("golden", OLDER[:1], indirect=True)
"""Of what takes long, with the oldest store alone."""


@pytest.fixture(params=OLDER)
def golden(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(golden: str, tmp_path: Path) -> Path:
    """A copy of the store's objects; its database is elsewhere."""
    return copy_objects(golden, tmp_path / "store")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, golden: str, tmp_path: Path, connect: Connect) -> str:
    """A database with what that schema wrote, loaded from its dump."""
    if request.param == "sqlite":
        return sqlite_url(load_sqlite(golden, tmp_path / "registry.db")).render_as_string()
    found = str(request.getfixturevalue("postgres_url"))
    load_postgresql(golden, connect(found))
    return found


@pytest.fixture
def database(url: str, connect: Connect) -> Engine:
    return connect(url)


@pytest.fixture
def store(home: Path, url: str, database: Engine) -> Iterator[Store]:
    """Opened as a user does who upgraded: ``init`` first."""
    mergestore.init(home, database=url)
    with mergestore.open(home, database=url, create=False) as store:
        yield store


def rows(connection: Connection, columns: dict[str, list[str]] | None = None) -> Rows:
    """All rows of all tables, or of those columns."""
    found = {}
    inspector = inspect(connection)
    for table in sorted(set(inspector.get_table_names()) - {migrations.VERSION_TABLE}):
        if columns is not None and table not in columns:
            continue
        names = columns[table] if columns is not None else [column["name"] for column in inspector.get_columns(table)]
        listed = ", ".join(f'"{name}"' for name in names)
        found[table] = sorted(map(tuple, connection.execute(text(f"SELECT {listed} FROM {table}"))), key=repr)
    return found


def columns(connection: Connection) -> dict[str, list[str]]:
    inspector = inspect(connection)
    return {table: [each["name"] for each in inspector.get_columns(table)] for table in inspector.get_table_names()}


def test_it_is_refused_until_it_is_upgraded(golden: str, home: Path, url: str) -> None:
    with pytest.raises(EnvironmentFailure, match=f"has schema {SCHEMAS[golden]}.*needs {migrations.head()}"):
        mergestore.open(home, database=url, create=False)


def test_no_row_changes(golden: str, database: Engine) -> None:
    with reading(database) as session:
        assert migrations.current(database) == SCHEMAS[golden]
        before, known = rows(session.connection()), columns(session.connection())
    assert migrations.upgrade(database)
    with reading(database) as session:
        after = rows(session.connection(), {table: names for table, names in known.items() if table in before})
        assert len(store_id(session)) == 32
    told = {"store_id", "written_by"}  # a new schema says who made it
    for found in (before, after):
        found["store_meta"] = [row for row in found["store_meta"] if row[0] not in told]
    assert {table: len(found) for table, found in after.items()} == {t: len(found) for t, found in before.items()}
    assert after == before
    assert sum(map(len, before.values())) > 150


def test_it_can_go_back(golden: str, database: Engine) -> None:
    from alembic import command

    with reading(database) as session:
        before = rows(session.connection())
    migrations.upgrade(database)
    with migrating(database) as connection:
        command.downgrade(migrations.config(connection), SCHEMAS[golden])
    with reading(database) as session:
        assert rows(session.connection()) == before


def test_everything_verifies(golden: str, store: Store) -> None:
    found = store.verify()
    assert found.problems == []
    assert found.checked["versions"] == len(expected(golden)["versions"]) > 10
    assert found.checked["statistics"] == 1


def test_names_and_aliases_mean_what_they_meant(store: Store) -> None:
    assert store.show("math@prod")["version"] == 2
    assert store.show("assistant@prod")["version"] == 1
    assert store.show("style@1")["reason"] == "trained on the wrong catalogue"
    assert store.audit("math@1").lineage["nodes"][-1]["training"]["meta"] == {"commit": "0a1b", "dataset": "sums"}


@first
@pytest.mark.parametrize("target", ["assistant@1", "several"])
def test_merges_come_out_as_they_did(store: Store, target: str) -> None:
    recorded = store.audit(target).materializations
    assert recorded
    asked = recorded[0]["output_digest"] if target == "several" else target
    rebuilt = store.rebuild(asked)
    assert rebuilt.ok
    assert rebuilt.output_digest == recorded[0]["output_digest"]


@first
def test_a_yanked_skill_stays_refused(store: Store) -> None:
    with pytest.raises(mergestore.Conflict, match="trained on the wrong catalogue"):
        store.materialize("assistant@2")


def test_undelivered_provenance_waits_on(golden: str, store: Store) -> None:
    with reading(store.engine) as session:
        assert outbox.count_pending(session) == {"store2": 4, "store3": 7}[golden]


@first
def test_it_is_used_on(store: Store, tmp_path: Path) -> None:
    models = GOLDEN / "format1" / "models"
    made = store.register_skill("math", models / "tuned", base="golden/base", drop_rate=0.25, allow_missing=True)
    assert made.version == 3
    merged = store.merge("assistant", "golden/base + 0.6*math - 0.1*small", method="dare_linear", head="none")
    assert merged.version == 3
    assert store.materialize("assistant", output=tmp_path / "out", wait=False).path == str(tmp_path / "out")
    store.alias("assistant", "prod")
    assert store.verify().ok


# --- the way back -----------------------------------------------------------------------------------------


def records(database: Engine) -> Rows:
    with reading(database) as session:
        return rows(session.connection())


def test_what_was_there_is_backed_up_before(
    golden: str, home: Path, url: str, database: Engine, tmp_path: Path, connect: Connect
) -> None:
    before = records(database)
    answer = mergestore.init(home, database=url)
    assert (answer["schema_before"], answer["schema"]) == (SCHEMAS[golden], migrations.head())
    (kept,) = (home / "backups").iterdir()
    assert str(kept) == answer["backup"]
    assert kept.name.startswith(f"registry-{SCHEMAS[golden]}-")
    copy = connect(sqlite_url(kept).render_as_string())
    assert migrations.current(copy) == SCHEMAS[golden]
    assert {table: len(found) for table, found in records(copy).items() if table in before} == {
        table: len(found) for table, found in before.items()
    }
    assert migrations.upgrade(copy)
    shutil.copytree(home / "objects", tmp_path / "copy" / "objects")
    with mergestore.open(tmp_path / "copy", database=sqlite_url(kept).render_as_string()) as store:
        assert store.verify().problems == []
    assert mergestore.init(home, database=url)["backup"] is None  # nothing was done


def test_a_new_store_has_nothing_to_back_up(database_url: str, tmp_path: Path) -> None:
    assert mergestore.init(tmp_path / "store", database=database_url)["backup"] is None
    assert not (tmp_path / "store" / "backups").exists()


@first
def test_no_room_for_the_backup_stops_the_upgrade(golden: str, home: Path, url: str, database: Engine) -> None:
    (home / "backups").write_text("in the way")
    before = records(database)
    with pytest.raises(EnvironmentFailure, match="cannot back the registry up"):
        mergestore.init(home, database=url)
    assert migrations.current(database) == SCHEMAS[golden]
    assert records(database) == before


def test_it_goes_back_by_the_command_line(golden: str, home: Path, url: str, database: Engine) -> None:
    before = records(database)
    mergestore.init(home, database=url)
    shell = Shell(home)
    answer = shell.json("--database", url, "init", "--downgrade", SCHEMAS[golden])
    assert (answer["schema_before"], answer["schema"]) == (migrations.head(), SCHEMAS[golden])
    assert records(database) == before
    kept = sorted(path.name.split("-")[1] for path in (home / "backups").iterdir())
    assert kept == sorted([SCHEMAS[golden], migrations.head()])
    assert shell("--database", url, "list")[0] == 7
    assert f"was {SCHEMAS[golden]}" in shell.text("--database", url, "init")
    assert shell.json("--database", url, "verify")["ok"]


UNDER_WAY: dict[str, Callable[[Store, Path], object]] = {
    "verify": lambda store, place: store.verify(),
    "check": lambda store, place: store.check_store(read_data=True),
    "repair": lambda store, place: store.repair(),
    "gc": lambda store, place: store.collect_garbage(),
    "metrics": lambda store, place: store.metrics(),
    "backup": lambda store, place: backup(
        Context(store.engine, store.home, store.tracking_uri, store.actor),
        Wish(place.with_name("backup"), migrations.head(), "mergestore"),
        snapshot,
        Silent(),
    ),
    "register": lambda store, place: store.register_base("new", place),
}


@first
@pytest.mark.parametrize("verb", UNDER_WAY)
def test_a_command_that_was_under_way_says_that_the_schema_was_changed(
    store: Store, home: Path, url: str, tmp_path: Path, verb: str
) -> None:
    """Whoever was told of damage would put an old backup in the place of a sound store."""
    save(tmp_path / "new", llama("F32", seed=9), LLAMA_CONFIG)
    mergestore.init(home, database=url, downgrade="0003")
    with pytest.raises(EnvironmentFailure, match="was changed to 0003 meanwhile") as caught:
        UNDER_WAY[verb](store, tmp_path / "new")
    assert "`mergestore init`" in str(caught.value.hint)
    mergestore.init(home, database=url)
    UNDER_WAY[verb](store, tmp_path / "new")


@first
def test_what_is_missing_from_the_schema_that_was_opened_is_damage(store: Store) -> None:
    with migrating(store.engine) as connection:
        connection.execute(text("DROP TABLE garbage"))
    with pytest.raises(IntegrityFailure, match="is damaged"):
        store.collect_garbage()


@first
def test_it_goes_back_to_no_schema_that_is_none_or_newer(home: Path, url: str, database: Engine) -> None:
    shell = Shell(home)
    for schema, told in (("0815", "0001, 0002"), (migrations.head(), "which is older")):
        code, _, err = shell("--database", url, "init", "--downgrade", schema)
        assert (code, told in err) == (2, True), err
    assert not (home / "backups").exists()


def test_a_newer_store_is_refused_with_the_way_out(golden: str, home: Path, url: str, database: Engine) -> None:
    kept = mergestore.init(home, database=url)["backup"]
    with writing(database) as session:
        session.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
        session.execute(text("UPDATE store_meta SET value = 'mergestore 47.1' WHERE key = 'written_by'"))
    for attempt in (
        lambda: mergestore.open(home, database=url, create=False),
        lambda: mergestore.init(home, database=url),
        lambda: mergestore.init(home, database=url, downgrade="0001"),
    ):
        with pytest.raises(EnvironmentFailure, match="schema 9999") as caught:
            attempt()
        hint = str(caught.value.hint)
        assert "mergestore 47.1 wrote it: upgrade mergestore" in hint
        assert f"init --downgrade {migrations.head()}" in hint
        assert kept in hint


INIT = """
import os, signal, sys
from sqlalchemy import Engine, event
import mergestore
home, url, last = sys.argv[1:]
done = 0

def count(*_):
    global done
    done += 1
    if done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", count)
event.listen(Engine, "commit", count)
answer = mergestore.init(home, database=url)
print(answer["schema_before"], done)
"""


def process(home: Path, url: str, last: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", INIT, str(home), url, str(last)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@first
def test_killed_at_any_statement_it_has_the_old_schema_or_the_new_one(
    golden: str, home: Path, url: str, database: Engine
) -> None:
    before, last, seen = records(database), 5, set()
    while True:
        killed = process(home, url, last)
        killed.communicate(timeout=60)
        found = migrations.current(database)
        seen.add((killed.returncode, found))
        if found == migrations.head():
            break
        assert killed.returncode == -signal.SIGKILL
        assert found == SCHEMAS[golden]
        assert records(database) == before
        last += 7
    assert (-signal.SIGKILL, SCHEMAS[golden]) in seen
    with mergestore.open(home, database=url, create=False) as store:
        assert store.verify().ok


@first
@pytest.mark.parametrize("count", [2, 8])
def test_processes_that_start_at_once_back_up_and_upgrade_once(
    golden: str, home: Path, url: str, database: Engine, count: int
) -> None:
    running = [process(home, url, -1) for _ in range(count)]
    answers = [each.communicate(timeout=120)[0].split()[0] for each in running]
    assert [each.returncode for each in running] == [0] * count
    assert answers.count(SCHEMAS[golden]) == 1
    assert answers.count(migrations.head()) == count - 1
    assert len(list((home / "backups").iterdir())) == 1


@pytest.mark.parametrize("schema", ["0002", "0003"])
def test_a_store_that_went_back_is_itself_again(home: Path, url: str, schema: str) -> None:
    """What older schemas do not keep and the log still says: who the store is, its quota, where results stand."""
    models = GOLDEN / "format1" / "models"
    mergestore.init(home, database=url, quota=1_000_000)
    with mergestore.open(home, database=url) as store:
        store.register_base("tiny", models / "base")
        store.register_skill("math", models / "tuned", base="tiny", allow_missing=True)
        made = [store.materialize(f"tiny + {weight}*math", head="none", wait=False) for weight in (0.5, 0.7)]
        with writing(store.engine) as session:
            for number, each in enumerate(made):
                set_mlflow_run(session, each.materialization_id, "0" * 32, number or None, actor="ann")
                outbox.settle(session, outbox.MATERIALIZATION, each.materialization_id)
        assert store.verify().problems == []
        identity = store.id
    mergestore.init(home, database=url, downgrade=schema)
    mergestore.init(home, database=url)
    with mergestore.open(home, database=url) as store:
        assert store.verify().problems == []
        assert store.metrics()["quota_bytes"] == 1_000_000
        assert store.id == identity
