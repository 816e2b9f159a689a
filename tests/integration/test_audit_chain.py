"""Tampering with the audit chain, on SQLite and PostgreSQL: every kind is found and the first bad row named."""

import pytest
from sqlalchemy import Engine, text

from registry.records import events
from registry.records.database import reading, writing
from registry.records.tables import AuditEvent

TRIGGERS = {
    "sqlite": ["DROP TRIGGER audit_event_keeps_rows", "DROP TRIGGER audit_event_loses_none"],
    "postgresql": ["DROP TRIGGER audit_event_keeps_rows ON audit_event"],
}


@pytest.fixture
def chain(engine: Engine) -> Engine:
    """Ten events, and no trigger to protect them."""
    with writing(engine) as session:
        for number in range(10):
            events.append(session, actor="me", action="count", subject=f"n@{number}", details={"n": number})
        for statement in TRIGGERS[engine.dialect.name]:
            session.execute(text(statement))
    return engine


def tamper(engine: Engine, *statements: str) -> list[dict[str, str]]:
    with writing(engine) as session:
        for statement in statements:
            session.connection().exec_driver_sql(statement)
    with reading(engine) as session:
        return events.verify_chain(session)


def test_an_untouched_chain(chain: Engine) -> None:
    assert tamper(chain) == []


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'somebody'",
        "action = 'uncount'",
        "subject = 'm@3'",
        """details = '{"n":99}'""",
        """details = '{"n": 3}'""",  # the same, spelled otherwise
        "details = 'no json'",
        "details = ''",
        "at = '2001-01-01 00:00:00.000000'",
        "hash = 'sha256:' || substr(hash, 9) || '0'",
    ],
)
def test_an_edited_event(chain: Engine, change: str) -> None:
    problems = tamper(chain, f"UPDATE audit_event SET {change} WHERE sequence = 4")
    assert problems[0]["where"] == "audit_event 4"
    assert "edited" in problems[0]["what"]
    assert set(problems[0]) == {"what", "where", "kind", "hint"}
    assert problems[0]["kind"] == "integrity"


def test_one_edit_is_one_problem(chain: Engine) -> None:
    assert len(tamper(chain, "UPDATE audit_event SET actor = 'x' WHERE sequence = 4")) == 1


def test_an_edit_with_its_hash_made_to_fit(chain: Engine) -> None:
    with reading(chain) as session:
        previous = session.scalar(text("SELECT hash FROM audit_event WHERE sequence = 3"))
        old = session.get_one(AuditEvent, 4)
    forged = events.event_hash(4, old.at, "x", old.action, old.subject, old.details, str(previous))
    problems = tamper(chain, f"UPDATE audit_event SET actor = 'x', hash = '{forged}' WHERE sequence = 4")
    assert [problem["where"] for problem in problems] == ["audit_event 5"]
    assert "does not follow event 4" in problems[0]["what"]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 3), (4, 4), (4, 6), (9, 9)])
def test_events_deleted_from_the_middle_or_the_start(chain: Engine, first: int, last: int) -> None:
    problems = tamper(chain, f"DELETE FROM audit_event WHERE sequence BETWEEN {first} AND {last}")
    assert [problem["where"] for problem in problems] == [f"audit_event {first}"]
    assert "missing" in problems[0]["what"]
    assert str(last) in problems[0]["what"]


@pytest.mark.parametrize("first", [1, 5, 10])
def test_events_cut_off_at_the_end(chain: Engine, first: int) -> None:
    problems = tamper(chain, f"DELETE FROM audit_event WHERE sequence >= {first}")
    assert [problem["where"] for problem in problems] == [f"audit_event {first}"]
    assert "missing" in problems[0]["what"]


def test_events_in_another_order(chain: Engine) -> None:
    problems = tamper(
        chain,
        "UPDATE audit_event SET sequence = 99 WHERE sequence = 4",
        "UPDATE audit_event SET sequence = 4 WHERE sequence = 5",
        "UPDATE audit_event SET sequence = 5 WHERE sequence = 99",
    )
    assert problems[0]["where"] == "audit_event 4"
    assert "does not follow event 3" in problems[0]["what"]


def test_a_gap_closed_by_renumbering(chain: Engine) -> None:
    problems = tamper(
        chain,
        "DELETE FROM audit_event WHERE sequence = 4",
        *(f"UPDATE audit_event SET sequence = {n - 1} WHERE sequence = {n}" for n in range(5, 11)),
    )
    assert problems[0]["where"] == "audit_event 4"
    assert problems[-1]["where"] == "audit_event 10"


def test_an_event_added_by_hand(chain: Engine) -> None:
    columns = "sequence, at, actor, action, subject, details, previous_hash, hash"
    problems = tamper(
        chain,
        f"INSERT INTO audit_event ({columns}) SELECT 11, at, actor, action, subject, details, hash, 'sha256:x' "
        "FROM audit_event WHERE sequence = 10",
    )
    assert [problem["where"] for problem in problems] == ["audit_event 11", "audit_event 11"]


@pytest.mark.parametrize("value", ["{}", "no json", '{"hash": "x", "sequence": 10}', '{"hash": "x", "sequence": 12}'])
def test_a_changed_head(chain: Engine, value: str) -> None:
    problems = tamper(chain, f"UPDATE store_meta SET value = '{value}'")
    assert len(problems) == 1


def test_a_moment_that_is_none(chain: Engine) -> None:
    if chain.dialect.name == "sqlite":  # PostgreSQL's columns hold only moments
        problems = tamper(chain, "UPDATE audit_event SET at = 'yesterday' WHERE sequence = 2")
        assert [problem["where"] for problem in problems] == ["audit_event 2"]
