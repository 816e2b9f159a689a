"""A skill and the MLflow run that trained it: each tells of the other."""

from __future__ import annotations

import uuid

import pytest

from mergestore import UsageError
from registry.audits.page import render
from registry.records import outbox
from registry.records.database import reading
from tests.integration.shell import Shell

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
DONE = {"delivered": 0, "pending": 0, "errors": []}
sqlite_only = pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)


@pytest.fixture
def trained(world):
    """The id of a run that somebody trained with."""
    name = "training-" + uuid.uuid4().hex[:8]
    # On a database MLflow would put files into the working folder.
    experiment = world.client.create_experiment(name, None if world.tracking.startswith("http") else "file:///nowhere")
    return world.client.create_run(experiment).info.run_id


def test_run_and_skills_are_linked_both_ways(world, trained):
    store, client = world.store, world.client
    one = store.register_skill("a", world.models / "math", base="tiny", seed=5, meta={"run-id": trained})
    assert one.notes == [note for note in one.notes if "MLflow" not in note]
    tags = client.get_run(trained).data.tags
    assert (tags["mergestore.skill"], tags["mergestore.digest"]) == ("a@1", one.digest)
    assert tags["mergestore.store"] == store.id
    two = store.register_skill(
        "a", world.models / "math", base="tiny", drop_rate=0.5, meta={"mlflow.run_id": trained}, wait=False
    )
    base = store.register_base("b", world.models / "code", meta={"run-id": trained}, wait=False)
    assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}, "one delivery tells of both"
    tags = client.get_run(trained).data.tags
    assert (tags["mergestore.skill"], tags["mergestore.base"]) == ("a@1, a@2", "b@1")
    assert tags["mergestore.digest"] == ", ".join((one.digest, two.digest, base.digest))
    assert store.sync() == DONE
    (node,) = (each for each in store.audit("a").lineage["nodes"] if each["id"] == "a@2")
    assert node["training_run"] == store.show("a")["training_run"] == trained
    shell = Shell(store.home.root)
    assert f"training run {trained}" in shell.text("audit", "a")
    assert trained in shell.text("show", "a")
    assert f'"training_run": "{trained}"' in render(store.audit("a"))
    assert "provenance.link" in [event["action"] for event in store.audit("a").events]
    assert store.verify().ok


def test_a_run_that_mlflow_does_not_know_is_told_once_and_blocks_nothing(world, trained):
    store = world.store
    unknown = uuid.uuid4().hex
    (note,) = (
        note
        for note in store.register_skill(
            "a", world.models / "math", base="tiny", seed=5, meta={"mlflow.run_id": unknown}
        ).notes
        if "MLflow" in note
    )
    assert f"MLflow has no run {unknown}" in note
    assert store.sync() == DONE, "it was told"
    store.register_base("b", world.models / "code", meta={"run-id": uuid.uuid4().hex}, wait=False)
    store.register_skill("c", world.models / "math", base="tiny", seed=7, meta={"run-id": trained}, wait=False)
    answer = store.sync()
    assert (answer["delivered"], answer["pending"], len(answer["errors"])) == (1, 0, 1)
    assert "of which b@1 is said to have come" in answer["errors"][0]
    assert world.client.get_run(trained).data.tags["mergestore.skill"] == "c@1"
    assert store.sync() == DONE
    world.client.delete_run(trained)
    store.register_skill("d", world.models / "math", base="tiny", seed=8, meta={"run-id": trained}, wait=False)
    assert "MLflow has no run" in store.sync()["errors"][0]


@pytest.mark.slow
@sqlite_only
def test_registering_again_tries_again(world, trained):
    store = world.store
    about = {"base": "tiny", "seed": 5, "meta": {"mlflow.run_id": trained}}
    world.client.delete_run(trained)
    store.register_skill("a", world.models / "math", **about)
    world.client.restore_run(trained)
    assert store.sync() == DONE
    again = store.register_skill("a", world.models / "math", **about)
    assert (again.created, [note for note in again.notes if "MLflow" in note]) == (False, [])
    assert world.client.get_run(trained).data.tags["mergestore.skill"] == "a@1"
    with reading(store.engine) as session:
        assert outbox.count_pending(session) == 0


@sqlite_only
def test_which_metadata_names_a_run(world):
    """A run-id is often another tool's: only what looks like MLflow's is taken for one."""
    store = world.store
    store.register_skill("a", world.models / "math", base="tiny", seed=5, meta={"run-id": "8f3d"}, wait=False)
    assert store.show("a")["training_run"] is None
    assert store.sync() == DONE
    with pytest.raises(UsageError, match=r"mlflow\.run_id"):
        store.register_skill("b", world.models / "math", base="tiny", meta={"mlflow.run_id": "8f3d/../x"})
    shell = Shell(store.home.root)
    run = uuid.uuid4().hex
    told = shell.text(
        *("register", "skill", "b", world.models / "math", "--base", "tiny", "--seed", 6, "--meta", f"run-id={run}"),
        "--no-wait",
    )
    assert "MLflow is told by `mergestore sync`" in told
    assert store.show("b")["training_run"] == run
