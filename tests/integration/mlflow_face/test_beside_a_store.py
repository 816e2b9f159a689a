"""Runs that are started beside a store name it; whatever is wrong with a store, MLflow works as if there were none."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import mlflow  # noqa: F401  (it loads the module below by its entry points, and so comes first)
import pytest

import mergestore
from mergestore_mlflow import StoreContext
from tests.integration.shell import listing, rows


@pytest.fixture
def home(surroundings, tmp_path, monkeypatch):
    monkeypatch.setenv("MERGESTORE_HOME", str(tmp_path / "store"))
    return tmp_path / "store"


def told():
    context = StoreContext()
    return context.tags() if context.in_context() else None


def test_without_a_store_nothing_is_told_or_made(home):
    assert told() is None
    assert not home.exists()


def test_a_store_is_named_and_left_as_it_is(home):
    mergestore.init(home)
    before = listing(home), rows(home / "registry.db")
    context = StoreContext()
    assert context.in_context()
    with mergestore.open() as store:
        assert context.tags() == {"mergestore.version": mergestore.__version__, "mergestore.store": store.id}
    assert (listing(home), rows(home / "registry.db")) == before


def test_a_database_server_is_named_too(home, postgres_url, monkeypatch):
    monkeypatch.setenv("MERGESTORE_DATABASE", postgres_url)
    mergestore.init()
    with mergestore.open() as store:
        assert told() == {"mergestore.version": mergestore.__version__, "mergestore.store": store.id}


@pytest.mark.parametrize("damage", ["no database", "older schema", "lost identifier"])
def test_a_store_that_cannot_be_asked_is_none(home, damage):
    mergestore.init(home)
    file = home / "registry.db"
    if damage == "no database":
        file.write_bytes(b"no database at all" * 1000)
        for sidecar in home.glob("registry.db-*"):
            sidecar.unlink()
    else:
        statement = {"older schema": "UPDATE {} SET version_num = '0001'", "lost identifier": "DELETE FROM store_meta"}
        import migrations

        with sqlite3.connect(file) as connection:
            connection.execute(statement[damage].format(migrations.VERSION_TABLE))
        connection.close()
    before = rows(file) if damage != "no database" else file.read_bytes()
    assert told() is None
    assert (rows(file) if damage != "no database" else file.read_bytes()) == before


def test_a_server_that_hangs_holds_no_run_up(home, monkeypatch):
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and says nothing
        monkeypatch.setenv("MERGESTORE_DATABASE", f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x")
        began = time.perf_counter()
        assert told() is None
        assert time.perf_counter() - began < 60


SHADOWED = """
import sys, time
import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
from mlflow.tracking.context.registry import resolve_tags
assert "mergestore" in get_registered_artifact_repositories()
loaded = {"mergestore", "registry", "storage", "sqlalchemy"} & set(sys.modules)
print(sorted(loaded), [name for name in resolve_tags() if name.startswith("mergestore")])
try:
    mlflow.artifacts.download_artifacts("mergestore:/x")
except ImportError as error:
    print("comes first on the path" in str(error))
"""


def test_importing_mlflow_loads_nothing_of_a_store_and_survives_a_broken_one(home, installed, tmp_path):
    """A folder named as one of our packages comes first on the path."""
    (tmp_path / "here" / "storage").mkdir(parents=True)
    (tmp_path / "here" / "storage" / "__init__.py").write_text("")
    folder, root = installed.split(":")
    path = os.pathsep.join([folder, str(tmp_path / "here"), root])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", SHADOWED],
        env={**os.environ, "PYTHONPATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[] []", "True"]


def test_the_entry_points_are_what_the_tree_has():
    from tests.integration.mlflow_face.conftest import entry_points

    loaded = {each.group: each.load() for each in entry_points()}
    assert {group: value.__name__ for group, value in loaded.items()} == {
        "mlflow.artifact_repository": "StoreArtifacts",
        "mlflow.run_context_provider": "StoreContext",
    }
    assert all(Path(sys.modules[value.__module__].__file__).name == "mergestore_mlflow.py" for value in loaded.values())
