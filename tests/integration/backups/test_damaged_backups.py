"""A backup that is damaged: what is told of it, what of it is mended, and what of it is had again."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import EnvironmentFailure, IntegrityFailure, UsageError
from storage.processes import process_name
from tests.integration.backups.folders import flip, objects_of, path_of
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")


def test_what_the_backup_has_is_read_when_that_is_asked_for(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home, database=source)
    objects = json.loads((backup / "manifest.json").read_text())["objects"]
    damaged, both, only_here = (each["digest"] for each in sorted(objects, key=lambda each: -each["size"])[:3])
    for folder, digest in ((backup, damaged), (backup, both), (home, both)):
        flip(folder, digest)
    gone = path_of(home, only_here)
    gone.chmod(0o644)
    gone.unlink()

    trusting = mergestore.backup(backup, home, database=source)
    assert (trusting.ok, trusting.copied, trusting.mended) == (True, 0, [])
    code, out, _ = Shell(home)("--database", source, "backup", backup, "--read-data")
    assert code == 6
    assert f"was damaged or missing in the backup, and is copied anew: {damaged}" in out
    assert both in out
    again = mergestore.backup(backup, home, database=source, read_data=True)
    assert (again.copied, again.mended, again.lost) == (0, [], [both])
    assert mergestore.restore(backup, check=True).lost == [both]
    assert path_of(backup, only_here).exists()

    path_of(backup, damaged).unlink()
    assert mergestore.backup(backup, home, database=source).mended == [damaged]


def test_of_a_damaged_backup_what_is_whole_is_restored_when_that_is_asked_for(
    home: Path, source: str, target: str | None, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    whole = mergestore.backup(backup, home, database=source)
    digest = max(json.loads((backup / "manifest.json").read_text())["objects"], key=lambda each: each["size"])["digest"]
    flip(backup, digest)
    with pytest.raises(IntegrityFailure, match="missing or changed is") as refused:
        mergestore.restore(backup, tmp_path / "new", database=target)
    assert "restore --partial" in str(refused.value.hint)
    with pytest.raises(UsageError):
        mergestore.restore(backup, check=True, partial=True)
    restored = mergestore.restore(backup, tmp_path / "new", database=target, partial=True)
    assert (restored.ok, restored.lost, restored.objects) == (False, [digest], whole.objects - 1)
    with mergestore.open(tmp_path / "new", database=target, create=False) as store:
        assert digest in {problem.get("digest") for problem in store.check_store().problems}


@pytest.mark.parametrize(
    "damage", ["changed", *(pytest.param(each, marks=pytest.mark.slow) for each in ("cut", "gone"))]
)
def test_a_damaged_backup_is_refused_and_named(home: Path, tmp_path: Path, damage: str) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    for path in objects_of(backup):
        whole = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(whole[:-1] if damage == "cut" else bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(IntegrityFailure, match=path.name):
            mergestore.restore(backup, tmp_path / "new")
        with pytest.raises(IntegrityFailure, match=path.name):
            mergestore.restore(backup, check=True)
        assert not (tmp_path / "new").exists()
        path.write_bytes(whole)
    assert mergestore.restore(backup, tmp_path / "new").ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "new", "store"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda document: document["objects"].pop(), "objects that are not in it"),
        (lambda document: document["audit_head"].update(sequence=3), "its manifest says 3"),
        (lambda document: document.update(store_id="0" * 32), "of store 0000"),
        (lambda document: document.update(version=2), "version must be"),
        (lambda document: document.update(registry=document["objects"][0]), "damaged|holds none"),
        (lambda document: document["objects"][0].update(digest="blake3:../../etc"), "a digest"),
        (lambda document: document.update(lost="none"), "lost must be a list"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    home: Path, tmp_path: Path, change: Callable[[Any], Any], told: str
) -> None:
    mergestore.backup(tmp_path / "backup", home)
    path = tmp_path / "backup" / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(IntegrityFailure, match=told):
        mergestore.restore(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_manifest_that_is_damaged_is_told_with_the_way_out(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    first = mergestore.backup(backup, home, database=source)
    manifest = backup / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(IntegrityFailure) as refused:
        mergestore.backup(backup, home, database=source)
    assert f"delete {manifest}" in str(refused.value.hint)
    manifest.unlink()
    again = mergestore.backup(backup, home, database=source)
    assert (again.objects, again.copied) == (first.objects, 0)


def test_what_a_kill_has_left_beside_the_manifest_is_in_nobodys_way(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home, database=source)
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = process_name().split(".")[0]
    left = backup / f"manifest.json.{host}.{dead.pid}.{uuid.uuid4().hex}.tmp"
    elsewhere = backup / f"manifest.json.0badcafe.1.{uuid.uuid4().hex}.tmp"
    for path in (left, elsewhere):
        path.write_text("{")
    assert mergestore.backup(backup, home, database=source).ok
    assert (left.exists(), elsewhere.exists()) == (False, True)


def test_what_a_power_cut_left_in_a_backup_is_not_believed(home: Path, tmp_path: Path) -> None:
    """Copies are flushed together, so that one may be there in its size and without its bytes; no manifest names it."""
    mergestore.backup(tmp_path / "backup", home)
    (tmp_path / "backup" / "manifest.json").unlink()
    torn = [path for path in sorted((tmp_path / "backup" / "objects").rglob("*")) if path.is_file()][::2]
    for path in torn:
        path.write_bytes(bytes(path.stat().st_size))
    made = mergestore.backup(tmp_path / "backup", home)
    assert made.ok
    assert mergestore.restore(tmp_path / "backup", tmp_path / "again", check=True).ok


def test_a_registry_that_was_damaged_in_the_backup_is_named(home: Path, source: str, tmp_path: Path) -> None:
    """It is replaced each time, so nothing is lost by it; but the disk of the backup is not to be trusted."""
    backup = tmp_path / "backup"
    (home / "policy.yaml").write_text("policy: 1\n")
    mergestore.backup(backup, home, database=source)
    document = json.loads((backup / "manifest.json").read_text())
    damaged = [document[each]["digest"] for each in ("registry", "policy")]
    for digest in damaged:
        flip(backup, digest)
    again = mergestore.backup(backup, home, database=source, read_data=True)
    assert (again.ok, again.mended) == (True, damaged)
    assert mergestore.restore(backup, check=True).ok


def test_registries_of_backups_that_were_cut_short_go_again(home: Path, source: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home, database=source)
    manifest = (backup / "manifest.json").read_bytes()
    with mergestore.open(home, database=source) as store:
        for number in range(3):  # killed each time, before the manifest was written
            store.alias("small@1", f"try{number}")
            mergestore.backup(backup, home, database=source)
            cut = path_of(backup, json.loads((backup / "manifest.json").read_text())["registry"]["digest"])
            cut.rename(tmp_path / cut.name)
            mergestore.backup(backup, home, database=source)
            shutil.copy(tmp_path / cut.name, cut)
    assert manifest != (backup / "manifest.json").read_bytes()
    last = mergestore.backup(backup, home, database=source)
    assert len(objects_of(backup)) == last.objects + 1
    assert mergestore.restore(backup, check=True).ok


def test_a_policy_that_is_none_is_damage(home: Path, tmp_path: Path) -> None:
    """As a manifest says that was forged, or damaged where a digest was made right again."""
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    manifest = backup / "manifest.json"
    document = json.loads(manifest.read_text())
    document["policy"] = document["objects"][0]
    manifest.write_text(json.dumps(document))
    for arguments in ({"check": True}, {"home": tmp_path / "new"}):
        with pytest.raises(IntegrityFailure, match=r"policy\.yaml of the backup"):
            mergestore.restore(backup, **arguments)
    assert not (tmp_path / "new").exists()


def test_something_else_in_the_place_of_an_object_is_named_and_left_alone(home: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    place = objects_of(backup)[0]
    place.unlink()
    place.mkdir()
    (place / "letter").write_text("mine")
    with pytest.raises(EnvironmentFailure, match=place.name) as refused:
        mergestore.backup(backup, home)
    assert "move it away" in str(refused.value.hint)
    assert (place / "letter").read_text() == "mine"
    folder = place.parent.rename(tmp_path / "aside")
    place.parent.write_text("mine")
    with pytest.raises(EnvironmentFailure, match=place.parent.name) as refused:
        mergestore.backup(backup, home)
    assert "move it away" in str(refused.value.hint)
    assert folder.exists()
    place.parent.unlink()
    assert mergestore.backup(backup, home).ok
    assert mergestore.restore(backup, check=True).ok
