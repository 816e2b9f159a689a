"""What is recorded about versions and recipes, on SQLite and PostgreSQL, comes back as it was."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from registry.records import catalog, contents, events, leases, lineage, outbox, recipes
from registry.records.contents import BlobRow, TensorRow
from registry.records.database import reading, writing
from registry.records.tables import Blob, Lease, Materialization
from storage.digests import canonical_json, sha256_digest
from storage.errors import InputRefused, NotFound
from tests.integration.registry_samples import FILES, ME, RECIPE, TENSORS, actions, digest, made, make, record, skill

# --- contents ------------------------------------------------------------------------------------------------


def test_files_and_tensors_come_back_as_they_were(engine: Engine) -> None:
    with writing(engine) as session:
        version = make(session, "llama", "base")
        contents.record_blobs(session, [BlobRow(digest("weights"), 100, "weights")])
        contents.add_files(session, version, FILES, actor=ME)
        contents.add_tensors(session, version, TENSORS, actor=ME)
    with reading(engine) as session:
        assert contents.load_files(session, version.id) == sorted(FILES, key=lambda file: file.path)
        assert contents.load_tensors(session, version.id) == sorted(TENSORS, key=lambda tensor: tensor.name)
        assert contents.load_tensors(session, version.id + 1) == []
        recorded = events.of(session, ["llama@1"])
    assert [each["action"] for each in recorded] == ["version.create", "files.add", "tensors.add"]
    assert recorded[1]["details"]["files"] == {file.path: file.digest for file in FILES}


def test_thousands_of_tensors(engine: Engine) -> None:
    tensors = [TensorRow(f"layer.{n}", "F32", (n,), digest("t"), 4 * n) for n in range(3000)]
    with writing(engine) as session:
        version = make(session, "llama", "base")
        contents.add_tensors(session, version, tensors, actor=ME)
    with reading(engine) as session:
        assert len(contents.load_tensors(session, version.id)) == 3000


def test_a_tensor_must_lie_in_a_file_of_its_version(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as session:
        contents.add_tensors(session, make(session, "llama", "base"), TENSORS, actor=ME)
    with reading(engine) as session:
        assert catalog.list_versions(session) == []


def test_a_tensor_name_no_database_holds(engine: Engine) -> None:
    with writing(engine) as session, pytest.raises(InputRefused, match="NUL"):
        contents.add_tensors(
            session, make(session, "llama", "base"), [TensorRow("a\x00b", "F32", (1,), digest("t"), 4)], actor=ME
        )


def test_blobs_are_recorded_once(engine: Engine) -> None:
    blobs = [BlobRow(digest(str(n)), n, "weights") for n in range(1200)]
    with writing(engine) as session:
        contents.record_blobs(session, [*blobs[:700], blobs[0]])
        contents.record_blobs(session, blobs)
        contents.record_blobs(session, [BlobRow(digest("7"), 7, "companion", sha256=sha256_digest(b"7"))])
        contents.record_blobs(session, [BlobRow(digest("7"), 7, "companion")])
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 1200
        blob = session.get_one(Blob, digest("7"))
        assert (blob.sha256, blob.kind, blob.size) == (sha256_digest(b"7"), "weights", 7)


def test_a_delta_comes_back_as_it_was(engine: Engine) -> None:
    with writing(engine) as session:
        version = skill(session, make(session, "llama", "base"), "math")
    with reading(engine) as session:
        found = contents.load_delta(session, version.id)
        assert found is not None
        assert (found.encoding, found.values, found.drop_rate, found.seed) == ("dare", "int4", 0.9, 7)
        assert (found.parameters, found.statistics) == ({"block": 128}, {"norm": 0.5})
        assert contents.load_delta(session, version.id - 1) is None
        details = events.of(session, ["math@1"])[2]["details"]
    assert details.pop("rows").startswith("sha256:")
    assert details == {
        **{"base": "llama@1", "blob": digest("math"), "encoding": "dare", "values": "int4"},
        **{"drop_rate": 0.9, "seed": 7},
    }


# --- lineage -------------------------------------------------------------------------------------------------


def test_lineage_goes_both_ways(engine: Engine) -> None:
    with writing(engine) as session:
        base = make(session, "llama", "base", licence="MIT")
        math, code = skill(session, base, "math"), skill(session, base, "code")
        merge = make(session, "assistant", "merge")
        parents = [(base, "base"), (math, "skill"), (code, "skill"), (code, "head")]
        lineage.add_lineage(session, merge, parents, actor=ME)
        make(session, "stranger", "base")
    with reading(engine) as session:
        up = lineage.ancestors(session, merge.id).to_dict()
        down = lineage.descendants(session, math.id)
        alone = lineage.ancestors(session, base.id)
    assert [node["id"] for node in up["nodes"]] == ["llama@1", "math@1", "code@1", "assistant@1"]
    assert up["nodes"][0] == {
        **{"id": "llama@1", "kind": "base", "name": "llama", "version": 1, "digest": digest("llama")},
        **{"licence": "MIT", "state": "ready"},
    }
    assert [(edge["child"], edge["parent"], edge["role"]) for edge in up["edges"]] == [
        ("math@1", "llama@1", "base"),
        ("code@1", "llama@1", "base"),
        ("assistant@1", "llama@1", "base"),
        ("assistant@1", "math@1", "skill"),
        ("assistant@1", "code@1", "head"),
        ("assistant@1", "code@1", "skill"),
    ]
    assert [node.id for node in down.nodes] == ["math@1", "assistant@1"]
    assert [(edge.child, edge.parent) for edge in down.edges] == [("assistant@1", "math@1")]
    assert ([node.id for node in alone.nodes], alone.edges) == (["llama@1"], ())


def test_lineage_cannot_run_backwards(engine: Engine) -> None:
    with writing(engine) as session:
        old, new = make(session, "a"), make(session, "b")
    with pytest.raises(IntegrityError), writing(engine) as session:
        lineage.add_lineage(session, old, [(new, "base")], actor=ME)


def test_a_long_line_of_descent(engine: Engine) -> None:
    with writing(engine) as session:
        line = [make(session, "math", content=str(number)) for number in range(300)]
        for child, parent in zip(line[1:], line, strict=False):
            lineage.add_lineage(session, child, [(parent, "base")], actor=ME)
    with reading(engine) as session:
        assert len(lineage.ancestors(session, line[-1].id).nodes) == 300
        assert len(lineage.descendants(session, line[0].id).edges) == 299


# --- recipes and materializations ----------------------------------------------------------------------------


def test_a_recipe_is_recorded_once(engine: Engine) -> None:
    with writing(engine) as session:
        math, code = make(session, "math"), make(session, "code")
        recipe = record(session, code, math)
        assert record(session, code, math) is recipe
        assert recipe.digest == sha256_digest(RECIPE.encode())
        assert [row.version_id for row in recipes.recipe_inputs(session, recipe.digest)] == [code.id, math.id]
        assert actions(session).count("recipe.record") == 1
        assert recipes.load_recipe(session, recipe.digest).canonical == RECIPE
        with pytest.raises(NotFound):
            recipes.load_recipe(session, digest("none"))


def test_a_recipe_may_hold_any_number(engine: Engine) -> None:
    numbers = canonical_json({"weights": [1e16, 1e300, -5e-324, 0.1, 3, 2**53 - 1]}).decode()
    with writing(engine) as session:
        recipe = recipes.record_recipe(session, canonical=numbers, method="linear", inputs=[], actor=ME)
        assert recipe.digest == sha256_digest(numbers.encode())


@pytest.mark.parametrize("spelling", ['{"b": 1}', '{"b":1,"a":2}', '{"a":1.0}', '{"a":"\\u00e9"}'])
def test_a_recipe_must_be_canonical(engine: Engine, spelling: str) -> None:
    with writing(engine) as session, pytest.raises(ValueError, match="canonical"):
        recipes.record_recipe(session, canonical=spelling, method="linear", inputs=[], actor=ME)


def test_materializations_are_newest_first_and_the_cache_is_found(engine: Engine) -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    with writing(engine) as session:
        recipe = record(session)
        for number, cached in enumerate([True, True, False]):
            at += timedelta(seconds=1)
            recipes.record_materialization(session, made(recipe, f"m{number}", cached=cached, created_at=at))
    with reading(engine) as session:
        assert [each.id for each in recipes.materializations(session, [recipe.digest])] == ["m2", "m1", "m0"]
        found = recipes.cached_materialization(session, recipe.digest)
        assert found is not None
        assert (found.id, found.bytes, found.versions) == ("m1", 2**40, {"numpy": "2"})
        assert recipes.cached_materialization(session, digest("none")) is None
        assert len(events.of(session, [recipe.digest])) == 4


def test_the_mlflow_run_is_noted(engine: Engine) -> None:
    with writing(engine) as session:
        recipes.record_materialization(session, made(record(session), "m"))
        recipes.set_mlflow_run(session, "m", "run-1", 7, actor=ME)
        with pytest.raises(NotFound):
            recipes.set_mlflow_run(session, "n", "run-1", actor=ME)
    with reading(engine) as session:
        noted = session.get_one(Materialization, "m")
        assert (noted.mlflow_run_id, noted.mlflow_version) == ("run-1", 7)
        assert actions(session)[-1] == "provenance.deliver"


# --- outbox and leases ---------------------------------------------------------------------------------------


def test_a_message_waits_until_it_is_delivered(engine: Engine) -> None:
    with writing(engine) as session:
        first = outbox.add(session, kind="materialization", key="m1", payload={"n": 1, "x": [0.1, None, "é"]})
        again = outbox.add(session, kind="materialization", key="m1", payload={"n": 2})
        second = outbox.add(session, kind="materialization", key="m2", payload={})
        assert again is first
    with writing(engine) as session:
        outbox.mark_failed(session, first.id, "no answer " * 1000)
        assert [message.id for message in outbox.pending(session)] == [first.id, second.id]
        assert [message.id for message in outbox.pending(session, limit=1)] == [first.id]
        outbox.mark_delivered(session, second.id)
        outbox.mark_delivered(session, second.id)
    with reading(engine) as session:
        (message,) = outbox.pending(session)
        assert (message.payload, message.attempts) == ({"n": 1, "x": [0.1, None, "é"]}, 1)
        assert message.last_error is not None
        assert len(message.last_error) == 2000
        assert outbox.count_pending(session) == 1


def test_messages_about_one_thing_are_settled_together(engine: Engine) -> None:
    """And no other's: names differ by case, or one is how another begins, or has what LIKE takes for something."""
    with writing(engine) as session:
        keys = ["a_b#1", "a_b#2", "A_B#3", "axb#4", "a_b-c#5"]
        ids = [outbox.add(session, kind="registered_model", key=key, payload={}).id for key in keys]
        other = outbox.add(session, kind="training_run", key="a_b#1", payload={}).id
        outbox.mark_failed(session, ids[0], "no answer")
        assert [message.id for message in outbox.beginning(session, "registered_model", "a_b#")] == ids[:2]
        outbox.settle(session, "registered_model", "a_b#")
        outbox.settle(session, "registered_model", "axb#", refused="x" * 9000)
    with reading(engine) as session:
        assert [message.id for message in outbox.pending(session)] == [ids[2], ids[4], other]
        assert [message.id for message in outbox.pending(session, limit=1, after=ids[2])] == [ids[4]]
        errors = [message.last_error for message in outbox.beginning(session, "registered_model", "a")]
        assert errors == [None, None, "x" * 2000, None]


def test_a_lease_is_one_holder_s(engine: Engine) -> None:
    def acquire(holder: str, seconds: float = 60) -> bool:
        with writing(engine) as session:
            return leases.acquire(session, outbox.LEASE, holder, seconds)

    def release(holder: str) -> None:
        with writing(engine) as session:
            leases.release(session, outbox.LEASE, holder)

    assert acquire("a")
    assert not acquire("b")
    assert acquire("a")  # prolonged
    release("b")  # not hers to give
    assert not acquire("b")
    release("a")
    release("a")
    assert acquire("b")
    with writing(engine) as session:  # b dies, and its time runs out
        lease = session.get_one(Lease, outbox.LEASE)
        lease.acquired_at = lease.expires_at - timedelta(hours=2)
        lease.expires_at -= timedelta(hours=1)
    assert acquire("a")
