"""A materialization and its provenance: delivered while the server lives, kept while it does not, never waited for."""

import threading
import time

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

import mergestore
from tests.integration.mlflow_server import MlflowServer
from tests.integration.models import fine_tune, llama, save

pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
PATIENCE = 60.0  # seconds: far more than the work takes on a slow machine, far less than a client that waits would wait


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def store(tmp_path, server):
    base = llama()
    with mergestore.open(tmp_path / "store", tracking_uri=server.url, actor="tester") as store:
        store.register_base("base", save(tmp_path / "base", base))
        store.register_skill("math", save(tmp_path / "math", fine_tune(base, seed=1)), base="base")
        store.register_skill("code", save(tmp_path / "code", fine_tune(base, seed=2)), base="base")
        store.merge("both", "base + 0.5*math + 0.5*code")
        yield store


def runs(server):
    client = MlflowClient(tracking_uri=server.url)
    experiment = client.get_experiment_by_name("mergestore")
    if experiment is None:
        return {}
    found = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=1000)
    keys = [run.data.tags["mergestore.materialization_id"] for run in found]
    assert len(keys) == len(set(keys)), "a record was doubled"
    return dict(zip(keys, found, strict=True))


def test_a_living_server_gets_the_record_at_once(store, server):
    made = store.materialize("both")
    run = runs(server)[made.materialization_id]
    assert run.info.run_id == made.mlflow_run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["mergestore.recipe_digest"] == made.recipe_digest
    assert store.sync() == {"delivered": 0, "pending": 0, "errors": []}
    shown = store.show("both")["materializations"]
    assert [each["mlflow_run_id"] for each in shown] == [made.mlflow_run_id]


def test_a_dead_server_is_not_waited_for_and_loses_nothing(store, server, tmp_path):
    server.kill()
    try:
        started = time.perf_counter()
        made = store.materialize("both", output=tmp_path / "dead", cache=False)
        assert time.perf_counter() - started < PATIENCE
        assert made.mlflow_run_id is None
        assert any("mergestore sync" in note for note in made.notes)
        refused = store.sync()
        assert (refused["delivered"], refused["pending"]) == (0, 1)
        assert refused["errors"]
    finally:
        server.start()
    assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}
    assert store.sync() == {"delivered": 0, "pending": 0, "errors": []}
    assert made.materialization_id in runs(server)


def test_a_hanging_server_is_not_waited_for(store, server, tmp_path):
    store.materialize("both", output=tmp_path / "warm", wait=False, cache=False)
    with server.stopped():
        started = time.perf_counter()
        made = store.materialize("both", output=tmp_path / "hanging", cache=False)
        assert time.perf_counter() - started < PATIENCE
        assert made.mlflow_run_id is None
    assert store.sync()["pending"] == 0
    assert made.materialization_id in runs(server)


@pytest.mark.parametrize("moment", [0.8, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.3, 1.3, 1.8))])
def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(store, server, tmp_path, moment):
    killer = threading.Timer(moment, server.kill)
    killer.start()
    try:
        made = [store.materialize("both", output=tmp_path / f"out{number}", cache=False) for number in range(3)]
    finally:
        killer.join()
        server.start()
    answer = store.sync()
    assert answer["pending"] == 0, answer
    found = runs(server)
    assert {each.materialization_id for each in made} <= found.keys()
    assert all(found[each.materialization_id].info.status == "FINISHED" for each in made)


def test_without_waiting_the_record_stays_for_sync(store, server):
    made = store.materialize("both", wait=False)
    assert made.mlflow_run_id is None
    assert made.materialization_id not in runs(server)
    assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}
    run = runs(server)[made.materialization_id]
    assert store.show("both")["materializations"][0]["mlflow_run_id"] == run.info.run_id
