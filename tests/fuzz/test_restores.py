"""Backups damaged at random, with their digests made right again: refused and nothing left, or the same store.

``MERGESTORE_FUZZ`` sets the examples, else few in the usual run and many in the slow one.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

import mergestore
from mergestore import Conflict, EnvironmentFailure, IntegrityFailure
from registry.backups.manifest import contents, read
from storage.blobs import hash_file
from tests.fuzz.mutations import TOKENS
from tests.fuzz.patience import patience
from tests.integration.golden_stores import copy_backup
from tests.integration.shell import listing, rows

FEW, MANY = int(os.environ.get("MERGESTORE_FUZZ", "4")), int(os.environ.get("MERGESTORE_FUZZ", "60"))
PATIENCE = 120  # seconds
RUNNING = {"lease", "garbage"}
PUT_BACK = {"audit_event", "store_meta"}  # that triggers were put back is told there
PAGE = 4096
VALUES: tuple[Any, ...] = (None, -1, 0, 2**62, 1.5, "", "x" * 10_000, "\u202e", "..", b"\xff\xfe", *TOKENS[:9])

pytestmark = pytest.mark.usefixtures("surroundings")

Damage = Callable[[random.Random, bytearray], None]


def flips(draw: random.Random, data: bytearray) -> None:
    for _ in range(draw.randint(1, 20)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def header(draw: random.Random, data: bytearray) -> None:
    """SQLite's own: page size, versions, counts, the text's encoding (https://www.sqlite.org/fileformat.html)."""
    at, width = draw.choice([(16, 2), (18, 1), (19, 1), (20, 1), (28, 4), (32, 4), (36, 4), (44, 4), (52, 4), (56, 4)])
    data[at : at + width] = draw.choice([0, 1, 2, 255, 256**width - 1]).to_bytes(width, "big") if width else b""


def page(draw: random.Random, data: bytearray) -> None:
    """A page overwritten, or another's."""
    one, other = (draw.randrange(len(data) // PAGE) * PAGE for _ in range(2))
    found = bytes(data[other : other + PAGE])
    data[one : one + PAGE] = draw.choice([bytes(PAGE), draw.randbytes(PAGE), found, b"\xff" * PAGE])


def swap(draw: random.Random, data: bytearray) -> None:
    one, other = (draw.randrange(1, len(data) // PAGE) * PAGE for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]


def pointers(draw: random.Random, data: bytearray) -> None:
    """A page's own header and the places of its cells."""
    start = draw.randrange(1, len(data) // PAGE) * PAGE + draw.randrange(40)
    data[start : start + 2] = struct.pack(">H", draw.choice([0, 1, 8, PAGE - 1, PAGE, 0xFFFF, draw.randrange(PAGE)]))


def cut(draw: random.Random, data: bytearray) -> None:
    del data[draw.choice([draw.randrange(len(data)), draw.randrange(len(data) // PAGE) * PAGE]) :]


def longer(draw: random.Random, data: bytearray) -> None:
    data += draw.randbytes(draw.choice([1, PAGE, 3 * PAGE]))


def letters(draw: random.Random, data: bytearray) -> None:
    """Texts of records, a letter changed."""
    places = [at for at in (draw.randrange(PAGE, len(data)) for _ in range(400)) if chr(data[at]).isalnum()]
    for at in places[: draw.randint(1, 3)]:
        data[at] = draw.choice(b'0aZ{}"\x00\xff')


BYTES: dict[str, Damage] = {each.__name__: each for each in (flips, header, page, swap, pointers, cut, longer, letters)}


def of_bytes(name: str) -> Callable[[random.Random, Path], None]:
    def change(draw: random.Random, file: Path) -> None:
        data = bytearray(file.read_bytes())
        BYTES[name](draw, data)
        file.write_bytes(data)

    return change


def value(draw: random.Random, file: Path) -> None:
    """Any value of any record, by SQL, with nothing of the schema in the way."""
    with closing(sqlite3.connect(file, isolation_level=None)) as opened:
        opened.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            opened.execute(f'DROP TRIGGER "{name}"')
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for _ in range(draw.randint(1, 2)):
            table = draw.choice(tables)
            column = draw.choice([row[1] for row in opened.execute(f'PRAGMA table_info("{table}")')])
            count = opened.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
            if count:
                place = f'rowid = (SELECT rowid FROM "{table}" LIMIT 1 OFFSET {draw.randrange(count)})'
                with suppress(sqlite3.IntegrityError):  # rowids are whole numbers
                    opened.execute(
                        f'UPDATE OR REPLACE "{table}" SET "{column}" = ? WHERE {place}', [draw.choice(VALUES)]
                    )


CHANGES: dict[str, Callable[[random.Random, Path], None]] = {**{name: of_bytes(name) for name in BYTES}, "value": value}


def forge(draw: random.Random, name: str, folder: Path) -> None:
    """A backup whose registry is damaged in this way, its digest made right; beside it noise for journals."""
    copy_backup("store4", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    place = contents(folder).path(manifest["registry"]["digest"])
    CHANGES[name](draw, place)
    found = hash_file(place)
    manifest["registry"] = {"digest": found.digest, "size": found.size}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    target = contents(folder).path(found.digest)
    target.parent.mkdir(exist_ok=True)
    place.rename(target)
    for ending in ("-wal", "-journal", "-shm"):
        if draw.randrange(4) == 0:
            target.with_name(target.name + ending).write_bytes(draw.randbytes(draw.choice([0, 100, 5000])))


def records(home: Path) -> dict[str, list[Any]]:
    found = {name: sorted(map(str, each)) for name, each in rows(home / "registry.db").items() if name not in RUNNING}
    return {name: [row for row in each if "written_by" not in row] for name, each in found.items()}


@pytest.fixture(scope="module")
def sound(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What is in the store that is restored where nothing is damaged."""
    folder = tmp_path_factory.mktemp("sound")
    mergestore.restore(copy_backup("store4", folder / "backup"), folder / "store")
    return records(folder / "store")


def taken(folder: Path, database: str | None) -> bool:
    """Whether the backup in a folder is restored beside it; else nothing is left of that."""
    before, told = listing(folder), ""
    try:
        with patience(PATIENCE):
            mergestore.restore(folder / "backup", folder / "new", database=database)
        return True
    except (IntegrityFailure, EnvironmentFailure) as error:
        told = error.message
    assert listing(folder) == before
    assert len(told) < 20_000
    return False


def restore(draw: random.Random, name: str, folder: Path, sound: dict[str, list[Any]]) -> bool:
    """Restore a damaged backup; whether it was taken."""
    folder.mkdir()
    forge(draw, name, folder / "backup")
    if not taken(folder, None):
        return False
    found = records(folder / "new")
    assert {name: rows for name, rows in found.items() if rows != sound.get(name)}.keys() <= PUT_BACK
    with mergestore.open(folder / "new", create=False) as store:
        assert store.verify().problems == []
        store.pin("small", "it goes on")
    return True


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_damaged_registry(examples: int, sound: dict[str, list[Any]], tmp_path: Path) -> None:
    whole = 0
    for number in range(examples):
        draw, name = random.Random(number), [*CHANGES][number % len(CHANGES)]
        try:
            whole += restore(draw, name, tmp_path / f"{number}", sound)
        except BaseException as error:
            error.add_note(f"example {number}: {name}")
            raise
    print(f"of {examples} damaged registries {whole} were restored, and whole; the others refused")


@pytest.mark.slow
@pytest.mark.server
def test_a_damaged_registry_for_postgresql(
    postgres_url: str, connect: Callable[[str], Engine], sound: dict[str, list[Any]], tmp_path: Path
) -> None:
    """All of it in the database, or nothing; what SQLite can hold and PostgreSQL cannot is told of as damage, too."""
    engine, whole = connect(postgres_url), 0
    for number in range(MANY // 2):
        draw, name = random.Random(1000 + number), ["value", "letters", "longer", "pointers"][number % 4]
        folder = tmp_path / f"{number}"
        folder.mkdir()
        forge(draw, name, folder / "backup")
        if not taken(folder, postgres_url):
            assert inspect(engine).get_table_names() == []
            continue
        with mergestore.open(folder / "new", database=postgres_url, create=False) as store:
            assert store.verify().problems == []
        whole += 1
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    print(f"of {MANY // 2} damaged registries {whole} were restored into PostgreSQL, and whole; the others refused")


def swapped(draw: random.Random, folder: Path) -> None:
    """Objects in each other's places, or one of them another of the same size."""
    one, other = draw.sample([contents(folder).path(each.digest) for each in read(folder).objects], 2)
    if draw.randrange(2):
        data = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(data)
    else:
        one.write_bytes(draw.randbytes(one.stat().st_size))


def renamed(draw: random.Random, folder: Path) -> None:
    """Digests in the manifest that lead elsewhere, are another's, or stand twice."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    entry = draw.choice([*document["objects"], document["registry"]])
    other = draw.choice([*document["objects"], document["registry"]])
    entry["digest"] = draw.choice(
        [other["digest"], "blake3:../../../etc/passwd", "blake3:" + "0" * 64, "../manifest.json", "blake3:" + "A" * 64]
    )
    path.write_text(json.dumps(document))


def sizes(draw: random.Random, folder: Path) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    entry = draw.choice([*document["objects"], document["registry"]])
    entry["size"] = draw.choice([-1, 0, 2**53, 2**70, 1.5, "1", None, entry["size"] + 1])
    path.write_text(json.dumps(document))


def any_value(draw: random.Random, folder: Path) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    key = draw.choice([*document])
    path.write_text(json.dumps({**document, key: "mark"}).replace('"mark"', draw.choice(TOKENS)))


@pytest.mark.parametrize("change", [swapped, renamed, sizes, any_value], ids=lambda change: change.__name__)
@pytest.mark.parametrize("examples", [FEW // 2, pytest.param(MANY // 4, marks=pytest.mark.slow)])
def test_a_damaged_folder(
    examples: int, change: Callable[[random.Random, Path], None], sound: dict[str, list[Any]], tmp_path: Path
) -> None:
    for number in range(examples):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        change(random.Random(number), copy_backup("store4", folder / "backup"))
        if not taken(folder, None):
            continue
        assert records(folder / "new") == sound
        with mergestore.open(folder / "new") as store:
            assert store.check_store(read_data=True).problems == []


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_snapshot_that_is_not_at_rest(ending: str, tmp_path: Path) -> None:
    """SQLite would move what lies beside into the file, or it would be left out unseen."""
    backup = copy_backup("store4", tmp_path / "backup")
    snapshot = contents(backup).path(read(backup).registry.digest).rename(tmp_path / "snapshot.db")
    (tmp_path / "store" / "objects").mkdir(parents=True)
    (tmp_path / "store" / "tmp").mkdir()
    beside = tmp_path / f"snapshot.db{ending}"
    beside.write_bytes(random.Random(1).randbytes(5000))
    before, content = listing(tmp_path), snapshot.read_bytes()
    with pytest.raises(Conflict, match="not all of a registry"):
        mergestore.restore(snapshot, tmp_path / "store")
    assert (listing(tmp_path), snapshot.read_bytes()) == (before, content)


def test_triggers_that_a_backup_lacks_are_put_back(tmp_path: Path) -> None:
    backup = copy_backup("store4", tmp_path / "backup")
    manifest = json.loads((backup / "manifest.json").read_text())
    place = contents(backup).path(manifest["registry"]["digest"])
    with closing(sqlite3.connect(place)) as opened:
        opened.execute("DROP TRIGGER audit_event_keeps_rows")
        opened.execute("PRAGMA journal_mode = DELETE")
    found = hash_file(place)
    manifest["registry"] = {"digest": found.digest, "size": found.size}
    (backup / "manifest.json").write_text(json.dumps(manifest))
    contents(backup).path(found.digest).parent.mkdir(exist_ok=True)
    place.rename(contents(backup).path(found.digest))
    mergestore.restore(backup, tmp_path / "new")
    with mergestore.open(tmp_path / "new", create=False) as store:
        assert store.verify().problems == []
        (event,) = store.find("events", action="store.guard").rows
        assert event["details"]["put_back"] == {"audit_event_keeps_rows": "is missing"}
