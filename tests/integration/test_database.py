import gc
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

import migrations
from registry.records import database, events
from registry.records.database import open_engine, reading, sqlite_url, streamed, writing
from registry.records.identity import STORE_ID_KEY
from registry.records.tables import ModelVersion, StoreMeta
from storage.errors import EnvironmentFailure, IntegrityFailure, MergestoreError, UsageError
from tests.integration.conftest import Server
from tests.integration.shell import Shell

ROOT = Path(__file__).parents[2]

Connect = Callable[[str | URL], Engine]


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def values(engine: Engine) -> dict[str, str]:
    with reading(engine) as session:
        found = {meta.key: meta.value for meta in session.scalars(select(StoreMeta))}
    return {key: value for key, value in found.items() if key != STORE_ID_KEY}


def failure(url: str) -> MergestoreError:
    with pytest.raises(MergestoreError) as caught:
        open_engine(url)
    return caught.value


# --- transactions -----------------------------------------------------------------------------------------


def test_a_writing_block_commits(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(StoreMeta(key="a", value="1"))
    assert values(engine)["a"] == "1"


def test_a_writing_block_that_raises_leaves_nothing(engine: Engine) -> None:
    def write_and_fail() -> None:
        with writing(engine) as session:
            session.add(StoreMeta(key="a", value="1"))
            session.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert values(engine) == {}


def test_a_reading_block_cannot_write(engine: Engine) -> None:
    refused = pytest.raises((DBAPIError, EnvironmentFailure), match=r"readonly|read-only")
    with refused, reading(engine) as session:
        session.execute(insert(StoreMeta).values(key="a", value="1"))
    with writing(engine) as session:  # and its connection can be used for writing again
        session.add(StoreMeta(key="a", value="1"))


def test_rows_that_nobody_goes_through_to_the_end_are_let_go(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with writing(engine) as session:
        session.add_all(StoreMeta(key=f"{number:03}", value="1") for number in range(100))
    under_way = []
    with reading(engine) as session:
        under_way.append(streamed(session, select(StoreMeta.key), 10))
        assert next(under_way[0]) is not None
    engine.dispose()  # what ends a command, before what it held is collected
    under_way.clear()
    gc.collect()
    assert caplog.text == ""


HALF_READ = """
import sys
from sqlalchemy import select, text
from registry.records.database import open_engine, reading, streamed, writing
from registry.records.tables import StoreMeta
from storage.errors import EnvironmentFailure
engine, other = open_engine(sys.argv[1]), open_engine(sys.argv[1])
with writing(engine) as session:
    session.add_all(StoreMeta(key=f"{number:03}", value="1") for number in range(100))
try:
    with reading(engine) as session:
        rows = streamed(session, select(StoreMeta.key), 10)
        next(rows)
        process = session.scalar(text("SELECT pg_backend_pid()"))
        with writing(other) as killing:
            killing.execute(text(f"SELECT pg_terminate_backend({process}, 5000)"))
        raise ValueError("ours")
except (EnvironmentFailure, ValueError) as error:
    print(type(error).__name__)
"""


@pytest.mark.server
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_a_connection_that_breaks_over_half_read_rows_no_driver_talks(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", HALF_READ, url], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout in ("ValueError\n", "EnvironmentFailure\n"), done.stderr) == (True, "")


def test_a_reading_block_sees_one_state(engine: Engine) -> None:
    with reading(engine) as session:
        assert session.get(StoreMeta, "a") is None
        with writing(engine) as other:
            other.add(StoreMeta(key="a", value="1"))
        assert session.scalar(select(func.count()).where(StoreMeta.key == "a")) == 0
    assert values(engine) == {"a": "1"}


def test_what_was_loaded_can_be_read_after_the_block(engine: Engine) -> None:
    with writing(engine) as session:
        meta = StoreMeta(key="a", value="1")
        session.add(meta)
    assert meta.value == "1"


def test_writers_wait_for_one_another(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(StoreMeta(key="n", value="0"))

    def add_one() -> None:
        with writing(engine) as session:
            meta = session.get_one(StoreMeta, "n")
            time.sleep(0.02)  # long enough for every other thread to read the same value, if it could
            meta.value = str(int(meta.value) + 1)

    threads = [threading.Thread(target=add_one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(engine) == {"n": "5"}


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(StoreMeta(key="a", value="1"))
        session.flush()
        assert values(engine) == {}


def test_a_writer_that_waits_too_long_gives_up(
    database_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    engine = connect(database_url)
    with writing(engine), pytest.raises(EnvironmentFailure) as caught, writing(engine):
        pass
    assert "another process" in (caught.value.hint or "")


@pytest.mark.server
def test_a_reader_waits_for_a_table_no_longer_than_a_writer(
    postgres_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    engine = connect(postgres_url)
    migrations.upgrade(engine)
    with writing(engine) as session:
        session.execute(text("LOCK TABLE store_meta IN ACCESS EXCLUSIVE MODE"))
        refused = pytest.raises(EnvironmentFailure)
        with refused as caught, reading(engine) as other:
            other.execute(text("SET LOCAL statement_timeout = '10s'"))
            other.scalars(select(StoreMeta)).all()
    assert "another process" in (caught.value.hint or "")


INSERT = """
import sys
from registry.records import catalog
from registry.records.database import open_engine, writing
from storage.digests import blake3_digest
engine = open_engine(sys.argv[1])
for i in range(int(sys.argv[3])):
    with writing(engine) as session:
        digest = blake3_digest(f"{sys.argv[2]} {i}".encode())
        catalog.create_model_version(session, name="math", kind="skill", digest=digest, actor=sys.argv[2])
engine.dispose()
"""


def test_concurrent_processes_lose_and_double_nothing(engine: Engine, database_url: str) -> None:
    workers = [python(INSERT, database_url, f"worker-{number}", "50") for number in range(8)]
    for worker in workers:
        worker.communicate(timeout=240)
    assert [worker.returncode for worker in workers] == [0] * 8
    with reading(engine) as session:
        versions = session.scalars(select(ModelVersion).order_by(ModelVersion.version)).all()
        assert [version.version for version in versions] == list(range(1, 401))
        assert len({version.digest for version in versions}) == 400
        assert events.verify_chain(session) == []


DIE = """
import sys, time
from registry.records.database import open_engine, writing
from registry.records.tables import StoreMeta
with writing(open_engine(sys.argv[1])) as session:
    session.add(StoreMeta(key="half", value="done"))
    session.flush()
    print("inside", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_nothing_and_blocks_nobody(engine: Engine, database_url: str) -> None:
    worker = python(DIE, database_url)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "inside\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    with writing(engine) as session:
        session.add(StoreMeta(key="next", value="1"))
    assert values(engine) == {"next": "1"}


# --- SQLite -----------------------------------------------------------------------------------------------


def test_sqlite_is_set_up_for_durability(tmp_path: Path, connect: Connect) -> None:
    engine = connect(f"sqlite:///{tmp_path}/registry.db")

    def pragma(name: str) -> object:
        with writing(engine) as session:
            return session.scalar(text(f"PRAGMA {name}"))

    found = {name: pragma(name) for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")}
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30000}


@pytest.mark.parametrize("folder", ["with space", "100%", "%41 %%", "what?", "a#b", "wörter", "a&b=c"])
def test_a_path_may_hold_any_character(tmp_path: Path, connect: Connect, folder: str) -> None:
    home = tmp_path / folder
    home.mkdir()
    engine = open_engine(sqlite_url(home / "registry.db"))
    migrations.upgrade(engine)
    engine.dispose()
    assert [path.name for path in home.iterdir()] == ["registry.db"]
    again = connect(sqlite_url(home / "registry.db"))
    assert migrations.current(again) == migrations.head()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    error = failure(f"sqlite:///{tmp_path}/missing/registry.db")
    assert isinstance(error, EnvironmentFailure)
    assert "missing/registry.db" in error.message
    assert "folder" in (error.hint or "")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.write_bytes(b"these are not the bytes of a database" * 100)
    error = failure(f"sqlite:///{file}")
    assert isinstance(error, IntegrityFailure)
    assert str(file) in error.message


def test_a_damaged_database_is_named(tmp_path: Path, connect: Connect) -> None:
    file = tmp_path / "registry.db"
    engine = open_engine(f"sqlite:///{file}")
    migrations.upgrade(engine)
    engine.dispose()
    with file.open("r+b") as handle:  # the first page stays, the rest is noise
        handle.seek(4096)
        handle.write(b"\xa5" * (file.stat().st_size - 4096))
    with pytest.raises(IntegrityFailure, match="damaged"):
        values(connect(f"sqlite:///{file}"))


def test_entering_wal_waits_for_a_busy_file(tmp_path: Path, connect: Connect) -> None:
    file = tmp_path / "registry.db"
    blocker = sqlite3.connect(file, check_same_thread=False)
    blocker.execute("CREATE TABLE t (x)")
    blocker.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, blocker.rollback)
    timer.start()
    engine = connect(f"sqlite:///{file}")
    timer.join()
    blocker.close()
    assert migrations.current(engine) is None


@pytest.mark.server
def test_what_the_server_cancels_says_how_to_lift_its_limit(postgres_url: str, connect: Connect) -> None:
    limited = connect(f"{postgres_url}?options=-c%20statement_timeout%3D100")
    with pytest.raises(EnvironmentFailure, match="cannot use the database") as caught, reading(limited) as session:
        session.execute(text("SELECT pg_sleep(60)"))
    assert "ALTER ROLE postgres SET statement_timeout = 0" in str(caught.value.hint)


# --- URLs and servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "registry.db",
        "sqlite:registry.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/registry.db",
        "sqlite:///registry.db?mode=memory",
        "mysql://user:secret@host/db",
        "postgresql+psycopg2://user:secret@host/db",
        "postgresql://user:secret@host:port/db",
    ],
)
def test_a_malformed_or_unsupported_url(url: str) -> None:
    error = failure(url)
    assert isinstance(error, UsageError)
    assert "secret" not in str(error)
    assert "postgresql://" in (error.hint or "") or "sqlite:///" in (error.hint or "")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_unreachable_server(closed_port: int) -> None:
    started = time.monotonic()
    error = failure(f"postgresql://me:s3cr%40t@127.0.0.1:{closed_port}/registry")
    assert time.monotonic() - started < 3
    assert isinstance(error, EnvironmentFailure)
    assert f"127.0.0.1:{closed_port}" in error.message
    assert "s3cr" not in str(error)
    assert "server" in (error.hint or "")


def test_a_server_that_never_answers(silent_port: int) -> None:
    started = time.monotonic()
    error = failure(f"postgresql://me:secret@127.0.0.1:{silent_port}/registry?connect_timeout=2")
    assert 1 < time.monotonic() - started < 6
    assert isinstance(error, EnvironmentFailure)
    assert "secret" not in str(error)


@pytest.mark.server
def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    error = failure(postgres_url + "x")
    assert isinstance(error, EnvironmentFailure)
    assert "does not exist" in error.message


@pytest.mark.server
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_spellings_of_postgresql(postgres_url: str, connect: Connect, scheme: str) -> None:
    engine = connect(postgres_url.replace("postgresql:", f"{scheme}:"))
    assert engine.dialect.driver == "psycopg"


@pytest.mark.server
def test_a_url_with_escapes(postgres_server: object, connect: Connect) -> None:
    name = "100% odd @ name"
    postgres_server.run(f'CREATE DATABASE "{name}"')  # type: ignore[attr-defined]
    try:
        url = postgres_server.url(name).set(password="p%@:/w")  # type: ignore[attr-defined]
        engine = connect(url.render_as_string(hide_password=False))
        assert migrations.upgrade(engine)
        assert migrations.current(engine) == migrations.head()
        engine.dispose()
    finally:
        postgres_server.run(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[attr-defined]


@pytest.mark.server
def test_a_server_that_goes_away(postgres_url: str, postgres_server: object, connect: Connect) -> None:
    engine = connect(postgres_url)
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{engine.url.database}'"

    def lose_the_connection() -> None:
        with reading(engine) as session:
            postgres_server.run(kill)  # type: ignore[attr-defined]
            session.scalar(text("SELECT 1"))

    with pytest.raises(EnvironmentFailure, match="cannot use the database"):
        lose_the_connection()
    with reading(engine) as session:  # the next one gets a new connection
        assert session.scalar(text("SELECT 1")) == 1


def test_a_missing_driver_names_the_extra() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
from registry.records.database import open_engine
from storage.errors import EnvironmentFailure
try:
    open_engine("postgresql://localhost/registry")
except EnvironmentFailure as error:
    print(error.hint)
"""
    worker = python(script)
    assert worker.communicate()[0] == "pip install 'mergestore[postgres]'\n"


def test_a_broken_rule_of_the_schema_is_not_blamed_on_the_environment(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.execute(insert(StoreMeta).values([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]))


def test_the_catalog_imports_lightly() -> None:
    script = """
import sys
import migrations
from registry.records import aliases, catalog, contents, events, integrity, leases, lineage, names, outbox, recipes
heavy = {"alembic", "numba", "torch", "mlflow", "psycopg", "numpy"}
print(sorted(heavy & set(sys.modules)))
"""
    assert python(script).communicate()[0] == "[]\n"


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def not_utf8(request: pytest.FixtureRequest, postgres_server: Server) -> Iterator[str]:
    """The URL of a database in which not every text can be kept."""
    name = f"not_utf8_{request.param.lower()}"
    postgres_server.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{request.param}' LOCALE 'C'")
    yield postgres_server.url(name).render_as_string()
    postgres_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.server
def test_a_database_that_is_not_in_utf8_is_refused(not_utf8: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "store")
    for verb in ("init", "list"):
        error = shell.json("--database", not_utf8, verb, code=7)["error"]
        assert "has the encoding" in error["message"]
        assert "createdb -E UTF8" in error["hint"]
    (found,) = [
        each for each in shell.json("--database", not_utf8, "doctor", code=7)["checks"] if each["name"] == "database"
    ]
    assert (found["level"], "has the encoding" in found["detail"]) == ("error", True)


@pytest.mark.server
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["environment", "url", "database"])
def test_whatever_a_client_is_set_to_texts_come_as_they_are(
    how: str,
    postgres_server: Server,
    database_url: str,
    engine: Engine,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = database_url
    if how == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    elif how == "url":
        url += "?client_encoding=latin1"
    else:
        postgres_server.run(f'ALTER DATABASE "{engine.url.database}" SET client_encoding = latin1')
    other = connect(url)
    with writing(other) as session:
        session.add(StoreMeta(key="a", value="\N{CJK UNIFIED IDEOGRAPH-6587}"))
    assert values(other)["a"] == values(engine)["a"] == "\N{CJK UNIFIED IDEOGRAPH-6587}"
