"""Passwords and keys that are given to mergestore are in nothing that it writes or says."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import make_url

import mergestore
from cli import main

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("surroundings")]
WORDS = ("pass-of-database", "pass-of-mlflow", "token-of-mlflow", "secret-of-storage", "session-of-storage")


@pytest.fixture
def tracking() -> Iterator[str]:
    """A tracking server with user and password in its address, that answers and refuses."""

    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = self.path.endswith("/health")
            self.send_response(200 if healthy else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://ann:pass-of-mlflow@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_secret_is_written_or_said(
    place: Path, postgres_url: str, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(postgres_url).set(password="pass-of-database").render_as_string(hide_password=False)
    for name, value in {
        "MERGESTORE_DATABASE": url,
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_TRACKING_TOKEN": "token-of-mlflow",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-storage",
        "AWS_SESSION_TOKEN": "session-of-storage",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    said = [
        _said("restore", "backup/store", "--store", "held"),
        *(_said(*words) for words in _COMMANDS),
        _said("list", database=str(make_url(url).set(port=9).render_as_string(hide_password=False))),
        _said("list", database=url.replace("postgresql", "mysql", 1)),
        _said("list", database=url + "?nonsense=1"),
        _said("init", "--objects", "s3://models/lab", "--store", "elsewhere", database=url + "_absent"),
    ]
    assert all("verb.end" in each for each in said)
    assert any("provenance.failed" in each for each in said)  # of the child process that delivers, too
    with mergestore.open("held", database=url) as store:
        found = store.find("events", limit=1000).rows
    written = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
    for word in WORDS:
        assert not any(word in each for each in said), (word, [each for each in said if word in each])
        assert word not in str(found)
        assert not any(word.encode() in each for each in written)


_COMMANDS = (
    ("materialize", "weighted", "-o", "out"),
    ("alias", "math@1", "prod"),
    ("merge", "new", "golden/base + 0.5*code", "--head", "none"),
    ("audit", "weighted", "--json"),
    ("audit", "out", "--json"),
    ("sync",),
    ("doctor",),
    ("doctor", "--json"),
    ("metrics",),
    ("check",),
    ("gc", "--apply"),
    ("anchor",),
    ("show", "nobody"),
    ("export", "code", "-o", "code.tar"),
    ("backup", "backup/held"),
    ("init",),
)


def _said(*words: str, database: str | None = None) -> str:
    """All that a command prints and logs."""
    out = io.StringIO()
    options = ["--log-format", "json", "--log-level", "debug", *(["--database", database] if database else [])]
    home = [] if "--store" in words else ["--store", "held"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main([*options, *home, *words])
    assert "Traceback" not in out.getvalue()
    return out.getvalue()


def test_what_goes_to_the_standard_logger_has_none_either(
    place: Path, postgres_url: str, tracking: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mergestore")
    url = make_url(postgres_url).set(password="pass-of-database").render_as_string(hide_password=False)
    mergestore.restore("backup/store", "held", database=url)
    with mergestore.open("held", database=url, tracking_uri=tracking) as store:
        store.sync()
    told = [str(vars(record)) for record in caplog.records]
    assert told
    assert not any(word in each for word in WORDS for each in told)
