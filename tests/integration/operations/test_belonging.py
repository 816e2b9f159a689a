"""A folder and a registry elsewhere that are not of one store: told before ``gc`` finds all objects to be garbage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mergestore
from registry.records.database import sqlite_url
from tests.integration.golden_stores import GOLDEN
from tests.integration.shell import Shell, listing

CONFLICT = 4


@pytest.fixture
def elsewhere(place: Path, tmp_path: Path) -> str:
    """The URL of the store's registry, which does not lie in its folder any more."""
    (tmp_path / "databases").mkdir()
    file = tmp_path / "databases" / "own.db"
    Shell(place / "store").text("list")  # what a write-ahead log holds is in the file then
    shutil.move(place / "store" / "registry.db", file)
    return sqlite_url(file).render_as_string()


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The URL of the registry of another store, which has the same base."""
    home = tmp_path / "other"
    with mergestore.open(home) as store:
        store.register_base("golden/base", GOLDEN / "format1" / "models" / "base")
    return sqlite_url(home / "registry.db").render_as_string()


def refused(place: Path, url: str, *words: str, says: str) -> None:
    before = listing(place / "store")
    for command in (
        (words,)
        if words
        else (("list",), ("gc", "--apply", "--grace", "0"), ("init",), ("init", "--downgrade", "0003"))
    ):
        error = Shell(place / "store", place).refused(CONFLICT, "--database", url, *command)
        assert says in error["message"]
        assert "--database" in error["hint"]
    assert listing(place / "store") == before


def test_a_folder_with_a_registry_of_its_own(place: Path, other: str) -> None:
    refused(place, other, says="is the folder of store")


def test_a_folder_that_says_which_store_it_is_of(place: Path, elsewhere: str, other: str) -> None:
    shell = Shell(place / "store")
    shell.text("--database", elsewhere, "list")
    assert len((place / "store" / "store-id").read_text().strip()) == 32
    refused(place, other, says="is the registry of")
    assert shell.json("--database", elsewhere, "gc")["objects"] == []


def test_a_folder_that_does_not_say_so_is_known_by_its_objects(
    place: Path, elsewhere: str, other: str, tmp_path: Path
) -> None:
    Shell(tmp_path / "empty").text("init")
    refused(place, sqlite_url(tmp_path / "empty" / "registry.db").render_as_string(), says="most of the objects in")
    Shell(place / "store").text("--database", elsewhere, "list")


def test_a_copy_of_a_registry_is_not_used_beside_the_registry_itself(place: Path, tmp_path: Path) -> None:
    """By that of an older backup, what was registered since would be garbage."""
    mergestore.restore(place / "backup" / "store", tmp_path / "rehearsal")
    url = sqlite_url(tmp_path / "rehearsal" / "registry.db").render_as_string()
    refused(place, url, says="has a registry of its own")
    Shell(place / "store").text("check")


def test_no_registry_is_made_for_a_folder_that_has_one_elsewhere(tmp_path: Path) -> None:
    url, wrong = (sqlite_url(tmp_path / f"{name}.db").render_as_string() for name in ("right", "wrong"))
    mergestore.init(tmp_path / "store", database=url)
    Shell(tmp_path / "store", tmp_path).refused(CONFLICT, "--database", wrong, "init")
    assert not (tmp_path / "wrong.db").stat().st_size if (tmp_path / "wrong.db").exists() else True
    mergestore.open(tmp_path / "store", database=url).close()
