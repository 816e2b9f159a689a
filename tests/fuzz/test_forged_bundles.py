"""Bundles forged at random by somebody who makes all digests right again: refused, or imported whole.

``MERGESTORE_FUZZ`` sets the examples, else few in the usual run and many in the slow one.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import InputRefused, IntegrityFailure, MergestoreError, Store
from registry.records.names import parse_reference
from storage.digests import canonical_json
from tests.fuzz.patience import patience
from tests.integration.bundles.conftest import sound
from tests.integration.bundles.forged import Forged, Json, canonical, sha256
from tests.integration.bundles.test_hostile import at, places
from tests.integration.shell import listing, rows

__all__ = ["sound"]
FEW, MANY = int(os.environ.get("MERGESTORE_FUZZ", "6")), int(os.environ.get("MERGESTORE_FUZZ", "250"))
PATIENCE = 120  # seconds
LONG = "x" * (1 << 20)
TEXTS = (
    *(
        "",
        " ",
        LONG,
        "é" * 5000,
        "\u202e",
        "\u0000",
        "\x1b[31m",
        "a\nb",
        "\ud800",
        "\U0001f600",
        "NaN",
        "-1",
        "..",
        "/",
        "@",
    ),
    *("sum@1", "one@0", "one@-1", "one@99999999999", "base", "BASE", "sum/sum", "Ａ", "a" * 128, "a" * 129),
    *("9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00.000000+00:00", "10000-01-01T00:00:00", "2026-02-30"),
    *(
        "2026-01-01T00:00:00.000000+14:00",
        "2026-01-01T00:00:00.0000009+00:00",
        "blake3:" + "0" * 64,
        "sha256:" + "0" * 64,
    ),
)
NUMBERS = (-1, 0, 1, 2, 3, 2**31 - 1, 2**31, 2**53, 2**63, 1e308, 0.1, -0.5)
OTHERS = (None, True, [], {}, [[]], {"": None}, [None] * 1000, {f"k{n}": n for n in range(1000)})

pytestmark = pytest.mark.usefixtures("surroundings")


def any_field(draw: random.Random, manifest: Json) -> None:
    """One to three values replaced, by one of their kind twice as often as by any."""
    for _ in range(draw.randint(1, 3)):
        *path, last = draw.choice(list(places(manifest)))
        parent = at(manifest, tuple(path))
        own: tuple[Any, ...] = TEXTS if isinstance(parent[last], str) else NUMBERS
        parent[last] = copy.deepcopy(draw.choice([*own, *own, *TEXTS, *NUMBERS, *OTHERS]))


def references(draw: random.Random, manifest: Json) -> None:
    """A name or version that is another one throughout."""
    entry = draw.choice(manifest["versions"])
    old = f"{entry['name']}@{entry['version']}"
    name = draw.choice([entry["name"], "base", "one", "sum", "other", "a/b"])
    version = draw.choice([1, 2, 7, 2**31 - 1])
    text = json.dumps(manifest).replace(f'"{old}"', f'"{name}@{version}"')
    entry["name"], entry["version"] = name, version
    found = json.loads(text)
    at_ = manifest["versions"].index(entry)
    found["versions"][at_]["name"], found["versions"][at_]["version"] = name, version
    manifest.clear()
    manifest.update(found)


def lineage(draw: random.Random, manifest: Json) -> None:
    """A parent more, less or another; entries in another order."""
    versions = manifest["versions"]
    entry, other = draw.choice(versions), draw.choice(versions)
    parents = entry["parents"]
    match draw.randrange(4):
        case 0:
            parents.append({"reference": f"{other['name']}@1", "role": draw.choice(["base", "skill", "head", "merge"])})
            parents.sort(key=lambda parent: (parent["role"], parent["reference"]))
        case 1 if parents:
            parents.pop(draw.randrange(len(parents)))
        case 2:
            draw.shuffle(versions)
        case _:
            entry["base"] = draw.choice([None, "base@1", "one@1", "other@1"])


def recipe(draw: random.Random, manifest: Json) -> None:
    """A recipe with another value, and its digest."""
    entry = draw.choice([each for each in manifest["versions"] if each["recipe"]])
    *path, last = draw.choice(list(places(entry["recipe"])))
    at(entry["recipe"], tuple(path))[last] = draw.choice([*NUMBERS, *TEXTS[-4:], *OTHERS])
    entry["digest"] = sha256(spelled(entry["recipe"]))


def scores(draw: random.Random, manifest: Json) -> None:
    """What is stated: scores, statements, outputs, by the thousand or out of bounds."""
    entry = draw.choice(manifest["versions"])
    act = entry["made"]
    score = {"metric": "m", "value": draw.choice([*NUMBERS, "NaN"]), "dataset": "d", "details": {}, "made": act}
    score["details"] = draw.choice([{}, {"shots": "5"}, {"a" * 65: "b"}, {"imported": LONG}, {"k": 1}])
    entry["evaluations"] = [{**score, "metric": draw.choice(["m", f"m{n}"])} for n in range(draw.choice([1, 2, 100]))]


def everything_more(draw: random.Random, manifest: Json) -> None:
    """Entries that nobody else has: as many as there is room for."""
    match draw.randrange(3):
        case 0:
            entry = copy.deepcopy(next(each for each in manifest["versions"] if each["name"] == "sum"))
            for number in range(2, draw.choice([3, 30])):
                manifest["versions"].append({**entry, "version": number, "was": f"sum@{number}"})
        case 1:
            manifest["blobs"] |= {f"blake3:{n:064x}": {"size": 0, "sha256": sha256(b"")} for n in range(1000)}
        case _:
            manifest["needs"] = [
                {"reference": f"n{n:05}@1", "kind": "base", "digest": f"blake3:{n:064x}", "files": None}
                for n in range(1000)
            ]


FORGERIES: dict[str, Callable[[random.Random, Json], None]] = {
    each.__name__: each for each in (any_field, references, lineage, recipe, scores, everything_more)
}


@pytest.fixture(scope="module")
def peopled(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the names of the bundle are taken, by other content."""
    folder = tmp_path_factory.mktemp("peopled")
    with mergestore.open(folder / "store") as store:
        store.import_bundle(sound, dry_run=True)
        for name in ("base", "one"):
            store.register_base(f"{name}", sound.parent / ("two" if name == "base" else "one"), licence="MIT")
    return folder / "store"


def whole(store: Store) -> None:
    """All that there is holds together, and can be told."""
    assert store.verify().problems == []
    assert store.check_store(read_data=True).problems == []
    for kind in ("base", "skill", "merge"):
        for row in getattr(store.list(kind), f"{kind}s"):
            reference = f"{row['name']}@{row['version']}"
            assert parse_reference(reference).version == row["version"]
            store.show(reference)
            store.audit(reference).to_dict()


def spelled(manifest: Json) -> bytes:
    """Canonical JSON, of numbers too, or as near to it as there is any."""
    try:
        return canonical_json(manifest)
    except InputRefused:
        return canonical(manifest)


def forge(number: int, name: str, sound: Path, home: Path, folder: Path) -> bool:
    """Import a forged bundle; whether it was taken."""
    forged = Forged.read(sound)
    FORGERIES[name](random.Random(number), forged.manifest)
    bundle = folder / "x.bundle"
    forged.write(bundle, spelled(forged.manifest))
    shutil.rmtree(folder / "store", ignore_errors=True)
    shutil.copytree(home, folder / "store")
    with mergestore.open(folder / "store") as store:
        before, told = (listing(folder), rows(folder / "store" / "registry.db")), ""
        try:
            with patience(PATIENCE):
                imported = store.import_bundle(bundle)
        except MergestoreError as error:
            told = error.message
        if not told:
            assert len(imported.versions) == len(forged.manifest["versions"])
            whole(store)
            assert not any(each["created"] or each["added"] for each in store.import_bundle(bundle).versions)
            return True
        assert (listing(folder), rows(folder / "store" / "registry.db")) == before
        assert len(told) < 20_000
        assert told.replace("\n", "").isprintable()
        return False


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_forged_bundle(examples: int, sound: Path, peopled: Path, tmp_path: Path) -> None:
    mergestore.init(tmp_path / "empty")
    imported = 0
    for number in range(examples):
        name = [*FORGERIES][number % len(FORGERIES)]
        home = tmp_path / "empty" if number % 4 else peopled
        try:
            imported += forge(number, name, sound, home, tmp_path)
        except BaseException as error:
            error.add_note(f"example {number}: {name}")
            raise
    print(f"of {examples} forged bundles {imported} were taken, and whole; the others refused")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["needs", "blobs", "named"])
def test_as_many_entries_as_there_is_room_for(part: str, sound: Path, tmp_path: Path) -> None:
    forged = Forged.read(sound)
    match part:
        case "needs":
            need = {"kind": "base", "digest": "blake3:" + "0" * 64, "files": None}
            forged.manifest["needs"] = [{"reference": f"n{n:05}@1", **need} for n in range(100_000)]
        case "blobs":
            forged.manifest["blobs"] |= {f"blake3:{n:064x}": {"size": 0, "sha256": sha256(b"")} for n in range(100_000)}
        case _:
            forged.manifest["named"] = [f"n{n:05}@1" for n in range(100_000)]
    forged.write(tmp_path / "x.bundle")
    with mergestore.open(tmp_path / "store") as store, patience(PATIENCE):
        before = listing(tmp_path)
        with pytest.raises(IntegrityFailure):
            store.import_bundle(tmp_path / "x.bundle")
        assert listing(tmp_path) == before
