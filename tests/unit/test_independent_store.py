"""Section 8 of docs/format.md is enough: a store and a published folder, checked from that page alone."""

import hashlib
import json
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

import mergestore
from tests.golden import make
from tests.unit import format1_decoder as decoder
from tests.unit import format1_merge


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with a base, two skills and a merge, and the merge published beside it in shards."""
    folder = tmp_path_factory.mktemp("place")
    make.save_models(folder / "models", *make.models())
    (folder / "models" / "base" / "tokenizer.json").write_text("{}")
    with mergestore.open(folder / "store", actor="ana@lab") as store:
        store.register_base("base", folder / "models" / "base", licence="MIT")
        store.register_skill("tuned", folder / "models" / "tuned", base="base", encoding="exact")
        store.register_skill("adapter", folder / "models" / "adapter", base="base")
        store.alias("tuned", "prod")
        store.merge("both", "base + 0.5*tuned@prod - 0.25*adapter", method="ties", dtype="F16")
        store.materialize("both", output=folder / "out", shard_size=300, wait=False)
    return folder


def document(place):
    return json.loads((place / "out" / "mergestore.json").read_bytes())


def published(folder):
    """Every tensor of a folder in the Hugging Face layout."""
    weight_map = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    found = {file: decoder.read_safetensors((folder / file).read_bytes()) for file in sorted(set(weight_map.values()))}
    assert all(metadata == {"format": "pt"} for _, metadata in found.values())
    assert len(found) > 1
    return {name: found[file][0][name] for name, file in weight_map.items()}


def blobs(place):
    return {path.name: path for path in (place / "store" / "objects").rglob("*") if path.is_file()}


def test_the_manifest_of_a_folder(place):
    manifest = document(place)
    raw = (place / "out" / "mergestore.json").read_bytes()
    assert raw == decoder.canonical(manifest).encode() + b"\n"
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    assert manifest["digest"] == decoder.recipe_digest(rest)
    assert manifest["recipe_digest"] == decoder.recipe_digest(manifest["recipe"])
    tensors = published(place / "out")
    rows = {name: (dtype, shape, decoder.blake3_digest(raw)) for name, (dtype, shape, raw) in tensors.items()}
    assert {n: {"dtype": d, "shape": list(s), "digest": h} for n, (d, s, h) in rows.items()} == manifest["tensors"]
    assert manifest["output_digest"] == decoder.model_digest(rows)
    for name, facts in manifest["files"].items():
        content = (place / "out" / name).read_bytes()
        assert facts == {"size": len(content), "sha256": "sha256:" + hashlib.sha256(content).hexdigest()}
    assert {"config.json", "tokenizer.json"} < set(manifest["files"])
    assert str(place) not in raw.decode()


def test_the_fields_of_the_manifest_are_those_on_the_page(place):
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    section = page[page.index("### 8.1") : page.index("### 8.2")]
    manifest = document(place)
    fields, more = section.split("A node may say more")
    assert told_fields(fields) == set(manifest)
    skill = section[section.index("| `skills`") :].splitlines()[0]
    for field in set(manifest["skills"][0]) - set(manifest["base"]):
        assert f"`{field}`" in skill
    assert braces(section, "`merge` | `") == set(manifest["base"])
    nodes = braces(section, "`nodes` ")
    for node in manifest["lineage"]["nodes"]:
        assert nodes <= set(node) <= nodes | told_fields(more)
    assert set().union(*manifest["lineage"]["nodes"]) > nodes
    assert braces(section, "`edges` ") == set(manifest["lineage"]["edges"][0])


def told_fields(text):
    """The names in the first column of a table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name.strip(" `") for row in rows for name in row.split(",")}


def braces(text, before):
    """The names in braces that follow a text."""
    start = text.index("{", text.index(before))
    return set(text[start + 1 : text.index("}", start)].split(", "))


def test_the_recipe_is_the_one_on_the_page(place):
    recipe = document(place)["recipe"]
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    section = page[page.index("## 6 Recipe") : page.index("## 7 ")]
    rows = [line for line in section.splitlines() if line.startswith("| `") and "| format 2" not in line]
    assert {line.split("`")[1] for line in rows} == set(recipe)
    companions = {name: (place / "models" / "base" / name).read_bytes() for name in ("config.json", "tokenizer.json")}
    assert recipe["files"] == decoder.files_digest(companions)


def test_blobs_are_named_by_their_bytes_and_hold_the_skills(place):
    found = blobs(place)
    for name, path in found.items():
        assert decoder.blake3_digest(path.read_bytes()) == f"blake3:{name}"
        assert path.parent.name == name[:2]
        assert path.parent.parent == place / "store" / "objects" / "blake3"
    deltas = [
        decoder.DeltaFile(path.read_bytes()) for path in found.values() if b"mergestore.delta" in path.read_bytes()
    ]
    assert {delta.digest for delta in deltas} == {skill["digest"] for skill in document(place)["skills"]}


def test_the_folder_is_rebuilt_from_blobs_and_recipe_alone(place):
    recipe = document(place)["recipe"]
    files = [path.read_bytes() for path in blobs(place).values()]
    deltas = [decoder.DeltaFile(data) for data in files if b"mergestore.delta" in data]
    models = [
        decoder.read_safetensors(data)[0] for data in files if b"position_ids" in data and b"mergestore" not in data
    ]
    (base,) = (
        model
        for model in models
        if decoder.model_digest({n: (d, s, decoder.blake3_digest(raw)) for n, (d, s, raw) in model.items()})
        == recipe["base"]
    )
    assert format1_merge.merge(recipe, base, {delta.digest: delta for delta in deltas}) == published(place / "out")


def test_the_audit_chain(place):
    previous = "sha256:" + "0" * 64
    with sqlite3.connect(place / "store" / "registry.db") as database:
        columns = "sequence, at, actor, action, subject, details, previous_hash, hash"
        rows = database.execute(f"SELECT {columns} FROM audit_event ORDER BY sequence").fetchall()
    database.close()
    assert len(rows) > 10
    for number, (sequence, at, actor, action, subject, details, before, found) in enumerate(rows, 1):
        assert (sequence, before) == (number, previous)
        assert decoder.canonical(json.loads(details)) == details
        moment = datetime.fromisoformat(at).isoformat(timespec="microseconds") + "+00:00"
        event = {"sequence": sequence, "at": moment, "actor": actor, "action": action, "subject": subject}
        previous = decoder.recipe_digest(event | {"details": details, "previous": before})
        assert previous == found
