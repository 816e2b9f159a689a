"""Bundles that are damaged, forged or meant to do harm: refused, named, and nothing is left of them."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mergestore import InputRefused, IntegrityFailure, MergestoreError, Store
from storage.archives import header, padding
from storage.digests import canonical_json, json_digest

Document = dict[str, Any]


@pytest.fixture
def store(empty: Callable[[str], Store]) -> Iterator[Store]:
    with empty("victim") as store:
        yield store


def members(path: Path) -> tuple[Document, list[tuple[str, bytes]]]:
    """The document and the members after it."""
    with tarfile.open(path) as archive:
        found = [(member.name, archive.extractfile(member).read()) for member in archive.getmembers()]
    return json.loads(found[0][1]), found[1:]


def forged(path: Path, document: Document, rest: list[tuple[str, bytes]]) -> Path:
    """A bundle of these, its document hashed anew: the work of somebody who knows the format."""
    told = {key: value for key, value in document.items() if key != "digest"}
    data = canonical_json(told | {"digest": json_digest(told)})
    parts = [("bundle.json", data), *rest]
    path.write_bytes(
        b"".join(header(name, len(each)) + each + padding(len(each)) for name, each in parts) + bytes(1024)
    )
    return path


def refused(store: Store, path: Path) -> MergestoreError:
    """The bundle is refused, and nothing of it is left."""
    with pytest.raises((IntegrityFailure, InputRefused)) as caught:
        store.import_bundle(path)
    assert store.find("events").total == 0
    assert list(store.home.blobs.digests()) == []
    assert list((store.home.root / "tmp").iterdir()) == []
    return caught.value


def test_no_bit_of_it_may_be_another(whole: Path, store: Store, tmp_path: Path) -> None:
    """Every place of headers and ends, and many of the document and of every blob."""
    data = whole.read_bytes()
    _, rest = members(whole)
    edges, at = [], 0
    for name, content in [("bundle.json", data[512 : 512 + int(data[124:135], 8)]), *rest]:
        step = 29 if name == "bundle.json" else max(1, len(content) // 12)
        edges += [at + place for place in (0, 99, 100, 124, 134, 148, 156, 257, 329, 511)]
        edges += range(at + 512, at + 512 + len(content), step)
        at += 512 + len(content) + len(padding(len(content)))
        edges += [at - 1] if len(content) % 512 else []
    edges += [at, len(data) - 1]
    path = tmp_path / "flipped.tar"
    for place in edges:
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with pytest.raises((IntegrityFailure, InputRefused)):
            store.import_bundle(path)
    assert len(edges) > 400
    refused(store, path)


def test_it_may_be_neither_shorter_nor_longer(whole: Path, store: Store, tmp_path: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "cut.tar"
    for size in (0, 1, 511, 512, 1000, len(data) // 2, len(data) - 1024, len(data) - 512, len(data) - 1):
        path.write_bytes(data[:size])
        refused(store, path)
    for more in (b"x", bytes(512), data):
        path.write_bytes(data + more)
        refused(store, path)


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values of a JSON document that hold no others."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    found = list(items)
    if not found:
        yield path
    for key, value in found:
        yield from leaves(value, (*path, key))


def changed(document: Document, path: tuple[Any, ...], value: Any) -> Document:
    """The same with another value at a path."""
    again = copy.deepcopy(document)
    parent = again
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return again


STATED = {
    "licence",
    "source",
    "by",
    "at",
    "store",
    "name",
    "version",
    "yanked",
    "expression",
    "training",
    "notes",
    "config",
    "adapter",
}
"""What somebody states, and no content proves: here a bundle's own digest, told apart from it, is what proves it."""


def test_whoever_forges_the_document_is_caught_by_the_contents(whole: Path, store: Store, tmp_path: Path) -> None:
    """Every value of it changed, removed, or put in another type, with its own digest made to fit."""
    document, rest = members(whole)
    path = tmp_path / "forged.tar"
    tried = 0
    for place in leaves({key: value for key, value in document.items() if key != "digest"}):
        stated = bool(STATED & {key for key in place if isinstance(key, str)}) or "unified" in place
        value = document
        for key in place:
            value = value[key]
        for other in _others(value):
            forged(path, changed(document, place, other), rest)
            try:
                store.import_bundle(path, dry_run="tokens" not in place)
            except (IntegrityFailure, InputRefused):
                tried += 1
                continue
            assert stated, f"{place}: {value!r:.60} became {other!r:.60} unseen"
    assert tried > 500
    refused(store, forged(path, changed(document, ("versions", 0, "digest"), "blake3:" + "0" * 64), rest))


def _others(value: Any) -> list[Any]:
    """Other values that somebody might try."""
    if isinstance(value, bool):
        return [not value, "yes"]
    if isinstance(value, int | float):
        return [value + 1, -1, "1", None]
    if isinstance(value, str):
        digest = value.startswith(("blake3:", "sha256:"))
        another = value[:-1] + ("0" if value[-1:] != "0" else "1") if digest else value + "x"
        return [another, "", 7, {}]
    return [[1], {"x": 1}, 7]


def test_every_key_is_needed_and_no_other_is_known(whole: Path, store: Store, tmp_path: Path) -> None:
    document, rest = members(whole)
    path = tmp_path / "keys.tar"
    objects = [(), ("versions", 0), ("versions", 0, "made"), ("versions", 0, "files", 0), ("versions", 1, "parents", 0)]
    objects += [("blobs", next(iter(document["blobs"])))]
    for place in objects:
        again = copy.deepcopy(document)
        inner = again
        for key in place:
            inner = inner[key]
        inner["surprise"] = 1
        assert "surprise" in refused(store, forged(path, again, rest)).message
        for key in [key for key in inner if key not in ("surprise", "digest") or place]:
            if key in ("surprise", "licence", "source", "yanked", "outside", "at", "recipe", "base"):
                continue  # null says the same
            again = copy.deepcopy(document)
            inner = again
            for step in place:
                inner = inner[step]
            inner.pop(key, None)
            refused(store, forged(path, again, rest))


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "./a",
        "a\\b",
        "a\x00b",
        "x" * 2000,
        "",
        "line\nbreak",
        "\ud800",
    ],
)
def test_paths_stay_within_the_model(whole: Path, store: Store, tmp_path: Path, name: str) -> None:
    document, rest = members(whole)
    for number, version in enumerate(document["versions"]):
        if version["kind"] == "base":
            told = changed(document, ("versions", number, "files", 0, "path"), name)
            try:
                forged(tmp_path / "paths.tar", told, rest)
            except MergestoreError:
                return  # such a text has no canonical JSON
            refused(store, tmp_path / "paths.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_plain_files_are_in_it(whole: Path, store: Store, tmp_path: Path, kind: bytes) -> None:
    _, rest = members(whole)
    with tarfile.open(whole) as archive:
        data = archive.extractfile("bundle.json").read()
    with tarfile.open(tmp_path / "odd.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in [("bundle.json", data), *rest]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        odd = tarfile.TarInfo("objects/blake3/x")
        odd.type, odd.linkname = kind, "/etc/passwd"
        archive.addfile(odd)
    refused(store, tmp_path / "odd.tar")
    first = tarfile.TarInfo("bundle.json")
    first.type, first.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        archive.addfile(first)
    refused(store, tmp_path / "odd.tar")


def test_blobs_are_all_there_once_and_in_order(whole: Path, store: Store, tmp_path: Path) -> None:
    document, rest = members(whole)
    path = tmp_path / "blobs.tar"
    spare = ("objects/blake3/" + "f" * 64, b"spare")
    refused(store, forged(path, document, rest[1:]))
    refused(store, forged(path, document, [*rest, spare]))
    refused(store, forged(path, document, [rest[1], rest[0], *rest[2:]]))
    refused(store, forged(path, document, [rest[0], *rest]))
    told = changed(document, ("blobs", "blake3:" + "f" * 64), {"size": 5, "sha256": "sha256:" + "0" * 64})
    assert "nothing in it has the blob" in refused(store, forged(path, told, [*rest, spare])).message
    swapped = [(rest[0][0], rest[1][1]), (rest[1][0], rest[0][1]), *rest[2:]]
    refused(store, forged(path, document, swapped))


def test_a_lineage_that_bites_its_tail_is_none(whole: Path, store: Store, tmp_path: Path) -> None:
    document, rest = members(whole)
    for at in (0, 1, 99, -1):
        told = changed(document, ("versions", 0, "parents"), [{"role": "base", "at": at, "outside": None}])
        refused(store, forged(tmp_path / "cycle.tar", told, rest))
    twice = copy.deepcopy(document)
    twice["versions"].append(copy.deepcopy(twice["versions"][-1]))
    assert "twice" in refused(store, forged(tmp_path / "twice.tar", twice, rest)).message


def test_a_skill_of_another_base_is_none(whole: Path, store: Store, tmp_path: Path) -> None:
    """Its own digests tell which base it is of, whatever the bundle says."""
    document, rest = members(whole)
    number = next(place for place, each in enumerate(document["versions"]) if each["name"] == "math")
    parents = document["versions"][number]["parents"]
    (own,) = [place for place, each in enumerate(parents) if each["role"] == "base"]
    outside = {"kind": "base", "name": "tiny", "version": 1, "digest": "blake3:" + "0" * 64, "files": None}
    told = changed(document, ("versions", number, "parents", own), {"role": "base", "at": None, "outside": outside})
    with pytest.raises(MergestoreError):
        store.import_bundle(forged(tmp_path / "base.tar", told, rest))
    assert store.find("events").total == 0


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'{"format":1}', b"[" * 100_000, b'{"format":' + b"9" * 5000 + b"}", b'{"format":NaN}',
     b'{"format":1,"format":1}', "{\"format\":1,\"blobs\":{},\"versions\":[\"é\"]}".encode("latin-1")],
)  # fmt: skip
def test_what_is_no_document_is_refused(store: Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "json.tar"
    path.write_bytes(header("bundle.json", len(data)) + data + padding(len(data)) + bytes(1024))
    refused(store, path)


def test_a_newer_format_is_told(whole: Path, store: Store, tmp_path: Path) -> None:
    document, rest = members(whole)
    error = refused(store, forged(tmp_path / "new.tar", document | {"format": 2}, rest))
    assert "format 2" in error.message
    assert error.hint == "upgrade mergestore"


def test_a_document_that_says_it_is_huge_takes_no_memory(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "huge.tar"
    path.write_bytes(header("bundle.json", 7 << 30) + bytes(2048))
    assert "more than" in refused(store, path).message


def test_commands_refuse_with_their_exit_codes(whole: Path, shell: Any, tmp_path: Path) -> None:
    shell.refused(2, "import", tmp_path / "nothing.tar")
    shell.refused(2, "export", "math", "-o", tmp_path / "no" / "folder.tar")
    shell.refused(3, "export", "math", "-o", tmp_path / "math.tar")
    (tmp_path / "text.tar").write_text("this is no bundle")
    shell.refused(6, "import", tmp_path / "text.tar")
    shell.refused(6, "import", whole, "--expect", "sha256:" + "0" * 64)
    told = shell.text("import", whole)
    assert "merge assistant@2" in told
    assert "skill math@1 (blake3:30c5f2ff48b7): new" in told
    assert "here already" in shell.text("import", whole)
    assert "from a bundle, made as math@1 by ann@lab" in shell.text("audit", "math@1")
    shell.text("export", "polite", "-o", tmp_path / "polite.tar")
    shell.refused(4, "export", "polite", "-o", tmp_path / "polite.tar")
    assert "not in it, and needed by whoever takes it in: golden/base@1" in shell.text(
        "export", "polite", "-o", tmp_path / "polite.tar", "--force"
    )
