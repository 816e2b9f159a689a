from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

import migrations
from registry.records import events
from registry.records.database import open_engine, reading, sqlite_url, writing
from registry.records.tables import AuditEvent, StoreMeta
from storage.digests import json_digest
from storage.errors import InputRefused, IntegrityFailure


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(sqlite_url(tmp_path / "registry.db"))
    migrations.upgrade(engine)
    yield engine
    engine.dispose()


def test_the_hash_of_an_event_is_frozen() -> None:
    at = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
    made = events.event_hash(1, at, "me@host", "version.create", "math@1", '{"a":"é"}', events.GENESIS)
    # printf '%s' '{"action":"version.create","actor":"me@host","at":"2025-03-01T12:30:00.000000+00:00",
    # "details":"{\"a\":\"é\"}","previous":"sha256:000…","sequence":1,"subject":"math@1"}' | sha256sum
    assert made == "sha256:5dad6c7b041b22bb907b517836565a6b0629e84f55ce93298d083580b1a6e7f6"


@given(st.text(), st.text(), st.integers(1, 2**53 - 1))
def test_an_event_is_hashed_as_canonical_json(subject: str, details: str, sequence: int) -> None:
    at = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
    fields = {
        "sequence": sequence,
        "at": "2025-03-01T12:30:00.000000+00:00",
        "actor": "me",
        "action": "a",
        "subject": subject,
        "details": details,
        "previous": events.GENESIS,
    }
    assert events.event_hash(sequence, at, "me", "a", subject, details, events.GENESIS) == json_digest(fields)


def test_a_moment_hashes_the_same_in_every_zone() -> None:
    at = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=9)))
    arguments = ("me", "a", "s", "{}", events.GENESIS)
    assert events.event_hash(1, at, *arguments) == events.event_hash(1, elsewhere, *arguments)


def test_events_are_chained_within_and_across_transactions(engine: Engine) -> None:
    with writing(engine) as session:
        first = events.append(session, actor="me", action="a", subject="x")
        second = events.append(session, actor="me", action="b", subject="x", details={"n": 1})
    with writing(engine) as session:
        third = events.append(session, actor="me", action="c", subject="y")
    assert first.previous_hash == events.GENESIS
    assert [second.previous_hash, third.previous_hash] == [first.hash, second.hash]
    with reading(engine) as session:
        assert events.head(session) == events.Head(3, third.hash)
        assert events.verify_chain(session) == []


def test_an_empty_chain_is_whole(engine: Engine) -> None:
    with reading(engine) as session:
        assert events.head(session) == events.Head(0, events.GENESIS)
        assert events.verify_chain(session) == []


def test_events_of_a_subject(engine: Engine) -> None:
    with writing(engine) as session:
        for subject in ("math@1", "code@1", "math@2", "math@1"):
            events.append(session, actor="me", action="a", subject=subject, details={"of": subject})
    with reading(engine) as session:
        found = events.of(session, ["math@1", "math@2"])
        assert [event["sequence"] for event in found] == [1, 3, 4]
        assert found[0]["details"] == {"of": "math@1"}
        assert found[0]["at"].endswith("+00:00")
        assert events.of(session, []) == []
        assert events.of(session, ["math@1", "math@2"], newest=2) == found[-2:]
        assert events.of(session, ["math@1"], newest=0) == []
        assert [events.count(session, each) for each in ([], ["nobody"], ["math@1", "math@2"])] == [0, 0, 3]


def test_events_of_more_subjects_than_one_statement_names(engine: Engine) -> None:
    subjects = [f"math@{number}" for number in range(1200)]
    with writing(engine) as session:
        for subject in ("math@1199", "math@0", "code@1", "math@700"):
            events.append(session, actor="me", action="a", subject=subject)
    with reading(engine) as session:
        assert [event["sequence"] for event in events.of(session, subjects)] == [1, 2, 4]
        assert [event["sequence"] for event in events.of(session, subjects, newest=2)] == [2, 4]
        assert events.count(session, subjects) == 3


@pytest.mark.parametrize("number", [0, -1, 2**53 - 1, 1e16, -1e20, 1.5, 5e-324])
def test_numbers_of_details_are_read_as_they_were_written(engine: Engine, number: float) -> None:
    with writing(engine) as session:
        events.append(session, actor="me", action="a", subject="s", details={"n": number})
    with reading(engine) as session:
        assert events.of(session, ["s"])[0]["details"] == {"n": number}


def test_a_rolled_back_event_leaves_no_gap(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as session:
            events.append(session, actor="me", action="a", subject="x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with writing(engine) as session:
        assert events.append(session, actor="me", action="a", subject="x").sequence == 1


def test_details_that_are_not_json_are_refused(engine: Engine) -> None:
    with pytest.raises(InputRefused), writing(engine) as session:
        events.append(session, actor="me", action="a", subject="x", details={"n": float("nan")})
    with reading(engine) as session:
        assert session.get(AuditEvent, 1) is None


@pytest.mark.parametrize("value", [None, "", "{}", '{"sequence": "x", "hash": ""}', "[]"])
def test_nothing_is_appended_to_a_chain_that_lost_its_head(engine: Engine, value: str | None) -> None:
    with writing(engine) as session:
        events.append(session, actor="me", action="a", subject="x")
    with writing(engine) as session:
        session.execute(delete(StoreMeta))
        if value is not None:
            session.add(StoreMeta(key=events.HEAD_KEY, value=value))
    with pytest.raises(IntegrityFailure, match="head"), writing(engine) as session:
        events.append(session, actor="me", action="a", subject="x")
    with reading(engine) as session:
        assert [problem["where"] for problem in events.verify_chain(session)] == ["audit_event 1"]
