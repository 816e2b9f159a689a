"""A published folder: what is in it, what its papers say, and how it is checked wherever it goes."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
import yaml

import mergestore
from mergestore import IntegrityFailure, NotFound, UsageError
from registry.directories import check_directory, read_manifest
from registry.verifying import verify_directory
from storage.digests import canonical_json, json_digest
from storage.progress import Silent
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    Tensor,
    bert,
    factors,
    fine_tune,
    floats,
    llama,
    read_file,
    read_model,
    renamed,
    save,
    save_adapter,
    write_file,
)

pytestmark = pytest.mark.usefixtures("surroundings")
BASE = llama("BF16", seed=1)
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def store(surroundings, tmp_path_factory):
    """A base, skills under several licences, and a named merge."""
    folder = tmp_path_factory.mktemp("directories")
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        files = {
            "tokenizer.json": "{}",
            "generation_config.json": "{}",
            "chat_template.jinja": "{{ x }}",
            "LICENSE": "MIT",
        }
        files |= {"README.md": "---\nlicense: mit\n---\nthe base's own card", "training_args.bin": "no weights"}
        store.register_base("tiny", save(folder / "tiny", BASE, LLAMA_CONFIG, files=files))
        mit = {"README.md": "---\nlicense: MIT\ntags: [x]\n---\n"}
        store.register_skill("math", save(folder / "math", fine_tune(BASE, 1), files=mit), base="tiny", seed=5)
        store.register_skill("code", save(folder / "code", fine_tune(BASE, 2)), base="tiny", encoding="exact")
        adapter = save_adapter(folder / "lora", factors(BASE, [QUERY]))
        store.register_skill("lora", adapter, base="tiny", licence="GPL-3.0")
        store.merge("team/assistant", "tiny + 0.6*math - 0.4*code + 0.5*lora", method="ties")
        yield store


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """The merge, published in shards."""
    out = tmp_path_factory.mktemp("published") / "out"
    store.materialize("team/assistant", output=out, shard_size=3000, wait=False)
    return out


@pytest.fixture
def published(whole, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(whole, tmp_path / "copy")


# What is in it


def test_it_holds_weights_companions_and_papers_alone(published):
    names = {path.name for path in published.rglob("*")}
    shards = {name for name in names if name.endswith(".safetensors")}
    assert len(shards) > 3
    assert names - shards == {
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
        "generation_config.json",
        "chat_template.jinja",
        "LICENSE",
        "README.md",
        "mergestore.json",
    }
    assert "the base's own card" not in (published / "README.md").read_text()


def test_shards_are_within_their_size_and_say_what_transformers_asks(published):
    for path in published.glob("*.safetensors"):
        header_size = int.from_bytes(path.read_bytes()[:8], "little")
        header = json.loads(path.read_bytes()[8 : 8 + header_size])
        assert header.pop("__metadata__") == {"format": "pt"}
        assert len(header) == 1 or path.stat().st_size - 8 - header_size <= 3000
    index = json.loads((published / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(len(tensor.data) for tensor in BASE.values())
    assert set(index["weight_map"]) == set(read_model(published)) == set(BASE)


def test_the_manifest_names_every_input_and_output_by_digest(store, published):
    document = json.loads((published / "mergestore.json").read_text())
    merge, skills = store.show("team/assistant"), {name: store.show(name) for name in ("math", "code", "lora")}
    assert document["recipe"] == merge["recipe"]
    assert document["recipe_digest"] == merge["digest"] == json_digest(document["recipe"])
    assert (document["merge"]["name"], document["merge"]["version"]) == ("team/assistant", 1)
    assert document["expression"] == "tiny + 0.6*math - 0.4*code + 0.5*lora"
    assert document["base"]["digest"] == document["recipe"]["base"] == store.show("tiny")["digest"]
    assert [skill["digest"] for skill in document["skills"]] == sorted(each["digest"] for each in skills.values())
    weights = {skill["name"]: skill["weight"] for skill in document["skills"]}
    assert weights == {"math": 0.6, "code": -0.4, "lora": 0.5}
    math = next(skill for skill in document["skills"] if skill["name"] == "math")
    assert (math["encoding"], math["values"], math["seed"], math["licence"]) == ("dare", "int4", 5, "MIT")
    assert {node["id"] for node in document["lineage"]["nodes"]} == {
        *("tiny@1", "math@1", "code@1", "lora@1", "team/assistant@1")
    }
    tensors = read_model(published)
    assert document["tensors"] == {
        name: {"dtype": tensor.dtype, "shape": list(tensor.shape), "digest": tensor.digest}
        for name, tensor in tensors.items()
    }
    assert (published / "mergestore.json").read_bytes() == canonical_json(document) + b"\n"


def test_the_papers_are_nobodys_business_but_the_models(store, whole):
    """No path, host, user or time of the machine that made it: the same recipe gives the same papers everywhere."""
    for path in whole.iterdir():
        text = path.read_bytes().decode(errors="replace")
        for secret in (str(store.home.root.parent), socket.gethostname(), "ann@lab", "tester@here", "2026-"):
            assert secret not in text, f"{secret} in {path.name}"


def test_another_store_publishes_the_very_same_folder(store, whole, tmp_path):
    sources = store.home.root.parent
    with mergestore.open(tmp_path / "other") as other:
        other.register_base("tiny", sources / "tiny")
        other.register_skill("lora", sources / "lora", base="tiny", licence="GPL-3.0")
        other.register_skill("code", sources / "code", base="tiny", encoding="exact")
        other.register_skill("math", sources / "math", base="tiny", seed=5)
        other.merge("team/assistant", "tiny + 0.6*math - 0.4*code + 0.5*lora", method="ties")
        other.materialize("team/assistant", output=tmp_path / "again", shard_size=3000, wait=False)
    made, again = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (whole, tmp_path / "again")
    )
    # Versions come into being in another order there, and lineage is told in that order.
    ours, theirs = (json.loads(files.pop("mergestore.json")) for files in (made, again))
    for document in (ours, theirs):
        del document["digest"]
        document["lineage"] = {key: sorted(map(str, each)) for key, each in document["lineage"].items()}
    assert ours == theirs
    assert made == again


def front(folder):
    card = (folder / "README.md").read_text()
    _, matter, body = card.split("---\n", 2)
    return yaml.safe_load(matter), body


def test_the_card_says_what_the_hub_and_people_ask(store, published, tmp_path):
    matter, body = front(published)
    assert matter["library_name"] == "transformers"
    assert not {"base_model", "base_model_relation"} & matter.keys(), "names that are only this store's"
    assert set(matter["tags"]) == {"merge", "mergestore", "ties"}
    assert "license" not in matter, "one input's licence is not known, so the whole's is not"
    assert "licence not stated for: code@1" in body
    assert "together: `GPL-3.0-only AND MIT AND NOASSERTION` (a list of what was stated, not legal advice)" in body
    document = read_manifest(published)
    for said in (document["recipe_digest"], document["output_digest"], document["expression"], "density=0.2", "seed"):
        assert said in body
    assert json.loads(body.split("```json\n")[1].split("```")[0]) == document["recipe"]
    store.materialize("tiny + math", output=tmp_path / "one", wait=False)
    assert front(tmp_path / "one")[0]["license"] == "mit"
    store.materialize("tiny + lora", output=tmp_path / "two", wait=False)
    assert front(tmp_path / "two")[0]["license"] == "other"
    assert front(tmp_path / "two")[0]["license_name"] == "GPL-3.0-only AND MIT"


def test_names_that_yaml_would_misread(tmp_path):
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("on", save(tmp_path / "base", BASE), licence="LicenseRef-on")
        store.register_skill("1e3", save(tmp_path / "x", fine_tune(BASE, 1)), base="on", licence="LicenseRef-no")
        store.materialize("on + 1e3", output=tmp_path / "out", wait=False)
    matter, _ = front(tmp_path / "out")
    assert matter["license_name"] == "LicenseRef-no AND LicenseRef-on"


def test_head_and_config_go_together(tmp_path):
    tower, config = bert(seed=1), {**BERT_CONFIG, "architectures": ["BertForSequenceClassification"], "num_labels": 2}
    head = {"classifier.weight": floats(np.ones((2, 16)))}
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("bert", save(tmp_path / "base", tower, {**BERT_CONFIG, "_name_or_path": "/secret/base"}))
        tuned = save(
            tmp_path / "x", renamed(fine_tune(tower, 1), "bert.") | head, {**config, "_name_or_path": "/secret"}
        )
        store.register_skill("skill", tuned, base="bert")
        store.materialize("bert + skill", output=tmp_path / "out", dtype="F16", wait=False)
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written.pop("dtype", None) or written.pop("torch_dtype", None) == "float16"
    assert written == config
    made = read_model(tmp_path / "out")
    assert made["classifier.weight"] == floats(np.ones((2, 16)), "F16")
    assert made["bert.embeddings.position_ids"] == tower["embeddings.position_ids"]


# Checking it


def test_it_is_checked_wherever_it_goes_without_its_store(whole, tmp_path):
    moved = shutil.copytree(whole, tmp_path / "far" / "away")
    verified = verify_directory(moved, Silent())
    assert verified.ok
    assert verified.checked["tensors"] == len(BASE)
    for path in moved.iterdir():  # as the Hub's cache keeps files
        target = path.rename(tmp_path / f"blob-{path.name}")
        if path.suffix == ".safetensors":
            path.symlink_to(target)
        else:
            shutil.copy(target, path)
    assert any("changed" in problem["what"] for problem in verify_directory(moved, Silent()).problems)
    with mergestore.open(tmp_path / "empty") as store:
        assert store.verify(whole).ok


def test_what_its_owner_adds_is_left_alone(published):
    (published / "notes").mkdir()
    (published / "notes" / "eval.json").write_text("{}")
    (published / "README.md").write_text("my own words")
    assert verify_directory(published, Silent()).ok


def rewrite(folder, change):
    """Change the tensors of the shard that holds QUERY."""
    weight_map = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    path = folder / weight_map[QUERY]
    tensors = change(read_file(path))
    write_file(path, tensors)


def test_every_way_to_change_tensors_is_named(published, whole):
    as_f16 = Tensor("F16", BASE[QUERY].shape, BASE[QUERY].data)
    reshaped = Tensor("BF16", (8, 32), BASE[QUERY].data)
    for change in (
        lambda tensors: {**tensors, QUERY: BASE[QUERY]},
        lambda tensors: {**tensors, QUERY: as_f16},
        lambda tensors: {**tensors, QUERY: reshaped},
        lambda tensors: {name: tensor for name, tensor in tensors.items() if name != QUERY},
        lambda tensors: {name.replace("q_proj", "Q_proj"): tensor for name, tensor in tensors.items()},
    ):
        rewrite(published, change)
        problems = verify_directory(published, Silent()).problems
        assert any(QUERY in problem["what"] for problem in problems), problems
        for path in whole.glob("*.safetensors"):
            shutil.copy(path, published)
    rewrite(published, lambda tensors: {**tensors, "stranger": floats([1.0])})
    assert any("stranger" in problem["what"] for problem in verify_directory(published, Silent()).problems)


def test_a_manifest_that_was_rewritten_is_found(published):
    """Whatever is changed in it, one of its digests does not hold any more."""
    path = published / "mergestore.json"
    original = json.loads(path.read_text())
    changed = list(changes(original))
    assert len(changed) > 100
    for document in changed:
        path.write_bytes(canonical_json(document) + b"\n")
        assert not verify_directory(published, Silent()).ok
    path.write_bytes(canonical_json(original) + b"\n")
    assert verify_directory(published, Silent()).ok


def changes(document, make=lambda value: value):
    """The document with each of its values changed, and each of its keys left out."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield make({other: document[other] for other in document if other != key})
            yield from changes(value, lambda new, key=key: make({**document, key: new}))
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from changes(value, lambda new, place=place: make([*document[:place], new, *document[place + 1 :]]))
    elif isinstance(document, str):
        yield make(document + "x")
    elif isinstance(document, bool) or document is None:
        yield make(not document)
    else:
        yield make(document + 1)


HOSTILE = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a text": '"mergestore"',
    "empty": "{}",
    "deep": "[" * 100_000,
    "wrong types": '{"recipe": 1, "tensors": [], "files": 3, "output_digest": 4, "recipe_digest": 5, "digest": 6}',
    "tensors that are none": '{"recipe": {}, "recipe_digest": "x", "output_digest": "x", "digest": "x", "files": {}, '
    '"tensors": {"a": 1}}',
    "a number too large": '{"recipe": {"x": 1e999}, "tensors": {}, "files": {}, "output_digest": 4, "digest": 1}',
    "too large elsewhere": '{"recipe": {}, "tensors": {}, "files": {}, "output_digest": 4, "recipe_digest": 1, '
    '"digest": 1, "software": 1e999}',
    "half a letter": '{"recipe": {}, "tensors": {}, "files": {}, "output_digest": 4, "recipe_digest": 1, "digest": 1, '
    '"software": "\\ud800"}',
    "not UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_a_finding(published, case):
    text = HOSTILE[case]
    (published / "mergestore.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    _, problems = check_directory(published, Silent())
    assert problems
    assert "mergestore.json" in problems[0]["what"] + problems[0]["where"]
    assert "Error(" not in problems[0]["what"]
    with pytest.raises(IntegrityFailure, match=r"mergestore\.json"):
        read_manifest(published)


def test_a_manifest_with_a_flipped_bit_says_at_which_byte(published):
    path = published / "mergestore.json"
    data = bytearray(path.read_bytes())
    data[9] ^= 0x80
    path.write_bytes(data)
    with pytest.raises(IntegrityFailure, match=r"mergestore\.json is damaged: it is not UTF-8 text \(byte 9\)"):
        read_manifest(published)


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/hostname", "/dev/zero", "pipe", "folder", "link", "a\0b", "x" * 5000, ""]
)
def test_a_manifest_cannot_make_us_read_other_files(published, tmp_path, name):
    (tmp_path / "secret.json").write_text("secret")
    (published / "link").symlink_to(tmp_path / "secret.json")
    (published / "folder").mkdir()
    os.mkfifo(published / "pipe")
    path = published / "mergestore.json"
    document = json.loads(path.read_text())
    document["files"][name] = {
        "size": 6,
        "sha256": "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
    }
    path.write_text(json.dumps(document))
    problems = verify_directory(published, Silent()).problems
    assert any("file " in problem["what"] for problem in problems)


def test_a_folder_that_is_none_of_ours(tmp_path):
    save(tmp_path / "x", BASE)
    (problem,) = verify_directory(tmp_path / "x", Silent()).problems
    assert "not a model that mergestore published" in problem["what"]
    with pytest.raises(UsageError, match="not a model that mergestore published"):
        read_manifest(tmp_path / "x")
    with pytest.raises(NotFound, match="there is no folder"):
        verify_directory(tmp_path / "nothing", Silent())
    for name in ("x", "nothing"):  # as of a cached result that somebody took apart
        (problem,) = check_directory(tmp_path / name, Silent())[1]
        assert problem["where"] == str(tmp_path / name)
