"""A registry on PostgreSQL that can be read and not written: by grants, by a setting, or as a replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

import mergestore
from tests.integration.conftest import Server
from tests.integration.operations.test_read_only import READING, WRITING
from tests.integration.shell import Shell

pytestmark = pytest.mark.server
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


@pytest.fixture(params=["grants", "setting"])
def reader(request: pytest.FixtureRequest, registry: str) -> Iterator[str]:
    """The URL for a user who may only read."""
    name = f"reader_{make_url(registry).database}"
    rights = {
        "grants": [f"CREATE ROLE {name} LOGIN", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"],
        "setting": [
            f"CREATE ROLE {name} LOGIN SUPERUSER",
            f"ALTER ROLE {name} SET default_transaction_read_only = on",
        ],
    }
    execute(registry, *rights[request.param])
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


@pytest.mark.slow
def test_a_replica_is_read(registry: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    replica: Server = request.getfixturevalue("postgres_replica")  # which has what is there when it is made
    url = replica.url(str(make_url(registry).database))
    monkeypatch.setenv("MERGESTORE_DATABASE", url.render_as_string())
    looks_and_changes_nothing(Shell(Path("moved")))
