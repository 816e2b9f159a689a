"""The triggers that guard the records: taken away, changed, switched off, on both databases. All of it is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

import mergestore
from registry.records import catalog, contents, lineage, pins
from registry.records.contents import BlobRow
from registry.records.database import migrating, reading, writing
from registry.records.guards import GUARDS, broken_guards, found_guards
from registry.records.tables import ModelVersion, Record
from tests.integration.golden_stores import SCHEMAS, copy_objects, load_postgresql, load_sqlite
from tests.integration.registry_samples import FILES, ME, TENSORS, digest, make, record, skill
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")

DROP = {"sqlite": "DROP TRIGGER {name}", "postgresql": "DROP TRIGGER {name} ON {table}"}


def change(engine: Engine, *statements: str) -> None:
    """As the owner of the database can."""
    with migrating(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def drop(engine: Engine, name: str) -> None:
    lookup = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = :name"
    with reading(engine) as session:
        server = engine.dialect.name == "postgresql"
        table = session.scalar(text(lookup), {"name": name}) if server else None
    change(engine, DROP[engine.dialect.name].format(name=name, table=table))


def broken(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [what for what, _ in broken_guards(session)]


def test_the_migrations_make_those_that_are_asked_for(engine: Engine) -> None:
    with reading(engine) as session:
        found = {name: list(definitions.items()) for name, definitions in found_guards(session).items()}
    assert found == {name: [(digest, True)] for name, digest in GUARDS[engine.dialect.name].items()}
    assert broken(engine) == []


@pytest.mark.parametrize("golden", SCHEMAS)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def test_an_older_store_has_them_once_it_is_upgraded(
    kind: str, golden: str, request: pytest.FixtureRequest, tmp_path: Path, connect: Callable[[str], Engine]
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{load_sqlite(golden, tmp_path / 'registry.db')}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
        load_postgresql(golden, connect(url))
    mergestore.init(copy_objects(golden, tmp_path / "store"), database=url)
    assert broken(connect(url)) == []


def test_each_that_is_taken_away_is_named(engine: Engine) -> None:
    gone = []
    for name in GUARDS[engine.dialect.name]:
        drop(engine, name)
        gone.append(f"the trigger {name}, which guards the records, is missing")
        assert broken(engine) == gone


LAME = {
    "sqlite": (
        "DROP TRIGGER audit_event_loses_none",
        "CREATE TRIGGER audit_event_loses_none BEFORE DELETE ON audit_event WHEN OLD.sequence <> 3 "
        "BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION mergestore_follow() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN NEW; END $$",
    ),
}


def test_one_that_does_something_else_is_named(engine: Engine) -> None:
    name = {"sqlite": "audit_event_loses_none", "postgresql": "audit_event_follows"}[engine.dialect.name]
    change(engine, *LAME[engine.dialect.name])
    assert broken(engine) == [f"the trigger {name}, which guards the records, was changed"]


@pytest.mark.server
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_on_a_server_what_is_switched_off_or_put_elsewhere_is_named(engine: Engine) -> None:
    change(engine, "ALTER TABLE audit_event DISABLE TRIGGER audit_event_follows")
    assert broken(engine) == ["the trigger audit_event_follows, which guards the records, is switched off"]
    change(engine, "ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_follows")
    assert broken(engine) == []
    drop(engine, "pin_is_not_emptied")
    change(
        engine,
        "CREATE TRIGGER pin_is_not_emptied BEFORE TRUNCATE ON lease "
        "FOR EACH STATEMENT EXECUTE FUNCTION mergestore_refuse('versions are deleted one by one')",
    )
    assert broken(engine) == ["the trigger pin_is_not_emptied, which guards the records, was changed"]


def test_verify_and_doctor_tell_it(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with mergestore.open(tmp_path / "store", database=database_url) as store:
        whole = store.verify()
        assert whole.ok
        assert whole.checked["triggers"] == len(GUARDS[engine.dialect.name])
        assert [check["level"] for check in store.doctor()["checks"] if check["name"] == "triggers"] == ["ok"]
    drop(engine, "audit_event_keeps_rows")
    shell = Shell(tmp_path / "store")
    document = shell.json("verify", "--database", database_url, code=6)
    (problem,) = document["problems"]
    assert problem["what"] == "the trigger audit_event_keeps_rows, which guards the records, is missing"
    assert problem["kind"] == "integrity"
    assert "audit_event_keeps_rows" in shell("verify", "--database", database_url)[1]
    code, out, _ = shell("doctor", "--database", database_url)
    assert code == 7
    assert "error    triggers: the trigger audit_event_keeps_rows" in out


# --- put back ---------------------------------------------------------------------------------------------


def spoil(engine: Engine) -> dict[str, str]:
    """Take every trigger away that can be, change one, and an index; what `init` should say of it."""
    kind = engine.dialect.name
    changed = {"sqlite": "audit_event_loses_none", "postgresql": "audit_event_follows"}[kind]
    gone = [name for name in GUARDS[kind] if name != changed]
    for name in gone:
        drop(engine, name)
    change(engine, *LAME[kind], "DROP INDEX ix_audit_event_subject", "DROP INDEX ix_model_version_licence")
    change(engine, "CREATE INDEX ix_model_version_licence ON model_version (digest)")
    states = dict.fromkeys(gone, "is missing") | {changed: "was changed"}
    return states | {"ix_audit_event_subject": "is missing", "ix_model_version_licence": "was changed"}


def test_init_puts_back_what_is_missing_or_changed(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with mergestore.open(tmp_path / "store", database=database_url) as store:
        wanted = spoil(engine)
        told = {problem["what"].split(",")[0].split(" is ")[0].split()[2] for problem in store.check_store().problems}
        assert told == set(wanted)
        assert not store.repair().ok
        shell = Shell(tmp_path / "store")
        assert "put back: ix_audit_event_subject, which is missing" in shell.text("init", "--database", database_url)
        assert mergestore.init(tmp_path / "store", database=database_url)["guarded"] == {}
        assert broken(engine) == []
        assert store.check_store().problems == store.verify().problems == []
        assert store.repair().ok
        (event,) = store.find("events", action="store.guard").rows
        assert event["details"]["put_back"] == wanted
    with pytest.raises(IntegrityError, match="append-only"):
        change(engine, "DELETE FROM audit_event")
    if engine.dialect.name == "postgresql":
        change(engine, "ALTER TABLE audit_event DISABLE TRIGGER audit_event_follows")
        drop(engine, "pin_is_not_emptied")
        change(
            engine,
            "CREATE TRIGGER pin_is_not_emptied BEFORE TRUNCATE ON lease "
            "FOR EACH STATEMENT EXECUTE FUNCTION mergestore_refuse('versions are deleted one by one')",
        )
        states = {"audit_event_follows": "is switched off", "pin_is_not_emptied": "was changed"}
        assert mergestore.init(tmp_path / "store", database=database_url)["guarded"] == states
        assert broken(engine) == []


def test_a_store_that_was_made_before_there_were_triggers_has_them_once_it_is_upgraded(
    tmp_path: Path, connect: Callable[[str], Engine]
) -> None:
    """Its schema says that it has them already: they came into the revision later."""
    url = f"sqlite:///{load_sqlite('store3', tmp_path / 'registry.db')}"
    for name in ("audit_event_follows", "tensor_stays_while_kept"):
        drop(connect(url), name)
    with mergestore.open(copy_objects("store3", tmp_path / "store"), database=url) as store:
        assert broken(store.engine) == []
        assert store.verify().ok


# --- what they keep ---------------------------------------------------------------------------------------

PARTS = (
    *("model", "model_version", "version_file", "tensor", "delta", "blob"),
    *("recipe", "recipe_input", "lineage_edge"),
)


@pytest.fixture
def kept(engine: Engine) -> Engine:
    """A pinned merge, and a skill that nothing came from."""
    with writing(engine) as session:
        base = make(session, "base", "base")
        contents.record_blobs(session, [BlobRow(digest("weights"), 100, "weights")])
        contents.add_files(session, base, FILES, actor=ME)
        contents.add_tensors(session, base, TENSORS, actor=ME)
        math = skill(session, base, "math")
        recipe = record(session, math)
        merge = catalog.create_model_version(session, name="both", kind="merge", digest=recipe.digest, actor=ME)
        lineage.add_lineage(session, merge, [(math, "skill"), (base, "base")], actor=ME)
        pins.set_pin(session, merge, "kept", actor=ME)
        skill(session, base, "free")
    return engine


@pytest.mark.parametrize("table", PARTS)
def test_no_row_of_what_is_pinned_and_came_before_it_is_deleted(kept: Engine, table: str) -> None:
    """Not even by a connection that does not mind foreign keys, which SQLite allows."""
    free = {"model_version": "version = 1 AND id = 4", "model": "name = 'free'", "blob": f"digest = '{digest('free')}'"}
    of_free = free.get(table, "version_id = 4") if table != "lineage_edge" else "child_version_id = 4"
    with reading(kept) as session:
        keys = [column.name for column in Record.metadata.tables[table].primary_key]
        columns = ", ".join(f'"{key}"' for key in keys)
        mine = "" if table in ("recipe", "recipe_input") else f" WHERE NOT ({of_free})"
        rows = session.execute(text(f"SELECT {columns} FROM {table}{mine}")).all()
    assert rows
    for row in rows:
        where = " AND ".join(f'"{key}" = :{key}' for key in keys)
        with pytest.raises(IntegrityError), migrating(kept) as connection:
            connection.execute(text(f"DELETE FROM {table} WHERE {where}"), dict(zip(keys, row, strict=True)))


def test_what_nothing_keeps_can_go(kept: Engine) -> None:
    child = "child_version_id"
    for table, column in (("delta", "version_id"), ("version_file", "version_id"), ("lineage_edge", child)):
        change(kept, f"DELETE FROM {table} WHERE {column} = 4")
    change(kept, "DELETE FROM model_version WHERE id = 4", "DELETE FROM model WHERE name = 'free'")
    change(kept, f"DELETE FROM blob WHERE digest = '{digest('free')}'")
    with writing(kept) as session:
        pins.remove_pin(session, session.get_one(ModelVersion, 3), actor=ME)
    change(kept, "DELETE FROM recipe_input", f"DELETE FROM lineage_edge WHERE {child} = 3")


@pytest.mark.server
@pytest.mark.parametrize("tables", ["pin", "lineage_edge", "tensor", "model_version CASCADE", "model CASCADE"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_on_a_server_they_are_not_emptied(engine: Engine, tables: str) -> None:
    with pytest.raises(IntegrityError, match="one by one"):
        change(engine, f"TRUNCATE {tables}")
