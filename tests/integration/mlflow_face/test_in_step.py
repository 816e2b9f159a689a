"""Aliases and yanks as MLflow shows them: told at once, later by sync, in order, repaired; never in the way."""

from __future__ import annotations

import threading
import time

import pytest

import mergestore
from registry.provenance import messages
from registry.provenance.delivery import deliver_message
from registry.provenance.standing import fits_mlflow
from registry.records import outbox
from registry.records.database import reading
from tests.integration.mlflow_server import free_port
from tests.integration.shell import Shell

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
DONE = {"delivered": 0, "pending": 0, "errors": []}
sqlite_only = pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
server_only = pytest.mark.parametrize("tracking", ["server"], indirect=True)


def waiting(store):
    with reading(store.engine) as session:
        return [(message.kind, message.attempts, message.last_error) for message in outbox.pending(session)]


@pytest.mark.slow
def test_an_alias_is_moved_and_removed_as_the_store_moves_it(world):
    store, name = world.store, world.merge
    assert store.alias(name, "early")["notes"] == []
    assert waiting(store) == [], "MLflow can know of no version yet"
    made = store.materialize(name)
    assert world.aliases() == {"early": 2}, "set when the version is first delivered"
    assert store.show(name)["materializations"][0]["mlflow_version"] == 1
    store.alias(name, "prod")
    (note,) = store.alias(f"{name}@1", "prod")["notes"]
    assert note.startswith(f"MLflow has no result of {name}@1 yet")
    assert world.aliases() == {"early": 2}, "prod means a version that MLflow does not know: it means nothing there"
    store.materialize(f"{name}@1")
    assert world.aliases() == {"early": 2, "prod": 1}
    assert store.unalias(name, "early")["notes"] == []
    assert world.aliases() == {"prod": 1}
    assert store.sync() == DONE
    assert store.verify().ok
    registered = world.client.get_model_version_by_alias(name, "prod")
    assert store.audit(f"{name}@1").materializations[0]["mlflow_version"] == int(registered.version) == 2
    assert store.impact("math").materializations[-1]["mlflow_run_id"] == made.mlflow_run_id


def test_a_yanked_version_says_so(world):
    store, name = world.store, world.merge
    store.materialize(name, wait=False)
    store.yank(f"{name}@2", "trained on the test set, große Sache", wait=False)
    assert store.sync()["errors"] == []
    (version,) = world.versions().values()
    assert version.tags["mergestore.state"] == "yanked"
    assert version.tags["mergestore.reason"] == "trained on the test set, große Sache"
    assert store.sync() == DONE


def test_sync_repairs_what_was_moved_in_mlflow_and_leaves_what_is_not_ours(world):
    store, name, client = world.store, world.merge, world.client
    store.materialize(name, wait=False)
    store.materialize(f"{name}@1", wait=False)
    store.alias(f"{name}@1", "prod", wait=False)
    store.alias(name, "gone", wait=False)
    store.unalias(name, "gone", wait=False)
    store.yank(f"{name}@2", "wrong", wait=False)
    assert store.sync()["pending"] == 0
    assert world.aliases() == {"prod": 1}
    client.set_registered_model_alias(name, "prod", "1")  # which is version 2 of the merge
    client.set_registered_model_alias(name, "gone", "1")
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "1", "mergestore.reason", "nothing")
    client.set_model_version_tag(name, "2", "mergestore.state", "yanked")
    assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}
    assert world.aliases() == {"prod": 1, "champion": 2}
    one, two = world.versions()[1].tags, world.versions()[2].tags
    assert (one["mergestore.reason"], "mergestore.state" in two) == ("wrong", False)
    assert store.sync() == DONE


@sqlite_only
def test_what_mlflow_takes_no_alias_of_stays_here(world):
    store, name = world.store, world.merge
    store.materialize(name)
    for alias in ("v1.2", "V3", "a.b"):
        assert not fits_mlflow(alias)
        assert "in this store only" in store.alias(name, alias)["notes"][0]
    assert (world.aliases(), waiting(store)) == ({}, [])
    shell = Shell(store.home.root)
    assert "in this store only" in shell("alias", name, "v2")[2]
    assert shell.json("alias", name, "fine", "--no-wait")["notes"] == ["MLflow is told by `mergestore sync`"]
    store.alias("tiny", "prod")
    store.alias("math", "v1.2")
    assert [kind for kind, _, _ in waiting(store)] == [messages.REGISTERED]
    assert shell.json("sync") == {"delivered": 1, "pending": 0, "errors": []}
    assert world.aliases() == {"fine": 2}


@pytest.mark.slow
@sqlite_only
def test_two_stores_do_not_fight_over_one_name(world, tmp_path):
    store, name = world.store, world.merge
    store.materialize(name)
    store.alias(name, "prod")
    with mergestore.open(tmp_path / "other", tracking_uri=world.tracking) as other:
        other.register_base("tiny", world.models / "tiny")
        other.register_skill("code", world.models / "code", base="tiny")
        other.merge(name, "tiny + code")
        other.materialize(name)
        (note,) = other.alias(name, "prod")["notes"]
        assert "kept by another store" in note
        assert "sync" not in note, "it would change nothing"
        assert other.sync() == DONE
    assert len(world.versions()) == 2
    assert store.sync() == DONE
    assert world.client.get_model_version_by_alias(name, "prod").tags["mergestore.store"] == store.id


# What breaks


@server_only
def test_a_dead_server_is_not_waited_for(world, server):
    store, name = world.store, world.merge
    store.materialize(name)
    with mergestore.open(tracking_uri=f"http://127.0.0.1:{free_port()}") as apart, server.stopped():
        for each in (apart, store):  # nobody listens; somebody listens and does not answer
            began = time.perf_counter()
            (note,) = each.alias(name, "prod")["notes"]
            assert time.perf_counter() - began < 60
            assert "mergestore sync" in note
            each.unalias(name, "prod", wait=False)
    store.alias(f"{name}@1", "next", wait=False)
    store.alias(name, "prod", wait=False)
    assert len(waiting(store)) == 6
    assert store.sync()["pending"] == 0
    assert world.aliases() == {"prod": 2}
    assert store.sync() == DONE


@server_only
def test_moves_under_way_at_once_end_as_the_store_has_it(world):
    """Four movers, each delivering its own; whoever comes last finds everything in step."""
    store, name = world.store, world.merge
    store.materialize(name, wait=False)
    store.materialize(f"{name}@1", wait=False)
    assert store.sync()["errors"] == []

    def move(number):
        with mergestore.open() as mover:
            for turn in range(4):
                mover.alias(f"{name}@{1 + (number + turn) % 2}", f"a{turn % 2}", wait=False)
                with reading(mover.engine) as session:
                    mine = outbox.pending(session)
                for message in mine:
                    deliver_message(mover.engine, message, world.tracking, "mover")

    movers = [threading.Thread(target=move, args=(number,)) for number in range(4)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert store.sync()["pending"] == 0
    meant = {row["alias"]: row["version"] for row in store.show(name)["alias_history"]}
    assert world.aliases() == meant
    assert store.sync() == DONE
    assert store.verify().ok


@sqlite_only
def test_a_move_during_a_delivery_is_told_too(world, monkeypatch):
    """The state is read before it is told; what changes meanwhile is not marked as told."""
    from registry.provenance import delivery

    store, name = world.store, world.merge
    store.materialize(name, wait=False)
    store.materialize(f"{name}@1", wait=False)
    store.sync()
    told, tell = [], delivery.keep_in_step

    def slowly(standing, *args, **more):
        if not told:
            store.alias(f"{name}@1", "prod", wait=False)
        told.append(standing.aliases["prod"])
        return tell(standing, *args, **more)

    store.alias(f"{name}@2", "prod", wait=False)
    monkeypatch.setattr(delivery, "keep_in_step", slowly)
    assert store.sync()["pending"] == 0
    assert told[:2] == [2, 1]
    assert world.aliases() == {"prod": 1}
