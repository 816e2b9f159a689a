"""Parts of a store on other filesystems: linked or mounted, and the disk that is not mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.models import LLAMA_CONFIG, floats, save
from tests.integration.shell import Shell

MEMORY = Path("/dev/shm")


@pytest.fixture
def linked(place: Path) -> Iterator[Callable[[str], None]]:
    """``linked(name)``: that folder of the store moved to another filesystem, a link in its place."""
    if not os.access(MEMORY, os.W_OK) or MEMORY.stat().st_dev == place.stat().st_dev:
        pytest.skip("there is one filesystem here")
    with tempfile.TemporaryDirectory(dir=MEMORY) as other:

        def link(name: str) -> None:
            target = shutil.move(place / "store" / name, Path(other, Path(name).name))
            (place / "store" / name).symlink_to(target)

        yield link


def apart(shell: Shell, code: int) -> list[str]:
    checks = shell.json("doctor", code=code)["checks"]
    found = [each for each in checks if each["name"] == "filesystem" and each["level"] == "error"]
    assert all("as a whole" in each["hint"] for each in found)
    return [each["detail"].partition(" is on another filesystem than ")[0] for each in found]


def register(shell: Shell, place: Path) -> str:
    save(place / "new", {"model.embed_tokens.weight": floats([[1.0, 2.0]])}, LLAMA_CONFIG)
    code, _, err = shell("register", "base", "new", place / "new")
    assert code in (0, 7), err
    return err if code else ""


@pytest.mark.parametrize("name", ["objects", "objects/blake3", "tmp"])
def test_objects_and_temporary_files_apart_are_an_error(place: Path, linked: Callable[[str], None], name: str) -> None:
    shell = Shell(place / "store")
    assert apart(shell, 0) == []
    linked(name)
    assert any(str(place / "store" / "objects") in each for each in apart(shell, 7))
    told = register(shell, place)
    assert "Invalid cross-device link" in told
    assert "both must be on one filesystem" in told


@pytest.mark.slow
def test_the_cache_may_be_elsewhere(place: Path, linked: Callable[[str], None]) -> None:
    linked("cache")
    shell = Shell(place / "store")
    assert apart(shell, 0) == []
    for _ in range(2):
        shell.text("materialize", "weighted")
    assert "evicted" in shell.text("gc", "--apply", "--cache-limit", "0")


def test_a_folder_that_is_mounted_by_itself_is_an_error(place: Path) -> None:
    """Of the same filesystem too: the system moves no file from mount to mount."""
    objects = place / "store" / "objects"
    done = subprocess.run(["mount", "--bind", objects, objects], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting a filesystem needs root: {done.stderr.strip()}")
    try:
        assert str(objects) in apart(Shell(place / "store"), 7)
        assert "Invalid cross-device link" in register(Shell(place / "store"), place)
    finally:
        subprocess.run(["umount", "--lazy", objects], check=True)


@pytest.mark.parametrize("name", ["objects", "tmp", "cache"])
def test_a_link_to_a_disk_that_is_not_mounted_is_named(place: Path, name: str) -> None:
    folder = place / "store" / name
    aside = folder.rename(place / "aside")
    folder.symlink_to(place / "disk" / name)
    shell = Shell(place / "store", place)
    for words in (("list",), ("check",), ("init",), ("gc", "--apply")):
        error = shell.refused(7, *words)
        assert f"{folder} is a link to {place / 'disk' / name}, and that is not there" in error["message"]
        assert "mount the disk" in error["hint"]
    (found,) = [each for each in shell.json("doctor", code=7)["checks"] if each["level"] == "error"]
    assert "is a link to" in found["detail"]
    folder.unlink()
    aside.rename(folder)
    shell.text("check")


def test_a_store_that_is_a_link_to_a_disk_that_is_not_mounted_is_not_made(place: Path) -> None:
    home = place / "elsewhere"
    home.symlink_to(place / "disk")
    error = Shell(home, place).refused(7, "init")
    assert f"{home} is a link to {place / 'disk'}, and that is not there" in error["message"]


@pytest.mark.parametrize("name", ["objects", "cache", "tmp"])
def test_a_file_in_the_place_of_a_folder_is_named(place: Path, name: str) -> None:
    folder = place / "store" / name
    folder.rename(place / "aside")
    folder.write_text("mine")
    error = Shell(place / "store", place).refused(7, "list")
    assert f"{folder} is a file, in the place of a folder" in error["message"]
