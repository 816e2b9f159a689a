"""Stores, bundles and backups that every released format wrote are read for ever: to the digests recorded then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

import mergestore
import migrations
from mergestore import Store
from registry.records.database import sqlite_url
from tests.integration.golden_stores import (
    GOLDEN,
    SCHEMAS,
    copy_backup,
    copy_objects,
    expected,
    load_postgresql,
    load_sqlite,
)

Connect = Callable[[str], Engine]
BEFORE = {"0001"}
"""Schemas of before the first golden store."""
BUNDLES = [name for name in SCHEMAS if (GOLDEN / name / "everything.bundle").exists()]
BACKUPS = [name for name in SCHEMAS if (GOLDEN / name / "backup").exists()]

pytestmark = pytest.mark.usefixtures("surroundings")


def test_every_schema_has_a_golden_store() -> None:
    """A new schema needs one: tests/golden/make_store.py says how it is made."""
    assert {*SCHEMAS.values()} | BEFORE == set(migrations.REVISIONS)
    assert set(SCHEMAS) == {path.name for path in GOLDEN.glob("store*")}
    assert BUNDLES[-1] == BACKUPS[-1] == list(SCHEMAS)[-1]


def versions(store: Store, names: list[str]) -> dict[str, list[str]]:
    found = {name: store.show(name) for name in names}
    return {name: [each["kind"], each["digest"], each["state"]] for name, each in found.items()}


def output(store: Store, target: str, folder: Path) -> str:
    head = "none" if "+" in target else None
    return store.materialize(target, output=folder, head=head, wait=False, threads=1, cache=False).output_digest


@pytest.mark.parametrize("golden", SCHEMAS)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def test_a_store_is_what_it_was(
    kind: str, golden: str, request: pytest.FixtureRequest, tmp_path: Path, connect: Connect
) -> None:
    """Upgraded after a backup, if it is older; every byte of it read; every version and its model as they were."""
    home, then = copy_objects(golden, tmp_path / "store"), expected(golden)
    if kind == "sqlite":
        url = sqlite_url(load_sqlite(golden, tmp_path / "registry.db")).render_as_string()
    else:
        url = str(request.getfixturevalue("postgres_url"))
        load_postgresql(golden, connect(url))
    answer = mergestore.init(home, database=url)
    assert answer["schema_before"] == SCHEMAS[golden]
    assert (answer["backup"] is not None) == (SCHEMAS[golden] != migrations.head())
    with mergestore.open(home, database=url, create=False) as store:
        assert store.check_store(read_data=True).problems == []
        assert store.verify().problems == []
        assert versions(store, list(then["versions"])) == then["versions"]
        assert {name: store.show(name)["version"] for name in then["aliases"]} == then["aliases"]
        wanted = then["outputs"] if kind == "sqlite" else {"assistant@1": then["outputs"]["assistant@1"]}
        found = {target: output(store, target, tmp_path / f"out{n}") for n, target in enumerate(wanted)}
    assert found == wanted
    if SCHEMAS[golden] != migrations.head():
        assert mergestore.init(home, database=url, downgrade=SCHEMAS[golden])["schema"] == SCHEMAS[golden]
        mergestore.init(home, database=url)
        with mergestore.open(home, database=url, create=False) as store:
            assert store.verify().problems == []
            assert versions(store, list(then["versions"])) == then["versions"]


@pytest.mark.parametrize("golden", BUNDLES)
def test_a_bundle_is_what_it_was(golden: str, tmp_path: Path) -> None:
    then = expected(golden)
    with mergestore.open(tmp_path / "store", actor="bob@lab") as store:
        store.import_bundle(GOLDEN / golden / "everything.bundle")
        assert store.check_store(read_data=True).problems == []
        assert store.show("stacked@1")["digest"] == then["versions"]["stacked@1"][1]
        came = {(each["digest"], each["kind"]) for each in map(store.show, all_of(store))}
        assert came <= {(digest, kind) for kind, digest, _ in then["versions"].values()}
        assert len(came) > 9
        for n, target in enumerate(("stacked@1", "weighted@1", "golden/base + code@1")):
            assert output(store, target, tmp_path / f"out{n}") == then["outputs"][target]


def all_of(store: Store) -> list[str]:
    listing = store.list()
    named = [*listing.bases, *listing.skills, *listing.merges]
    return [f"{each['name']}@{number + 1}" for each in named for number in range(each["version"])]


@pytest.mark.parametrize("golden", BACKUPS)
def test_a_backup_is_what_it_was(golden: str, tmp_path: Path) -> None:
    then = expected(golden)
    answer = mergestore.restore(copy_backup(golden, tmp_path / "backup"), tmp_path / "store")
    assert answer.ok
    with mergestore.open(tmp_path / "store", create=False) as store:
        assert store.check_store(read_data=True).problems == []
        assert versions(store, list(then["versions"])) == then["versions"]
        assert output(store, "stacked@1", tmp_path / "out") == then["outputs"]["stacked@1"]
