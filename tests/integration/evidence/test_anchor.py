"""Anchors, and tampering with the whole audit log of a real store: everything is found and named, on both databases."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

import mergestore
from registry.evidence.anchor import contradictions
from registry.records import events
from registry.records.database import reading, writing
from registry.records.integrity import verify_records
from registry.records.tables import AuditEvent
from tests.integration.evidence.conftest import BASE
from tests.integration.guards import behind_guards
from tests.integration.models import LLAMA_CONFIG, fine_tune, save
from tests.integration.shell import Shell

COLUMNS = ("at", "actor", "action", "subject", "details", "previous_hash", "hash")
NAMES = f"sequence, {', '.join(COLUMNS)}"


@pytest.fixture
def lived(surroundings, database_url, engine, keys, tmp_path):
    """A store that lived: registered, merged, made, attested, aliased, pinned, yanked."""
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url, actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        store.register_skill("math", tmp_path / "math", base="tiny")
        store.merge("both", "tiny + 0.6*math")
        store.materialize("both", wait=False)
        store.attest("both", key=keys / "ours.pem")
        store.alias("both", "prod")
        store.unalias("both", "prod")
        store.pin("both", "shipped")
        store.yank("math@1", "wrong data")
        yield store


@pytest.fixture
def length(lived, engine):
    with reading(engine) as session:
        count = session.query(AuditEvent).count()
    assert count > 15
    return count


# What the database itself refuses


def refused(engine: Engine, statement: str) -> None:
    before = rows(engine)
    with pytest.raises(DBAPIError), writing(engine) as session:
        session.connection().exec_driver_sql(statement)
    assert rows(engine) == before


def rows(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as session:
        return [tuple(row) for row in session.execute(text(f"SELECT {NAMES} FROM audit_event ORDER BY sequence"))]


def test_no_event_can_be_changed_or_taken_away(engine: Engine, length: int) -> None:
    for number in range(1, length + 1):
        for column in ("sequence", *COLUMNS):
            refused(engine, f"UPDATE audit_event SET {column} = {column} WHERE sequence = {number}")
        refused(engine, f"DELETE FROM audit_event WHERE sequence = {number}")
    refused(engine, "UPDATE audit_event SET sequence = -sequence")
    refused(engine, "DELETE FROM audit_event")


def test_no_event_can_take_the_place_of_another(engine: Engine, length: int) -> None:
    replace = "INSERT OR REPLACE" if engine.dialect.name == "sqlite" else "INSERT"
    rest = ", ".join(COLUMNS[:-1])
    for number in range(1, length + 1):
        source = f"FROM audit_event WHERE sequence = {number}"
        refused(engine, f"{replace} INTO audit_event ({NAMES}) SELECT {NAMES} {source}")
        refused(engine, f"{replace} INTO audit_event ({NAMES}) SELECT sequence, {rest}, hash || 'x' {source}")
        # A free number with the hash of another: REPLACE takes that one away.
        refused(engine, f"{replace} INTO audit_event ({NAMES}) SELECT {length + 1}, {rest}, hash {source}")
    if engine.dialect.name == "postgresql":
        refused(engine, "TRUNCATE audit_event")
        refused(
            engine,
            f"INSERT INTO audit_event ({NAMES}) SELECT {NAMES} FROM audit_event WHERE sequence = 1 "
            "ON CONFLICT (sequence) DO UPDATE SET actor = 'x'",
        )
    else:
        refused(engine, "UPDATE OR REPLACE audit_event SET sequence = 1 WHERE sequence = 2")


# What is found where somebody took the triggers away


@pytest.fixture
def unguarded(engine: Engine, lived) -> Engine:
    with writing(engine) as session:
        connection = session.connection()
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE audit_event DISABLE TRIGGER USER")
        else:
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_event'"
            for (name,) in connection.exec_driver_sql(query).all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
    return engine


class Undone(Exception):
    """Takes back what a test did."""


def problems(engine: Engine, *statements: str) -> list[dict[str, str]]:
    """What is found after some statements, which are taken back."""
    found: list[dict[str, str]] = []
    with pytest.raises(Undone), writing(engine) as session:  # noqa: PT012
        for statement in statements:
            session.connection().exec_driver_sql(statement)
        found += events.verify_chain(session)
        raise Undone
    return found


def wheres(found: list[dict[str, str]]) -> list[str]:
    return [problem["where"] for problem in found]


def test_every_edit_of_every_event_is_named(unguarded: Engine, length: int) -> None:
    for number in range(1, length + 1):
        for column in COLUMNS:
            change = "'2001-01-01 00:00:00.000000'" if column == "at" else f"{column} || 'x'"
            found = problems(unguarded, f"UPDATE audit_event SET {column} = {change} WHERE sequence = {number}")
            assert wheres(found)[0] == f"audit_event {number}", column
    assert problems(unguarded) == []


def test_every_missing_event_is_named(unguarded: Engine, length: int) -> None:
    for number in range(1, length + 1):
        found = problems(unguarded, f"DELETE FROM audit_event WHERE sequence = {number}")
        assert wheres(found) == [f"audit_event {number}"]
        assert "missing" in found[0]["what"]
        cut = problems(unguarded, f"DELETE FROM audit_event WHERE sequence >= {number}")
        assert wheres(cut) == [f"audit_event {number}"]


def test_every_swap_is_named(unguarded: Engine, length: int) -> None:
    for one in range(1, length):
        for other in {one + 1, length}:
            moved = [f"UPDATE audit_event SET sequence = 1000 WHERE sequence = {one}"]
            moved += [f"UPDATE audit_event SET sequence = {one} WHERE sequence = {other}"]
            moved += [f"UPDATE audit_event SET sequence = {other} WHERE sequence = 1000"]
            if one != other:
                assert wheres(problems(unguarded, *moved))[0] == f"audit_event {one}"


def test_every_doubled_event_is_named(unguarded: Engine, length: int) -> None:
    rest = ", ".join(COLUMNS[:-1])
    for number in range(1, length + 1):
        double = f"INSERT INTO audit_event ({NAMES}) SELECT {length + 1}, {rest}, hash || 'x' FROM audit_event"
        found = problems(unguarded, f"{double} WHERE sequence = {number}")
        assert f"audit_event {length + 1}" in wheres(found)


# What only an anchor finds


def rewrite(connection: Connection, first: int, actor: str) -> None:
    """Every event from ``first`` on by another actor, with numbers, hashes and head made to fit."""
    query = f"SELECT {NAMES} FROM audit_event ORDER BY sequence"
    known = connection.execute(text(query).columns(*AuditEvent.__table__.columns)).all()
    previous = known[first - 2].hash if first > 1 else events.GENESIS
    for row in known[first - 1 :]:
        hash_ = events.event_hash(row.sequence, row.at, actor, row.action, row.subject, row.details, previous)
        connection.execute(
            text("UPDATE audit_event SET actor = :actor, previous_hash = :previous, hash = :hash WHERE sequence = :n"),
            {"actor": actor, "previous": previous, "hash": hash_, "n": row.sequence},
        )
        previous = hash_
    head = json.dumps({"sequence": known[-1].sequence, "hash": previous})
    connection.execute(text("UPDATE store_meta SET value = :head WHERE key = 'audit_head'"), {"head": head})


def test_a_chain_rewritten_up_to_an_anchor_is_found_by_it_alone(unguarded: Engine, lived, length: int) -> None:
    anchor = lived.anchor().anchor
    for first in (1, length // 2, length):
        with pytest.raises(Undone), writing(unguarded) as session:  # noqa: PT012
            rewrite(session.connection(), first, "eve")
            session.expire_all()
            assert events.verify_chain(session) == []
            assert [problem["where"] for problem in contradictions(session, anchor)] == [f"audit_event {length}"]
            raise Undone
    with reading(unguarded) as session:
        assert contradictions(session, anchor) == []
        assert verify_records(session) == []


def test_a_log_begun_anew_is_found(unguarded: Engine, lived, length: int) -> None:
    anchor = lived.anchor().anchor
    with pytest.raises(Undone), writing(unguarded) as session:  # noqa: PT012
        session.execute(text("DELETE FROM audit_event"))
        session.execute(text("DELETE FROM store_meta WHERE key = 'audit_head'"))
        session.expire_all()
        events.append(session, actor="eve", action="nothing", subject="x")
        assert events.verify_chain(session) == []
        (problem,) = contradictions(session, anchor)
        assert "is missing, which was anchored" in problem["what"]
        raise Undone


def test_a_chain_that_went_on_still_passes_through_an_old_anchor(lived, engine: Engine) -> None:
    anchor = lived.anchor().anchor
    lived.pin("math@1", "evidence of a fault")
    assert lived.anchor().anchor["sequence"] == anchor["sequence"] + 1
    with reading(engine) as session:
        assert contradictions(session, anchor) == []


# On the command line


@pytest.fixture
def shell(surroundings, tmp_path) -> Iterator[Shell]:
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
    return Shell(tmp_path / "store", tmp_path)


def test_an_anchor_is_written_signed_and_verified(shell, keys, tmp_path) -> None:
    file, signed = tmp_path / "anchor.json", tmp_path / "signed.json"
    code, out, err = shell("anchor", "-o", file)
    assert (code, out) == (0, f"{file}\n")
    assert "not signed" in err
    document = json.loads(file.read_text())
    assert document == json.loads(shell.text("anchor")) == shell.json("anchor")["anchor"]
    assert set(document) == {"kind", "format", "store", "sequence", "hash", "at"}
    shell.text("anchor", "--key", keys / "ours.pem", "-o", signed)
    assert json.loads(base64.b64decode(json.loads(signed.read_text())["payload"])) == document
    assert shell.json("verify", "--anchor", file)["checked"]["anchors"] == 1
    assert shell.json("verify", "--anchor", signed, "--key", keys / "ours.pub.pem")["ok"]
    shell.text("alias", "tiny", "prod")
    assert shell.json("verify", "--anchor", signed, "--key", keys / "ours.pub.pem")["ok"]
    shell.refused(4, "anchor", "-o", file)
    assert "no key says by whom" in shell.refused(2, "verify", "--anchor", signed)["message"]
    assert "is not signed" in shell.refused(6, "verify", "--anchor", file, "--key", keys / "ours.pub.pem")["message"]
    assert (
        "is no anchor that the key"
        in shell.refused(6, "verify", "--anchor", signed, "--key", keys / "theirs.pub.pem")["message"]
    )
    shell.refused(2, "verify", "tiny", "--anchor", file)


def test_a_rewritten_log_is_told_on_the_command_line(shell, tmp_path) -> None:
    shell.text("anchor", "-o", tmp_path / "anchor.json")
    with behind_guards(tmp_path / "store" / "registry.db") as connection:
        connection.commit()
        with mergestore.open(tmp_path / "store") as store, writing(store.engine) as session:
            rewrite(session.connection(), 1, "eve")
            for table in ("model", "model_version"):  # who made them stands there, too
                session.execute(text(f"UPDATE {table} SET created_by = 'eve'"))
    assert shell.json("verify")["ok"]
    (problem,) = shell.json("verify", "--anchor", tmp_path / "anchor.json", code=6)["problems"]
    assert "is not the one that was anchored" in problem["what"]
    code, out, _ = shell("verify", "--anchor", tmp_path / "anchor.json")
    assert code == 6
    assert "the chain was rewritten up to there" in out


def test_an_anchor_of_another_store_is_told(shell, tmp_path) -> None:
    shell.text("anchor", "-o", tmp_path / "anchor.json")
    with mergestore.open(tmp_path / "other", actor="ann@lab") as other:
        other.register_base("tiny", tmp_path / "tiny")
        (problem,) = other.verify(anchor=tmp_path / "anchor.json").problems
    assert "of another store" in problem["what"]


def test_a_log_that_is_broken_or_empty_is_not_anchored(shell, tmp_path) -> None:
    empty = Shell(tmp_path / "empty", tmp_path)
    empty.text("init")
    empty.refused(3, "anchor")
    with behind_guards(tmp_path / "store" / "registry.db") as connection:
        connection.execute("UPDATE audit_event SET actor = 'eve' WHERE sequence = 1")
    assert "event 1 does not match its hash" in shell.refused(6, "anchor")["message"]


@pytest.mark.parametrize(
    "change",
    [
        *({"kind": value} for value in ("x", None)),
        *({"format": value} for value in (2, "1", True, 1.0)),
        *({"sequence": value} for value in ("1", None, 1.5)),
        *({name: 7} for name in ("store", "hash", "at")),
    ],
)
def test_what_is_no_anchor_is_refused(shell, tmp_path, change) -> None:
    document = json.loads(shell.text("anchor"))
    (tmp_path / "anchor.json").write_text(json.dumps({**document, **change}))
    shell.refused(5, "verify", "--anchor", tmp_path / "anchor.json")


def test_files_that_are_no_anchors_are_refused(shell, tmp_path) -> None:
    file = tmp_path / "anchor.json"
    for content in ("", "[]", "{}", "nonsense", '{"signatures": 1}', "[" * 100_000):
        file.write_text(content)
        shell.refused(5, "verify", "--anchor", file)
    shell.refused(2, "verify", "--anchor", tmp_path / "nowhere")
    document = json.loads(shell.text("anchor"))
    for sequence in (-1, 0, 2, 10**30):
        file.write_text(json.dumps({**document, "sequence": sequence}))
        assert shell.json("verify", "--anchor", file, code=6)["problems"]
