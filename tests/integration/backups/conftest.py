"""The store with something of everything in it, whose copies are backed up and restored."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from migrations.snapshots import fill
from registry.records.database import migrating, sqlite_url
from tests.integration.conftest import Server
from tests.integration.tampering.conftest import Everything, everything

__all__ = ["everything"]


@pytest.fixture
def home(everything: Everything, tmp_path: Path) -> Path:
    """A copy of that store's folder, with its database in it."""
    return Path(shutil.copytree(everything.home, tmp_path / "store"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def source(request: pytest.FixtureRequest, home: Path, connect: Callable[[str], Engine]) -> str:
    """The URL of that store's registry, in either database."""
    if request.param == "sqlite":
        return sqlite_url(home / "registry.db").render_as_string()
    url = str(request.getfixturevalue("postgres_url"))
    with migrating(connect(url)) as connection:
        fill(home / "registry.db", connection)
    for file in home.glob("registry.db*"):
        file.unlink()
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def target(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """An empty database for what is restored; None for SQLite in its folder."""
    if request.param == "sqlite":
        yield None
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = f"restored_{uuid.uuid4().hex}"
    server.run(f'CREATE DATABASE "{name}"')
    yield server.url(name).render_as_string()
    server.run(f'DROP DATABASE "{name}" WITH (FORCE)')
