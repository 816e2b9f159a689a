"""Pins: what nothing may delete, with its reason, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

import mergestore
from registry.records import catalog, pins
from registry.records.database import migrating, reading, writing
from registry.records.integrity import verify_records
from registry.records.tables import LineageEdge, ModelVersion
from storage.errors import Conflict, NotFound, UsageError
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.registry_samples import actions, make, skill
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)


@pytest.fixture
def shell(surroundings, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        store.register_base("tiny", tmp_path / "tiny")
        store.register_skill("math", tmp_path / "math", base="tiny")
        store.merge("both", "tiny + 0.6*math")
    return Shell(tmp_path / "store")


def test_a_pin_is_told_wherever_its_version_is(shell, tmp_path):
    assert shell.text("pin", "math@1", "--reason", "shipped in release 4") == "pinned math@1: shipped in release 4\n"
    pinned = shell.json("show", "math")["pinned"]
    assert (pinned["reason"], pinned["by"]) == ("shipped in release 4", "tester@here")
    assert shell.json("list")["skills"][0]["pinned"] == pinned
    assert "shipped in release 4" in shell.text("list")
    assert "pinned: shipped in release 4" in shell.text("audit", "both")
    assert {node["id"]: node["pinned"] for node in shell.json("audit", "both")["lineage"]["nodes"]} == {
        **{"both@1": None, "tiny@1": None},
        "math@1": pinned,
    }
    assert shell.json("impact", "math")["pinned"] == pinned
    assert "pinned by tester@here: shipped in release 4" in shell.text("impact", "math")
    page = tmp_path / "page.html"
    shell.text("audit", "both", "--html", page)
    assert "shipped in release 4" in page.read_text()
    assert shell.json("verify")["ok"]
    assert shell.text("pin", "math@1", "--remove") == "math@1 is not pinned any more\n"
    assert shell.json("show", "math")["pinned"] is None
    assert [event["action"] for event in shell.json("audit", "math")["events"]][-2:] == ["pin.set", "pin.remove"]
    assert shell.json("verify")["ok"]


def test_what_cannot_be_pinned_is_refused(shell):
    shell.refused(2, "pin", "math@1")
    shell.refused(2, "pin", "math@1", "--reason", " ")
    shell.refused(2, "pin", "math@1", "--remove", "--reason", "no")
    shell.refused(3, "pin", "maths@1", "--reason", "kept")
    shell.refused(3, "pin", "math@1", "--remove")
    shell.text("pin", "math@1", "--reason", "kept")
    error = shell.refused(4, "pin", "math@1", "--reason", "kept")
    assert "pinned already, by tester@here: kept" in error["message"]


def test_a_pinned_version_can_be_yanked(shell):
    shell.text("pin", "math@1", "--reason", "evidence")
    shell.text("yank", "math@1", "--reason", "wrong data")
    told = shell.text("audit", "math@1")
    assert "pinned: evidence" in told
    assert "YANKED: wrong data" in told


def delete(engine: Engine, version: ModelVersion) -> None:
    """As a careless program would, whatever hangs on the version but its pin and its children's lineage."""
    with writing(engine) as session:
        for table in ("version_file", "delta", "tensor"):
            session.execute(text(f"DELETE FROM {table} WHERE version_id = :id"), {"id": version.id})
        session.execute(text("DELETE FROM lineage_edge WHERE child_version_id = :id"), {"id": version.id})
        session.execute(text("DELETE FROM model_version WHERE id = :id"), {"id": version.id})


def test_the_database_refuses_to_delete_it_and_what_it_came_from(engine: Engine):
    with writing(engine) as session:
        base = make(session, "base", "base")
        math = skill(session, base, "math")
        pins.set_pin(session, math, "kept", actor="me")
    for version in (math, base):
        with pytest.raises(IntegrityError):
            delete(engine, version)
    with reading(engine) as session:
        assert len(catalog.list_versions(session)) == 2
        assert session.get(LineageEdge, (math.id, base.id, "base")) is not None
    with writing(engine) as session:
        pins.remove_pin(session, session.get_one(ModelVersion, math.id), actor="me")
    delete(engine, math)
    with reading(engine) as session:
        assert [version.name for version in catalog.list_versions(session)] == ["base"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pin",
        "UPDATE pin SET reason = 'no reason'",
        "UPDATE pin SET created_by = 'somebody'",
        "UPDATE pin SET created_at = '2020-01-01 00:00:00+00'",
        "UPDATE pin SET version_id = 1",
    ],
)
def test_a_pin_that_was_changed_by_hand_is_found(engine: Engine, statement: str):
    with writing(engine) as session:
        math = skill(session, make(session, "base", "base"), "math")
        pins.set_pin(session, math, "kept", actor="me")
    with reading(engine) as session:
        assert [problem for problem in verify_records(session) if "pin" in problem["what"]] == []
    with migrating(engine) as connection:
        connection.execute(text(statement))
    with reading(engine) as session:
        found = [problem["where"] for problem in verify_records(session) if "pin" in problem["what"]]
    assert "math@1" in found


def test_every_change_is_an_event_and_errors_are_none(engine: Engine):
    with writing(engine) as session:
        math = make(session, "math")
        pins.set_pin(session, math, "kept", actor="me")
        with pytest.raises(Conflict):
            pins.set_pin(session, math, "kept", actor="me")
        pins.remove_pin(session, math, actor="me")
        with pytest.raises(NotFound):
            pins.remove_pin(session, math, actor="me")
        with pytest.raises(UsageError):
            pins.set_pin(session, math, "", actor="me")
        assert actions(session) == ["version.create", "pin.set", "pin.remove"]
