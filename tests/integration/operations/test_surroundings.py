"""What the doctor says of the machine."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mergestore
from registry import surroundings
from registry.records import leases
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/ann tmpfs rw 0 0
/dev/vdb /mnt/my\\040disk xfs rw 0 0
"""


def test_the_filesystem_of_a_path_is_that_of_the_nearest_mount() -> None:
    for place, kind in (
        ("/srv/store", "ext4"),
        ("/home/bob/store", "nfs4"),
        ("/home/ann", "tmpfs"),
        ("/homes/ann", "ext4"),
        ("/mnt/my disk/store", "xfs"),
    ):
        assert surroundings.filesystem_of(Path(place), MOUNTS) == kind


def test_which_sqlite_has_the_wal_reset_bug() -> None:
    for version in ((3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)):
        assert surroundings.has_wal_reset_bug(version)
    for version in ((3, 6, 23), (3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 52, 0)):
        assert not surroundings.has_wal_reset_bug(version)


def found(place: Path, name: str) -> dict[str, str]:
    with mergestore.open(place / "store") as store:
        return {each["level"]: each["detail"] for each in store.doctor()["checks"] if each["name"] == name}


def test_a_registry_on_a_network_filesystem_is_a_warning(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "filesystem_of", lambda place: "nfs4")
    told = found(place, "filesystem")
    assert "registry.db is on a network filesystem (nfs4)" in told["warning"]
    assert told["ok"] == "store on nfs4"  # objects are written so that they are safe there
    monkeypatch.setattr(surroundings, "filesystem_of", lambda place: "tmpfs")
    assert "does not outlast a restart" in found(place, "filesystem")["warning"]


def test_few_open_files_are_a_warning(place: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        assert "256 files may be open" in found(place, "limits")["warning"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "ok" in found(place, "limits")


def levels(place: Path, *words: str) -> dict[str, str]:
    done = Shell(place / "store")(*words, "--json", "doctor")
    return {each["name"]: each["level"] for each in json.loads(done[1])["checks"]}


def test_a_full_disk_is_an_error_and_a_nearly_full_one_a_warning(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a filesystem needs root")
    home = place / "store"
    kept = home.rename(place / "kept")
    for size, level in (("12m", "warning"), ("3m", "error")):
        home.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", home], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"mounting a filesystem needs root: {done.stderr.strip()}")
        try:
            shutil.copytree(kept, home, dirs_exist_ok=True)
            assert levels(place)["disk space"] == level
        finally:
            subprocess.run(["umount", "--lazy", home], check=True)
            home.rmdir()


def test_space_is_told_of_each_filesystem_once(place: Path) -> None:
    with mergestore.open(place / "store") as store:
        (told,) = [each["detail"] for each in store.doctor()["checks"] if each["name"] == "disk space"]
    assert told.endswith("free for the store")
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == place.stat().st_dev:
        pytest.skip("there is one filesystem here")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        database = f"sqlite:///{other}/registry.db"
        mergestore.init(place / "second", database=database)
        with mergestore.open(place / "second", database=database) as store:
            told = [each["detail"] for each in store.doctor()["checks"] if each["name"] == "disk space"]
    assert [each.rpartition(" ")[2] for each in told] == ["store", "registry"]


def test_a_server_with_another_clock_is_a_warning(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "clock", lambda session: datetime.now(UTC) + timedelta(minutes=10))
    assert "differ by 600 seconds" in found(place, "clock")["warning"]


def about_mlflow(place: Path, uri: str) -> tuple[str, str, str]:
    found = mergestore.doctor(place / "store", tracking_uri=uri)
    assert found["ok"], "a store works without MLflow"
    (told,) = [each for each in found["checks"] if each["name"] == "mlflow"]
    return told["level"], told["detail"], told["hint"] or ""


def garbled(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)


def cut_short(file: Path) -> None:
    whole(file)
    file.write_bytes(file.read_bytes()[:-4096])


def half_made(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT)")
    connection.close()


def a_folder(file: Path) -> None:
    file.mkdir()


def whole(file: Path) -> None:
    half_made(file)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO experiments SELECT hex(randomblob(9000))")
    connection.close()


@pytest.mark.parametrize("harm", [garbled, cut_short, half_made, a_folder])
def test_a_tracking_database_that_is_broken_is_a_warning(place: Path, harm: Callable[[Path], None]) -> None:
    pytest.importorskip("mlflow")
    file = place / "a b%.db"
    harm(file)
    level, told, hint = about_mlflow(place, f"sqlite:///{file}")
    assert level == "warning"
    assert f"MLflow's database sqlite:///{file} cannot be used" in told
    assert "move it away" in hint


def test_a_tracking_database_that_is_whole_new_or_at_work_is_none(place: Path) -> None:
    pytest.importorskip("mlflow")
    file = place / "mlflow.db"
    assert about_mlflow(place, f"sqlite:///{file}")[0] == "ok"
    assert not file.exists(), "the doctor makes nothing"
    whole(file)
    assert about_mlflow(place, f"sqlite:///{file}")[0] == "ok"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert about_mlflow(place, f"sqlite:///{file}")[0] == "ok"


def test_a_tracking_database_whose_server_is_away_is_a_warning(place: Path) -> None:
    pytest.importorskip("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    level, told, hint = about_mlflow(place, f"postgresql://ann:hunter2@127.0.0.1:{port}/mlflow")
    assert (level, "hunter2" in told + hint, "refused" in told) == ("warning", False, True)


def test_a_tracking_uri_of_no_use_is_a_warning(place: Path) -> None:
    pytest.importorskip("mlflow")
    level, told, hint = about_mlflow(place, "file:///data/mlruns")
    assert (level, "file store" in told, "sqlite:////" in hint) == ("warning", True, True)
