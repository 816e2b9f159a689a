"""The Store's verbs: what is recognised, what is reused, what is replaced, and what each answer tells."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import mergestore
from mergestore import Conflict, EnvironmentFailure, IntegrityFailure, NotFound, UsageError
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    bert,
    factors,
    fine_tune,
    floats,
    llama,
    read_model,
    renamed,
    save,
    save_adapter,
)
from tests.integration.shell import listing

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[2]
BASE = llama(seed=1)
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    """A base, fine-tunes and an adapter of it, and a BERT with two heads, as folders."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, {**LLAMA_CONFIG, "torch_dtype": "float32"}, files={"tokenizer.json": "{}"})
    for number in range(4):
        save(folder / f"ft{number}", fine_tune(BASE, number), LLAMA_CONFIG)
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    tower = bert(seed=2)
    save(folder / "bert", tower, BERT_CONFIG, files={"LICENSE": "do what you like"})
    for number in range(2):
        head = {"classifier.weight": floats(np.full((2, 16), number + 1.0))}
        config = {
            **BERT_CONFIG,
            "architectures": ["BertForSequenceClassification"],
            "id2label": {"0": f"label {number}"},
        }
        save(folder / f"head{number}", renamed(fine_tune(tower, number), "bert.") | head, config)
    return folder


@pytest.fixture
def store(tmp_path):
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        yield store


@pytest.fixture
def filled(store, models):
    """A store with the base, two skills and a merge."""
    store.register_base("tiny", models / "tiny", licence="Apache-2.0")
    store.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=3)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact", licence="MIT")
    store.merge("assistant", "tiny + 0.6*math + 0.4*code")
    return store


# Recognising content


def test_the_same_content_is_one_version(filled, models, tmp_path):
    before = listing(filled.home.root)
    again = filled.register_base("tiny", shutil.copytree(models / "tiny", tmp_path / "elsewhere"))
    assert (again.version, again.created, again.licence) == (1, False, "Apache-2.0")
    again = filled.register_skill("math", models / "ft1", base="tiny@1", drop_rate=0.5, seed=3)
    assert (again.version, again.created) == (1, False)
    again = filled.merge("assistant", "tiny + 0.4*code + 0.6*math")
    assert (again.version, again.created) == (1, False)
    assert listing(filled.home.root) == before


def test_other_content_is_the_next_version(filled, models, tmp_path):
    assert filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=4).version == 2
    assert filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.6, seed=3).version == 3
    assert filled.register_skill("math", models / "ft3", base="tiny").version == 4
    assert filled.merge("assistant", "tiny + 0.6*math + 0.4*code").version == 2  # math means another version now
    assert filled.merge("assistant", "tiny + 0.6*math@1 + 0.4*code").created is False
    other = filled.register_base("tiny", save(tmp_path / "x", llama(seed=9), LLAMA_CONFIG))
    assert (other.version, other.created) == (2, True)
    assert [each["version"] for each in filled.show("tiny")["versions"]] == [1, 2]


def test_the_same_weights_with_another_tokenizer_are_another_version(filled, models, tmp_path):
    changed = shutil.copytree(models / "tiny", tmp_path / "x")
    (changed / "tokenizer.json").write_text('{"new": 1}')
    other = filled.register_base("tiny", changed)
    assert (other.version, other.created) == (2, True)
    for folder, version in ((models / "tiny", 1), (changed, 2)):
        again = filled.register_base("tiny", folder)
        assert (again.version, again.created) == (version, False)
    made = [filled.materialize(f"tiny@{n} + code", wait=False) for n in (1, 2)]
    assert made[0].output_digest == made[1].output_digest
    assert made[0].recipe_digest != made[1].recipe_digest
    assert [Path(each.path, "tokenizer.json").read_text() for each in made] == ["{}", '{"new": 1}']


def test_two_names_for_one_content(filled, models):
    twin = filled.register_skill("twin", models / "ft2", base="tiny", encoding="exact")
    assert twin.created is True
    assert twin.digest == filled.show("code")["digest"]
    assert filled.merge("m", "tiny + twin").recipe_digest == filled.merge("n", "tiny + code").recipe_digest


# Aliases and yanking


def test_an_alias_means_what_it_was_set_to(filled, models):
    filled.alias("math@1", "prod")
    filled.register_skill("math", models / "ft3", base="tiny")
    first = filled.merge("pinned", "tiny + math@prod")
    assert first.recipe_digest == filled.merge("p1", "tiny + math@1").recipe_digest
    filled.alias("math@2", "prod")
    second = filled.merge("pinned", "tiny + math@prod")
    assert second.version == 2
    assert second.recipe_digest == filled.merge("p2", "tiny + math@2").recipe_digest
    assert filled.show("pinned@1")["recipe"] == first.recipe
    history = filled.show("math")["alias_history"]
    assert [(move["version"], move["previous"], move["actor"]) for move in history] == [
        (1, None, "ann@lab"),
        (2, 1, "ann@lab"),
    ]
    filled.alias("pinned@1", "live")
    assert filled.materialize("pinned@live", wait=False).recipe_digest == first.recipe_digest
    filled.unalias("math", "prod")
    with pytest.raises(NotFound, match="no alias 'prod'"):
        filled.merge("x", "tiny + math@prod")


def test_what_was_yanked_is_used_no_more_but_stays_explained(filled, models):
    made = filled.materialize("assistant", wait=False)
    filled.register_skill("math", models / "ft3", base="tiny")
    filled.yank("math@1", "leaked data")
    for call in (
        lambda: filled.materialize("assistant", wait=False),
        lambda: filled.load("assistant"),
        lambda: filled.merge("x", "tiny + math@1"),
        lambda: filled.merge("assistant", "tiny + 0.6*math@1 + 0.4*code"),
        lambda: filled.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=3),
    ):
        with pytest.raises(Conflict, match="math@1 is yanked: leaked data"):
            call()
    assert filled.merge("y", "tiny + math").created is True  # math now means math@2
    node = next(node for node in filled.audit("assistant").lineage["nodes"] if node["id"] == "math@1")
    assert (node["state"], node["reason"]) == ("yanked", "leaked data")
    assert filled.verify(Path(made.path)).ok
    filled.yank("math", "also wrong")
    with pytest.raises(Conflict, match="no version of math is ready"):
        filled.merge("z", "tiny + math")
    assert filled.list("skill").skills[1]["state"] == "yanked"


def test_a_yanked_base(filled, models):
    filled.yank("tiny@1", "licence withdrawn")
    for call in (
        lambda: filled.register_skill("new", models / "ft3", base="tiny@1"),
        lambda: filled.register_base("tiny", models / "tiny"),
        lambda: filled.merge("x", "tiny@1 + code"),
        lambda: filled.materialize("assistant", wait=False),
    ):
        with pytest.raises(Conflict, match="tiny@1 is yanked: licence withdrawn"):
            call()


# Referenced bases


def test_a_referenced_base_stays_where_it_is(store, models, tmp_path):
    folder = save(tmp_path / "big", BASE, LLAMA_CONFIG, shards=2, files={"tokenizer.json": "{}"})
    made = store.register_base("tiny", folder, reference=True)
    assert made.referenced is True
    assert sum(listing(store.home.root / "objects").values()) < 2000  # the companions alone
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 2)
    ingested = store.register_base("copied", models / "tiny")
    assert ingested.digest == made.digest


@pytest.mark.parametrize("change", ["edited", "shortened", "gone", "another model"])
def test_a_referenced_base_that_changed_is_refused(store, models, tmp_path, change):
    folder = save(tmp_path / "big", BASE, LLAMA_CONFIG)
    store.register_base("tiny", folder, reference=True)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    weights, content = folder / "model.safetensors", (folder / "model.safetensors").read_bytes()
    match change:
        case "edited":
            weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "shortened":
            weights.write_bytes(content[:-4])
        case "gone":
            weights.unlink()
        case "another model":
            save(folder, llama(seed=5), LLAMA_CONFIG)
    last = list(BASE)[-1]
    for call in (
        lambda: store.materialize("tiny + code", output=tmp_path / "out", wait=False),
        lambda: store.load("tiny + code"),
        lambda: store.register_skill("new", models / "ft3", base="tiny"),
    ):
        with pytest.raises(IntegrityFailure) as caught:
            call()
        assert "tensor" in caught.value.message
        assert "verify" in caught.value.hint
    assert not (tmp_path / "out").exists()
    verified = store.verify()
    assert not verified.ok
    assert any(repr(last) in problem["what"] or str(weights) in problem["what"] for problem in verified.problems)
    weights.write_bytes(content)
    assert store.verify().ok
    assert store.materialize("tiny + code", wait=False).cached is False


def test_a_referenced_base_that_was_moved_is_registered_again(store, models, tmp_path):
    store.register_base("tiny", shutil.copytree(models / "tiny", tmp_path / "old"), reference=True)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    shutil.move(tmp_path / "old", tmp_path / "new")
    with pytest.raises(IntegrityFailure, match="old"):
        store.load("tiny + code")
    again = store.register_base("tiny", tmp_path / "new", reference=True)
    assert (again.version, again.created) == (2, True)
    assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 2)
    assert store.register_base("tiny", tmp_path / "new", reference=True).created is False


# What the answers tell


def test_list_tells_names_versions_digests_and_more(filled):
    filled.alias("math", "prod")
    listed = filled.list().to_dict()
    assert {key: [each["name"] for each in rows] for key, rows in listed.items()} == {
        "bases": ["tiny"],
        "skills": ["code", "math"],
        "merges": ["assistant"],
    }
    for rows in listed.values():
        for row in rows:
            assert {"name", "version", "digest", "state", "created_at", "created_by", "aliases"} <= set(row)
            assert row["created_by"] == "ann@lab"
    assert listed["skills"][1]["aliases"] == ["prod"]
    assert filled.list("merge").skills == []
    with pytest.raises(UsageError, match="unknown kind"):
        filled.list("model")


def test_show_tells_one_version_in_full(filled):
    base, skill, merge = filled.show("tiny"), filled.show("math"), filled.show("assistant")
    assert {file["path"] for file in base["files"]} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert base["licence"] == "Apache-2.0"
    assert skill["base"]["name"] == "tiny"
    assert (skill["encoding"], skill["values"], skill["drop_rate"], skill["seed"]) == ("dare", "int4", 0.5, 3)
    assert skill["statistics"]["total"]["elements"] == sum(np.prod(tensor.shape) for tensor in BASE.values())
    assert merge["recipe"]["method"] == "task_arithmetic"
    assert merge["attributes"]["expression"] == "tiny + 0.6*math + 0.4*code"
    assert merge["materializations"] == []
    json.dumps([base, skill, merge])


def test_registering_tells_size_and_statistics(filled, models):
    base = filled.register_base("tiny", models / "tiny")
    elements = sum(int(np.prod(tensor.shape)) for tensor in BASE.values())
    assert (base.tensors, base.parameters, base.bytes) == (len(BASE), elements, 4 * elements)
    made = filled.register_skill("new", models / "ft3", base="tiny", values="bf16", drop_rate=0.0)
    total = made.statistics["total"]
    delta = np.concatenate([(fine_tune(BASE, 3)[n].values - BASE[n].values).reshape(-1) for n in BASE])
    assert total["kept"] == total["elements"] == elements
    assert total["norm"] == pytest.approx(np.linalg.norm(delta.astype(np.float64)), rel=1e-6)
    assert (total["minimum"], total["maximum"]) == (delta.min(), delta.max())
    assert made.statistics["advice"]["verdict"] == "fine"
    assert made.stored_bytes == filled.show("new")["files"][0]["size"]
    assert made.bits_per_parameter == pytest.approx(8 * made.stored_bytes / elements)


def test_large_deltas_are_advised_against(filled, tmp_path):
    far = save(tmp_path / "far", fine_tune(BASE, 1, sigma=0.05))
    made = filled.register_skill("far", far, base="tiny")
    assert made.statistics["advice"]["verdict"] == "unsuitable"
    assert any("--encoding exact" in note for note in made.notes)


def test_audit_tells_who_made_what_of_what(filled):
    made = filled.materialize("assistant", wait=False)
    audit = filled.audit("assistant")
    assert (audit.name, audit.version, audit.recipe_digest) == ("assistant", 1, made.recipe_digest)
    assert [each["materialization_id"] for each in audit.materializations] == [made.materialization_id]
    nodes = {node["id"]: node for node in audit.lineage["nodes"]}
    assert set(nodes) == {"tiny@1", "math@1", "code@1", "assistant@1"}
    assert (nodes["math@1"]["seed"], nodes["code@1"]["licence"]) == (3, "MIT")
    assert {(edge["child"], edge["parent"], edge["role"]) for edge in audit.lineage["edges"]} == {
        ("math@1", "tiny@1", "base"),
        ("code@1", "tiny@1", "base"),
        ("assistant@1", "tiny@1", "base"),
        ("assistant@1", "math@1", "skill"),
        ("assistant@1", "code@1", "skill"),
    }
    actions = {event["action"] for event in audit.events}
    assert {"version.create", "delta.add", "lineage.add", "recipe.record", "materialization.record"} <= actions
    assert {event["actor"] for event in audit.events} == {"ann@lab"}
    assert filled.audit("math").recipe is None
    json.dumps(audit.to_dict())


# The cache and output folders


def test_the_cache_is_reused_and_says_so(filled):
    first = filled.materialize("assistant", wait=False)
    second = filled.materialize("assistant", wait=False)
    assert (first.cached, second.cached) == (False, True)
    assert second.materialization_id == first.materialization_id
    assert any("cache" in note for note in second.notes)
    anew = filled.materialize("assistant", cache=False, wait=False)
    assert anew.cached is False
    assert anew.materialization_id != first.materialization_id
    assert (anew.path, anew.output_digest) == (first.path, first.output_digest)
    sharded = filled.materialize("assistant", shard_size=5000, wait=False)
    assert sharded.cached is False
    assert Path(sharded.path, "model.safetensors.index.json").exists()
    shutil.rmtree(first.path)
    assert filled.materialize("assistant", wait=False).cached is False


def test_a_damaged_cache_is_computed_anew(filled):
    first = filled.materialize("assistant", wait=False)
    weights = Path(first.path, "model.safetensors")
    good = weights.read_bytes()
    for damage in (good[:-1] + bytes([good[-1] ^ 1]), good[:-9]):
        weights.write_bytes(damage)
        again = filled.materialize("assistant", wait=False)
        assert again.cached is False
        assert any("damaged" in note for note in again.notes)
        assert weights.read_bytes() == good
    Path(first.path, "config.json").unlink()
    assert filled.materialize("assistant", wait=False).cached is False


def test_an_output_is_copied_from_the_cache(filled, tmp_path):
    first = filled.materialize("assistant", wait=False)
    copied = filled.materialize("assistant", output=tmp_path / "out", wait=False)
    assert copied.cached is True
    assert copied.path == str(tmp_path / "out")
    assert copied.materialization_id != first.materialization_id
    assert contents(tmp_path / "out") == contents(Path(first.path))
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(b"changed by its owner")
    assert filled.verify(Path(first.path)).ok, "a copy shares nothing with the cache"
    fresh = filled.materialize("assistant", output=tmp_path / "fresh", cache=False, wait=False)
    assert fresh.cached is False
    assert contents(tmp_path / "fresh") == contents(Path(first.path))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_merge_is_named_though_its_expression_was_cached(store, models, tmp_path):
    """The cache is kept by recipe; what a result is called is another matter."""
    store.register_base("tiny", models / "tiny")
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
    first = store.materialize("tiny + 0.5*code", wait=False)
    store.merge("half", "tiny + 0.5*code")
    in_cache = store.materialize("half", wait=False)
    in_folder = store.materialize("half", output=tmp_path / "out", wait=False)
    assert first.recipe_digest == in_cache.recipe_digest
    assert (in_cache.cached, in_folder.cached) == (True, True)
    document = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    assert (document["merge"]["name"], document["merge"]["version"]) == ("half", 1)
    assert "half@1" in {node["id"] for node in document["lineage"]["nodes"]}
    assert (tmp_path / "out" / "README.md").read_text().splitlines().count("# half") == 1
    assert store.verify(tmp_path / "out").ok
    named = [message["merge"] for message in payloads(store)]
    assert named[0] is None
    assert [merge["name"] for merge in named[1:]] == ["half", "half"]
    assert store.materialize("half", wait=False).materialization_id == in_cache.materialization_id


def payloads(store):
    from registry.records import outbox
    from registry.records.database import reading

    with reading(store.engine) as session:
        return [message.payload for message in outbox.pending(session)]


def test_force_replaces_at_once(filled, tmp_path):
    """Whoever looks at the folder while it is replaced sees the old model or the new one, whole."""
    out, stop, seen, faults = tmp_path / "out", threading.Event(), set(), []
    filled.merge("other", "tiny + 0.1*code")
    digests = {
        filled.materialize(name, output=out, force=True, wait=False).output_digest for name in ("other", "assistant")
    }

    def look():
        while not stop.is_set():
            try:
                seen.add(json.loads((out / "mergestore.json").read_text())["output_digest"])
            except OSError as error:
                faults.append(error)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(12):
        for name in ("assistant", "other"):
            filled.materialize(name, output=out, force=True, wait=False)
    stop.set()
    watcher.join()
    assert seen == digests
    assert faults == []
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("out", "store")] == []


def test_force_replaces_published_models_and_empty_folders_only(filled, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = listing(tmp_path)
    for name in ("mine", "file", "link", "dangling"):
        for force in (False, True):
            with pytest.raises(Conflict) as caught:
                filled.materialize("assistant", output=tmp_path / name, force=force, wait=False)
            assert caught.value.hint
    assert listing(tmp_path) == before
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        made = filled.materialize("assistant", output=tmp_path / "empty", force=True, wait=False)
        assert filled.verify(Path(made.path)).ok


def test_a_device_that_is_not_there_is_told_even_where_the_cache_has_the_result(filled):
    filled.materialize("assistant", wait=False)
    with pytest.raises(EnvironmentFailure, match="cdua"):
        filled.materialize("assistant", device="cdua", wait=False)


@pytest.mark.parametrize("place", ["store", "store/objects", "store/cache/x", "."])
def test_an_output_never_takes_the_place_of_the_store(filled, tmp_path, place):
    before = listing(filled.home.root)
    with pytest.raises(UsageError, match="store") as caught:
        filled.materialize("assistant", output=tmp_path / place, force=True, wait=False)
    assert caught.value.hint
    assert listing(filled.home.root) == before
    assert filled.verify().ok


@pytest.mark.parametrize("place", ["", ".", "..", "/"])
def test_an_output_never_takes_the_place_of_the_folder_one_is_in(filled, tmp_path, monkeypatch, place):
    (tmp_path / "work" / "here").mkdir(parents=True)
    (tmp_path / "work" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "work" / "here")
    with pytest.raises(UsageError) as caught:
        filled.materialize("assistant", output=place, force=True, wait=False)
    assert caught.value.hint
    assert listing(tmp_path / "work") == {"here": 0, "notes.txt": 4}


@pytest.mark.parametrize("place", ["people/me", "people"])
def test_an_output_never_takes_the_place_of_the_home_folder(filled, tmp_path, monkeypatch, place):
    (tmp_path / "people" / "me").mkdir(parents=True)  # empty, as in a fresh container: still not to be replaced
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    with pytest.raises(UsageError, match="home") as caught:
        filled.materialize("assistant", output=tmp_path / place, force=True, wait=False)
    assert caught.value.hint
    assert listing(tmp_path / "people") == {"me": 0}


def test_an_output_never_takes_the_place_of_a_mounted_disk(filled, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "disk")
    with pytest.raises(UsageError, match="mounted") as caught:
        filled.materialize("assistant", output=tmp_path / "disk", force=True, wait=False)
    assert str(tmp_path / "disk" / "model") in caught.value.hint
    assert listing(tmp_path / "disk") == {}


# Choices of a materialization


def test_dtype(filled, tmp_path):
    plain = filled.materialize("assistant", output=tmp_path / "F32", dtype="F32", wait=False)
    values = {name: tensor.values for name, tensor in read_model(tmp_path / "F32").items()}
    digests = {plain.recipe_digest, filled.merge("x", "tiny + 0.6*math + 0.4*code").recipe_digest}
    for dtype, written in (("F16", "float16"), ("bfloat16", "bfloat16")):
        name = {"F16": "F16", "bfloat16": "BF16"}[dtype]
        made = filled.materialize("assistant", output=tmp_path / name, dtype=dtype, wait=False)
        digests.add(made.recipe_digest)
        assert read_model(tmp_path / name) == {key: floats(each, name) for key, each in values.items()}
        assert json.loads((tmp_path / name / "config.json").read_text())["torch_dtype"] == written
        assert {str(tensor.dtype) for tensor in filled.load("assistant", dtype=dtype).values()} == {f"torch.{written}"}
    assert len(digests) == 4


def test_heads(store, models, tmp_path):
    store.register_base("bert", models / "bert")
    for number in range(2):
        store.register_skill(f"head{number}", models / f"head{number}", base="bert", encoding="exact")
    only = store.materialize("bert + 0.5*head0", output=tmp_path / "only", wait=False)
    assert only.recipe_digest == store.merge("o", "bert + 0.5*head0", head="head0").recipe_digest
    expression = "bert + 0.5*head0 + 0.5*head1"
    with pytest.raises(UsageError, match="2 skills have tensors of their own"):
        store.materialize(expression, wait=False)
    for number in range(2):
        made = store.materialize(expression, head=f"head{number}", output=tmp_path / f"h{number}", wait=False)
        tensors = read_model(Path(made.path))
        assert tensors["classifier.weight"] == floats(np.full((2, 16), number + 1.0))
        assert "bert.pooler.dense.weight" in tensors
        config = json.loads(Path(made.path, "config.json").read_text())
        assert config["id2label"] == {"0": f"label {number}"}
    bare = store.materialize(expression, head="none", output=tmp_path / "bare", wait=False)
    assert set(read_model(Path(bare.path))) == set(bert())
    assert json.loads(Path(bare.path, "config.json").read_text())["architectures"] == ["BertModel"]
    named = store.merge("both", expression, head="head1")
    assert store.materialize("both", wait=False).recipe_digest == named.recipe_digest
    assert store.materialize("both", head="none", wait=False).recipe_digest == bare.recipe_digest
    other = store.materialize("bert + 0.5*head0", head="head1", output=tmp_path / "foreign", wait=False)
    assert read_model(Path(other.path))["classifier.weight"] == floats(np.full((2, 16), 2.0))
    assert "head1@1" in {node["id"] for node in manifest(other.path)["lineage"]["nodes"]}


def manifest(folder):
    return json.loads(Path(folder, "mergestore.json").read_text())


def test_a_merge_with_other_choices_is_another_recipe(filled):
    named = filled.materialize("assistant", wait=False)
    varied = filled.materialize("assistant", method="ties", parameters={"density": 0.5}, wait=False)
    assert varied.recipe_digest != named.recipe_digest
    assert manifest(named.path)["merge"]["name"] == "assistant"
    assert manifest(varied.path)["merge"] is None
    assert [each["recipe_digest"] for each in filled.audit("assistant").materializations] == [named.recipe_digest]
    with pytest.raises(NotFound, match="it is a skill"):
        filled.materialize("math", wait=False)


def test_load_writes_and_records_nothing(filled):
    before, events = listing(filled.home.root), len(filled.audit("assistant").events)
    loaded = filled.load("assistant")
    assert (listing(filled.home.root), len(filled.audit("assistant").events)) == (before, events)
    written = read_model(Path(filled.materialize("assistant", wait=False).path))
    assert set(loaded) == set(written)
    for name, tensor in loaded.items():
        assert tensor.shape == written[name].shape
        assert np.array_equal(tensor.numpy(), written[name].values)
    with pytest.raises(EnvironmentFailure, match="cuda:9"):
        filled.load("assistant", device="cuda:9")


def test_registering_a_result_carries_its_lineage_on(filled, tmp_path):
    made = filled.materialize("assistant", output=tmp_path / "out", wait=False)
    base = filled.register_base("assistant-base", made.path)
    assert base.digest == made.output_digest
    assert "assistant@1" in {node["id"] for node in filled.audit("assistant-base").lineage["nodes"]}
    assert filled.verify().ok


# More than one at a time, more than one place


def run(store, *words):
    command = [sys.executable, "-m", "cli", "--json", "--store", str(store.home.root), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(processes):
    found = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        found.append(json.loads(out))
    return found


def test_processes_that_materialize_the_same_recipe_at_once(filled, tmp_path):
    made = answers([run(filled, "materialize", "assistant", "--no-wait") for _ in range(3)])
    assert len({each["output_digest"] for each in made}) == 1
    assert len({each["path"] for each in made}) == 1
    assert filled.verify(Path(made[0]["path"])).ok
    assert filled.verify().ok
    assert [path.name for path in (filled.home.root / "cache").iterdir()] == [Path(made[0]["path"]).name]


def test_processes_that_register_the_same_content_at_once(filled, models):
    words = ("register", "skill", "new", models / "ft3", "--base", "tiny")
    made = answers([run(filled, *words) for _ in range(3)])
    assert {(each["version"], each["digest"]) for each in made} == {(1, made[0]["digest"])}
    assert sorted(each["created"] for each in made) == [False, False, True]
    assert filled.verify().ok


def test_a_store_that_is_moved_works_on(filled, tmp_path):
    made = filled.materialize("assistant", wait=False)
    filled.close()
    moved = shutil.move(filled.home.root, tmp_path / "moved")
    with mergestore.open(moved, create=False) as store:
        assert store.verify().ok
        again = store.materialize("assistant", wait=False)
        assert (again.output_digest, again.cached) == (made.output_digest, True)
        assert Path(again.path).is_relative_to(moved)


@pytest.mark.server
def test_all_of_it_on_postgresql(postgres_url, models, tmp_path):
    with mergestore.open(tmp_path / "store", database=postgres_url) as store:
        store.register_base("tiny", models / "tiny", licence="MIT")
        for name, coding in (("math", {"seed": 3}), ("code", {"encoding": "exact"})):
            made = store.register_skill(name, models / "ft1", base="tiny", **coding)
            assert store.register_skill(name, models / "ft1", base="tiny", **coding).created is False
        store.register_skill("lora", models / "lora", base="tiny")
        store.merge("assistant", "tiny + 0.6*math + 0.4*lora", method="dare_ties")
        store.alias("math", "prod")
        with pytest.raises(NotFound, match="maht"):
            store.merge("x", "tiny + maht")
        with contextlib.ExitStack() as stack:
            first = store.materialize("assistant", output=tmp_path / "out", wait=False)
            other = stack.enter_context(mergestore.open(tmp_path / "other"))
            other.register_base("base", models / "tiny")
            other.register_skill("m", models / "ft1", base="base", seed=3)
            other.register_skill("l", models / "lora", base="base")
            on_sqlite = other.materialize("base + 0.4*l + 0.6*m", method="dare_ties", wait=False)
        assert (first.recipe_digest, first.output_digest) == (on_sqlite.recipe_digest, on_sqlite.output_digest)
        assert store.materialize("tiny + code", wait=False).cached is False
        assert store.materialize("tiny + code", wait=False).cached is True
        assert read_model(Path(store.materialize("tiny + code", wait=False).path)) == fine_tune(BASE, 1)
        store.yank("code", "enough")
        verified = store.verify()
        assert verified.ok, verified.problems
        assert len(store.audit("assistant").lineage["nodes"]) == 4
        assert made.digest == store.show("code@1")["digest"]
    with pytest.raises(UsageError, match="invalid connection option"):
        mergestore.open(tmp_path / "store", database=postgres_url + "?colour=blue")


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_provenance_reaches_a_tracking_database(filled, tmp_path):
    """Delivered while one waits, or by sync; each materialization once."""
    with mergestore.open(filled.home.root, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}") as store:
        store.materialize("assistant", wait=False)
        made = store.materialize("assistant", cache=False)
        assert made.mlflow_run_id is not None, made.notes
        assert store.sync() == {"delivered": 1, "pending": 0, "errors": []}
        runs = {each["mlflow_run_id"] for each in store.audit("assistant").materializations}
        assert len(runs) == 2
        assert made.mlflow_run_id in runs
        assert store.sync()["delivered"] == 0
        assert store.verify().ok
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.get_run(made.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mergestore.recipe_digest"] == made.recipe_digest
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9"
