"""A registry on PostgreSQL that can be read and not written: by grants, by a setting, or as a replica."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

import mergestore
from tests.integration.conftest import Server
from tests.integration.operations.test_read_only import READING, WRITING
from tests.integration.shell import Shell

pytestmark = pytest.mark.server
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
NOTHING_FOR_ALL = "REVOKE ALL ON SCHEMA public FROM PUBLIC"
CHANGING = [words for words in WRITING if words[0] not in ("sync", "gc", "audit")]  # these look first what there is


@pytest.fixture
def registry(place: Path, postgres_url: str) -> str:
    """The store's registry, moved to PostgreSQL; its folder is ``moved``."""
    mergestore.restore("backup/store", "moved", database=postgres_url)
    return postgres_url


def execute(url: str, *statements: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def granted(name: str) -> list[str]:
    """What docs/operations.md says that gives a user the right to read."""
    (block,) = re.findall(r"```sql\n(CREATE ROLE reviewer .*?)```", PAGE.read_text(), re.S)
    return [line.replace("reviewer", name) for line in block.splitlines()]


@pytest.fixture(params=["grants", "setting"])
def reader(request: pytest.FixtureRequest, registry: str) -> Iterator[str]:
    """The URL for a user who may only read."""
    name = f"reader_{make_url(registry).database}"
    rights = {
        "grants": [NOTHING_FOR_ALL, *granted(name)],
        "setting": [
            f"CREATE ROLE {name} LOGIN SUPERUSER",
            f"ALTER ROLE {name} SET default_transaction_read_only = on",
        ],
    }
    execute(registry, *rights[request.param])
    yield make_url(registry).set(username=name).render_as_string(hide_password=False)
    execute(registry, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
def stranger(registry: str) -> Iterator[str]:
    """The URL for a user who may do nothing."""
    name = f"stranger_{make_url(registry).database}"
    execute(registry, NOTHING_FOR_ALL, f"CREATE ROLE {name} LOGIN")
    yield make_url(registry).set(username=name).render_as_string(hide_password=False)
    execute(registry, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def looks_and_changes_nothing(shell: Shell) -> None:
    before = shell.json("anchor")
    for words in (*READING, ("doctor",), ("backup", "copy"), ("restore", "copy", "--check")):
        code, _, err = shell(*words)
        assert code == 0, (words, err)
    for words in CHANGING:
        code, out, err = shell(*words)
        assert (code, out) == (7, ""), (words, out, err)
        assert "only lets this user read" in err, err
    assert shell.json("anchor") == before
    told = shell.json("check", "--read-data")
    assert told["read"]["objects"] == told["never_read"], "what was read cannot be remembered here"


def test_what_looks_works_and_what_changes_is_refused(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGESTORE_DATABASE", reader)
    looks_and_changes_nothing(Shell(Path("moved")))


def test_rights_outlast_an_upgrade_that_makes_tables(
    registry: str, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mergestore.init("moved", database=registry, downgrade="0003")
    execute(registry, *granted(str(make_url(stranger).username))[1:])
    mergestore.init("moved", database=registry)
    monkeypatch.setenv("MERGESTORE_DATABASE", stranger)
    shell = Shell(Path("moved"))
    for words in (("list",), ("gc",), ("verify",), ("backup", "copy")):
        code, _, err = shell(*words)
        assert code == 0, (words, err)


def test_a_right_that_is_missing_is_named(registry: str, stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no registry is thought to be lost that this user only does not see."""
    monkeypatch.setenv("MERGESTORE_DATABASE", stranger)
    shell, name = Shell(Path("moved")), make_url(stranger).username
    for words in (("list",), ("init",), ("verify",), ("init", "--downgrade", "0003")):
        error = shell.refused(7, *words)
        assert f"{name} has no right to use the schema public" in error["message"]
        assert f"GRANT USAGE ON SCHEMA public TO {name}" in error["hint"]
    assert "GRANT USAGE ON SCHEMA public" in shell("doctor")[1]
    execute(registry, f"GRANT USAGE ON SCHEMA public TO {name}", "CREATE SCHEMA own")
    fresh = f"{stranger}?options=-csearch_path%3Down"
    execute(registry, f"GRANT USAGE ON SCHEMA own TO {name}")
    error = Shell(Path("fresh")).refused(7, "init", "--database", fresh)
    assert "permission denied for schema own" in error["message"]
    assert f"GRANT USAGE, CREATE ON SCHEMA own TO {name}" in error["hint"]
    execute(registry, *granted(str(name))[1:], f"REVOKE SELECT ON garbage FROM {name}")
    error = shell.refused(7, "backup", "copy")
    assert "permission denied for table garbage" in error["message"]
    assert f"cannot use the database postgresql+psycopg://{name}@" in error["message"]
    assert f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}" in error["hint"]


@pytest.mark.slow
def test_a_replica_is_read(registry: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    replica: Server = request.getfixturevalue("postgres_replica")  # which has what is there when it is made
    url = replica.url(str(make_url(registry).database))
    monkeypatch.setenv("MERGESTORE_DATABASE", url.render_as_string())
    looks_and_changes_nothing(Shell(Path("moved")))
