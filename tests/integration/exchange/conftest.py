"""A store with something of everything, and empty ones on both databases to take bundles in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mergestore
from mergestore import Store
from tests.integration.golden_stores import copy_objects, load_sqlite
from tests.integration.shell import Shell

EVERYTHING = (
    *("golden/base", "math@1", "math@2", "code", "style@1", "small", "polite"),
    *("assistant@1", "assistant@2", "several", "weighted"),
)


@pytest.fixture(scope="module")
def source(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The golden store, upgraded; tests only read it, and export from it."""
    home = copy_objects("store2", tmp_path_factory.mktemp("source") / "store")
    load_sqlite("store2", home / "registry.db")
    mergestore.init(home)
    with mergestore.open(home, create=False, actor="ann@lab") as store:
        yield store


@pytest.fixture(scope="module")
def whole(source: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of everything."""
    path = tmp_path_factory.mktemp("bundle") / "whole.tar"
    source.export(EVERYTHING, path, lineage=True)
    return path


@pytest.fixture
def target(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store, on SQLite and on PostgreSQL."""
    mergestore.init(tmp_path / "target", database=database_url)
    with mergestore.open(tmp_path / "target", database=database_url, actor="bob@home") as store:
        yield store


@pytest.fixture
def empty(surroundings: None, tmp_path: Path) -> Callable[[str], Store]:
    """More empty stores, on SQLite."""
    return lambda name: mergestore.open(tmp_path / name, actor="bob@home")


@pytest.fixture
def shell(surroundings: None, tmp_path: Path) -> Shell:
    """The command line on an empty store."""
    mergestore.init(tmp_path / "shelled")
    return Shell(tmp_path / "shelled", tmp_path / "watched")
