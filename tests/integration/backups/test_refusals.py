"""Where backups and restored stores are not written, and stores that do not take the place of a good backup."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

import mergestore
from mergestore import Conflict, IntegrityFailure, MergestoreError, NotFound, UsageError
from registry.records.database import open_engine, sqlite_url
from storage.progress import Silent
from tests.integration.shell import Shell, listing

pytestmark = pytest.mark.usefixtures("surroundings")


def test_a_store_that_went_back_does_not_take_the_place_of_a_newer_backup(
    home: Path, source: str, tmp_path: Path
) -> None:
    """As one that was restored from an older backup, or two that go on from one."""
    backup, older = tmp_path / "backup", tmp_path / "older"
    mergestore.backup(older, home, database=source)
    with mergestore.open(home, database=source) as store:
        store.merge("precious", "golden/base + 0.3*small")
    newest = mergestore.backup(backup, home, database=source)
    mergestore.restore(older, tmp_path / "went-back")
    with pytest.raises(Conflict, match=r"has what this store has not: audit event \d+ is not in its log"):
        mergestore.backup(backup, tmp_path / "went-back")
    mergestore.restore(backup, tmp_path / "goes-on")
    assert mergestore.backup(backup, tmp_path / "goes-on").audit_head == newest.audit_head


def test_a_policy_that_cannot_be_read_does_not_take_the_place_of_a_good_one(
    home: Path, source: str, tmp_path: Path
) -> None:
    backup, policy = tmp_path / "backup", home / "policy.yaml"
    policy.write_text("policy: 1\n")
    mergestore.backup(backup, home, database=source)
    policy.write_bytes(b"\xff\xfe")
    with pytest.raises(MergestoreError, match="policy"):
        mergestore.backup(backup, home, database=source)
    policy.unlink()
    policy.mkdir()
    with pytest.raises(MergestoreError, match="policy"):
        mergestore.backup(backup, home, database=source)
    mergestore.restore(backup, tmp_path / "new")
    assert (tmp_path / "new" / "policy.yaml").read_text() == "policy: 1\n"


def test_damaged_records_are_not_backed_up_and_the_backup_before_stays(
    home: Path, tmp_path: Path, connect: Callable[[str], Engine]
) -> None:
    mergestore.backup(tmp_path / "backup", home)
    before = listing(tmp_path / "backup")
    with connect(sqlite_url(home / "registry.db").render_as_string()).connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql("UPDATE model_version SET licence = 'MIT' WHERE licence IS NULL")
        connection.commit()
    with pytest.raises(IntegrityFailure, match="whose records are damaged"):
        mergestore.backup(tmp_path / "backup", home)
    assert listing(tmp_path / "backup") == before
    assert mergestore.restore(tmp_path / "backup", tmp_path / "new").ok


def test_it_is_restored_only_where_nothing_is(
    home: Path, tmp_path: Path, postgres_url: str, connect: Callable[[str], Engine]
) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    before = listing(home)
    with pytest.raises(Conflict, match="not empty"):
        mergestore.restore(backup, home)
    assert listing(home) == before
    (tmp_path / "new").mkdir()  # an empty folder is as good as none
    mergestore.restore(backup, tmp_path / "new", database=postgres_url)
    with pytest.raises(Conflict, match="there is a registry already"):
        mergestore.restore(backup, tmp_path / "other", database=postgres_url)
    assert not (tmp_path / "other").exists()
    with pytest.raises(NotFound, match="no backup"):
        mergestore.restore(home, tmp_path / "other")


class Faster(Silent):
    """Another ``restore`` into the same folder, which is done while this one reads."""

    def __init__(self, backup: Path, home: Path) -> None:
        self.backup, self.home = backup, home

    def start(self, label: str, total: int) -> None:
        if not self.home.exists():
            mergestore.restore(self.backup, self.home)


def test_of_two_that_restore_into_one_folder_one_is_told_of_the_other(home: Path, tmp_path: Path) -> None:
    backup, new = tmp_path / "backup", tmp_path / "new"
    mergestore.backup(backup, home)
    with pytest.raises(Conflict, match="new is not empty") as caught:
        mergestore.restore(backup, new, progress=Faster(backup, new))
    assert "--store DIR" in str(caught.value.hint)
    assert mergestore.restore(backup, tmp_path / "other").ok
    assert listing(new) == listing(tmp_path / "other")


def test_it_is_written_only_where_backups_are(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in one another"):
        mergestore.backup(home / "backup", home)
    with pytest.raises(UsageError, match="in one another"):
        mergestore.backup(tmp_path, home)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a").touch()
    with pytest.raises(Conflict, match="something else: a"):
        mergestore.backup(tmp_path / "letters", home)
    mergestore.backup(tmp_path / "backup", home)
    mergestore.init(tmp_path / "another")
    before = listing(tmp_path / "backup")
    with pytest.raises(Conflict, match="another store"):
        mergestore.backup(tmp_path / "backup", tmp_path / "another")
    assert listing(tmp_path / "backup") == before


def test_a_snapshot_that_is_none_is_refused(home: Path, tmp_path: Path) -> None:
    for file in home.glob("registry.db*"):
        file.unlink()
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    (tmp_path / "empty").touch()
    for name, kind in (("noise", IntegrityFailure), ("empty", IntegrityFailure), ("absent", NotFound)):
        with pytest.raises(kind):
            mergestore.restore(tmp_path / name, home)
    assert not (home / "registry.db").exists()
    assert not list((home / "tmp").iterdir())


@pytest.mark.parametrize("depth", ["objects", "objects/blake3", "objects/blake3/??"])
def test_a_backup_whose_objects_are_the_stores_own_is_none(home: Path, tmp_path: Path, depth: str) -> None:
    backup = tmp_path / "backup"
    mergestore.backup(backup, home)
    (place, *_) = sorted(backup.glob(depth))
    place.rename(tmp_path / "aside")
    place.symlink_to(home / place.relative_to(backup))
    with pytest.raises(UsageError, match="in one another"):
        mergestore.backup(backup, home)


def test_tables_of_somebody_else_are_not_mixed_with_a_registrys(home: Path, tmp_path: Path, database_url: str) -> None:
    """A database may be shared, as with MLflow; not where both call a table the same."""
    engine = open_engine(database_url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql("CREATE VIEW model AS SELECT 1 AS theirs")
        connection.commit()
    engine.dispose()
    mergestore.backup(tmp_path / "backup", home)
    for words in (["init"], ["restore", tmp_path / "backup"]):
        told = Shell(tmp_path / "new").json("--database", database_url, *words, code=4)["error"]
        assert "tables that are called as its own: model" in told["message"]


@pytest.mark.parametrize("ending", ["-wal", "-journal", "-shm"])
def test_a_snapshot_is_not_put_beside_what_is_left_of_another_registry(home: Path, ending: str) -> None:
    """SQLite would take that for a part of it."""
    kept = mergestore.init(home, downgrade="0003")["backup"]
    for path in home.glob("registry.db*"):
        path.unlink()
    left = home / f"registry.db{ending}"
    left.write_bytes(b"of another")
    with pytest.raises(Conflict, match=left.name) as refused:
        mergestore.restore(kept, home)
    assert "what begins with its name" in str(refused.value.hint)
    left.unlink()
    assert mergestore.restore(kept, home).ok


def test_a_registry_is_not_put_into_the_folder_of_another_store(home: Path, tmp_path: Path, database_url: str) -> None:
    kept = mergestore.init(home, downgrade="0003")["backup"]
    folder = tmp_path / "another"
    mergestore.init(folder, database=sqlite_url(tmp_path / "its.db").render_as_string())
    before = listing(folder)
    for database in (None, database_url):
        with pytest.raises(Conflict, match="is the folder of store"):
            mergestore.restore(kept, folder, database=database)
    assert listing(folder) == before


def test_a_restored_store_says_whose_it_is_where_its_registry_lies_elsewhere(
    home: Path, tmp_path: Path, database_url: str
) -> None:
    mergestore.backup(tmp_path / "backup", home)
    mergestore.restore(tmp_path / "backup", tmp_path / "new", database=database_url)
    other = mergestore.init(tmp_path / "other")
    wrong = sqlite_url(Path(other["home"]) / "registry.db").render_as_string()
    with pytest.raises(Conflict, match="is the registry of"):
        mergestore.open(tmp_path / "new", database=wrong)
    name = "name that database for every later command"
    assert name not in Shell(tmp_path / "what is it?").text("restore", tmp_path / "backup")
    elsewhere = ["--database", sqlite_url(tmp_path / "elsewhere.db").render_as_string()]
    assert name in Shell(tmp_path / "third").text(*elsewhere, "restore", tmp_path / "backup")
    with mergestore.open(tmp_path / "new", database=database_url) as store:
        assert (tmp_path / "new" / "store-id").read_text().strip() == store.id
        assert store.check_store().problems == []


def test_an_empty_folder_keeps_who_may_look_into_it(home: Path, tmp_path: Path) -> None:
    mergestore.backup(tmp_path / "backup", home)
    for name in ("private", "real"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert mergestore.restore(tmp_path / "backup", tmp_path / "private").ok
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700
    assert mergestore.restore(tmp_path / "backup", tmp_path / "link").ok
    assert (tmp_path / "link").is_symlink()
    with mergestore.open(tmp_path / "real", create=False) as store:
        assert store.check_store().problems == []


def test_where_a_filesystem_is_mounted_nothing_is_restored(home: Path, tmp_path: Path) -> None:
    """The store appears there by one rename, which nothing does to a mount: told before anything is copied."""
    mount = tmp_path / "mount"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting a filesystem needs root: {done.stderr.strip()}")
    try:
        mergestore.backup(tmp_path / "backup", home)
        with pytest.raises(Conflict, match="a filesystem is mounted at"):
            mergestore.restore(tmp_path / "backup", mount)
        assert mergestore.restore(tmp_path / "backup", mount / "store").ok
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def test_nothing_is_restored_into_a_backup(home: Path, tmp_path: Path) -> None:
    mergestore.backup(tmp_path / "backup", home)
    with pytest.raises(UsageError, match="is in the backup"):
        mergestore.restore(tmp_path / "backup", tmp_path / "backup" / "deep" / "store")
    assert mergestore.backup(tmp_path / "backup", home).ok


@pytest.mark.server
def test_records_that_were_changed_around_their_rules_are_damaged(
    home: Path, tmp_path: Path, postgres_url: str, connect: Callable[[str], Engine]
) -> None:
    """Copied into SQLite, which keeps to them: a bug of ours is what that looked like."""
    mergestore.backup(tmp_path / "backup", home)
    mergestore.restore(tmp_path / "backup", tmp_path / "moved", database=postgres_url)
    with connect(postgres_url).connect() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event DISABLE TRIGGER ALL")
        connection.exec_driver_sql("DELETE FROM audit_event WHERE sequence = 2")
        connection.commit()
    for words in (["backup", tmp_path / "another"], ["init", "--downgrade", "0003"]):
        code, _, err = Shell(tmp_path / "moved")("--database", postgres_url, *words)
        assert code == 6, err
        assert "the records of the registry are damaged" in err
    assert not list((tmp_path / "moved" / "backups").iterdir())


def test_a_snapshot_is_not_checked_alone(home: Path) -> None:
    kept = mergestore.init(home, downgrade="0003")["backup"]
    with pytest.raises(UsageError, match="not checked alone"):
        mergestore.restore(kept, check=True)
