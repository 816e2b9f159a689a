"""Databases for tests: a real PostgreSQL, started once and on demand, and SQLite files; and a real browser."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL

import migrations
from registry.records.database import open_engine, sqlite_url

BINARIES = Path("/usr/lib/postgresql")
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
_SETTINGS = "listen_addresses=127.0.0.1 fsync=off synchronous_commit=off full_page_writes=off max_connections=60"


@dataclass(frozen=True)
class Server:
    """A running throwaway server."""

    port: int

    def url(self, database: str) -> URL:
        return URL.create("postgresql", "postgres", host="127.0.0.1", port=self.port, database=database)

    def run(self, statement: str) -> None:
        engine = create_engine(self.url("postgres").set(drivername="postgresql+psycopg"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
        engine.dispose()


def _binaries() -> Path:
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        reason = f"PostgreSQL is not installed (no {BINARIES}/*/bin): apt-get install postgresql-15"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found[-1].parent


def _as_postgres(*command: object) -> None:
    # The server refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*user, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd="/")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with _running("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8") as server:
        yield server


@pytest.fixture
def postgres_replica(postgres_server: Server) -> Iterator[Server]:
    """Another server that follows it, with what it has just now: it can only be read."""
    origin = f"-h 127.0.0.1 -p {postgres_server.port} -U postgres".split()
    with _running("pg_basebackup", *origin, "--write-recovery-conf", "--checkpoint=fast", "--no-sync") as server:
        yield server


@contextlib.contextmanager
def _running(make: str, *options: str) -> Iterator[Server]:
    """A server whose data a tool of PostgreSQL's makes."""
    binaries = _binaries()
    # Not pytest's folder: only its owner may enter that, and a socket's path must be short.
    home = Path(tempfile.mkdtemp(prefix="mergestore-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
    data, port = home / "data", _free_port()
    settings = [f"port={port}", f"unix_socket_directories={home}", *_SETTINGS.split()]
    given = " ".join(f"-c {setting}" for setting in settings)
    try:
        _as_postgres(binaries / make, *options, "-D", data)
        _as_postgres(binaries / "pg_ctl", "-D", data, "-w", "-l", home / "log", "-o", given, "start")
        yield Server(port)
    finally:
        if (data / "postmaster.pid").exists():
            _as_postgres(binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def _migrate(url: str | URL) -> None:
    engine = open_engine(url)
    migrations.upgrade(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: Server) -> str:
    """A database with the registry's schema, to be copied: quicker than to make it every time."""
    postgres_server.run("CREATE DATABASE schema")
    _migrate(postgres_server.url("schema"))
    return "schema"


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the registry's schema, to be copied."""
    file = tmp_path_factory.mktemp("schema") / "registry.db"
    _migrate(sqlite_url(file))
    return file


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: Server) -> Iterator[str]:
    """The URL of a database of its own: empty, unless the test asks for ``engine`` too."""
    name = f"registry_{uuid.uuid4().hex}"
    template = request.getfixturevalue("postgres_schema") if "engine" in request.fixturenames else "template1"
    postgres_server.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield postgres_server.url(name).render_as_string()
    postgres_server.run(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database, as ``postgres_url``: a test that asks for it runs on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    file = tmp_path / "registry.db"
    if "engine" in request.fixturenames:
        shutil.copy(request.getfixturevalue("sqlite_schema"), file)
    return sqlite_url(file).render_as_string()


@pytest.fixture
def connect() -> Iterator[Callable[[str | URL], Engine]]:
    """``open_engine``, with every engine closed at the end."""
    engines: list[Engine] = []

    def connect(url: str | URL) -> Engine:
        engines.append(open_engine(url))
        return engines[-1]

    yield connect
    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(database_url: str, connect: Callable[[str], Engine]) -> Engine:
    """A database with the registry's schema."""
    return connect(database_url)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An environment in which nothing touches the user's own store or tracking server."""
    ours = tmp_path_factory.mktemp("surroundings")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("MERGESTORE_", "MLFLOW_"))]:
            patch.delenv(name)
        patch.setenv("MERGESTORE_HOME", str(ours / "home"))
        patch.setenv("MERGESTORE_ACTOR", "tester@here")
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        assert not os.environ.get("CI"), "the tests need chromium"
        pytest.skip("no chromium here")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()
