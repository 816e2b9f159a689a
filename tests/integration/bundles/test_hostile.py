"""Bundles that were damaged, cut, or are none: refused by name, and nothing of them is left anywhere."""

from __future__ import annotations

import copy
import gzip
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergestore import InputRefused, IntegrityFailure, Store
from tests.integration.bundles.forged import Forged, Json, canonical, write
from tests.integration.bundles.refusals import refused, state
from tests.integration.shell import Shell


def test_a_bundle_can_be_written_from_its_documentation(sound: Path, forged: Forged, tmp_path: Path) -> None:
    assert forged.write(tmp_path / "forged.bundle").read_bytes() == sound.read_bytes()


def test_a_flipped_bit_anywhere_is_found(sound: Path, store: Store, tmp_path: Path) -> None:
    """In every block of headers, in the data and the padding of every member, and in the end."""
    content, random = sound.read_bytes(), np.random.default_rng(1)
    with tarfile.open(sound) as archive:
        members = archive.getmembers()
    places: set[int] = set()
    for member in members:
        start, end = member.offset_data, member.offset_data + member.size
        places |= {
            start - 512,
            *(start - 512 + random.integers(0, 512, 12)),
            start,
            end - 1,
            *range(end, -(-end // 512) * 512, 97),
        }
        places |= set(random.integers(start, end, 12))
    places |= {*range(end, len(content), 1009), len(content) - 1}
    for place in sorted(map(int, places)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(0, 8))
        (tmp_path / "bad").write_bytes(damaged)
        refused(store, tmp_path / "bad")
    assert len(places) > 200


def test_a_bundle_that_is_cut_short_or_goes_on_is_refused(sound: Path, store: Store, tmp_path: Path) -> None:
    content = sound.read_bytes()
    for size in [*range(0, len(content), 512), len(content) - 1]:
        (tmp_path / "bad").write_bytes(content[:size])
        error = refused(store, tmp_path / "bad")
        assert "cut short" in error.message or size < 512
    for more in (b"\0", b"x", bytes(512), bytes(10240), content):
        (tmp_path / "bad").write_bytes(content + more)
        assert "goes on after its end" in refused(store, tmp_path / "bad").message


# Every field of the manifest, changed by somebody who makes all digests right again

STATED = {
    *("licence", "source", "reason", "state", "name", "version", "named", "was", "made", "outputs"),
    *("notes", "config", "training", "expression", "unified"),
}
"""Parts that say what no file can prove: who made a version and how it is called, what somebody states of it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def others(value: Any) -> list[Any]:
    """What could stand in the place of a value."""
    if isinstance(value, bool | None):
        return ["x", 1, {}]
    if isinstance(value, int | float):
        return [value + 1, -1, "1", None, 2**60]
    if isinstance(value, str):
        flipped = value[:-1] + ("0" if value[-1:] != "0" else "1")
        return [flipped, "", "../../evil", "a\0b", "\ud800", "x" * 20000, None, 7, [value]]
    if isinstance(value, list):
        return [[], [*value, *(value[:1] or ["x"])], value[::-1], None, {}]
    return [{}, {**value, "odd": 1}, None, []]


def alterations(manifest: Json) -> Iterator[tuple[tuple[Any, ...], Json]]:
    """The manifest with each of its values replaced in several ways, or left out."""
    for path in places(manifest):
        for other in others(at(manifest, path)):
            again = copy.deepcopy(manifest)
            at(again, path[:-1])[path[-1]] = other
            if again != manifest:
                yield path, again
        again = copy.deepcopy(manifest)
        del at(again, path[:-1])[path[-1]]
        yield path, again


@pytest.mark.slow
def test_every_field_of_the_manifest_is_checked_or_a_statement(
    forged: Forged, store: Store, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    """Changed by somebody who makes all digests right again."""
    before, count, taken = state(store), 0, {}
    for path, manifest in alterations(forged.manifest):
        count += 1
        bundle = Forged(manifest, forged.origin, forged.blobs).write(tmp_path / "bad")
        try:
            store.import_bundle(bundle, dry_run=True)
        except (InputRefused, IntegrityFailure):
            pass
        else:
            more = path[-1] == "attributes" and "odd" in at(manifest, path)  # whatever else is said of it
            assert more or set(path) & STATED, (path, at(manifest, path))
            taken.setdefault([key for key in path if isinstance(key, str)][-1], manifest)
        assert state(store) == before, path
    assert count > 2000
    assert {"licence", "reason", "by", "notes"} <= taken.keys()
    for number, manifest in enumerate(taken.values()):
        other = opened(tmp_path / f"taken{number}")
        other.import_bundle(Forged(manifest, forged.origin, forged.blobs).write(tmp_path / "bad"))
        assert other.verify().ok
        for kind in ("base", "skill", "merge"):
            for row in getattr(other.list(kind), f"{kind}s"):
                other.audit(f"{row['name']}@{row['version']}")
                other.show(f"{row['name']}@{row['version']}")


def test_every_field_of_the_origin_is_covered_by_its_digest(
    sound: Path, forged: Forged, store: Store, tmp_path: Path
) -> None:
    for path in places(forged.origin):
        for other in others(at(forged.origin, path)):
            members = forged.members()
            origin = copy.deepcopy(json.loads(members[-1][1]))
            at(origin, path[:-1])[path[-1]] = other
            if origin != json.loads(members[-1][1]):
                refused(store, write(tmp_path / "bad", [*members[:-1], ("origin.json", canonical(origin))]))
    members = forged.members()
    refused(store, write(tmp_path / "bad", [*members[:-1], ("origin.json", b"{}")]))


def test_manifests_that_are_not_canonical_are_refused(forged: Forged, store: Store, tmp_path: Path) -> None:
    text = canonical(forged.manifest).decode()
    doubled = text.replace('"format":1', '"format":1,"format":1')
    for other in (
        *(json.dumps(forged.manifest), text + "\n", " " + text, doubled, text.replace('"MIT"', '"\\u004dIT"')),
        *(
            text.replace('"format":1', '"format":1.0'),
            text.replace('"format":1', '"format":NaN'),
            "",
            "[]",
            "{",
            "null",
        ),
        *(
            "[" * 100_000 + "]" * 100_000,
            '{"a":' * 50_000 + "1" + "}" * 50_000,
            text.replace('"format":1', f'"format":{"9" * 5000}'),
        ),
    ):
        refused(store, forged.write(tmp_path / "bad", other.encode()))
    refused(store, forged.write(tmp_path / "bad", b"\xff\xfe"))


def test_a_format_that_is_not_known_is_told(forged: Forged, shell: Shell, tmp_path: Path) -> None:
    forged.manifest["format"] = 2
    error = shell.refused(5, "import", forged.write(tmp_path / "new.bundle"))
    assert "format 2" in error["message"]
    assert error["hint"] == "upgrade mergestore"


def test_a_manifest_that_is_too_large_is_not_read(forged: Forged, store: Store, tmp_path: Path) -> None:
    forged.entry("one")["attributes"]["notes"] = ["x" * (16 << 20)]
    assert "at most 16,777,216" in refused(store, forged.write(tmp_path / "bad")).message


# Archives that are none of ours


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def named(name: str, **facts: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for fact, value in facts.items():
        setattr(entry, fact, value)
    return entry


@pytest.mark.parametrize(
    "first",
    [
        *(
            named("../../evil"),
            named("/evil"),
            named("./manifest.json"),
            named("manifest.json/"),
            named("blobs/../manifest.json"),
        ),
        *(link("manifest.json", tarfile.SYMTYPE, "/etc/passwd"), link("manifest.json", tarfile.LNKTYPE, "origin.json")),
        *(
            link("manifest.json", kind)
            for kind in (tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        ),
        *(named("manifest.json", mode=0o755), named("manifest.json", mtime=1), named("manifest.json", uid=1)),
        *(named("manifest.json", uname="root"), named("manifest.json", pax_headers={"path": "evil"})),
    ],
    ids=lambda entry: f"{entry.name} {entry.type!r}",
)
@pytest.mark.parametrize("place", ["first", "second", "last"])
def test_members_that_no_bundle_has(
    first: tarfile.TarInfo, place: str, forged: Forged, store: Store, tmp_path: Path
) -> None:
    members: list[Any] = forged.members()
    number = {"first": 0, "second": 1, "last": len(members) - 1}[place]
    entry = copy.copy(first)
    if place != "first" and "manifest.json" in entry.name:
        entry.name = entry.name.replace("manifest.json", str(members[number][0]))
    members[number] = (entry, members[number][1])
    bad = write(tmp_path / "bad", members, format=tarfile.PAX_FORMAT if entry.pax_headers else tarfile.GNU_FORMAT)
    refused(store, bad)
    assert not list(tmp_path.rglob("evil"))


def test_members_twice_missing_in_another_order_or_more(forged: Forged, store: Store, tmp_path: Path) -> None:
    members = forged.members()
    for other in (
        *([*members, each] for each in members),
        *([each for each in members if each is not left] for left in members),
        *([*members[:1], *members[:1:-1], *members[1:2]], members[::-1], []),
        *([*members[:place], ("more", b"x"), *members[place:]] for place in range(1, len(members) + 1)),
    ):
        refused(store, write(tmp_path / "bad", other))


def test_sizes_that_are_claimed(forged: Forged, store: Store, tmp_path: Path) -> None:
    """A header or a manifest that speaks of terabytes costs nothing."""
    members = forged.members()
    for place in range(len(members)):
        for size in (1 << 40, (1 << 60), 0, len(members[place][1]) + 512):
            entry = tarfile.TarInfo(members[place][0])
            entry.size = size
            data = b"".join(
                (entry.tobuf(tarfile.GNU_FORMAT) if at == place else _header(*each))
                + each[1]
                + bytes(-len(each[1]) % 512)
                for at, each in enumerate(members)
            )
            (tmp_path / "bad").write_bytes(data + bytes(10240))
            refused(store, tmp_path / "bad")
    for facts in forged.manifest["blobs"].values():
        facts["size"] = 1 << 45
    refused(store, forged.write(tmp_path / "bad"))


def _header(name: str, data: bytes) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    return entry.tobuf(tarfile.GNU_FORMAT)


def test_files_that_are_no_bundles(sound: Path, store: Store, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "zipped").write_bytes(gzip.compress(sound.read_bytes()))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "zeros").write_bytes(bytes(20480))
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(30000))
    for name in ("zipped", "empty", "zeros", "noise"):
        assert "is not a bundle" in refused(store, tmp_path / name, InputRefused).message
    os.mkfifo(tmp_path / "pipe")
    refused(store, tmp_path / "pipe", InputRefused)
    refused(store, tmp_path / "nothing", InputRefused)
    assert "not a regular file" in shell.refused(5, "import", tmp_path / "watched")["message"]
