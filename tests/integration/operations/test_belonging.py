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


def test_an_empty_folder_does_not_join_a_registry_whose_objects_lie_in_another(
    place: Path, elsewhere: str, tmp_path: Path
) -> None:
    """What a second machine stores there would be missing on the first."""
    (tmp_path / "second").mkdir()
    for home in (tmp_path / "second", tmp_path / "third"):
        shell = Shell(home, place)
        for words in (("init",), ("register", "base", "new", GOLDEN / "format1" / "models" / "base")):
            error = shell.refused(CONFLICT, "--database", elsewhere, *words)
            assert "most of the objects on record in" in error["message"]
            assert str(home / "store-id") in error["hint"]
    checks = shell.json("--database", elsewhere, "doctor", code=7)["checks"]
    (told,) = [each["detail"] for each in checks if each["name"] == "database"]
    assert "most of the objects on record in" in told
    Shell(place / "store").text("--database", elsewhere, "check")


def test_a_registry_without_objects_has_one_folder_too(tmp_path: Path) -> None:
    """Else two machines that start at the same time would each store on a disk of its own."""
    url = sqlite_url(tmp_path / "registry.db").render_as_string()
    first, second = (Shell(tmp_path / name) for name in ("first", "second"))
    first.text("--database", url, "init")
    for words in (("init",), ("register", "base", "new", GOLDEN / "format1" / "models" / "base")):
        error = second.refused(CONFLICT, "--database", url, *words)
        assert f":{tmp_path / 'first'}, not into {tmp_path / 'second'}" in error["message"]
    first.text("--database", url, "init")
    assert first.json("--database", url, "verify")["ok"]
    (tmp_path / "second" / "store-id").write_text((tmp_path / "first" / "store-id").read_text())
    second.text("--database", url, "list")


def test_a_folder_that_was_emptied_is_the_first_again(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "registry.db").render_as_string()
    for _ in range(2):
        Shell(tmp_path / "store").text("--database", url, "init")
        shutil.rmtree(tmp_path / "store")


def test_a_store_that_has_lost_its_objects_is_opened_and_repaired(place: Path, elsewhere: str) -> None:
    shell = Shell(place / "store")
    shell.text("--database", elsewhere, "list")
    for algorithm in (place / "store" / "objects").iterdir():
        shutil.rmtree(algorithm)
    checks = shell.json("--database", elsewhere, "doctor", code=7)["checks"]
    (found,) = [each for each in checks if each["level"] == "error"]
    assert found["name"] == "objects"
    assert found["detail"].startswith("0 of ")
    assert shell("--database", elsewhere, "check")[0] == 6
    shell.text("--database", elsewhere, "repair", "--apply", "--from", place / "backup" / "store")
    shell.text("--database", elsewhere, "check")
    path = next(path for path in (place / "store" / "objects").rglob("*") if path.is_file())
    path.unlink()
    checks = shell.json("--database", elsewhere, "doctor")["checks"]
    assert [each["level"] for each in checks if each["name"] == "objects"] == ["warning"]


def test_a_folder_without_its_objects_is_opened_once_it_says_whose_it_is(place: Path, elsewhere: str) -> None:
    shutil.rmtree(place / "store" / "objects")
    shell = Shell(place / "store")
    error = shell.refused(CONFLICT, "--database", elsewhere, "check")
    own = error["hint"].partition("write ")[2].split()[0]
    (place / "store" / "store-id").write_text(own)
    assert shell("--database", elsewhere, "check")[0] == 6


def test_no_registry_is_made_for_a_folder_that_has_one_elsewhere(tmp_path: Path) -> None:
    url, wrong = (sqlite_url(tmp_path / f"{name}.db").render_as_string() for name in ("right", "wrong"))
    mergestore.init(tmp_path / "store", database=url)
    Shell(tmp_path / "store", tmp_path).refused(CONFLICT, "--database", wrong, "init")
    assert not (tmp_path / "wrong.db").stat().st_size if (tmp_path / "wrong.db").exists() else True
    mergestore.open(tmp_path / "store", database=url).close()
