"""Provenance written into databases directly, without a server, and the manners of the process that writes."""

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from mlflow import MlflowClient

from registry.provenance.mlflow import deliver, reachable, warm
from registry.provenance.own_tracking import bring_here
from registry.records.database import sqlite_url
from storage.errors import EnvironmentFailure
from tests.integration.mlflow_server import free_port
from tests.integration.provenance_clients import CLIENT, spawn
from tests.integration.provenance_records import assert_whole, payload, skill

pytestmark = [
    pytest.mark.server,
    # MLflow 3.17 still asks SQLAlchemy 2.1 for a loader that 2.1 deprecates, when it maps its own tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


# Databases


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
    older = {key: value for key, value in payload().items() if key != "store"}  # now no model is looked up
    (tmp_path / "outbox.json").write_text(json.dumps([older]))
    uris = [f"sqlite:///{tmp_path}/{name}.db" for name in ("theirs", "ours")]
    process = spawn(script, str(tmp_path / "outbox.json"), *uris)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert (stdout, stderr) == ("", "")


@pytest.mark.slow
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


# A store's own database, at another place than it was made at


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    """A store's folder as far as MLflow has it, and what was delivered: now, and by an older version."""
    was = tmp_path_factory.mktemp("moved") / "was"
    sent = [payload(), {key: value for key, value in payload().items() if key != "store"}]
    return was, [(each, deliver(each, uri_of(was), timeout=5)) for each in sent]


@pytest.fixture
def copied(delivered, tmp_path):
    was, sent = delivered
    here = shutil.copytree(was, tmp_path / "here $HOME [x] %41 a?b#c:\nü")
    with closing(sqlite3.connect(here / "mlflow.db")) as connection, connection:  # as a program with its own URI had it
        connection.execute("UPDATE model_versions SET source = storage_location WHERE source LIKE 'models:%'")
    return was, here, sent


def uri_of(home):
    return sqlite_url(home / "mlflow.db").render_as_string()


def client_of(home):
    return MlflowClient(uri_of(home), uri_of(home))


def place_of(client, receipt):
    """Where MLflow looks for a run's artifacts, and finds them."""
    assert "recipe.json" in {file.path for file in client.list_artifacts(receipt.run_id)}
    return client.get_run(receipt.run_id).info.artifact_uri


def dump(home):
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        return "\n".join(connection.iterdump())


def files(home):
    return sorted(path.relative_to(home) for path in (home / "mlflow-artifacts").rglob("*"))


def test_artifacts_are_where_the_store_is_by_now(copied):
    was, here, sent = copied
    old = files(was)
    for _ in range(2):
        bring_here(uri_of(here), here / "mlflow.db", 5)
    assert was.as_uri() not in dump(here)
    client = client_of(here)
    for each, receipt in sent:
        assert place_of(client, receipt).startswith(f"{here.as_uri()}/mlflow-artifacts/")
        (version,) = client.search_model_versions(f"name = '{each['merge']['name']}'")
        assert version.source.startswith((f"{here.as_uri()}/mlflow-artifacts/", "mergestore:"))
    new = payload()
    assert_whole(client, new, deliver(new, uri_of(here), timeout=5))
    assert len(files(here)) > len(old) == len(files(was))
    assert deliver(sent[0][0], uri_of(here), timeout=5) == sent[0][1]


def test_artifacts_that_stayed_behind_are_found_there(copied):
    was, here, ((_, stayed), (_, came)) = copied
    shutil.rmtree(*(here / "mlflow-artifacts").glob(stayed.run_id))
    bring_here(uri_of(here), here / "mlflow.db", 5)
    for receipt, home in [(stayed, was), (came, here)]:
        assert place_of(client_of(here), receipt).startswith(f"{home.as_uri()}/mlflow-artifacts/")


def test_a_delivery_that_was_cut_short_goes_on_at_the_new_place(copied):
    was, here, _ = copied
    with closing(sqlite3.connect(here / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET status = 'RUNNING', artifact_uri = replace(artifact_uri, '/art', '/new')")
    bring_here(uri_of(here), here / "mlflow.db", 5)
    assert was.as_uri() not in dump(here)


def test_several_at_once_bring_them_here(copied):
    was, here, _ = copied
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bring_here(uri_of(here), here / "mlflow.db", 30), range(16)))
    assert was.as_uri() not in dump(here)


def test_what_is_no_business_of_ours_stays(copied, tmp_path):
    was, here, _ = copied
    before = dump(here)
    bring_here(uri_of(here), tmp_path / "mlflow.db", 5)  # another store's
    bring_here("http://host:5000", here / "mlflow.db", 5)
    bring_here(uri_of(tmp_path), tmp_path / "mlflow.db", 5)
    assert not (tmp_path / "mlflow.db").exists()
    assert dump(here) == before
    (tmp_path / "link").symlink_to(was)
    before = dump(was)
    bring_here(uri_of(tmp_path / "link"), tmp_path / "link" / "mlflow.db", 5)  # the same folder by another way
    assert dump(was) == before
    with closing(sqlite3.connect(here / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = 'file:///elsewhere' WHERE name = 'mergestore'")
    before = dump(here)
    bring_here(uri_of(here), here / "mlflow.db", 5)  # somebody has chosen that
    assert dump(here) == before


def test_nothing_is_delivered_while_the_database_cannot_be_changed(copied):
    _, here, _ = copied
    with closing(sqlite3.connect(here / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EnvironmentFailure, match="did not take the record: database is locked"):
            bring_here(uri_of(here), here / "mlflow.db", 0.1)


def test_a_path_that_urls_escape_makes_no_folder_beside_it(copied, tmp_path):
    """MLflow takes what follows ``sqlite:///`` for a path, as it is written."""
    _, here, _ = copied
    bring_here(uri_of(here), here / "mlflow.db", 5)
    for new in (payload(), {key: value for key, value in payload().items() if key != "store"}):
        receipt = deliver(new, uri_of(here), timeout=5)
        assert [path.name for path in tmp_path.iterdir()] == [here.name]
        assert (here / "mlflow-artifacts" / receipt.run_id / "artifacts" / "recipe.json").exists()
    assert_whole(client_of(here), new, receipt)


# Manners


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
