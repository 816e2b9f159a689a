"""More than one process at a time, and more than one place: a moved store, PostgreSQL, a tracking database."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mergestore
from mergestore import NotFound, UsageError
from tests.integration.models import fine_tune, read_model
from tests.integration.store.base import BASE

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]


def run(store, *words):
    command = [sys.executable, "-m", "cli", "--json", "--store", str(store.home.root), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(processes):
    found = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        found.append(json.loads(out))
    return found


def test_processes_that_materialize_the_same_recipe_at_once(filled, tmp_path):
    made = answers([run(filled, "materialize", "assistant", "--no-wait") for _ in range(3)])
    assert len({each["output_digest"] for each in made}) == 1
    assert len({each["path"] for each in made}) == 1
    assert filled.verify(Path(made[0]["path"])).ok
    assert filled.verify().ok
    assert [path.name for path in (filled.home.root / "cache").iterdir()] == [Path(made[0]["path"]).name]


def test_processes_that_register_the_same_content_at_once(filled, models):
    words = ("register", "skill", "new", models / "ft3", "--base", "tiny")
    made = answers([run(filled, *words) for _ in range(3)])
    assert {(each["version"], each["digest"]) for each in made} == {(1, made[0]["digest"])}
    assert sorted(each["created"] for each in made) == [False, False, True]
    assert filled.verify().ok


def test_a_store_that_is_moved_works_on(filled, tmp_path):
    made = filled.materialize("assistant", wait=False)
    filled.close()
    moved = shutil.move(filled.home.root, tmp_path / "moved")
    with mergestore.open(moved, create=False) as store:
        assert store.verify().ok
        again = store.materialize("assistant", wait=False)
        assert (again.output_digest, again.cached) == (made.output_digest, True)
        assert Path(again.path).is_relative_to(moved)


@pytest.mark.server
def test_all_of_it_on_postgresql(postgres_url, models, tmp_path):
    with mergestore.open(tmp_path / "store", database=postgres_url) as store:
        store.register_base("tiny", models / "tiny", licence="MIT")
        for name, coding in (("math", {"seed": 3}), ("code", {"encoding": "exact"})):
            made = store.register_skill(name, models / "ft1", base="tiny", **coding)
            assert store.register_skill(name, models / "ft1", base="tiny", **coding).created is False
        store.register_skill("lora", models / "lora", base="tiny")
        store.merge("assistant", "tiny + 0.6*math + 0.4*lora", method="dare_ties")
        store.alias("math", "prod")
        with pytest.raises(NotFound, match="maht"):
            store.merge("x", "tiny + maht")
        with contextlib.ExitStack() as stack:
            first = store.materialize("assistant", output=tmp_path / "out", wait=False)
            other = stack.enter_context(mergestore.open(tmp_path / "other"))
            other.register_base("base", models / "tiny")
            other.register_skill("m", models / "ft1", base="base", seed=3)
            other.register_skill("l", models / "lora", base="base")
            on_sqlite = other.materialize("base + 0.4*l + 0.6*m", method="dare_ties", wait=False)
        assert (first.recipe_digest, first.output_digest) == (on_sqlite.recipe_digest, on_sqlite.output_digest)
        assert store.materialize("tiny + code", wait=False).cached is False
        assert store.materialize("tiny + code", wait=False).cached is True
        assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 1)
        store.yank("code@1", "enough")
        verified = store.verify()
        assert verified.ok, verified.problems
        assert len(store.audit("assistant").lineage["nodes"]) == 4
        assert made.digest == store.show("code@1")["digest"]
    with pytest.raises(UsageError, match="invalid connection option"):
        mergestore.open(tmp_path / "store", database=postgres_url + "?colour=blue")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_provenance_reaches_a_tracking_database(filled, tmp_path):
    """Delivered while one waits, or by sync; each materialization once."""
    with mergestore.open(filled.home.root, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}") as store:
        store.materialize("assistant", wait=False)
        made = store.materialize("assistant", cache=False)
        assert made.mlflow_run_id is not None, made.notes
        assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}
        runs = {each["mlflow_run_id"] for each in store.audit("assistant").materializations}
        assert len(runs) == 2
        assert made.mlflow_run_id in runs
        assert store.sync()["delivered"] == 0
        assert store.verify().ok
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.get_run(made.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mergestore.recipe_digest"] == made.recipe_digest
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9"
