"""Bundles from SQLite to PostgreSQL and back: the same versions, the same outputs, the same bytes."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import mergestore
from mergestore import Conflict, Store
from registry.bundles.manifest import MANIFEST, ORIGIN
from registry.records.database import reading
from registry.records.tables import Blob
from storage.digests import canonical_json, sha256_digest
from tests.integration.bundles.conftest import NAMED, Open
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save

MERGES = [("assistant@1", None), ("stacked", None), ("fished", None), ("several", "code")]
"""But for assistant@2, which holds a skill that was yanked."""


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def lineage(store: Store, name: str) -> Any:
    """What stands below a version, by digest."""
    graph = store.audit(name).lineage
    digests = {node["id"]: node["digest"] for node in graph["nodes"]}
    facts = ("kind", "digest", "licence", "state", "reason", "encoding", "seed", "statistics", "training")
    nodes = [{fact: node.get(fact) for fact in facts} for node in graph["nodes"]]
    edges = [(digests[edge["child"]], digests[edge["parent"]], edge["role"]) for edge in graph["edges"]]
    return sorted(map(canonical_json, nodes)), sorted(edges)


def outputs(store: Store, folder: Path) -> dict[tuple[str, str | None], str]:
    """What is made of each merge."""
    return {
        (merge, task): store.materialize(merge, task=task, output=folder / f"{at}", wait=False, threads=1).output_digest
        for at, (merge, task) in enumerate(MERGES)
    }


@pytest.mark.server
def test_from_sqlite_to_postgresql_and_back(
    origin: Store, bundle: Path, postgres_url: str, tmp_path: Path, opened: Open
) -> None:
    path = bundle
    expected = outputs(origin, tmp_path / "origin-made")
    lineages = {name: lineage(origin, name) for name in NAMED}
    for number, database in enumerate((postgres_url, None)):
        store = opened(tmp_path / f"store{number}", database)
        before = store.import_bundle(path, dry_run=True)
        assert not store.list().skills
        imported = store.import_bundle(path)
        assert {**imported.to_dict(), "dry_run": True} == before.to_dict()
        assert all(each["created"] and each["was"] == f"{each['name']}@{each['version']}" for each in imported.versions)
        verified = store.verify()
        assert verified.ok, verified.problems
        assert verified.checked["statistics"] == 2
        assert {name: lineage(store, name) for name in NAMED} == lineages
        for name in ("assistant@1", "stacked", "fished"):
            assert store.rebuild(name, threads=1).output_digest == expected[name, None]
        with pytest.raises(Conflict, match="style@1 is yanked: trained on the wrong catalogue"):
            store.materialize("assistant@2")
        # What the other store told of its outputs is what it is compared with.
        assert store.rebuild("assistant@1", threads=1).compared[0]["what"] == "output where it was imported from"
        assert store.rebuild("assistant@1", threads=1).ok
        again = tmp_path / f"again{number}.bundle"
        assert store.export(NAMED, again, lineage=True).bundle == imported.bundle
        first, second = members(path), members(again)
        assert {name: data for name, data in first.items() if name != ORIGIN} == {
            name: data for name, data in second.items() if name != ORIGIN
        }
        assert first[ORIGIN] != second[ORIGIN]
        twice = store.import_bundle(path)
        assert not any(each["created"] or each["added"] for each in twice.versions)
        path = again
        assert outputs(store, tmp_path / f"made{number}") == expected
    home = origin.import_bundle(path)
    assert not any(each["created"] or each["added"] for each in home.versions)
    assert home.notes == []
    assert origin.verify().ok


def test_the_same_content_gives_the_same_bytes(origin: Store, tmp_path: Path) -> None:
    for number in range(2):
        origin.export(reversed(NAMED) if number else NAMED, tmp_path / f"{number}.bundle", lineage=True)
    first, second = ((tmp_path / f"{number}.bundle").read_bytes() for number in range(2))
    size = len(members(tmp_path / "0.bundle")[ORIGIN])
    until = first.rindex(ORIGIN.encode() + b"\0")
    assert size > 0
    assert first[:until] == second[:until]
    assert len(first) == len(second)


def test_any_tool_opens_it(bundle: Path, tmp_path: Path) -> None:
    """And with its manifest any tool checks it."""
    with tarfile.open(bundle) as archive:
        found = archive.getmembers()
    assert found[0].name == MANIFEST
    assert found[-1].name == ORIGIN
    assert [each.name for each in found[1:-1]] == sorted(each.name for each in found[1:-1])
    assert all(each.isreg() and (each.mtime, each.uid, each.gid, each.mode) == (0, 0, 0, 0o644) for each in found)
    assert bundle.stat().st_size % 10240 == 0


def test_what_is_known_of_each_version_comes_along(bundle: Path, empty: Store, origin: Store) -> None:
    empty.import_bundle(bundle)
    for name in ("golden/base", *NAMED):
        there, here = origin.show(name), empty.show(name)
        for fact in (
            "digest",
            "kind",
            "licence",
            "state",
            "reason",
            "encoding",
            "drop_rate",
            "seed",
            "density",
            "trim",
        ):
            assert here.get(fact) == there.get(fact), (name, fact)
        assert [(f["path"], f["size"], f["digest"]) for f in here["files"]] == [
            (f["path"], f["size"], f["digest"]) for f in there["files"]
        ]
        came = here["attributes"].pop("imported")
        assert came["was"] == f"{there['name']}@{there['version']}"
        assert (came["made"]["by"], came["made"]["at"][:19]) == (there["created_by"], there["created_at"][:19])
        assert here["attributes"] == there["attributes"]
        assert here["created_by"] == "bob@elsewhere"
    (collected,) = empty.statistics("code")
    assert collected["digest"] == origin.statistics("code")[0]["digest"]
    with reading(empty.engine) as session:
        blobs = session.scalars(select(Blob)).all()
    for blob in blobs:
        assert blob.sha256 == sha256_digest(empty.home.blobs.path(blob.digest).read_bytes())


def test_both_sides_remember(origin: Store, empty: Store, tmp_path: Path) -> None:
    exported = origin.export("assistant@1", tmp_path / "a.bundle", lineage=True)
    for name in ("assistant@1", "golden/base@1", "math@2", "polite@1"):
        events = origin.find("events", action="bundle.export", subject=name).rows
        assert [event["details"] for event in events] == [{"bundle": exported.bundle, "named": ["assistant@1"]}]
        assert events[0]["actor"] == "ann@lab"
    assert origin.find("events", action="bundle.export", subject="code@1").rows == []
    empty.import_bundle(tmp_path / "a.bundle", name="taken")
    (event,) = empty.find("events", action="bundle.import", subject="taken@1").rows
    assert event["actor"] == "bob@elsewhere"
    assert event["details"]["bundle"] == exported.bundle
    assert event["details"]["as"] == "assistant@1"
    assert event["details"]["exported"]["by"] == "ann@lab"
    node = next(node for node in empty.audit("taken").lineage["nodes"] if node["id"] == "taken@1")
    assert node["imported"]["made"]["by"] == "ann@lab"
    assert node["imported"]["exported"] == event["details"]["exported"]
    assert origin.verify().ok
    assert empty.verify().ok


def test_a_referenced_base_comes_with_its_bytes(surroundings: None, tmp_path: Path, empty: Store, opened: Open) -> None:
    model = llama("BF16", seed=5)
    files = {"tokenizer.json": "{}", "1_Pooling/config.json": "{}"}
    folder = save(tmp_path / "tiny", model, LLAMA_CONFIG, files=files, shards=3)
    (folder / "modules.json").write_text("[]")
    source = opened(tmp_path / "source")
    source.register_base("tiny", folder, reference=True)
    source.register_skill("math", save(tmp_path / "math", fine_tune(model, 1)), base="tiny")
    source.merge("m", "tiny + 0.5*math")
    made = source.materialize("m", output=tmp_path / "made", wait=False)
    exported = source.export("m", tmp_path / "m.bundle", lineage=True)
    shutil.move(folder, tmp_path / "gone")
    empty.import_bundle(tmp_path / "m.bundle")
    assert empty.materialize("m", output=tmp_path / "other", wait=False).output_digest == made.output_digest
    assert sorted(p.name for p in (tmp_path / "other").iterdir()) == sorted(
        p.name for p in (tmp_path / "made").iterdir()
    )
    assert "tiny" not in str(empty.show("tiny")["attributes"]["imported"]["exported"])
    assert empty.show("tiny")["attributes"]["referenced"] is None
    assert empty.export("m", tmp_path / "again.bundle", lineage=True).bundle == exported.bundle
    assert not empty.register_base("tiny", tmp_path / "gone").created
    with mergestore.open(tmp_path / "third") as third:
        assert third.register_base("tiny", tmp_path / "gone", reference=True).created
        known = {each["was"]: each["created"] for each in third.import_bundle(tmp_path / "m.bundle").versions}
        assert known == {"tiny@1": False, "math@1": True, "m@1": True}
        assert third.materialize("m", output=tmp_path / "third-made", wait=False).output_digest == made.output_digest
