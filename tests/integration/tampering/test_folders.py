"""Published folders that were tampered with: every file and every field of the manifest, digests mended or not."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

import mergestore
from mergestore import Audit, IntegrityFailure, MergestoreError, Store
from registry.audits.folder import audit_folder
from registry.publishing import manifest_digest
from registry.verifying import verify_directory
from storage.checkpoints.safetensors_header import read_header
from storage.digests import canonical_json
from storage.progress import Silent
from tests.integration.tampering.conftest import Everything

pytestmark = pytest.mark.usefixtures("surroundings")

MANIFEST = "mergestore.json"
CARD = "README.md"
STATED = {
    *("expression", "generator", "licence", "source", "name", "version", "weight", "statistics", "lineage", "merge"),
    *("encoding", "values", "drop_rate", "seed", "density", "trim", "fine_tuned", "prefix", "dropped_prefix"),
    *("head", "taken_from_base", "added_rows", "skills", "base", "adapter", "sha256"),
}
"""What a manifest tells, and no content proves: the store's records do, or a signature.

Of weight files the SHA-256, too: their tensors are compared one by one. That of any other file is compared.
"""


@pytest.fixture(params=["model", "adapter"])
def published(request: pytest.FixtureRequest, everything: Everything, tmp_path: Path) -> Path:
    """A folder to tamper with."""
    folder: Path = getattr(everything, request.param)
    return Path(shutil.copytree(folder, tmp_path / request.param))


@pytest.fixture
def store(everything: Everything) -> Iterator[Store]:
    """The store that published it."""
    with mergestore.open(everything.home, create=False) as store:
        yield store


@pytest.fixture
def public(everything: Everything, tmp_path: Path) -> Path:
    """The key with which both folders' statements can be checked."""
    private = serialization.load_pem_private_key((everything.home.parent / "key.pem").read_bytes(), None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path = tmp_path / "public.pem"
    path.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))
    return path


def problems(folder: Path) -> list[str]:
    """What `verify DIR` finds, without any store."""
    return [f"{each['where']}: {each['what']}" for each in verify_directory(folder, Silent()).problems]


def damages(data: bytes) -> Iterator[tuple[str, bytes | None]]:
    """A file's bytes damaged in every region, in size, or gone."""
    for place in sorted(
        {0, 1, 7, 8, 9, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1} & set(range(len(data)))
    ):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 7)
        yield f"bit of byte {place}", bytes(flipped)
    yield "cut", data[:-1]
    yield "longer", data + b"\n"
    yield "empty", b""
    yield "gone", None


def test_every_file_but_the_card_is_watched(published: Path) -> None:
    assert problems(published) == []
    for path in sorted(published.rglob("*")):
        if not path.is_file() or path.name == CARD:
            continue
        data = path.read_bytes()
        for what, damaged in damages(data):
            if path.name == MANIFEST and what in ("cut", "longer"):
                continue  # a line's end more or less: its digest is of what it says
            path.unlink() if damaged is None else path.write_bytes(damaged)
            found = problems(published)
            assert found, f"{path.name}: {what}"
            assert any(path.name in each for each in found), (path.name, what, found)
            path.write_bytes(data)
    assert problems(published) == []


def test_a_changed_value_is_located_to_its_tensor(published: Path) -> None:
    for path in published.glob("*.safetensors"):
        entries, _ = read_header(path)
        data = path.read_bytes()
        for name, entry in entries.items():
            if entry.nbytes:
                flipped = bytearray(data)
                flipped[entry.offset + entry.nbytes // 2] ^= 1
                path.write_bytes(flipped)
                found = problems(published)
                assert len(found) == 1
                assert f"tensor {name!r} is not what was published" in found[0]
                assert path.name in found[0]
        path.write_bytes(data)


def test_files_that_change_places_are_found(published: Path) -> None:
    files = sorted(path for path in published.iterdir() if path.name not in (CARD, MANIFEST))
    for one, other in itertools.pairwise(files):
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second), other.write_bytes(first)
        assert problems(published)
        one.write_bytes(first), other.write_bytes(second)


def test_what_loaders_would_read_may_not_be_added(published: Path) -> None:
    for name in ("pytorch_model.bin", "modeling_evil.py", "model.safetensors.index.json.bak.safetensors"):
        (published / name).write_text("x")
        assert any(name in each for each in problems(published)), name
        (published / name).unlink()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, list):
        return [*value, "more"]
    return {**value, "more": 1} if isinstance(value, dict) else "something"


def alterations(document: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The manifest with each of its values changed, removed, and of another type."""
    for path in places(document):
        for replacement in (other(at(document, path)), None, 7):
            again = copy.deepcopy(document)
            at(again, path[:-1])[path[-1]] = replacement
            if again != document:
                yield path, again
        again = copy.deepcopy(document)
        del at(again, path[:-1])[path[-1]]
        yield path, again


@pytest.mark.slow
def test_every_field_of_the_manifest_is_covered_by_its_digest(published: Path) -> None:
    file = published / MANIFEST
    document = json.loads(file.read_text())
    count = 0
    for path, changed in alterations(document):
        file.write_bytes(canonical_json(changed))
        found = problems(published)
        assert any(MANIFEST in each for each in found), path
        count += 1
    assert count > 400


@pytest.mark.slow
def test_with_a_mended_digest_it_is_found_by_content_by_the_store_or_by_a_signature(
    published: Path, store: Store, public: Path
) -> None:
    """Whoever mends the manifest's own digest can change what is merely told: the records and a signature cover it."""
    file = published / MANIFEST
    document = json.loads(file.read_text())
    assert store.verify(published, key=public).ok
    told = 0
    for number, (path, changed) in enumerate(alterations(document)):
        if "digest" not in changed or path == ("digest",) or number % 4 in (1, 2):
            continue  # of the four ways two: each is compared with everything that there is
        changed["digest"] = manifest_digest(changed)
        file.write_bytes(canonical_json(changed) + b"\n")
        assert _signed_no_more(store, published, public), path
        assert _audit_objects(lambda: store.audit(published)), path
        if problems(published) or _audit_objects(lambda: audit_folder(published)):
            continue
        told += 1
        assert STATED & set(path) or _only_more(changed, path), (path, at(document, path))
        # What a folder says counts nothing where the store knows it: it tells its own records, and that they differ.
        assert store.audit(published).lineage == store.audit(_digest(document)).lineage
    assert told > 20


def _only_more(changed: dict[str, Any], path: tuple[Any, ...]) -> bool:
    """Whether there is just one field more, which nobody reads."""
    found = at(changed, path) if path[-1] in (parent := at(changed, path[:-1])) or isinstance(parent, list) else None
    return isinstance(found, dict) and "more" in found


def _digest(document: dict[str, Any]) -> str:
    return str(document["recipe_digest"])


def _signed_no_more(store: Store, folder: Path, public: Path) -> bool:
    try:
        return not store.verify(folder, key=public).ok
    except MergestoreError:
        return True


def _audit_objects(audit: Callable[[], Audit]) -> bool:
    try:
        found = audit()
    except IntegrityFailure:
        return True
    return any(check["ok"] is False for check in found.checks)


def test_the_card_is_covered_by_the_signature_alone(published: Path, store: Store, public: Path) -> None:
    card = published / CARD
    card.write_text(card.read_text() + "\nIt passed every test.\n")
    assert problems(published) == []
    found = store.verify(published, key=public)
    assert not found.ok
    assert any(CARD in problem["what"] or CARD in str(problem["where"]) for problem in found.problems)
