"""Provenance against a real MLflow server: one that serves, is killed, stopped and cut off."""

import json
import random
import signal
import threading
import time
import uuid

import pytest
from mlflow import MlflowClient

from registry.provenance.mlflow import deliver, reachable
from storage.digests import json_digest
from storage.errors import EnvironmentFailure
from tests.integration.mlflow_server import Line, MlflowServer, free_port
from tests.integration.provenance_clients import CLIENT, spawn
from tests.integration.provenance_records import assert_whole, model, payload, read, records, skill

pytestmark = [
    pytest.mark.server,
    # MLflow 3.17 still asks SQLAlchemy 2.1 for a loader that 2.1 deprecates, when it maps its own tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(server):
    return MlflowClient(tracking_uri=server.url, registry_uri=server.url)


# What a record holds


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
    assert "- 0.6 × skill `math@1`, MIT" in tags["mlflow.note.content"]
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
    assert version.source == f"mergestore://{sent['store']}/{sent['recipe_digest']}"
    assert version.description == f"{sent['merge']['name']}@3: `llama + 0.6*math`"


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


def test_a_record_that_older_software_left_is_delivered_as_then(server, client):
    sent = {key: value for key, value in payload().items() if key != "store"}
    delivered = deliver(sent, server.url, timeout=10)
    assert_whole(client, sent, delivered)
    assert deliver(sent, server.url, timeout=10) == delivered


def test_the_same_made_again_is_the_same_registered_version(server, client):
    sent = payload()
    again = {**sent, "materialization_id": str(uuid.uuid4())}
    other = {**again, "materialization_id": str(uuid.uuid4()), "output_digest": model("other")["digest"]}
    versions = [deliver(each, server.url, timeout=10).registered_version for each in (sent, again, other, again)]
    assert versions == [1, 1, 2, 1]
    runs = [records(client, each)[0] for each in (sent, again, other)]
    assert [len(each) for each in runs] == [1, 1, 1]
    made = client.get_run(runs[1][0].info.run_id).outputs.model_outputs[0]
    linked = json.loads(client.get_logged_model(made.model_id).tags["mlflow.modelVersions"])
    assert linked == [{"name": sent["merge"]["name"], "version": 1}]


def test_a_page_is_kept_as_html(server, client, tmp_path):
    delivered = deliver(payload(), server.url, timeout=10, page="<p>größe</p>")
    assert read(client, delivered.run_id, "audit.html", tmp_path) == "<p>größe</p>"


def test_an_expression_without_a_name_registers_no_model(server, client):
    sent = payload(merge=None)
    delivered = deliver(sent, server.url, timeout=10)
    assert delivered.registered_version is None
    assert_whole(client, sent, delivered)


@pytest.mark.slow
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


# What breaks


@pytest.mark.slow
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


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
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


@pytest.mark.slow
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
