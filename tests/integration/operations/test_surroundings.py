"""What the doctor says of the machine."""

from __future__ import annotations

import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mergestore
from registry import surroundings
from registry.records import leases

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


def test_a_server_with_another_clock_is_a_warning(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "clock", lambda session: datetime.now(UTC) + timedelta(minutes=10))
    assert "differ by 600 seconds" in found(place, "clock")["warning"]
