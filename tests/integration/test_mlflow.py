"""Provenance against a real MLflow: a server that is killed, stopped and cut off, and databases written directly."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from registry.provenance.mlflow import deliver, reachable, warm
from storage.digests import blake3_digest, json_digest
from storage.errors import EnvironmentFailure
from tests.integration.mlflow_server import Line, MlflowServer, free_port

pytestmark = [
    pytest.mark.server,
    # MLflow 3.17 still asks SQLAlchemy 2.1 for a loader that 2.1 deprecates, when it maps its own tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(server):
    return MlflowClient(tracking_uri=server.url, registry_uri=server.url)


def model(name, version=1, **facts):
    """A base or skill nobody has seen before."""
    return {"name": name, "version": version, "digest": blake3_digest(uuid.uuid4().bytes), "licence": "MIT", **facts}


def skill(name, weight=0.5, **facts):
    return model(name, weight=weight, encoding="dare", drop_rate=0.9, seed=7, **facts)


def payload(*, skills=None, base=None, **changes):
    base = base or model("llama")
    skills = [skill("math", 0.6)] if skills is None else skills
    recipe = {"method": "dare_ties", "base": base["digest"], "terms": [[s["digest"], s["weight"]] for s in skills]}
    nodes = [{"id": "base:1", "kind": "base", **base}, *({"id": s["name"], "kind": "skill", **s} for s in skills)]
    return {
        "materialization_id": str(uuid.uuid4()),
        "recipe_digest": json_digest(recipe),
        "output_digest": blake3_digest(uuid.uuid4().bytes),
        "expression": "llama + 0.6*math",
        "merge": {"name": "assistant-" + uuid.uuid4().hex[:8], "version": 3},
        "recipe": recipe,
        "manifest": {"format": 1, "tensors": 5},
        "lineage": {
            "nodes": nodes,
            "edges": [{"child": s["name"], "parent": "base:1", "role": "base"} for s in skills],
        },
        "base": base,
        "skills": skills,
        "method": "dare_ties",
        "parameters": {"lambda": 1.0, "density": 0.2, "trim": "model"},
        "dtype": None,
        "device": "cpu",
        "engine": "numba",
        "versions": {"mergestore": "0.1.0", "python": "3.11.2", "numpy": "2.4", "numba": "0.68", "torch": None},
        "metrics": {
            "seconds": 1.25,
            "gb_per_second": 0.5,
            "bytes": 5_000_000_000,
            "tensors": 5,
            "density": 0.1,
            "delta_norm": None,
        },
        "path": "/store/cache/assistant",
        "model_card": "# assistant\n\nMerged from llama and math.\n",
        "started_at": "2026-01-02T03:04:05.250000+00:00",
        "finished_at": "2026-01-02T03:04:06.500000+00:00",
        "actor": "ada@example",
        **changes,
    }


def records(client, sent):
    """All that MLflow holds of one materialization: (runs, output models, registered versions)."""
    tag = f"tags.`mergestore.materialization_id` = '{sent['materialization_id']}'"
    experiment = client.get_experiment_by_name("mergestore")
    if experiment is None:
        return [], [], []
    ids = [experiment.experiment_id]
    runs = client.search_runs(ids, tag, run_view_type=ViewType.ACTIVE_ONLY)
    return list(runs), list(client.search_logged_models(ids, tag)), list(client.search_model_versions(tag))


def assert_whole(client, sent, delivered):
    """Exactly one finished run with all its params, metrics, files, inputs, output and version."""
    runs, models, versions = records(client, sent)
    assert [run.info.run_id for run in runs] == [delivered.run_id]
    run = client.get_run(delivered.run_id)
    assert run.info.status == "FINISHED"
    assert sum(name.endswith(".weight") for name in run.data.params) == len(sent["skills"])
    assert {name for name, value in sent["metrics"].items() if value is not None} == set(run.data.metrics)
    assert {file.path for file in client.list_artifacts(delivered.run_id)} == {
        *("recipe.json", "mergestore.json", "lineage.json", "lineage.md", "parameters.json", "README.md")
    }
    assert [model.model_id for model in models] == [output.model_id for output in run.outputs.model_outputs]
    assert [str(model.status) for model in models] == ["READY"]
    assert models[0].source_run_id == delivered.run_id
    assert {metric.key for metric in models[0].metrics} == set(run.data.metrics)
    assert len(models[0].metrics) == len(run.data.metrics)
    inputs = [client.get_logged_model(given.model_id) for given in run.inputs.model_inputs]
    assert sorted(given.tags["mergestore.digest"] for given in inputs) == sorted(
        [sent["base"]["digest"], *(s["digest"] for s in sent["skills"])]
    )
    assert {str(given.status) for given in inputs} == {"READY"}
    if sent["merge"] is None:
        assert (versions, delivered.registered_version) == ([], None)
    else:
        assert [int(version.version) for version in versions] == [delivered.registered_version]
        assert versions[0].source == f"models:/{models[0].model_id}"
        assert versions[0].run_id == delivered.run_id
        assert json.loads(models[0].tags["mlflow.modelVersions"]) == [
            {"name": versions[0].name, "version": delivered.registered_version}
        ]


def read(client, run_id, path, folder):
    return Path(client.download_artifacts(run_id, path, str(folder))).read_text(encoding="utf-8")


# what a record holds


def test_a_delivery_can_be_read_back(server, client, tmp_path):
    sent = payload()
    delivered = deliver(sent, server.url, timeout=10)
    assert_whole(client, sent, delivered)
    run = client.get_run(delivered.run_id)
    math = sent["skills"][0]
    assert run.data.params == {
        "method": "dare_ties",
        "expression": "llama + 0.6*math",
        "merge": f"{sent['merge']['name']}@3",
        "recipe_digest": sent["recipe_digest"],
        "output_digest": sent["output_digest"],
        "base": "llama@1",
        "base.digest": sent["base"]["digest"],
        "skills": "1",
        "dtype": "as the base",
        "device": "cpu",
        "engine": "numba",
        "parameter.lambda": "1.0",
        "parameter.density": "0.2",
        "parameter.trim": "model",
        "version.mergestore": "0.1.0",
        "version.python": "3.11.2",
        "version.numpy": "2.4",
        "version.numba": "0.68",
        "skill.math.v1.weight": "0.6",
        "skill.math.v1.encoding": "dare",
        "skill.math.v1.drop_rate": "0.9",
        "skill.math.v1.seed": "7",
        "skill.math.v1.digest": math["digest"],
    }
    assert run.data.metrics == {name: value for name, value in sent["metrics"].items() if value is not None}
    assert (run.info.start_time, run.info.end_time) == (1767323045250, 1767323046500)
    assert run.info.run_name == f"{sent['merge']['name']}@3"
    tags = run.data.tags
    assert tags["mlflow.note.content"] == sent["model_card"]
    assert tags["mlflow.user"] == "ada@example"
    assert tags["mergestore.expression"] == sent["expression"]
    assert (tags["mergestore.recipe_digest"], tags["mergestore.output_digest"]) == (
        sent["recipe_digest"],
        sent["output_digest"],
    )
    assert (tags["mergestore.merge.name"], tags["mergestore.merge.version"]) == (sent["merge"]["name"], "3")
    files = {name: read(client, delivered.run_id, name, tmp_path) for name in ("recipe.json", "lineage.md")}
    assert json_digest(json.loads(files["recipe.json"])) == sent["recipe_digest"]
    assert "```mermaid" in files["lineage.md"]
    assert json.loads(read(client, delivered.run_id, "mergestore.json", tmp_path)) == sent["manifest"]
    assert json.loads(read(client, delivered.run_id, "lineage.json", tmp_path)) == sent["lineage"]
    assert read(client, delivered.run_id, "README.md", tmp_path) == sent["model_card"]
    version = client.get_model_version(sent["merge"]["name"], "1")
    assert version.tags["mergestore.output_digest"] == sent["output_digest"]
    assert version.tags["mergestore.recipe_digest"] == sent["recipe_digest"]
    assert version.tags["mergestore.base_digest"] == sent["base"]["digest"]
    assert version.tags["mergestore.merge.version"] == "3"


def test_delivering_twice_doubles_nothing(server, client):
    sent = payload()
    first = deliver(sent, server.url, timeout=10)
    assert deliver(sent, server.url, timeout=10) == first
    assert_whole(client, sent, first)


def test_runs_share_one_model_per_skill_version(server, client):
    base, math = model("llama"), skill("math")
    first = deliver(payload(base=base, skills=[math]), server.url, timeout=10)
    newer = {**math, "version": 2}
    second = deliver(payload(base=base, skills=[math, newer], merge=None), server.url, timeout=10)
    one, two = ({given.model_id for given in client.get_run(d.run_id).inputs.model_inputs} for d in (first, second))
    assert one < two
    assert (len(one), len(two)) == (2, 3)


def test_an_expression_without_a_name_registers_no_model(server, client):
    sent = payload(merge=None)
    delivered = deliver(sent, server.url, timeout=10)
    assert delivered.registered_version is None
    assert_whole(client, sent, delivered)


def test_sixty_four_skills(server, client):
    sent = payload(skills=[skill(f"team/skill.{i}", weight=i / 64) for i in range(64)])
    delivered = deliver(sent, server.url, timeout=10)
    assert_whole(client, sent, delivered)
    assert client.get_run(delivered.run_id).data.params["skill.team/skill.63.v1.weight"] == "0.984375"


def test_long_and_foreign_text(server, client, tmp_path):
    expression = "llama + " + " + ".join(f"0.{i}*größe-{i}-数学" for i in range(1, 2000))
    sent = payload(expression=expression, model_card="# Größe 数学 🧮 \"quoted\" 'so'\n" * 500, merge=None)
    delivered = deliver(sent, server.url, timeout=10)
    assert_whole(client, sent, delivered)
    run = client.get_run(delivered.run_id)
    assert len(run.data.params["expression"]) == 500
    assert run.data.params["expression"].endswith(f"({len(expression)} characters: see parameters.json)")
    assert run.data.tags["mlflow.note.content"].endswith("(cut: the whole of it is in the artifact README.md)")
    assert json.loads(read(client, delivered.run_id, "parameters.json", tmp_path))["expression"] == expression
    assert read(client, delivered.run_id, "README.md", tmp_path) == sent["model_card"]


def test_a_namespaced_merge(server, client):
    name = "team/assistant." + uuid.uuid4().hex[:8]
    sent = payload(merge={"name": name, "version": 1})
    delivered = deliver(sent, server.url, timeout=10)
    assert_whole(client, sent, delivered)
    version = client.get_model_version(name.replace("/", "~"), str(delivered.registered_version))
    assert version.tags["mergestore.merge.name"] == name
    other = deliver(payload(merge={"name": name, "version": 2}), server.url, timeout=10)
    assert other.registered_version == 2


# what breaks


def test_an_answer_lost_at_any_request_is_made_good(server, client):
    line = Line(server.port)
    try:
        uncut = payload()
        assert_whole(client, uncut, deliver(uncut, line.url, timeout=10))
        requests = line.requests
        assert requests > 20
        for cut_at in range(requests):
            sent = payload()
            line.reset(cut_at)
            with pytest.raises(EnvironmentFailure):
                deliver(sent, line.url, timeout=10)
            line.reset(None)
            assert_whole(client, sent, deliver(sent, line.url, timeout=10))
    finally:
        line.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_server_killed_at_any_moment_loses_and_doubles_nothing(server, client, seed):
    outbox, failures = [], []

    def deliver_until_it_fails():
        while not failures:
            outbox.append(payload())
            try:
                deliver(outbox[-1], server.url, timeout=5)
            except EnvironmentFailure as error:
                failures.append(error)

    delivering = threading.Thread(target=deliver_until_it_fails)
    delivering.start()
    time.sleep(random.Random(seed).uniform(0.2, 2.0))
    server.kill()
    delivering.join(60)
    server.start()
    assert failures
    for sent in outbox:
        assert_whole(client, sent, deliver(sent, server.url, timeout=10))


def test_a_client_killed_at_any_moment_loses_and_doubles_nothing(server, client, tmp_path):
    outbox = [payload() for _ in range(8)]
    (tmp_path / "outbox.json").write_text(json.dumps(outbox))
    for seed in range(3):
        process = spawn(CLIENT, str(tmp_path / "outbox.json"), server.url)
        assert process.stdout.readline() == "warm\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(random.Random(seed).uniform(0.1, 0.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for sent in outbox:
        assert_whole(client, sent, deliver(sent, server.url, timeout=10))


def test_two_processes_at_once_leave_one_record(server, client, tmp_path):
    outbox = [payload() for _ in range(4)]
    (tmp_path / "outbox.json").write_text(json.dumps(outbox))
    processes = [spawn(CLIENT, str(tmp_path / "outbox.json"), server.url) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "warm\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
    for sent in outbox:
        assert_whole(client, sent, deliver(sent, server.url, timeout=10))


def test_what_an_older_crash_doubled_becomes_one(server, client):
    sent = payload()
    experiment = client.get_experiment_by_name("mergestore")
    tag = {"mergestore.materialization_id": sent["materialization_id"]}
    runs = [client.create_run(experiment.experiment_id, tags=tag) for _ in range(3)]
    keep = min(run.info.run_id for run in runs)
    for _ in range(2):
        client.create_logged_model(experiment.experiment_id, "x", source_run_id=keep, tags=tag)
    client.create_registered_model(sent["merge"]["name"])
    delivered = deliver(sent, server.url, timeout=10)
    assert delivered.run_id == keep
    runs, models, versions = records(client, sent)
    assert (len(runs), len(models), len(versions)) == (1, 1, 1)


def test_a_hanging_server_is_given_up_in_time(server, client):
    sent = payload()
    with server.stopped():
        began = time.monotonic()
        assert not reachable(server.url, timeout=0.5)
        assert time.monotonic() - began < 1
        began = time.monotonic()
        with pytest.raises(EnvironmentFailure, match="did not take the record"):
            deliver(sent, server.url, timeout=1)
        assert time.monotonic() - began < 3
    assert reachable(server.url, timeout=5)
    assert_whole(client, sent, deliver(sent, server.url, timeout=10))


def test_a_dead_server_is_given_up_at_once():
    url = f"http://user:secret@127.0.0.1:{free_port()}"
    assert not reachable(url)
    began = time.monotonic()
    with pytest.raises(EnvironmentFailure) as caught:
        deliver(payload(), url, timeout=5)
    assert time.monotonic() - began < 3
    assert "secret" not in str(caught.value)
    assert "mergestore sync" in caught.value.hint


def test_a_deleted_experiment_is_named(server, client):
    name = "other-" + uuid.uuid4().hex[:8]
    deliver(payload(), server.url, timeout=10, experiment=name)
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)
    with pytest.raises(EnvironmentFailure, match="was deleted") as caught:
        deliver(payload(), server.url, timeout=10, experiment=name)
    assert "mlflow experiments restore" in caught.value.hint


# databases, without a server


def test_a_new_sqlite_database(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/größe of it/mlflow.db"
    assert warm(uri)
    sent = payload()
    delivered = deliver(sent, uri, timeout=5)
    assert deliver(sent, uri, timeout=5) == delivered
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["größe of it"], "nothing beside the database"
    assert sorted(path.name for path in (tmp_path / "größe of it").iterdir()) == ["mlflow-artifacts", "mlflow.db"]
    assert_whole(MlflowClient(tracking_uri=uri, registry_uri=uri), sent, delivered)


def test_a_program_keeps_its_own_tracking_uri(tmp_path):
    script = """
import mlflow, os, sys
mlflow.set_tracking_uri(sys.argv[2])
before = dict(os.environ)
delivered = deliver(outbox[0], sys.argv[3], timeout=5)
assert delivered.registered_version == 1, delivered
assert mlflow.get_tracking_uri() == sys.argv[2]
assert os.environ == before
client = mlflow.MlflowClient(sys.argv[3], sys.argv[3])
version = client.get_model_version(outbox[0]["merge"]["name"], "1")
assert version.source.startswith("file:"), version
"""
    (tmp_path / "outbox.json").write_text(json.dumps([payload()]))
    uris = [f"sqlite:///{tmp_path}/{name}.db" for name in ("theirs", "ours")]
    process = spawn(script, str(tmp_path / "outbox.json"), *uris)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert (stdout, stderr) == ("", "")


def test_a_client_killed_while_it_writes_a_database(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    outbox = [payload() for _ in range(20)]
    (tmp_path / "outbox.json").write_text(json.dumps(outbox))
    for seed in range(3):
        process = spawn(CLIENT, str(tmp_path / "outbox.json"), uri)
        assert process.stdout.readline() == "warm\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(random.Random(seed).uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for sent in outbox:
        assert_whole(client, sent, deliver(sent, uri, timeout=5))


def test_an_unusable_database_is_refused_at_once(tmp_path):
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "damaged.db").write_bytes(b"not a database, whatever it is called" * 99)
    for name in ("folder.db", "damaged.db"):
        began = time.monotonic()
        with pytest.raises(EnvironmentFailure, match="did not take the record"):
            deliver(payload(), f"sqlite:///{tmp_path}/{name}", timeout=5)
        assert time.monotonic() - began < 3
        assert not warm(f"sqlite:///{tmp_path}/{name}")
    with pytest.raises(EnvironmentFailure, match="did not take the record"):
        deliver(payload(), f"postgresql+psycopg://u:secret@127.0.0.1:{free_port()}/x", timeout=1)


def test_a_database_server_needs_a_place_for_files(tmp_path, postgres_url):
    uri = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    sent = payload(skills=[skill("math"), skill("größe" * 40)], expression="llama + " + "ж" * 9000)
    with pytest.raises(EnvironmentFailure, match="nothing of where files go"):
        deliver(sent, uri, timeout=5)
    delivered = deliver(sent, uri, timeout=5, artifact_root=str(tmp_path / "files"))
    assert deliver(sent, uri, timeout=5) == delivered
    assert_whole(MlflowClient(tracking_uri=uri, registry_uri=uri), sent, delivered)


@pytest.mark.parametrize("uri", ["", "mlruns", "/data/mlruns", "file:///data/mlruns"])
def test_a_file_store_is_refused(uri):
    with pytest.raises(EnvironmentFailure, match="file store") as caught:
        deliver(payload(), uri, timeout=5)
    assert "sqlite:///" in caught.value.hint


@pytest.mark.parametrize("uri", ["http://host:port", "http://[bad", "http://host:99999"])
def test_a_malformed_uri_is_refused(uri):
    assert not reachable(uri)
    with pytest.raises(EnvironmentFailure, match="malformed"):
        deliver(payload(), uri, timeout=5)


# manners


def test_the_process_is_left_as_it_was(tmp_path):
    before = dict(os.environ)
    deliver(payload(), f"sqlite:///{tmp_path}/mlflow.db", timeout=5)
    with pytest.raises(EnvironmentFailure):
        deliver(payload(), f"http://127.0.0.1:{free_port()}", timeout=5)
    assert dict(os.environ) == before


def test_without_mlflow_nothing_is_imported_and_the_extra_is_named(tmp_path):
    script = """
assert "mlflow" not in sys.modules and "sqlalchemy" not in sys.modules
from registry.provenance.mlflow import reachable, warm
assert not reachable("http://127.0.0.1:9")
assert reachable("sqlite:///x.db")
assert "mlflow" not in sys.modules
sys.modules["mlflow"] = None
assert not warm("http://127.0.0.1:9")
try:
    deliver(outbox[0], "http://127.0.0.1:9", timeout=1)
except EnvironmentFailure as error:
    assert "mergestore[mlflow]" in error.hint, error
else:
    raise AssertionError("delivered without MLflow")
"""
    (tmp_path / "outbox.json").write_text(json.dumps([payload()]))
    process = spawn(script, str(tmp_path / "outbox.json"))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr


PREAMBLE = """
import json, sys
from registry.provenance.mlflow import deliver, warm
from storage.errors import EnvironmentFailure
outbox = json.load(open(sys.argv[1]))
"""
CLIENT = """
warm(sys.argv[2])
print("warm", flush=True)
sys.stdin.readline()
for payload in outbox:
    try:
        deliver(payload, sys.argv[2], timeout=10)
    except EnvironmentFailure as error:
        print(error, file=sys.stderr)
"""


def spawn(script, *arguments):
    """A Python process of its own, its three streams in our hands."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
