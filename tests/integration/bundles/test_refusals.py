"""What cannot be exported or brought in, and what a refusal leaves: nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergestore import EnvironmentFailure, InputRefused, IntegrityFailure, Store, UsageError
from tests.integration.bundles.conftest import MODEL
from tests.integration.models import LLAMA_CONFIG, fine_tune, save
from tests.integration.shell import Shell


def test_export_refuses(origin: Store, tmp_path: Path) -> None:
    shell = Shell(origin.home.root, tmp_path / "out")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "a.bundle"
    assert "no model" in shell.refused(3, "export", "nobody", "-o", target)["message"]
    assert "--lineage" in shell.refused(2, "export", "math", "-o", target, "--without-bases")["hint"]
    assert "is a folder" in shell.refused(2, "export", "math", "-o", tmp_path / "out")["message"]
    assert shell.refused(7, "export", "math", "-o", tmp_path / "nowhere" / "a.bundle")
    shell.text("export", "math@1", "-o", target)
    before = target.read_bytes()
    assert "--force" in shell.refused(4, "export", "code", "-o", target)["hint"]
    assert target.read_bytes() == before
    shell.text("export", "code", "-o", target, "--force")
    assert target.read_bytes() != before
    other = tmp_path / "out" / "weights.safetensors"
    for content in (b"", b"worth something", target.read_bytes()[1:]):
        other.write_bytes(content)
        assert "is no bundle" in shell.refused(4, "export", "code", "-o", other, "--force")["message"]
        assert other.read_bytes() == content
    for inside in ("registry.db", "new.bundle", "objects/new.bundle"):
        assert (
            "lies in the store" in shell.refused(2, "export", "code", "-o", shell.home / inside, "--force")["message"]
        )
    with pytest.raises(UsageError, match="nothing is named"):
        origin.export([], target)


def test_export_refuses_what_is_damaged(origin: Store, tmp_path: Path) -> None:
    blob = origin.home.blobs.path(origin.show("code")["files"][0]["digest"])
    content = blob.read_bytes()
    shell = Shell(origin.home.root, tmp_path / "out")
    (tmp_path / "out").mkdir()
    for damage in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"x"):
        blob.write_bytes(damage)
        assert blob.name in shell.refused(6, "export", "code", "-o", tmp_path / "out" / "a")["message"]
    blob.unlink()
    assert blob.name in shell.refused(6, "export", "code", "-o", tmp_path / "out" / "a")["message"]
    blob.write_bytes(content)
    shell.text("export", "code", "-o", tmp_path / "out" / "a")
    # Its SHA-256 is on record by now; the bytes are compared all the same.
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert blob.name in shell.refused(6, "export", "code", "-o", tmp_path / "out" / "b")["message"]


def test_export_refuses_a_referenced_base_that_changed(tiny: Callable[..., Store], tmp_path: Path) -> None:
    source = tiny("source", reference=True)
    save(tmp_path / "models" / "tiny", fine_tune(MODEL, 3), LLAMA_CONFIG)
    with pytest.raises(IntegrityFailure, match="tiny@1: tensor"):
        source.export("tiny", tmp_path / "t.bundle")
    shutil.rmtree(tmp_path / "models" / "tiny")
    with pytest.raises(IntegrityFailure):
        source.export("tiny", tmp_path / "t.bundle")
    assert not list(tmp_path.glob("*t.bundle*"))


def test_what_has_no_room_in_a_bundle(origin: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.bundles.exporting.LARGEST_MANIFEST", 1000)
    with pytest.raises(InputRefused, match="a bundle has room for 1,000"):
        origin.export("code", tmp_path / "c.bundle")
    assert not list(tmp_path.glob("*c.bundle*"))


def test_a_dry_run_writes_nothing(bundle: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "store")
    shell.text("init")
    before = shell.state()
    answer = shell.json("import", bundle, "--dry-run")
    assert answer["dry_run"] is True
    assert answer["blobs"] > 5
    assert "would be stored" in shell.text("import", bundle, "--dry-run")
    assert shell.state() == before
    assert {**shell.json("import", bundle), "dry_run": True} == answer


def test_a_store_that_cannot_be_written_to(bundle: Path, empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a bundle is unpacked leaves no trace of it."""

    def full(fd: int, data: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("registry.bundles.importing.write_all", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        empty.import_bundle(bundle)
    assert not [path for path in empty.home.root.rglob("*") if path.is_file() and ".db" not in path.name]
    monkeypatch.undo()
    assert all(each["created"] for each in empty.import_bundle(bundle).versions)


def test_a_bundle_of_another_digest_than_expected(origin: Store, empty: Store, bundle: Path) -> None:
    digest = empty.import_bundle(bundle, dry_run=True).bundle
    with pytest.raises(IntegrityFailure, match="expected is sha256:0000"):
        empty.import_bundle(bundle, expected="sha256:" + "0" * 64)
    with pytest.raises(UsageError, match="no digest of a bundle"):
        empty.import_bundle(bundle, expected=digest.removeprefix("sha256:"))
    assert empty.list().skills == []
    assert empty.import_bundle(bundle, expected=digest).bundle == digest
