import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

import migrations
from registry.records import aliases, catalog
from registry.records.columns import Record
from registry.records.database import migrating, reading, writing
from registry.records.guards import broken_guards
from registry.records.tables import ModelVersion
from storage.digests import blake3_digest
from storage.errors import EnvironmentFailure, IntegrityFailure
from tests.integration.golden_stores import SCHEMAS, load_postgresql, load_sqlite

ROOT = Path(__file__).parents[2]
NEWEST = list(SCHEMAS)[-1]

Connect = Callable[[str], Engine]


def add_version(engine: Engine, name: str = "math") -> ModelVersion:
    with writing(engine) as session:
        version = catalog.create_model_version(
            session, name=name, kind="skill", digest=blake3_digest(name.encode()), actor="me"
        )
        aliases.set_alias(session, version, "prod", actor="me")
    return version


def run(engine: Engine, statement: str) -> None:
    with writing(engine) as session:
        session.execute(text(statement))


def tables(engine: Engine) -> set[str]:
    with reading(engine) as session:
        return set(inspect(session.connection()).get_table_names())


# --- models and migrations agree --------------------------------------------------------------------------


def test_tables_columns_keys_and_indexes_agree(engine: Engine) -> None:
    options = {"version_table": migrations.VERSION_TABLE, "compare_server_default": True}
    with reading(engine) as session:
        context = MigrationContext.configure(session.connection(), opts=options)
        assert compare_metadata(context, Record.metadata) == []


def found_checks(connection: Connection, table: str) -> dict[str, str]:
    return {str(check["name"]): check["sqltext"] for check in inspect(connection).get_check_constraints(table)}


def modelled_checks(table: Any) -> dict[str, str]:
    checks = (constraint for constraint in table.constraints if isinstance(constraint, CheckConstraint))
    return {str(check.name): str(check.sqltext) for check in checks}


def test_checks_agree(database_url: str, tmp_path: Path, connect: Connect) -> None:
    """Autogenerate misses CHECKs, so the same database compares its own spelling of both."""
    migrated, modelled = connect(database_url), connect(f"sqlite:///{tmp_path}/modelled.db")
    migrations.upgrade(migrated)
    with migrating(modelled) as connection:
        Record.metadata.create_all(connection)
    with reading(migrated) as session, reading(modelled) as other:
        for table in Record.metadata.sorted_tables:
            found = found_checks(session.connection(), table.name)
            assert found.keys() == modelled_checks(table).keys()
            if migrated.dialect.name == "sqlite":
                assert found == found_checks(other.connection(), table.name)


@pytest.mark.server
def test_checks_agree_in_postgresql_s_own_words(postgres_url: str, connect: Connect) -> None:
    engine = connect(postgres_url)
    migrations.upgrade(engine)
    with reading(engine) as session:
        migrated = {t.name: found_checks(session.connection(), t.name) for t in Record.metadata.sorted_tables}
    with migrating(engine) as connection:
        connection.execute(text("CREATE SCHEMA modelled"))
        connection.execute(text("SET LOCAL search_path TO modelled"))
        Record.metadata.create_all(connection)
        modelled = {t.name: found_checks(connection, t.name) for t in Record.metadata.sorted_tables}
    assert modelled == migrated


def test_ondelete_is_restrict_everywhere(engine: Engine) -> None:
    with reading(engine) as session:
        inspector = inspect(session.connection())
        keys = [key for name in inspector.get_table_names() for key in inspector.get_foreign_keys(name)]
    assert len(keys) > 20
    assert {key["options"].get("ondelete") for key in keys} == {"RESTRICT"}


def test_revisions_are_those_of_the_scripts(engine: Engine) -> None:
    with reading(engine) as session:
        scripts = ScriptDirectory.from_config(migrations.config(session.connection()))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == migrations.REVISIONS
    assert scripts.get_heads() == [migrations.head()]


# --- upgrading --------------------------------------------------------------------------------------------


def test_an_empty_database_has_no_revision(database_url: str, connect: Connect) -> None:
    engine = connect(database_url)
    assert migrations.current(engine) is None
    with pytest.raises(EnvironmentFailure, match="there is no registry"):
        migrations.require_current(engine)


def test_upgrade_makes_the_schema_once(database_url: str, connect: Connect) -> None:
    engine = connect(database_url)
    assert migrations.upgrade(engine) is True
    assert migrations.upgrade(engine) is False
    assert migrations.current(engine) == migrations.head()
    migrations.require_current(engine)


def test_upgrade_keeps_data(engine: Engine, database_url: str, connect: Connect) -> None:
    add_version(engine)
    migrations.upgrade(engine)
    with reading(connect(database_url)) as session:
        assert catalog.resolve(session, "math@prod").version == 1


def test_down_with_data_leaves_nothing_and_up_again_works(engine: Engine) -> None:
    add_version(engine)
    with migrating(engine) as connection:
        command.downgrade(migrations.config(connection), "base")
    assert tables(engine) <= {migrations.VERSION_TABLE, "sqlite_sequence"}
    if engine.dialect.name == "postgresql":
        with reading(engine) as session:
            assert session.scalar(text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'mergestore%'")) == 0
    migrations.upgrade(engine)
    assert add_version(engine).version == 1


def test_an_upgrade_that_fails_changes_nothing(database_url: str, connect: Connect) -> None:
    engine = connect(database_url)
    run(engine, "CREATE TABLE theirs (licence TEXT)")
    run(engine, "CREATE INDEX ix_model_version_licence ON theirs (licence)")  # in the way of one of the last
    with pytest.raises(DBAPIError):
        migrations.upgrade(engine)
    assert tables(engine) == {"theirs"}
    run(engine, "DROP TABLE theirs")
    assert migrations.upgrade(engine)


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    run(engine, f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
    for refuses in (migrations.upgrade, migrations.require_current):
        with pytest.raises(EnvironmentFailure, match="9999") as caught:
            refuses(engine)
        assert "upgrade mergestore" in (caught.value.hint or "")


def test_an_older_schema_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "REVISIONS", (*migrations.REVISIONS, "0999"))
    with pytest.raises(EnvironmentFailure, match="this mergestore needs 0999"):
        migrations.require_current(engine)


def test_rows_that_refer_to_nothing_stop_an_upgrade(
    tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, whose foreign keys are off while the schema changes; PostgreSQL never lets them in."""
    engine = connect(f"sqlite:///{tmp_path}/registry.db")
    migrations.upgrade(engine)
    add_version(engine)
    with migrating(engine) as connection:
        connection.execute(text("DROP TRIGGER model_stays_while_used"))
        connection.execute(text("DELETE FROM model"))
    monkeypatch.setattr(migrations, "REVISIONS", (*migrations.REVISIONS, "0999"))
    with pytest.raises(IntegrityFailure, match="refer to rows that do not exist"):
        migrations.upgrade(engine)


UPGRADE = """
import sys
import migrations
from registry.records.database import open_engine
engine = open_engine(sys.argv[1])
print(migrations.upgrade(engine), migrations.current(engine))
engine.dispose()
"""


def test_processes_that_start_at_once_upgrade_once(database_url: str) -> None:
    command_line = [sys.executable, "-c", UPGRADE, database_url]
    workers = [subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = sorted(worker.communicate(timeout=60)[0].split()[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [0] * 4
    assert answers == ["False", "False", "False", "True"]


@pytest.mark.server
def test_the_database_may_be_shared_with_another_user_of_alembic(postgres_url: str, connect: Connect) -> None:
    engine = connect(postgres_url)
    run(engine, "CREATE TABLE alembic_version (version_num VARCHAR(32))")
    run(engine, "INSERT INTO alembic_version VALUES ('of-mlflow')")
    assert migrations.upgrade(engine)
    assert migrations.current(engine) == migrations.head()


def test_migrations_run_from_any_folder(tmp_path: Path) -> None:
    """A copy of the packages, as a wheel would install it, used from another folder."""
    home = tmp_path / "100% odd %(here)s folder"
    for package in ("migrations", "registry", "storage"):
        shutil.copytree(ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = f"import sys; sys.path.insert(0, {str(home)!r}); sys.argv[1] = 'sqlite:///registry.db'" + UPGRADE
    answer = subprocess.run(
        [sys.executable, "-c", script, ""], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert answer.stdout.split() == ["True", migrations.head()], answer.stderr
    assert (elsewhere / "registry.db").exists()


def test_the_usual_start_needs_no_alembic(engine: Engine, database_url: str) -> None:
    script = UPGRADE + "print('alembic' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script, database_url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["False", migrations.head(), "False"]


# --- triggers ---------------------------------------------------------------------------------------------


REST_OF_AN_EVENT = "at, 'somebody else', action, subject, details, previous_hash, 'sha256:' || action"
COLUMNS_OF_AN_EVENT = "(sequence, at, actor, action, subject, details, previous_hash, hash)"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor = 'somebody else'",
        "DELETE FROM audit_event",
        "DELETE FROM audit_event WHERE sequence = 1",
        "UPDATE model_version SET digest = replace(digest, 'blake3', 'sha256')",
        "UPDATE model_version SET version = 2",
        "UPDATE model_version SET model_id = 2",
        "UPDATE model_version SET id = 7",
        f"INSERT INTO audit_event {COLUMNS_OF_AN_EVENT} SELECT sequence + 3, {REST_OF_AN_EVENT} FROM audit_event",
        f"INSERT INTO audit_event {COLUMNS_OF_AN_EVENT} SELECT sequence, {REST_OF_AN_EVENT} FROM audit_event",
    ],
)
def test_history_cannot_be_rewritten(engine: Engine, statement: str) -> None:
    add_version(engine)
    with pytest.raises(IntegrityError, match=r"append-only|immutable"):
        run(engine, statement)


@pytest.mark.parametrize(
    "statement",
    [
        f"REPLACE INTO audit_event {COLUMNS_OF_AN_EVENT} SELECT sequence, {REST_OF_AN_EVENT} FROM audit_event",
        "REPLACE INTO model_version SELECT * FROM model_version",
        "REPLACE INTO model_version (model_id, version, digest, attributes, created_at, created_by) "
        "SELECT model_id, version, 'sha256' || substr(digest, 7), attributes, created_at, 'x' FROM model_version",
    ],
)
def test_history_cannot_be_replaced(tmp_path: Path, connect: Connect, statement: str) -> None:
    """SQLite's REPLACE deletes a row without asking the triggers of DELETE."""
    engine = connect(f"sqlite:///{tmp_path}/registry.db")
    migrations.upgrade(engine)
    add_version(engine)
    run(engine, "DELETE FROM alias_event")  # else foreign keys refuse it as well
    run(engine, "DELETE FROM alias")
    with pytest.raises(IntegrityError, match=r"append-only|immutable"):
        run(engine, statement)


@pytest.mark.server
def test_history_cannot_be_truncated(postgres_url: str, connect: Connect) -> None:
    engine = connect(postgres_url)
    migrations.upgrade(engine)
    with pytest.raises(IntegrityError, match="append-only"):
        run(engine, "TRUNCATE audit_event")


def test_a_state_may_change(engine: Engine) -> None:
    add_version(engine)
    run(engine, "UPDATE model_version SET state = 'yanked', reason = 'wrong data', digest = digest")


# --- from every schema to every other ---------------------------------------------------------------------


Content = dict[str, list[tuple[Any, ...]]]
OF_A_SCHEMA = {"store_id", "written_by"}
"""What a schema itself writes of the store: 0003 draws an identity."""


def content(engine: Engine) -> Content:
    """Every row of every table, columns by name in order, without what is the schema's own."""
    found = {}
    with reading(engine) as session:
        inspector = inspect(session.connection())
        for table in sorted(set(inspector.get_table_names()) - {migrations.VERSION_TABLE, "sqlite_sequence"}):
            names = sorted(column["name"] for column in inspector.get_columns(table))
            quoted = ", ".join(f'"{name}"' for name in names)
            rows = session.execute(text(f"SELECT {quoted} FROM {table}"))
            kept = (tuple(zip(names, row, strict=True)) for row in rows)
            found[table] = sorted((row for row in kept if ("key", "store_id") not in row), key=repr)
    found["blob"] = [row for row in found["blob"] if ("kind", "statistics") not in row]  # of which 0001 knows nothing
    found["store_meta"] = [row for row in found["store_meta"] if dict(row)["key"] not in OF_A_SCHEMA]
    return found


def in_common(content: Content, other: Content) -> Content:
    """What of the content the other's schema has a place for too."""
    found = {}
    for table in content.keys() & other.keys():
        names = {name for row in other[table] for name, _ in row}
        known = names or {name for row in content[table] for name, _ in row}
        found[table] = sorted((tuple(each for each in row if each[0] in known) for row in content[table]), key=repr)
    return found


PAIRS = [(low, high) for n, high in enumerate(migrations.REVISIONS) for low in migrations.REVISIONS[:n]]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def test_every_pair_of_schemas_down_and_up_again_with_data_in_place(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, connect: Connect
) -> None:
    """From a real store of the newest schema; each step backed up, and nothing lost that both schemas have."""
    if kind == "sqlite":
        engine = connect(f"sqlite:///{load_sqlite(NEWEST, tmp_path / 'registry.db')}")
    else:
        url = str(request.getfixturevalue("postgres_url"))
        load_postgresql(NEWEST, connect(url))
        engine = connect(url)
    backups, steps = tmp_path / "backups", 0
    for low, high in reversed(PAIRS):
        if migrations.current(engine) != high:
            migrations.downgrade(engine, high, backups)
            steps += 1
        before = content(engine)
        assert sum(map(len, before.values())) > 150
        assert migrations.downgrade(engine, low, backups).backup is not None
        lower = content(engine)
        assert in_common(lower, before) == in_common(before, lower)
        with migrating(engine) as connection:
            command.upgrade(migrations.config(connection), high)
        assert migrations.current(engine) == high
        again = content(engine)
        assert again.keys() == before.keys()
        assert in_common(again, lower) == in_common(lower, again) == lower
        steps += 1
    assert len(list(backups.iterdir())) == steps >= len(PAIRS)
    migrations.upgrade(engine)
    with reading(engine) as session:
        assert list(broken_guards(session)) == []


def test_alembic_s_own_check_finds_nothing_to_do(engine: Engine) -> None:
    with migrating(engine) as connection:
        command.check(migrations.config(connection))
