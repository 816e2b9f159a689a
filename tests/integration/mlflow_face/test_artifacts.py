"""Merges fetched by MLflow: by registered versions and their aliases, by our own URIs; from this store, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mergestore
from registry.directories import check_directory
from storage.progress import Silent
from tests.integration.models import LLAMA_CONFIG, fine_tune, read_model, save

pytestmark = [
    pytest.mark.server,
    # MLflow 3.17 still asks SQLAlchemy 2.1 for a loader that 2.1 deprecates, when it maps its own tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def fetch(uri, folder=None):
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder) if folder else None))


@pytest.fixture
def refused():
    """What MLflow says of a URI that is refused."""
    from mlflow.exceptions import MlflowException

    def refused(uri, code, folder=None):
        with pytest.raises(MlflowException) as caught:
            fetch(uri, folder)
        assert caught.value.error_code == code, caught.value
        return caught.value.message

    return refused


def sound(folder):
    _, problems = check_directory(folder, Silent())
    assert problems == []
    return True


def test_a_registered_version_is_made_on_demand(world, scheme, tmp_path):
    made = world.store.materialize(world.merge)
    world.store.alias(world.merge, "prod")
    mergestore_files = {path.name for path in Path(made.path).iterdir()}
    for uri in (f"models:/{world.merge}@prod", f"models:/{world.merge}/1"):
        assert fetch(uri) == Path(made.path)
    for path in Path(made.path).iterdir():  # the cache may be emptied at any time
        path.unlink()
    Path(made.path).rmdir()
    copied = fetch(f"models:/{world.merge}@prod", tmp_path / "copy")
    assert copied == tmp_path / "copy"
    assert {path.name for path in copied.iterdir()} == mergestore_files
    assert sound(copied)
    assert read_model(copied) == read_model(Path(made.path))
    assert json.loads((copied / "mergestore.json").read_text())["output_digest"] == made.output_digest
    assert len(world.versions()) == 1, "what was made again is the same version"
    assert world.store.sync()["pending"] == 0


@pytest.mark.slow
def test_a_damaged_cache_is_not_handed_out(world, scheme):
    made = world.store.materialize(world.merge)
    weights = Path(made.path) / "model.safetensors"
    sound_bytes = weights.read_bytes()
    weights.write_bytes(sound_bytes[:-1] + bytes([sound_bytes[-1] ^ 1]))
    assert sound(fetch(f"models:/{world.merge}/1"))
    assert weights.read_bytes() == sound_bytes


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
@pytest.mark.slow
def test_our_own_uris(world, scheme, tmp_path, refused):
    import mlflow

    world.store.merge("team/chat", "tiny + code")
    world.store.alias(world.merge + "@1", "old")
    made = {name: world.store.materialize(name) for name in (world.merge, world.merge + "@1", "team/chat")}
    recipe = made[world.merge].recipe_digest
    for uri, name in {
        f"mergestore:/{world.merge}": world.merge,
        f"mergestore:/{world.merge}@old": world.merge + "@1",
        f"mergestore:/{recipe}": world.merge,
        f"mergestore://{world.store.id}/{world.merge}@1": world.merge + "@1",
        f"mergestore://{'0' * 32}/{recipe}": world.merge,  # a recipe is the same in every store
        "mergestore:/team/chat": "team/chat",
        "mergestore:/team/chat@1": "team/chat",
    }.items():
        assert fetch(uri) == Path(made[name].path), uri
    listed = mlflow.artifacts.list_artifacts(f"mergestore:/{world.merge}@2")
    assert {Path(each.path).name for each in listed} == {path.name for path in Path(made[world.merge].path).iterdir()}
    assert {each.path: each.file_size for each in listed}[f"{world.merge}@2/model.safetensors"] > 1000
    config = fetch(f"mergestore:/{world.merge}@2/config.json", tmp_path / "one")
    assert json.loads(config.read_text())["model_type"] == LLAMA_CONFIG["model_type"]
    for name in (world.merge, "team/chat"):
        assert sound(fetch(f"mergestore:/{name}", tmp_path / "named"))
    assert "no file 'nothing.json'" in refused(f"mergestore:/{world.merge}@2/nothing.json", "RESOURCE_DOES_NOT_EXIST")
    assert "no file" in refused(f"mergestore:/{world.merge}@2/../../registry.db", "RESOURCE_DOES_NOT_EXIST")
    assert "with one slash" in refused(f"mergestore://{world.merge}", "INVALID_PARAMETER_VALUE")
    told = refused(f"mergestore://{'0' * 32}/{world.merge}@1", "RESOURCE_DOES_NOT_EXIST")
    assert "MERGESTORE_HOME" in told
    assert "no merge 'math'" in refused("mergestore:/math", "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_what_this_store_has_not_is_refused_by_name(world, scheme, tmp_path, monkeypatch, refused):
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    made = world.store.materialize(world.merge)
    monkeypatch.setenv("MERGESTORE_HOME", str(tmp_path / "absent"))
    assert "there is no store" in refused(f"models:/{world.merge}/1", "INVALID_STATE")
    assert not (tmp_path / "absent").exists()
    monkeypatch.setenv("MERGESTORE_HOME", str(tmp_path / "other"))
    with mergestore.open() as other:
        told = refused(f"models:/{world.merge}/1", "RESOURCE_DOES_NOT_EXIST", tmp_path / "copy")
        assert all(word in told for word in (made.recipe_digest, world.store.id, other.id))
    assert list((tmp_path / "copy").iterdir()) == []
    monkeypatch.setenv("MERGESTORE_HOME", str(tmp_path / "store"))
    world.store.yank(f"{world.merge}@2", "trained on the test set")
    assert "trained on the test set" in refused(f"models:/{world.merge}/1", "INVALID_STATE")
    (tmp_path / "file").write_text("x")
    repository = get_artifact_repository(f"mergestore:/{world.merge}@1")
    for write in (
        lambda: repository.log_artifact(str(tmp_path / "file")),
        lambda: repository.log_artifacts(str(tmp_path)),
        lambda: repository.delete_artifacts("config.json"),
    ):
        with pytest.raises(MlflowException, match="nothing is written"):
            write()


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_adapters_and_tasks_are_recipes_too(world, scheme, tmp_path):
    for name in ("math", "code"):
        world.store.register_skill(f"all-{name}", world.models / name, base="tiny", encoding="exact")
    world.store.merge("kept", "tiny + all-math + all-code", method="emr")
    task = world.store.materialize("kept", task="all-math", wait=False)
    adapter = world.store.materialize_adapter("tiny + 0.5*math", rank=4, wait=False)
    for made, file in ((task, "model.safetensors"), (adapter, "adapter_model.safetensors")):
        folder = fetch(f"mergestore:/{made.recipe_digest}", tmp_path / file)
        document = json.loads((folder / "mergestore.json").read_text())
        assert (document["recipe_digest"], document["output_digest"]) == (made.recipe_digest, made.output_digest)
        assert (folder / file).is_file()
        again = world.store.materialize(made.recipe_digest, output=tmp_path / f"again-{file}", cache=False, wait=False)
        assert again.output_digest == made.output_digest
    with pytest.raises(mergestore.UsageError, match="adapter"):
        world.store.load(adapter.recipe_digest)


@pytest.mark.slow
@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_versions_registered_by_older_software_stay_as_they_are(world, scheme):
    """Their source is models:/, of which MLflow has no files; what is made now gets a version of its own."""
    from registry.provenance.mlflow import deliver
    from registry.records.database import reading
    from registry.records.tables import Outbox

    world.store.materialize(world.merge, wait=False)
    with reading(world.store.engine) as session:
        (message,) = session.query(Outbox)
        older = {key: value for key, value in message.payload.items() if key != "store"}
    assert deliver(older | {"materialization_id": "older"}, world.tracking, timeout=10).registered_version == 1
    assert world.store.sync() == {"delivered": 1, "pending": 0, "errors": []}
    world.store.alias(world.merge, "prod")
    versions = world.versions()
    assert [versions[number].source.partition(":")[0] for number in (1, 2)] == ["models", "mergestore"]
    assert fetch(f"models:/{world.merge}@prod").is_dir()
    assert [path.name for path in fetch(f"models:/{world.merge}/1").iterdir()] == ["MLmodel", "registered_model_meta"]


LOADS = """
import json, sys
import mlflow, torch, transformers
folder = mlflow.artifacts.download_artifacts(sys.argv[1])
model = transformers.AutoModelForCausalLM.from_pretrained(folder)
with mlflow.start_run() as run:
    pass
tags = mlflow.get_run(run.info.run_id).data.tags
print(json.dumps({"folder": folder, "shape": list(model(torch.tensor([[1, 2]])).logits.shape), "tags": tags}))
"""


@pytest.mark.slow
def test_in_an_environment_with_mergestore_mlflow_just_does_it(world, installed):
    """Found by MLflow itself, through entry points; the folder is one that transformers loads."""
    made = world.store.materialize(world.merge)
    world.store.alias(world.merge, "prod")
    environment = {**os.environ, "PYTHONPATH": installed, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:mlflow", "-c", LOADS, f"models:/{world.merge}@prod"],
        env=environment, cwd=world.models, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["folder"], told["shape"]) == (made.path, [1, 2, 64])
    assert told["tags"]["mergestore.store"] == world.store.id
    assert told["tags"]["mergestore.version"] == mergestore.__version__


@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_a_skill_that_mlflow_trained_goes_all_the_way_round(world, scheme, tmp_path):
    """Fetched, trained further, registered, merged, fetched again."""
    folder = fetch(f"mergestore:/{world.merge}@1", tmp_path)
    assert folder.name == f"{world.merge}@1"
    save(tmp_path / "further", fine_tune(read_model(folder), 9), LLAMA_CONFIG)
    world.store.register_skill("further", tmp_path / "further", base="tiny", encoding="exact")
    world.store.merge("again", "tiny + further")
    assert read_model(fetch("mergestore:/again")) == read_model(tmp_path / "further")
