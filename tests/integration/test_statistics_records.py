"""Statistics on record: upgraded stores, the rules of the schema, and changes that the chain gives away."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

import migrations
from registry.records import contents, integrity
from registry.records.catalog import resolve
from registry.records.contents import BlobRow
from registry.records.database import migrating, reading, writing
from registry.records.statistics import (
    StatisticsRow,
    add_statistics,
    find_statistics,
    load_statistics,
    statistics_of_content,
)
from storage.errors import NotFound, UsageError
from tests.integration.registry_samples import FILES, ME, TENSORS, actions, digest, make, skill

Connect = Callable[[str], Engine]
ROW = StatisticsRow(
    "gram", digest("statistics"), digest("file"), digest("model"), digest("data"), 9, {"batch_size": 8}, ME
)


@pytest.fixture
def old(database_url: str, connect: Connect) -> Engine:
    """A store as the first schema had it, with a base and a skill."""
    engine = connect(database_url)
    migrations.upgrade(engine)
    with writing(engine) as session:
        base = make(session, "llama", "base")
        contents.record_blobs(session, [BlobRow(digest("weights"), 100, "weights")])
        contents.add_files(session, base, FILES, actor=ME)
        contents.add_tensors(session, base, TENSORS, actor=ME)
        skill(session, base, "math")
    with migrating(engine) as connection:
        command.downgrade(migrations.config(connection), "0001")
    return engine


@pytest.fixture
def filled(old: Engine) -> Engine:
    """The same, upgraded, with statistics."""
    migrations.upgrade(old)
    with writing(old) as session:
        math = resolve(session, "math")
        contents.record_blobs(session, [BlobRow(digest("file"), 7, "statistics")])
        add_statistics(session, math, ROW)
        add_statistics(session, math, replace(ROW, digest=digest("newer"), kind="fisher"))
    return old


def test_an_old_store_is_upgraded_with_all_that_is_in_it(old: Engine) -> None:
    assert migrations.current(old) == "0001"
    with reading(old) as session:
        before = actions(session)
    assert migrations.upgrade(old)
    with reading(old) as session:
        assert resolve(session, "math").version == 1
        assert actions(session) == before
        assert integrity.verify_records(session) == []
        assert session.scalar(text("SELECT count(*) FROM blob")) == 2
        keys = inspect(session.connection()).get_foreign_keys("version_file")
        assert {key["referred_table"] for key in keys} == {"blob", "model_version"}
    with pytest.raises(IntegrityError), writing(old) as session:  # what refers to blobs still does
        session.execute(text("DELETE FROM blob"))
    with pytest.raises(IntegrityError), writing(old) as session:
        contents.record_blobs(session, [BlobRow(digest("odd"), 1, "odd")])


def test_down_and_up_again(filled: Engine) -> None:
    with migrating(filled) as connection:
        command.downgrade(migrations.config(connection), "0001")
    with reading(filled) as session:
        assert "statistics" not in inspect(session.connection()).get_table_names()
        assert set(session.scalars(text("SELECT kind FROM blob"))) == {"weights", "delta"}
    values = {"digest": digest("file"), "sha": "0" * 64, "at": "2026-11-28"}
    row = "INSERT INTO blob (digest, size, sha256, kind, created_at) VALUES (:digest, 7, :sha, 'statistics', :at)"
    with pytest.raises(IntegrityError), writing(filled) as session:
        session.execute(text(row), values)
    migrations.upgrade(filled)
    with reading(filled) as session:
        assert resolve(session, "math").version == 1


def test_statistics_are_found_by_skill_content_and_digest(filled: Engine) -> None:
    with reading(filled) as session:
        math = resolve(session, "math")
        assert [each.digest for each in load_statistics(session, [math.id])] == [ROW.digest, digest("newer")]
        assert [each.digest for each in statistics_of_content(session, math.digest, "gram")] == [ROW.digest]
        assert statistics_of_content(session, digest("other"), "gram") == []
        for spelled in (ROW.digest, ROW.digest[:12], ROW.digest.removeprefix("blake3:")[:6]):
            assert find_statistics(session, spelled).digest == ROW.digest
        with pytest.raises(NotFound, match="there are no statistics"):
            find_statistics(session, digest("absent"))
        for odd in ("", "abc", "blake3:", "sha256:abcdef", "%%%%%%", "ABCDEF"):
            with pytest.raises(UsageError, match="no digest of statistics"):
                find_statistics(session, odd)


def test_a_whole_store_with_statistics_has_no_problems(filled: Engine) -> None:
    with reading(filled) as session:
        assert integrity.verify_records(session) == []
        assert actions(session)[-2:] == ["statistics.add", "statistics.add"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM statistics WHERE kind = 'gram'",
        "DELETE FROM statistics",
        "UPDATE statistics SET examples = 10",
        f"UPDATE statistics SET data_digest = '{digest('x')}' WHERE kind = 'gram'",
        "UPDATE statistics SET settings = '{}'",
        f"UPDATE statistics SET digest = '{digest('x')}' WHERE kind = 'fisher'",
        "UPDATE statistics SET created_by = 'somebody else'",
    ],
)
def test_a_change_is_given_away(filled: Engine, statement: str) -> None:
    with writing(filled) as session:
        session.execute(text(statement))
    with reading(filled) as session:
        problems = integrity.verify_records(session)
    told = [each["what"] for each in problems if not each["what"].startswith("blob")]  # one that nothing is made of now
    assert told == ["the record of the statistics of math@1 was changed"]


@pytest.mark.parametrize(
    "change",
    [{"kind": "hessian"}, {"digest": "blake3:short"}, {"examples": 0}, {"blob_digest": digest("absent")}, {}],
    ids=str,
)
def test_the_schema_refuses(filled: Engine, change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), writing(filled) as session:
        add_statistics(session, resolve(session, "math"), replace(ROW, **change))  # type: ignore[arg-type]


def test_no_file_goes_while_statistics_are_in_it(filled: Engine) -> None:
    with pytest.raises(IntegrityError), writing(filled) as session:
        session.execute(text(f"DELETE FROM blob WHERE digest = '{digest('file')}'"))
