"""A flipped bit in every region of every object, of a backup and of a result in the cache: named, and brought back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.faults.conftest import Counts
from tests.integration.faults.laboratory import content
from tests.integration.faults.scenarios import stock
from tests.integration.shell import Shell
from tests.integration.tampering.test_blobs import flipped, regions

pytestmark = pytest.mark.usefixtures("surroundings")

INTEGRITY = 6


@pytest.fixture(scope="module")
def root(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stocked store whose backup is of now."""
    found = tmp_path_factory.mktemp("flips")
    stock(found)
    Shell(found / "store").text("backup", found / "backup")
    return found


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def repair_turns(root: Path, counts: Counts, every: int) -> None:
    """One bit in each object at a time, all objects at once, until every region of the largest was damaged."""
    shell, before = Shell(root / "store"), content(root / "store" / "objects")
    objects = files(root / "store" / "objects")
    places = {path: regions(data) for path, data in objects.items()}
    turns = range(0, max(map(len, places.values())), every)
    for turn in turns:
        for path, data in objects.items():
            path.write_bytes(flipped(data, places[path][turn % len(places[path])]))
        told = " ".join(each["what"] for each in shell.json("check", "--read-data", code=INTEGRITY)["problems"])
        assert [path for path in objects if path.name not in told] == []
        mended = shell.json("repair", "--apply", "--from", root / "backup")
        assert {each["state"] for each in mended["objects"]} == {"mended"}
        assert content(root / "store" / "objects") == before
        shutil.rmtree(root / "store" / "quarantine")
    counts.add("flips of objects", "repair", points=sum(map(len, places.values())), tried=len(turns) * len(objects))
    assert shell.json("check", "--read-data")["ok"]


def test_flipped_objects_are_named_and_mended_from_a_backup(root: Path, counts: Counts) -> None:
    repair_turns(root, counts, 20)


@pytest.mark.slow
def test_every_region_is_named_and_mended_from_a_backup(root: Path, counts: Counts) -> None:
    repair_turns(root, counts, 1)


@pytest.mark.slow
def test_a_flip_anywhere_in_a_backup_is_found_before_it_is_restored(root: Path, counts: Counts) -> None:
    tried = 0
    for path, data in files(root / "backup").items():
        for place in regions(data)[:: 1 + len(regions(data)) // 8]:
            path.write_bytes(flipped(data, place))
            code, _, err = Shell(root / "elsewhere")("restore", root / "backup")
            assert code == INTEGRITY, (path.name, place, err)
            assert not (root / "elsewhere").exists()
            tried += 1
        path.write_bytes(data)
    counts.add("flips of backups", "restore", points=tried, tried=tried)


@pytest.mark.slow
def test_a_flip_in_the_cache_is_computed_anew(root: Path, counts: Counts) -> None:
    shell = Shell(root / "store")
    made = Path(shell.json("materialize", "both", "--no-wait")["path"])
    before, tried = content(made), 0
    for path, data in files(made).items():
        if path.name == "README.md":  # the card: docs/format.md says that nothing relies on it
            continue
        places = regions(data) if path.suffix == ".safetensors" else [0, len(data) // 2, len(data) - 2]
        for place in places:
            path.write_bytes(flipped(data, place))
            assert Path(shell.json("materialize", "both", "--no-wait")["path"]) == made
            assert content(made) == before, (path.name, place)
            tried += 1
    counts.add("flips of results", "materialize", points=tried, tried=tried)
