"""A store with something of everything in it, for whoever tampers with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

import mergestore
from registry.records.database import migrating, open_engine, reading, sqlite_url
from registry.records.tables import Record
from tests.golden.make_store import Module, forward, make


@dataclass(frozen=True)
class Everything:
    """Where a whole store lies, the folders that it published, and what they are of."""

    home: Path
    model: Path
    adapter: Path


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """Bases, skills of every encoding, statistics, merges of every kind, a result gone on with, pins, moved aliases."""
    folder = tmp_path_factory.mktemp("everything")
    found = Everything(folder / "store", folder / "model", folder / "adapter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # make sets it; nobody listens there
        make(found.home)
    with mergestore.open(found.home, actor="bob@lab") as store:
        store.materialize("assistant@1", output=found.model, shard_size=600, wait=False, threads=1)
        store.materialize_adapter(
            "golden/base + polite", rank=2, rest="drop", output=found.adapter, wait=False, threads=1
        )
        store.register_skill("again", found.model, base="golden/base", licence="MIT", meta={"run-id": "0" * 32})
        store.merge("twice", "golden/base + 0.5*again + 0.5*small", method="dare_linear", head="none")
        (folder / "examples.jsonl").write_text('{"x": [1, 2, 3]}\n' * 4)
        store.collect_statistics(
            "small",
            kind="fisher",
            data=folder / "examples.jsonl",
            examples=4,
            labels="sampled",
            model=Module(),
            forward=forward,
        )
        store.merge("weighed", "golden/base + 0.7*code + 0.3*small", method="fisher", head="none")
        store.pin("assistant@1", "shipped")
        store.add_evaluation("assistant@1", metric="accuracy", value=0.5, dataset="sums", details={"split": "test"})
        store.add_evaluation("small", metric="loss", value=1.25, dataset="sums")
        store.attest(found.model, key=_key(folder / "key.pem"))
        store.attest(found.adapter, key=folder / "key.pem")
        assert store.verify().problems == []
    return found


def _key(path: Path) -> Path:
    """A private Ed25519 key, as openssl writes it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)], scope="module")
def books(
    request: pytest.FixtureRequest, everything: Everything, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The records of that store, with nothing left that would stop an attacker who has the database."""
    make_engine: dict[str, Callable[[], Engine]] = {
        "sqlite": lambda: _copied(everything, tmp_path_factory.mktemp("books")),
        "postgresql": lambda: _loaded(everything, request),
    }
    engine = make_engine[request.param]()
    with migrating(engine) as connection:
        for statement in guards(engine):
            connection.execute(text(statement))
    yield engine
    engine.dispose()


def _copied(everything: Everything, folder: Path) -> Engine:
    for file in everything.home.glob("registry.db*"):
        shutil.copy(file, folder / file.name)
    return open_engine(sqlite_url(folder / "registry.db"))


def _loaded(everything: Everything, request: pytest.FixtureRequest) -> Engine:
    """Every row of the SQLite database, in PostgreSQL."""
    server, schema = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_schema")
    server.run(f'CREATE DATABASE tampered TEMPLATE "{schema}"')
    request.addfinalizer(lambda: server.run("DROP DATABASE tampered WITH (FORCE)"))
    source, engine = open_engine(sqlite_url(everything.home / "registry.db")), open_engine(server.url("tampered"))
    with reading(source) as session, migrating(engine) as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM store_meta"))
        for table in Record.metadata.sorted_tables:
            rows = [row._asdict() for row in session.connection().execute(table.select())]
            if rows:
                connection.execute(table.insert(), rows)
    source.dispose()
    return engine


def guards(engine: Engine) -> list[str]:
    """The statements that take away what would stop an attacker who has the database."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as session:
            triggers = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            return [f"DROP TRIGGER {name}" for name in triggers]
    found = []
    looked = inspect(engine)
    for table in Record.metadata.sorted_tables:
        found.append(f"ALTER TABLE {table.name} DISABLE TRIGGER ALL")
        for rule in looked.get_check_constraints(table.name):
            found.append(f"ALTER TABLE {table.name} DROP CONSTRAINT {rule['name']}")
    return found
