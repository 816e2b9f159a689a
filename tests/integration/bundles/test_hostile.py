"""Bundles that were damaged, or made to do harm: refused by name, and nothing of them is left anywhere."""

from __future__ import annotations

import copy
import gzip
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mergestore
from mergestore import InputRefused, IntegrityFailure, MergestoreError, Store
from tests.integration.bundles.forged import Forged, Json, canonical, sha256, write
from tests.integration.models import file_bytes, floats, save
from tests.integration.shell import Shell, listing, rows

BASE = {"w": floats(np.arange(12).reshape(3, 4) / 64), "v": floats([1, 2])}
TUNED = {
    "one": {"w": floats(np.arange(12).reshape(3, 4) / 60), "v": floats([1, 3])},
    "two": {**BASE, "v": floats([2, 2])},
}
CONFIG = {"model_type": "tiny"}


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


def state(store: Store) -> Any:
    return listing(store.home.root), rows(store.home.root / "registry.db")


def refused(store: Store, path: Path, kinds: Any = (InputRefused, IntegrityFailure)) -> MergestoreError:
    """The error of an import, which left nothing."""
    before = state(store)
    with pytest.raises(kinds) as caught:
        store.import_bundle(path)
    assert state(store) == before
    assert str(path) in caught.value.message
    return caught.value


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


# Sound archives of bad content, all digests as they must be


def attack(name: str) -> Callable[[Callable[[Forged], None]], Callable[[Forged], None]]:
    def keep(function: Callable[[Forged], None]) -> Callable[[Forged], None]:
        ATTACKS.append((name, function))
        return function

    return keep


ATTACKS: list[tuple[str, Callable[[Forged], None]]] = []


def blob(forged: Forged, name: str, path: str) -> str:
    return str(next(file["blob"] for file in forged.entry(name)["files"] if file["path"] == path))


def model(**tensors: Any) -> bytes:
    header, data = {}, b""
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [len(data), len(data) + len(tensor.data)],
        }
        data += tensor.data
    return file_bytes(header, data)


@attack("its tensors: found")
def _another_weight(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"], v=floats([1, 3])))


@attack("is nan|not finite")
def _not_finite(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"], v=floats([1, np.nan])))


@attack("its tensors: found")
def _one_tensor_less(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), model(w=BASE["w"]))


@attack("too short|safetensors")
def _no_weights(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "model.safetensors"), b"{}")


@attack("two of its files")
def _weights_twice(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["kind"] == "weights")
    forged.entry("base")["files"].append({**file, "path": "more.safetensors"})


@attack("beside its weights")
def _another_config(forged: Forged) -> None:
    forged.replace(blob(forged, "base", "config.json"), b'{"model_type": "evil"}')


@attack("beside its weights")
def _a_file_more(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["path"] == "config.json")
    forged.entry("base")["files"].append({**file, "path": "tokenizer.json"})


@attack("no model is kept with")
def _a_strange_file(forged: Forged) -> None:
    file = next(file for file in forged.entry("base")["files"] if file["path"] == "config.json")
    file["path"] = "adapter_model.safetensors.index.json"


@pytest.mark.parametrize(
    "path", ["../config.json", "/config.json", "a/../../config.json", "", ".", "a//b", "a\\b", "mergestore.json"]
)
def test_paths_that_lead_elsewhere(path: str, forged: Forged, store: Store, tmp_path: Path) -> None:
    for entry in forged.manifest["versions"]:
        for file in entry["files"]:
            again = copy.deepcopy(forged)
            (same,) = (f for f in again.entry(entry["name"])["files"] if f["path"] == file["path"])
            same["path"] = path
            refused(store, again.write(tmp_path / "bad"), IntegrityFailure)


@attack("its delta: found")
def _anothers_delta(forged: Forged) -> None:
    one, two = (blob(forged, name, "delta.safetensors") for name in ("one", "two"))
    for name, other in (("one", two), ("two", one)):
        next(file for file in forged.entry(name)["files"] if file["kind"] == "delta")["blob"] = other


@attack("not a sound delta|delta file|no 'mergestore.delta'")
def _no_delta(forged: Forged) -> None:
    forged.replace(blob(forged, "one", "delta.safetensors"), model(w=BASE["w"]))


@attack("damaged frame")
def _a_damaged_frame(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    data = bytearray(forged.blobs[old])
    data[-3] ^= 1
    forged.replace(old, bytes(data))


@attack("statistics")
def _statistics_of_text(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    data = forged.blobs[old]
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    measured = json.loads(header["__metadata__"]["mergestore.statistics"])
    measured["total"]["norm"] = "large"
    header["__metadata__"]["mergestore.statistics"] = json.dumps(measured)
    forged.replace(old, file_bytes(header, data[8 + size :]))


@attack("damaged frame")
def _a_damaged_vector(forged: Forged) -> None:
    old = blob(forged, "both", "unified.safetensors")
    data = bytearray(forged.blobs[old])
    data[-3] ^= 1
    forged.replace(old, bytes(data))


@attack("has not the recipe of its digest")
def _another_weight_in_the_recipe(forged: Forged) -> None:
    forged.entry("sum")["recipe"]["terms"][0]["weight"] = 0.75


@attack("was not made from the inputs of its recipe")
def _another_recipe(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["terms"] = recipe["terms"][:1]
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("damaged recipe")
def _no_recipe(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["terms"] = 7
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("method that is not installed here")
def _an_unknown_method(forged: Forged) -> None:
    recipe = forged.entry("sum")["recipe"]
    recipe["method"] = "sorcery"
    forged.entry("sum")["digest"] = sha256(canonical(recipe))


@attack("stands before what it was made from")
def _a_cycle(forged: Forged) -> None:
    forged.entry("base")["parents"] = [{"reference": "sum@1", "role": "merge"}]


@attack("stands before what it was made from")
def _its_own_parent(forged: Forged) -> None:
    forged.entry("one")["parents"].append({"reference": "one@1", "role": "skill"})


@attack("stands before what it was made from")
def _children_first(forged: Forged) -> None:
    forged.manifest["versions"].reverse()


@attack("as its skill, which is a base")
def _a_base_as_a_skill(forged: Forged) -> None:
    forged.entry("one")["parents"].append({"reference": "base@1", "role": "skill"})


@attack("is there twice|later version")
def _a_version_twice(forged: Forged) -> None:
    forged.manifest["versions"].append(copy.deepcopy(forged.entry("sum")))


@attack("what is needed is not")
def _needs_what_nobody_needs(forged: Forged) -> None:
    need = {"reference": "other@1", "kind": "base", "digest": forged.entry("base")["digest"], "files": None}
    forged.manifest["needs"] = [need]


@attack("its blobs are not those")
def _a_blob_for_nothing(forged: Forged) -> None:
    forged.blobs["blake3:" + "0" * 64] = b""
    forged.manifest["blobs"]["blake3:" + "0" * 64] = {"size": 0, "sha256": sha256(b"")}


@attack("hashes to")
def _a_blob_of_another_name(forged: Forged) -> None:
    old = blob(forged, "one", "delta.safetensors")
    forged.blobs[old] = forged.blobs[old] + b" "
    forged.manifest["blobs"][old] = {"size": len(forged.blobs[old]), "sha256": sha256(forged.blobs[old])}


@attack("invalid name")
def _a_name_that_is_none(forged: Forged) -> None:
    forged.entry("sum")["name"] = "../sum"


@attack("of one store only")
def _says_from_where_it_was_imported(forged: Forged) -> None:
    forged.entry("sum")["attributes"]["imported"] = {"bundle": "sha256:" + "0" * 64}


@attack("hf:")
def _a_path_as_its_source(forged: Forged) -> None:
    forged.entry("base")["source"] = "/etc"


@attack("did not come out of it")
def _a_statement_about_something_else(forged: Forged) -> None:
    statement = {"predicate_type": "x", "subject_digest": forged.entry("base")["digest"], "document": "{}"}
    forged.entry("sum")["attestations"] = [statement]


@pytest.mark.parametrize("details", [{"task": ["x"]}, {"task": {}}, {"task": 7}, {"@measured": "x"}, {"": "x"}])
def test_details_of_a_score_are_texts(details: Any, forged: Forged, store: Store, tmp_path: Path) -> None:
    score = {"metric": "accuracy", "value": 0.5, "dataset": "sums", "details": details}
    forged.entry("one")["evaluations"] = [{**score, "made": forged.entry("one")["made"]}]
    assert "details must be" in refused(store, forged.write(tmp_path / "bad")).message


def test_the_bytes_of_a_head_are_compared(store: Store, tmp_path: Path, opened: Callable[..., Store]) -> None:
    """They are stored as they are, in no frame that has a checksum."""
    head, source = floats([[3, 5], [7, 9]]), opened(tmp_path / "source")
    source.register_base("base", save(tmp_path / "base", BASE))
    source.register_skill("one", save(tmp_path / "one", {**BASE, "score": head}), base="base")
    source.export("one", tmp_path / "one.bundle", lineage=True)
    forged = Forged.read(tmp_path / "one.bundle")
    old = blob(forged, "one", "delta.safetensors")
    data = bytearray(forged.blobs[old])
    data[data.index(head.data)] ^= 1
    forged.replace(old, bytes(data))
    assert "head tensor 'score' hashes to" in refused(store, forged.write(tmp_path / "bad")).message


@pytest.mark.parametrize("function", ATTACKS, ids=lambda pair: pair[1].__name__)
def test_sound_archives_of_bad_content(
    function: tuple[str, Callable[[Forged], None]], forged: Forged, store: Store, tmp_path: Path
) -> None:
    expected, change = function
    change(forged)
    error = refused(store, forged.write(tmp_path / "bad"))
    assert re.search(expected, error.message), error.message
