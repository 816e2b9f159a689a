"""A store with something of everything, whose versions are taken elsewhere; small stores and bundles; empty ones."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import Store
from registry.opening import open_statistics
from registry.records.attestations import add_attestation
from registry.records.catalog import resolve
from registry.records.contents import BlobRow, record_blobs
from registry.records.database import reading, writing
from registry.records.evaluations import add_evaluation
from registry.records.statistics import StatisticsRow, add_statistics
from storage.statistics.statistics_file import StatisticsWriter
from tests.integration.bundles.forged import Forged
from tests.integration.bundles.refusals import BASE, CONFIG, TUNED
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell

MODEL = llama("F32", seed=9)
GOLDEN = Path(__file__).parents[2] / "golden" / "store2"
NAMED = (
    *("again@1", "assistant@1", "assistant@2", "code@1", "fished@1", "math@1", "math@2", "second@1", "several@1"),
    *("small@1", "stacked@1", "style@1", "weighted@1"),
)
"""Every skill and merge of the store but `polite`, which comes along with the lineage."""

Open = Callable[..., Store]


@pytest.fixture(scope="module")
def original(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden store, and what was made of it since: a base out of a merge, a skill out of a base, evidence."""
    home = tmp_path_factory.mktemp("original") / "store"
    shutil.copytree(GOLDEN / "objects", home / "objects")
    with sqlite3.connect(home / "registry.db") as connection:
        connection.executescript((GOLDEN / "sqlite.sql").read_text())
    connection.close()
    mergestore.init(home)
    with mergestore.open(home, actor="ann@lab") as store:
        made = store.materialize("assistant@1", output=home.parent / "made", wait=False)
        store.register_base("second", home.parent / "made", licence="MIT")
        store.register_skill("again", home.parent / "made", base="golden/base", encoding="exact")
        store.merge("stacked", "golden/base + 0.5*again + 0.5*code", method="ties", semantics="mergekit", head="none")
        _collect_again(store)
        store.merge("fished", "golden/base + 0.5*code + 0.5*again", method="fisher", head="none")
        with writing(store.engine) as session:
            for name in ("math@1", "assistant@1"):
                version = resolve(session, name)
                recipe = version.digest if version.kind == "merge" else None
                score = {
                    "metric": "accuracy",
                    "value": 1.0,
                    "dataset": "gsm8k",
                    "details": {"shots": "5", "imported": "no"},
                }
                add_evaluation(session, version=version, recipe_digest=recipe, actor="eve@lab", **score)
            add_attestation(
                session,
                subject_digest=made.output_digest,
                predicate_type="https://slsa.dev/provenance/v1",
                document=json.dumps({"payload": "e30=", "signatures": [{"keyid": "k1", "sig": "AA=="}]}),
                recipe_digest=made.recipe_digest,
                key_ids=["k1"],
                actor="ann@lab",
            )
    return home


def _collect_again(store: Store) -> None:
    """Statistics of `again`: those of `code`, as if they were its own."""
    scratch = store.home.blobs.scratch("statistics")
    with reading(store.engine) as session:
        own = resolve(session, "again")
        with open_statistics(session, store.home, store.statistics("code")[0]["digest"]) as known:
            manifest = replace(known.manifest, skill=own.digest)
            with StatisticsWriter(scratch.with_suffix(".spool.tmp")) as writer:
                for use in {use.payload: name for name, use in manifest.tensors.items()}.values():
                    payload = manifest.tensors[use].payload
                    writer.add_values(payload, [known.values(use, 0, manifest.payloads[payload].elements)])
                writer.finish(scratch, manifest, known.software)
    blob = store.home.blobs.adopt(scratch)
    with writing(store.engine) as session:
        record_blobs(session, [BlobRow(blob.digest, blob.size, "statistics")])
        facts = (manifest.model, manifest.data, manifest.examples, dict(manifest.settings))
        add_statistics(session, own, StatisticsRow("fisher", manifest.digest, blob.digest, *facts, "eve@lab"))


@pytest.fixture
def opened() -> Iterator[Open]:
    """``opened(home, database)``: stores that are closed at the end."""
    stores: list[Store] = []

    def opened(home: Path, database: str | None = None, actor: str = "bob@elsewhere") -> Store:
        stores.append(mergestore.open(home, database=database, actor=actor))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def origin(original: Path, tmp_path: Path, opened: Open) -> Store:
    """A copy of the full store."""
    shutil.copytree(original, tmp_path / "origin")
    return opened(tmp_path / "origin", actor="ann@lab")


@pytest.fixture
def empty(tmp_path: Path, opened: Open) -> Store:
    """A store with nothing in it."""
    return opened(tmp_path / "empty")


@pytest.fixture(scope="module")
def bundle(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole lineage of everything."""
    path = tmp_path_factory.mktemp("bundle") / "all.bundle"
    shutil.copytree(original, path.parent / "store")
    with mergestore.open(path.parent / "store", actor="ann@lab") as store:
        store.export(NAMED, path, lineage=True)
    return path


@pytest.fixture(scope="module")
def sound(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with everything in it that can be told wrong."""
    folder = tmp_path_factory.mktemp("sound")
    save(folder / "base", BASE, CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("base", folder / "base", licence="MIT")
        for name, tuned in TUNED.items():
            save(folder / name, tuned, CONFIG)
            store.register_skill(name, folder / name, base="base", encoding="exact", meta={"dataset": "sums"})
        store.merge("sum", "base + 0.5*one + 0.5*two")
        store.merge("both", "base + one + two", method="emr")
        store.materialize("sum", wait=False)
        store.yank("two@1", "a reason")
        store.export(["sum", "both"], folder / "sound.bundle", lineage=True)
    return folder / "sound.bundle"


@pytest.fixture
def forged(sound: Path) -> Forged:
    return Forged.read(sound)


@pytest.fixture
def shell(tmp_path: Path, surroundings: None) -> Shell:
    shell = Shell(tmp_path / "store", tmp_path / "watched")
    (tmp_path / "watched").mkdir()
    shell.text("init")
    return shell


@pytest.fixture
def store(tmp_path: Path, surroundings: None) -> Iterator[Store]:
    with mergestore.open(tmp_path / "victim") as store:
        yield store


@pytest.fixture
def tiny(surroundings: None, tmp_path: Path, opened: Open) -> Callable[..., Store]:
    """``tiny(name, skills…)``: a store with the same base and skills, registered by itself."""

    def tiny(name: str, *skills: str, **options: Any) -> Store:
        store = opened(tmp_path / name, actor=f"{name}@lab")
        store.register_base("tiny", save(tmp_path / "models" / "tiny", MODEL, LLAMA_CONFIG), **options)
        for number, skill in enumerate(skills):
            store.register_skill(skill, save(tmp_path / "models" / skill, fine_tune(MODEL, number)), base="tiny")
        return store

    return tiny
