"""One result in the cache is computed once, by whoever is first; the others wait for it, also for one that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mergestore
from registry.records.alone import alone, if_free
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

BASE = llama("F32", seed=1)
ROOT = Path(__file__).parents[3]
COMPUTE = """
import json, sys, mergestore
home, database = sys.argv[1:]
with mergestore.open(home, database=database, create=False) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    made = store.materialize("both", wait=False)
    print(json.dumps({"cached": made.cached, "path": made.path, "id": made.materialization_id}), flush=True)
"""
HOLD = """
import sys, time, mergestore
from registry.records.alone import alone
home, database, name = sys.argv[1:]
with mergestore.open(home, database=database, create=False) as store, alone(store.engine, name):
    print("ready", flush=True)
    time.sleep(600)
"""


def process(code, *words):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def close(running):
    running.stdin.close()
    running.stdout.close()
    assert running.wait(timeout=120) in (0, -signal.SIGKILL)


@pytest.fixture
def store(surroundings, database_url, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    save(tmp_path / "math", fine_tune(BASE, 1), LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", database=database_url, actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
        opened.register_skill("math", tmp_path / "math", base="tiny")
        opened.merge("both", "tiny + 0.5*math")
        yield opened


def test_of_many_that_want_a_result_one_computes_it(store, database_url):
    running = [process(COMPUTE, store.home.root, database_url) for _ in range(4)]
    for each in running:
        assert each.stdout.readline() == "ready\n"
    for each in running:
        each.stdin.write("go\n")
        each.stdin.flush()
    answers = [json.loads(each.stdout.readline()) for each in running]
    for each in running:
        close(each)
    assert sorted(answer["cached"] for answer in answers) == [False, True, True, True]
    assert len({(answer["path"], answer["id"]) for answer in answers}) == 1
    assert len(store.audit("both").materializations) == 1
    assert store.verify().ok


def test_who_is_killed_keeps_nobody_waiting_on_this_host(store, database_url):
    holder = process(HOLD, store.home.root, database_url, "a job")
    assert holder.stdout.readline() == "ready\n"
    with if_free(store.engine, "a job") as free:
        assert not free
    with if_free(store.engine, "another job") as free:
        assert free
    holder.kill()
    holder.wait()
    clock = time.monotonic()
    with alone(store.engine, "a job") as waited, if_free(store.engine, "a job") as free:
        assert not free, "not even the same process may be in it twice"
        assert waited < 30
    assert time.monotonic() - clock < 30
    close(holder)
    with if_free(store.engine, "a job") as free:
        assert free


def test_a_lease_is_prolonged_as_long_as_the_work_takes(store, monkeypatch):
    monkeypatch.setattr("registry.records.alone.SECONDS", 0.6)
    monkeypatch.setattr("registry.records.alone._PROLONG", 0.1)
    with alone(store.engine, "a job"):
        time.sleep(1.5)
        with if_free(store.engine, "a job") as free:
            assert not free
