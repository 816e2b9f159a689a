"""Devices, databases and servers that are not there, and the same errors from a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "meta", "mps"])
def test_a_device_that_is_not_there(shell, tmp_path, device):
    for output in ((), ("-o", tmp_path / "out")):
        found = shell.refused(7, "materialize", "assistant", "--device", device, "--no-cache", "--no-wait", *output)
        assert repr(device) in found["message"]
        assert "cpu" in found["hint"]


def test_a_database_that_is_not_there(shell, tmp_path):
    url = "postgresql://someone:hunter2@127.0.0.1:9/registry"
    for words in (("list",), ("init",), ("materialize", "assistant")):
        found = shell.refused(7, *words, "--database", url)
        assert "127.0.0.1" in found["message"]
        assert "hunter2" not in json.dumps(found)
        assert "server runs" in found["hint"]
    found = shell.refused(2, "list", "--database", "mysql://localhost/x")
    assert "'mysql'" in found["message"]
    lost = Shell(tmp_path / "nothing" / "here", tmp_path)
    assert "mergestore init" in lost.refused(7, "list")["hint"]


@pytest.mark.server
def test_a_database_that_its_server_does_not_have(shell, postgres_server):
    found = shell.refused(7, "list", "--database", postgres_server.url("nowhere").render_as_string())
    assert "nowhere" in found["message"]
    assert "createdb" in found["hint"]


def test_a_database_that_is_something_else(alone):
    (alone.home / "registry.db").write_bytes(b"this is not a database at all" * 200)
    code, out, _ = alone("list", "--json")
    error = json.loads(out)["error"]
    assert (code, error["kind"]) == (6, "integrity")
    assert str(alone.home / "registry.db") in error["message"]


def test_an_mlflow_that_is_not_there(alone, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    waiting = alone.json("sync", code=7)["pending"]
    made = alone.json("materialize", "assistant", "--no-cache")
    assert made["mlflow_run_id"] is None
    assert any("sync" in note and "does not answer" in note for note in made["notes"])
    synced = alone.json("sync", code=7)
    assert (synced["delivered"], synced["pending"]) == (0, waiting + 1)
    assert synced["errors"]
    assert alone.json("verify")["ok"] is True


# As a process of its own


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (2, ["merge", "bad", "tiny + + math"], "       ^"),
        (3, ["materialize", "tiny + maht"], "did you mean math?"),
        (5, ["register", "base", "bad", "FOLDER"], "no model here"),
    ],
)
def test_as_a_process(home, tmp_path, code, words, says):
    words = [str(tmp_path) if word == "FOLDER" else word for word in words]
    command = [sys.executable, "-m", "cli", "--store", str(home), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
