"""What to do when something breaks: each section of docs/operations.md, on a store to which that has happened."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import make_url

import mergestore
from registry.records import database, events
from registry.records.columns import now
from storage.blobs import key_of
from tests.integration.models import LLAMA_CONFIG, floats, save
from tests.integration.operations.runbook import follow, matches, run, sections, steps

pytestmark = pytest.mark.usefixtures("surroundings")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_every_section_is_carried_out_here() -> None:
    here = Path(__file__).read_text()
    assert [heading for heading in sections() if f'"{heading}"' not in here] == []
    assert all(steps(heading) for heading in sections())


@pytest.fixture
def mounted(place: Path) -> Iterator[Callable[[str], None]]:
    """``mounted(options)``: the store on a filesystem of its own, or mounted again so."""
    home = place / "store"

    def mount(options: str) -> None:
        done = subprocess.run(["mount", "-o", options, "-t", "tmpfs", "tmpfs", home], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a filesystem needs root: {done.stderr.strip()}")

    if os.geteuid() != 0:
        pytest.skip("mounting a filesystem needs root")
    aside = home.rename(place / "aside")
    home.mkdir()
    mount("size=3m")
    shutil.copytree(aside, home, dirs_exist_ok=True)
    yield mount
    subprocess.run(["umount", "--lazy", home], check=True)


def test_the_disk_is_full(place: Path, mounted: object) -> None:
    big = {"model.embed_tokens.weight": floats(np.ones((1000, 1000)))}
    save(place / "big", big, LLAMA_CONFIG)
    run("mergestore materialize weighted", place)
    follow("The disk is full", place)
    (place / "store" / "cache" / "large").write_bytes(bytes(100_000))
    with contextlib.suppress(OSError), (place / "store" / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(512))
    assert "the disk is full: free some space" in run("mergestore list", place)
    shutil.rmtree(place / "store" / "cache")
    assert "golden/base" in run("mergestore list", place)
    assert "ok:" in run("mergestore check", place)


def test_an_object_is_damaged(place: Path) -> None:
    with mergestore.open("store") as store:
        (digest,) = [each["digest"] for each in store.show("several@1")["files"]]
        flip(store.home.blobs.path(digest))
    follow("An object is damaged", place)
    with mergestore.open("store") as store:
        store.home.blobs.remove(digest)
    assert "can be mended: missing" in run("mergestore repair --from /backup/store", place)
    assert "mended: missing" in run("mergestore repair --apply --from /backup/store", place)


def test_a_result_in_the_cache_is_damaged(place: Path) -> None:
    run("mergestore materialize weighted", place)
    for path in (place / "store" / "cache").rglob("*.safetensors"):
        flip(path)
    follow("A result in the cache is damaged", place)
    run("mergestore materialize weighted", place)
    for path in (place / "store" / "cache").rglob("*.safetensors"):
        flip(path)
    assert "was damaged and is computed anew" in run("mergestore materialize weighted", place)


def test_the_database_is_lost(place: Path) -> None:
    heading = "The database is damaged or lost"
    (place / "store" / "registry.db").write_bytes(b"no database" * 1000)
    follow(heading, place, stop=1)
    for path in (place / "store").glob("registry.db*"):
        path.unlink()
    follow(heading, place, start=1)
    assert "ok:" in run("mergestore check", place)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="SQLite's own command is not installed")
def test_an_index_of_the_database_is_damaged(place: Path) -> None:
    with contextlib.closing(sqlite3.connect("store/registry.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_model_version_digest'"
        (page,) = connection.execute(query).fetchone()
    with (place / "store" / "registry.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(64))
    follow("An index of the database is damaged", place)
    assert "ok       database: sqlite answers" in run("mergestore doctor", place)


def test_the_backup_is_damaged(place: Path) -> None:
    heading = "The backup is damaged"
    with mergestore.open("store") as store:
        (digest,) = [each["digest"] for each in store.show("several@1")["files"]]
    flip(place / "backup" / "store" / "objects" / key_of(digest))
    follow(heading, place, stop=2)
    flip(place / "backup" / "store" / "objects" / key_of(digest))
    (place / "store" / "registry.db").write_bytes(b"no database" * 1000)
    follow(heading, place, start=2)


def test_the_folder_and_the_database_are_of_two_stores(place: Path, tmp_path: Path, postgres_url: str) -> None:
    heading = "The folder and the database are of two stores"
    (step,) = steps(heading)
    mergestore.init(tmp_path / "another", database=postgres_url)
    assert matches(step.printed, run(step.command.replace("postgresql://me@db/other", postgres_url), place))
    assert "ok:" in run("mergestore check --read-data", place)


def test_no_registry_is_made_beside_objects(place: Path, tmp_path: Path, postgres_url: str) -> None:
    """It would know none of them, and gc would delete them all."""
    for path in (place / "store").glob("registry.db*"):
        path.unlink()
    for open_ in (mergestore.open, mergestore.init):
        for url in (None, postgres_url):
            with pytest.raises(mergestore.IntegrityFailure, match="has objects"):
                open_("store", database=url)
    assert not list((place / "store").glob("registry.db*"))


def test_models_are_newer_than_the_backup(place: Path) -> None:
    run("mergestore merge newer 'golden/base + 0.5*code' --head none", place)
    run("mergestore materialize newer -o ./out", place)
    shutil.rmtree("store")
    run("mergestore restore /backup/store", place)
    follow("Models are newer than the backup that was restored", place)
    assert "rescued" in run("mergestore register base rescued ./out", place)


def test_the_database_is_locked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.5)
    with contextlib.closing(sqlite3.connect("store/registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        follow("The database is locked", place)
        assert "golden/base" in run("mergestore list", place)
    assert "math@prod" in run("mergestore alias math@1 prod", place)


@pytest.mark.server
def test_postgresql_is_away(place: Path, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("store")
    monkeypatch.setenv("MERGESTORE_DATABASE", postgres_url)
    run(f"mergestore restore /backup/store --store store --database {postgres_url}", place)
    assert "golden/base" in run("mergestore list", place)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    away = make_url(postgres_url).set(port=port, database="registry").render_as_string()
    monkeypatch.setenv("MERGESTORE_DATABASE", away)
    follow("PostgreSQL is away", place)
    monkeypatch.setenv("MERGESTORE_DATABASE", postgres_url)
    assert "ok:" in run("mergestore check", place)


@pytest.mark.server
def test_a_connection_that_was_cut_is_made_again(tmp_path: Path, postgres_server, postgres_url: str) -> None:
    """A server that was restarted: a store that is open goes on with the next call."""
    with mergestore.open(tmp_path / "store", database=postgres_url) as store:
        assert store.list().skills == []
        name = make_url(postgres_url).database
        postgres_server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert store.list().skills == []


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BaseHTTPRequestHandler]]:
    """An object storage that refuses every request, for the reason that is set; with none it is there, and empty."""

    class Refusal(BaseHTTPRequestHandler):
        reason = ""
        ahead = timedelta(0)

        def do_GET(self) -> None:
            refused = f"<Error><Code>{self.reason}</Code></Error>"
            body = (refused if self.reason else "<ListBucketResult></ListBucketResult>").encode()
            self.send_response(403 if self.reason else 404 if self.command == "HEAD" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_PUT = do_GET

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((now() + self.ahead).timestamp())

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    yield Refusal
    server.shutdown()
    server.server_close()


def test_the_object_storage_refuses(place: Path, refusing: type, tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    from registry.records.database import writing
    from registry.records.location import choose_storage

    shutil.rmtree("store")
    run("mergestore init", place)
    with mergestore.open("store") as store, writing(store.engine) as session:
        choose_storage(session, "s3://models/lab", actor="tester@here")
    refusing.reason = "ExpiredToken"
    follow("The object storage is away, or refuses", place)
    refusing.reason = "RequestTimeTooSkewed"
    assert "s3://models/lab refuses: this machine's clock is wrong" in run("mergestore doctor", place)
    refusing.reason = "AccessDenied"
    assert "refuses these credentials" in run("mergestore doctor", place)
    assert "nothing here yet" in run("mergestore list", place)
    refusing.reason = ""
    assert "ok       objects: s3://models/lab answers" in (told := run("mergestore doctor", place))
    assert "differ" not in told
    refusing.ahead = timedelta(hours=1)
    assert "this machine's clock and that of s3://models/lab differ by" in run("mergestore doctor", place)


def test_the_clock_was_wrong(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(events, "now", lambda: now() + timedelta(hours=3))
        run("mergestore alias math@1 prod", place)
    follow("The clock was wrong", place)
    run("mergestore alias math@1 staging", place)
    assert "ok:" in run("mergestore verify", place)


def test_the_filesystem_has_become_read_only(place: Path, mounted: Callable[[str], None]) -> None:
    mounted("remount,ro")
    follow("The filesystem has become read-only", place)
    assert "its filesystem is read-only" in run("mergestore alias math@1 prod", place)
    mounted("remount,rw")
    assert "ok:" in run("mergestore check", place)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_results_go_into_the_copy_of_a_store_that_is_read_only(
    place: Path, mounted: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    run("mergestore materialize weighted", place)
    mounted("remount,ro")
    follow("The filesystem has become read-only", place)
    assert "pending 0" in run("mergestore --store newstore sync", place)
    runs = [len(list((place / home).glob("mlflow-artifacts/*/artifacts"))) for home in ("store", "newstore")]
    assert runs == [1, 6]


def test_the_store_was_copied_while_it_was_in_use(place: Path) -> None:
    shutil.copytree("store", "copy")
    gone = next(path for path in (place / "copy" / "objects").rglob("*") if path.is_file())
    gone.unlink()
    follow("The store was copied while it was in use", place)


def test_the_signing_key_is_lost(place: Path) -> None:
    run("mergestore materialize weighted -o ./out", place)
    follow("The signing key is lost", place)


def test_mlflow_is_away(place: Path) -> None:
    follow("MLflow is away, or the outbox does not empty", place, stop=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_is_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    follow("MLflow is away, or the outbox does not empty", place, start=1, stop=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_the_own_tracking_database_is_damaged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (place / "store" / "mlflow.db").write_bytes(b"no database" * 1000)
    follow("MLflow is away, or the outbox does not empty", place, start=2)
    assert "pending 0" in run("mergestore sync", place)
    assert "ok       mlflow: the tracking store can be reached" in run("mergestore doctor", place)


def test_a_writer_was_killed(place: Path) -> None:
    from storage.files import temporary_path

    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    for _ in range(2):
        path = temporary_path(place / "store" / "tmp", "object")
        path = path.with_name(path.name.replace(f".{os.getpid()}.", f".{dead.stdout.strip()}."))
        path.write_bytes(bytes(23_050))
    follow("A writer was killed", place)


def test_an_upgrade_went_wrong(place: Path) -> None:
    follow("An upgrade went wrong", place)
    assert "brought up to date" in run("mergestore list", place) or "schema 0003" in run("mergestore list", place)
    run("mergestore init", place)
    assert "ok:" in run("mergestore check", place)


def test_a_newer_mergestore_wrote_it(place: Path) -> None:
    with contextlib.closing(sqlite3.connect("store/registry.db")) as connection:
        connection.execute("UPDATE mergestore_version SET version_num = '0099'")
        connection.commit()
    assert "this mergestore knows schemas up to" in run("mergestore list", place)


def test_a_skill_must_be_recalled(place: Path) -> None:
    follow("A skill must be recalled", place)
    assert "math@1" in run("mergestore find events --action version.yank", place)


def test_the_store_moves(place: Path) -> None:
    before = run("mergestore anchor", place)
    follow("The store moves to another machine, or to PostgreSQL", place)
    assert run("mergestore --store moved anchor", place) == before
