"""A store with merges, and MLflow beside it: as a SQLite file and as a real server, whose names tests do not share."""

from __future__ import annotations

import importlib.metadata
import shutil
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

import mergestore
from registry.provenance.mlflow import warm
from tests.integration.mlflow_server import MlflowServer
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

ROOT = Path(__file__).parents[3]
BASE = llama("F32", seed=1)


@dataclass(frozen=True)
class World:
    """An open store, what of it is called so on this tracking server only, and a client that asks that."""

    store: mergestore.Store
    merge: str
    tracking: str
    client: object
    models: Path

    def registered(self, name=None):
        return self.client.get_registered_model((name or self.merge).replace("/", "~"))

    def versions(self):
        """Registered versions by number."""
        found = self.client.search_model_versions(f"name = '{self.merge}'")
        return {int(version.version): version for version in found}

    def aliases(self):
        """The version of the merge that each alias means in MLflow."""
        versions = self.versions()
        return {
            alias: int(versions[int(number)].tags["mergestore.merge.version"])
            for alias, number in self.registered().aliases.items()
        }


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory):
    """An MLflow database without anything in it, to be copied: making one takes many seconds."""
    file = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    assert warm(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.slow)])
def tracking(request, tmp_path):
    if request.param == "server":
        return request.getfixturevalue("server").url
    shutil.copy(request.getfixturevalue("empty_tracking"), tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    return folder


@pytest.fixture
def world(surroundings, tracking, models, tmp_path, monkeypatch):
    """A base, two skills and a merge of two versions; the environment says where store and MLflow are."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MERGESTORE_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    name = "assistant-" + uuid.uuid4().hex[:8]
    with mergestore.open(actor="ann@lab") as store:
        store.register_base("tiny", models / "tiny", licence="MIT")
        store.register_skill("math", models / "math", base="tiny", licence="Apache-2.0", meta={"dataset": "gsm8k"})
        store.register_skill("code", models / "code", base="tiny")
        store.merge(name, "tiny + 0.5*math")
        store.merge(name, "tiny + 0.6*math + 0.4*code")
        yield World(store, name, tracking, MlflowClient(tracking, tracking), models)


@pytest.fixture
def scheme():
    """Our scheme in this process, as MLflow's entry point registers it where mergestore is installed."""
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry as registry

    (point,) = (each for each in entry_points() if each.group == "mlflow.artifact_repository")
    before = registry._registry.get(point.name)
    registry.register(point.name, point.load())
    yield
    registry._registry.pop(point.name)
    if before is not None:
        registry.register(point.name, before)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder for PYTHONPATH in which MLflow finds the entry points, as in an environment with this tree."""
    folder = tmp_path_factory.mktemp("installed")
    home = folder / "mergestore-0.1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: mergestore\nVersion: 0.1.0\n")
    lines = (f"[{each.group}]\n{each.name} = {each.value}\n" for each in entry_points())
    (home / "entry_points.txt").write_text("\n".join(lines))
    return f"{folder}:{ROOT}"


def entry_points():
    """What pyproject.toml promises to MLflow."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    return [
        importlib.metadata.EntryPoint(name, value, group)
        for group, points in groups.items()
        if group.startswith("mlflow.")
        for name, value in points.items()
    ]
