"""The file of a unified vector against damage and malice: every lie is refused and named, none is computed with."""

import dataclasses
import itertools
import json
import struct

import numpy as np
import pytest

from storage.checkpoints.safetensors_file import SafetensorsWriter, layout, read_header
from storage.deltas.unified import MANIFEST_KEY, UnifiedFile
from storage.digests import blake3_digest, canonical_json
from storage.encodings.frames import compress
from storage.errors import IntegrityFailure
from tests.unit.tiny_models import Tiny, tensor
from tests.unit.unified_models import from_file, write


@pytest.fixture
def made(tmp_path):
    random = np.random.default_rng(0)
    base = {"a": tensor(random.normal(size=(9, 5)), "BF16"), "b": tensor(np.ones(4), "BF16"), "c": tensor([1.0])}
    tiny = Tiny(tmp_path, base)
    tuned = [{**base, "a": tensor(base["a"].floats + random.normal(0, 0.1, (9, 5)), "BF16")} for _ in range(3)]
    tuned[0]["c"] = tensor([2.0])
    deltas = sorted((tiny.delta(each) for each in tuned), key=lambda delta: delta.manifest.digest)
    path, _ = write(tiny, deltas)
    yield tiny, deltas, path
    tiny.close()


def rewritten(path, manifest=None, drop=(), add=None, change=None):
    """The file again, with another manifest, or payloads left out, added or changed."""
    entries, metadata = read_header(path)
    content = path.read_bytes()
    payloads = {
        name: (entry.dtype, entry.shape, content[entry.offset : entry.offset + entry.nbytes])
        for name, entry in entries.items()
        if name not in drop
    }
    payloads |= add or {}
    for name, edit in (change or {}).items():
        dtype, _, data = payloads[name]
        data = edit(data)
        payloads[name] = (dtype, (len(data),), data)
    document = json.loads(metadata[MANIFEST_KEY])
    if manifest is not None:
        manifest(document)
    text = canonical_json(document).decode()
    specs = layout([(name, dtype, shape) for name, (dtype, shape, _) in sorted(payloads.items())])
    target = path.with_name("changed.safetensors")
    target.unlink(missing_ok=True)
    with SafetensorsWriter(target, specs, {MANIFEST_KEY: text}) as writer:
        for name, _, _ in specs:
            writer.write(name, payloads[name][2])
    return target


def test_what_was_written_is_read_again(made):
    tiny, deltas, path = made
    with UnifiedFile.open(path) as file:
        assert file.manifest.skills == tuple(delta.manifest.digest for delta in deltas)
        assert [file.skill(digest).manifest for digest in file.manifest.skills] == [each.manifest for each in deltas]
        assert {name: each.form for name, each in file.manifest.tensors.items()} == {
            "a": "unified",
            "b": "same",
            "c": "unified",
        }
        for name in file.manifest.tensors:
            file.check_content(name)
        with pytest.raises(KeyError):
            file.skill("blake3:" + "0" * 64)
    assert from_file(tiny, rewritten(path), deltas, deltas[0]) == from_file(tiny, path, deltas, deltas[0])


LIES = {
    "format": lambda d: d.update(format=2),
    "a field more": lambda d: d.update(more=1),
    "no base": lambda d: d.pop("base"),
    "another base": lambda d: d.update(base="blake3:" + "0" * 64),
    "one skill": lambda d: d.update(skills=d["skills"][:1]),
    "skills out of order": lambda d: d["skills"].reverse(),
    "a negative scale": lambda d: d["skills"][0].update(scale=-1),
    "a scale that is none": lambda d: d["skills"][0].update(scale="1"),
    "a form that is none": lambda d: d["tensors"]["a"].update(form="kept"),
    "a tensor said to be the base's": lambda d: d["tensors"].update(
        c={key: d["tensors"]["c"][key] for key in ("dtype", "shape", "base")} | {"form": "same"}
    ),
    "a tensor less": lambda d: d["tensors"].pop("b"),
    "another shape": lambda d: d["tensors"]["a"].update(shape=[5, 9]),
    "another tensor of the base": lambda d: d["tensors"]["a"].update(base=d["tensors"]["b"]["base"]),
    "a mask less": lambda d: d["tensors"]["a"]["masks"].pop(),
    "no mask": lambda d: d["tensors"]["a"].update(masks=[None] * 3),
    "a mask that is not there": lambda d: d["tensors"]["c"].update(masks=[d["tensors"]["c"]["content"]] * 3),
    "values that are not known": lambda d: d["tensors"]["a"].update(values="int4"),
    "exact values without a dtype": lambda d: d["tensors"]["a"].update(fine_tuned_dtype=None),
    "values that do not merge": lambda d: d["tensors"]["a"].update(dtype="I64"),
    "a tie to nothing": lambda d: d["tensors"].update(
        b={key: d["tensors"]["b"][key] for key in ("dtype", "shape", "base")} | {"form": "tied", "tied_to": "z"}
    ),
    "a tie to another tensor": lambda d: d["tensors"].update(
        b={key: d["tensors"]["b"][key] for key in ("dtype", "shape", "base")} | {"form": "tied", "tied_to": "a"}
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_does_not_fit_is_refused(made, lie):
    _, _, path = made
    with pytest.raises(IntegrityFailure):
        UnifiedFile.open(rewritten(path, LIES[lie]))


@pytest.mark.parametrize("payload", ["unified/a", "mask/1/a", "skill/2"])
def test_a_payload_that_is_missing_is_named(made, payload):
    _, _, path = made
    with pytest.raises(IntegrityFailure, match=payload):
        UnifiedFile.open(rewritten(path, drop=[payload]))


def test_a_payload_that_nobody_speaks_of_is_refused(made):
    _, _, path = made
    with pytest.raises(IntegrityFailure, match="mask/7/a"):
        UnifiedFile.open(rewritten(path, add={"mask/7/a": ("U8", (1,), b"x")}))


def test_a_skills_manifest_that_is_not_its_own_is_refused(made):
    _, _, path = made
    entries, _ = read_header(path)
    content = path.read_bytes()
    other = content[entries["skill/1"].offset :][: entries["skill/1"].nbytes]
    with pytest.raises(IntegrityFailure, match="its manifest is not that of"):
        UnifiedFile.open(rewritten(path, change={"skill/0": lambda _: other}))


@pytest.mark.parametrize("text", [b"{%d", b"\xff%d", b"[" * 100_000 + b"%d"], ids=["cut", "no text", "deep"])
def test_a_skills_manifest_that_is_no_json_is_refused(made, text):
    _, deltas, path = made
    first, _, last = (delta.manifest.digest for delta in deltas)
    # Between the others, as the digests of skills are in order.
    data = next(each for n in itertools.count() if first < blake3_digest(each := text % n) < last)
    frame = compress(data)
    payload = struct.pack("<II", len(frame), len(data)) + frame
    lie = rewritten(
        path, lambda d: d["skills"][1].update(skill=blake3_digest(data)), change={"skill/1": lambda _: payload}
    )
    with pytest.raises(IntegrityFailure, match="skill 1: its manifest is not JSON"):
        UnifiedFile.open(lie)


@pytest.mark.parametrize("payload", ["unified/a", "mask/0/a"])
def test_damage_in_a_payload_is_found_when_it_is_read_and_when_it_is_checked(made, payload):
    tiny, deltas, path = made
    broken = rewritten(path, change={payload: lambda data: data[:-1] + bytes([data[-1] ^ 1])})
    with pytest.raises(IntegrityFailure, match="damaged frame"):
        from_file(tiny, broken, deltas, deltas[0])
    with UnifiedFile.open(broken) as file, pytest.raises(IntegrityFailure, match="tensor 'a'"):
        file.check_content("a")


def test_sound_frames_of_something_else_are_told_by_their_digest_and_size(made):
    tiny, deltas, path = made
    entries, _ = read_header(path)
    content = path.read_bytes()

    def payload(name):
        return content[entries[name].offset :][: entries[name].nbytes]

    mixed = rewritten(path, change={"mask/0/a": lambda _: payload("mask/1/a")})
    with UnifiedFile.open(mixed) as file, pytest.raises(IntegrityFailure, match="mask 0 hash to"):
        file.check_content("a")
    empty = rewritten(path, change={"unified/a": lambda _: bytes(8)})
    with pytest.raises(IntegrityFailure, match="do not hold the mask of 0 values"):
        from_file(tiny, empty, deltas, deltas[0])


def test_files_of_another_kind_are_refused(made, tmp_path):
    tiny, _, path = made
    for other in (tiny.opened[0].path, tiny.folder / "base" / "model.safetensors"):
        with pytest.raises(IntegrityFailure, match="not the vector of an EMR merge"):
            UnifiedFile.open(other)
    (tmp_path / "short").write_bytes(path.read_bytes()[:100])
    with pytest.raises(IntegrityFailure, match="not a sound unified vector"):
        UnifiedFile.open(tmp_path / "short")
    with pytest.raises(IntegrityFailure, match="missing"):
        UnifiedFile.open(tmp_path / "nothing")


def test_the_digest_is_of_the_content_alone(made):
    _, _, path = made
    with UnifiedFile.open(path) as file:
        manifest = file.manifest
        assert manifest.digest == dataclasses.replace(manifest).digest
        assert manifest.digest != dataclasses.replace(manifest, scales=(1.0, 1.0, 1.0)).digest
