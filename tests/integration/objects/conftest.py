"""Object storages for tests: a real RGW, started once and on demand, a bucket for each test, and stores in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import mergestore
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.objects.gateway import PACKAGES, Gateway, free_port, missing

BASE = llama("F32", seed=1)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    pytest.importorskip("obstore")
    if missing():
        reason = f"no S3-compatible server here (missing {', '.join(missing())}): apt-get install {PACKAGES}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    home = Path(tempfile.mkdtemp(prefix="mergestore-rgw-", dir="/tmp"))  # paths of sockets must be short
    running = Gateway(home, free_port(), free_port())
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def bucket(gateway: Gateway, surroundings: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, which the environment has the keys for."""
    for name, value in gateway.environment().items():
        monkeypatch.setenv(name, value)
    return gateway.make_bucket()


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, LLAMA_CONFIG, files={"tokenizer.json": "{}"})
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    return folder


def fill(store, models):
    store.register_base("tiny", models / "tiny")
    store.register_skill("math", models / "math", base="tiny", drop_rate=0.5, seed=7)
    store.register_skill("code", models / "code", base="tiny", encoding="exact")
    store.register_skill("other", models / "math", base="tiny", encoding="exact")
    store.merge("assistant", "tiny + 0.6*math + 0.4*code")
    store.merge("all", "tiny + code + other", method="emr")


@pytest.fixture(scope="module")
def local(models, tmp_path_factory):
    """What a store in a folder makes of the same."""
    folder = tmp_path_factory.mktemp("local")
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        fill(store, models)
        store.materialize("assistant", output=folder / "assistant", wait=False)
    return folder


@pytest.fixture
def open_store(bucket, database_url, tmp_path):
    """Opens one store, from as many machines as there are names of folders."""

    def opened(machine="here", **given):
        return mergestore.open(tmp_path / machine, database=database_url, actor="ann@lab", **given)

    with opened(objects=f"{bucket}/lab"):
        pass
    return opened


@pytest.fixture
def store(open_store, models):
    with open_store() as store:
        fill(store, models)
        yield store
