"""Backups whose registry was changed and given its right digest again: refused before any of it runs, or restored.

SQLite keeps code in its schema: triggers and views. A process of its own restores, for it might never end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mergestore
from mergestore import EnvironmentFailure, IntegrityFailure
from storage.blobs import hash_file
from tests.integration.golden_stores import copy_backup
from tests.integration.shell import Shell, listing

ROOT = Path(__file__).parents[3]
PATIENCE = 120  # seconds, on a busy machine

pytestmark = pytest.mark.usefixtures("surroundings")

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
FORGED = {
    "a trigger": ["CREATE TRIGGER evil AFTER INSERT ON audit_event BEGIN UPDATE pin SET reason = 'none'; END"],
    "a trigger that swallows": ["CREATE TRIGGER evil BEFORE UPDATE ON store_meta BEGIN SELECT raise(IGNORE); END"],
    "a guard changed": [
        "DROP TRIGGER audit_event_keeps_rows",
        "CREATE TRIGGER audit_event_keeps_rows BEFORE UPDATE ON audit_event BEGIN SELECT 1; END",
    ],
    "a view": ["CREATE VIEW evil AS SELECT load_extension('/tmp/x.so') AS a"],
    "a view for a table": ["ALTER TABLE alias RENAME TO evil", "CREATE VIEW alias AS SELECT * FROM evil"],
    "an endless view": [
        "ALTER TABLE alias RENAME TO evil", f"CREATE VIEW alias AS {ENDLESS} evil.* FROM evil, n"
    ],
    "an endless revision": [
        "DROP TABLE mergestore_version", f"CREATE VIEW mergestore_version AS {ENDLESS} max(i) AS version_num FROM n"
    ],
    "endless settings": [
        "DROP TABLE store_meta", f"CREATE VIEW store_meta AS {ENDLESS} 'location' AS key, max(i) AS value FROM n"
    ],
    "a virtual table": ["CREATE VIRTUAL TABLE evil USING fts5(a)"],
    "a column": ["ALTER TABLE alias ADD COLUMN evil GENERATED ALWAYS AS (abs(-9223372036854775808)) VIRTUAL"],
    "an index": ["CREATE INDEX evil ON audit_event (abs(sequence))"],
    "a table away": ["DROP TABLE pin"],
    "a text for a number": ["PRAGMA ignore_check_constraints = ON", "UPDATE tensor SET offset = 'x'"],
    "a huge value": ["UPDATE store_meta SET value = zeroblob(50000000)"],
    "another revision": ["UPDATE mergestore_version SET version_num = 'zzzz'"],
    "a revision that is none": ["UPDATE mergestore_version SET version_num = zeroblob(30)"],
    "two revisions": ["INSERT INTO mergestore_version VALUES ('0003')"],
    "a schema of noise": [
        "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'CREATE NOISE' WHERE name = 'alias'"
    ],
}  # fmt: skip


def registry_of(folder: Path) -> Path:
    digest = json.loads((folder / "manifest.json").read_text())["registry"]["digest"].partition(":")[2]
    return folder / "objects" / "blake3" / digest[:2] / digest


def forge(folder: Path, change: Callable[[Path], None]) -> Path:
    """A good backup whose registry was changed; the manifest has the digest of what it is now."""
    copy_backup("store4", folder)
    path = registry_of(folder)
    change(path)
    found = hash_file(path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["registry"] = {"digest": found.digest, "size": found.size}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    registry_of(folder).parent.mkdir(exist_ok=True)
    path.rename(registry_of(folder))
    return folder


def sql(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as opened:
            for statement in FORGED[name]:
                opened.execute(statement)

    return change


def refused(home: Path, source: Path, tmp_path: Path) -> str:
    before = listing(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "cli", "--store", str(home), "restore", str(source)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode in (6, 7), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 20_000
    assert listing(tmp_path) == before
    return done.stderr


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if "endless" in each else pytest.mark.slow) for each in FORGED]
)
def test_a_forged_registry_is_refused(name: str, tmp_path: Path) -> None:
    refused(tmp_path / "new", forge(tmp_path / "backup", sql(name)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_snapshot_is_refused(name: str, tmp_path: Path) -> None:
    home, snapshot = tmp_path / "store", tmp_path / "snapshot.db"
    copy_backup("store4", tmp_path / "backup")
    (home / "objects").mkdir(parents=True)
    (home / "tmp").mkdir()
    registry_of(tmp_path / "backup").rename(snapshot)
    sql(name)(snapshot)
    refused(home, snapshot, tmp_path)


@pytest.mark.parametrize("name", ["a trigger", "a view", "a guard changed", "an index"])
def test_what_is_not_ours_is_named(name: str, tmp_path: Path) -> None:
    forge(tmp_path / "backup", sql(name))
    named = "audit_event_keeps_rows" if "guard" in name else "evil"
    with pytest.raises(IntegrityFailure, match=rf"'{named}' that is not mergestore's"):
        mergestore.restore(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_one_of_a_newer_mergestore_is_told_as_such(tmp_path: Path) -> None:
    def grow(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as opened:
            opened.execute("CREATE TRIGGER newer BEFORE DELETE ON pin BEGIN SELECT raise(ABORT, 'kept'); END")
            opened.execute("ALTER TABLE pin ADD COLUMN newer TEXT")
            opened.execute("UPDATE mergestore_version SET version_num = '0999'")

    with pytest.raises(EnvironmentFailure, match="0999"):
        mergestore.restore(forge(tmp_path / "backup", grow), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_plain_tables_of_others_may_be_there(tmp_path: Path) -> None:
    def share(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as opened:
            opened.executescript(
                "CREATE TABLE runs (id TEXT PRIMARY KEY, at INTEGER); CREATE INDEX runs_at ON runs (at); ANALYZE"
            )

    assert mergestore.restore(forge(tmp_path / "backup", share), tmp_path / "new").ok
    assert Shell(tmp_path / "new").json("verify")["ok"]
