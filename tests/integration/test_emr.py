"""Merges by EMR through the whole store: stored once, and every skill's model made from there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

import mergestore
from mergestore import Conflict, IntegrityFailure, NotFound, UsageError
from registry.provenance.mlflow_record import describe
from registry.records.database import reading
from registry.records.tables import Outbox
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    QUERY,
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
from tests.integration.shell import Shell
from tests.unit.unified_models import reference_models

pytestmark = pytest.mark.usefixtures("surroundings")
BASE = llama("BF16", seed=1)
TUNED = {"math": fine_tune(BASE, 1), "code": fine_tune(BASE, 2, only=[QUERY, "model.norm.weight"])}
EXPRESSION = "tiny + math + code"


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, {**LLAMA_CONFIG, "torch_dtype": "bfloat16"}, files={"tokenizer.json": "{}"})
    for name, tuned in TUNED.items():
        save(folder / name, tuned, LLAMA_CONFIG)
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    tower = bert(seed=2)
    save(folder / "bert", tower, BERT_CONFIG)
    for number in range(2):
        head = {"classifier.weight": floats(np.full((2, 16), number + 1.0))}
        config = {**BERT_CONFIG, "architectures": ["BertForSequenceClassification"], "id2label": {"0": f"l{number}"}}
        save(folder / f"head{number}", renamed(fine_tune(tower, number), "bert.") | head, config)
    return folder


@pytest.fixture(scope="module")
def original(models, tmp_path_factory):
    """A store with skills and EMR merges, to be copied."""
    home = tmp_path_factory.mktemp("original") / "store"
    with mergestore.open(home, actor="ann@lab") as store:
        store.register_base("tiny", models / "tiny", licence="MIT")
        for name in TUNED:
            store.register_skill(name, models / name, base="tiny", encoding="exact")
        store.register_skill("lora", models / "lora", base="tiny")
        store.register_base("bert", models / "bert")
        for number in range(2):
            store.register_skill(f"head{number}", models / f"head{number}", base="bert", encoding="exact")
        store.merge("both", EXPRESSION, method="emr")
        store.merge("all", EXPRESSION + " + lora", method="emr")
        store.merge("heads", "bert + head0 + head1", method="emr")
    return home


@pytest.fixture
def home(original, tmp_path):
    shutil.copytree(original, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def store(home):
    with mergestore.open(home, actor="ann@lab") as store:
        yield store


def made(store, folder, target, **options):
    """The digest of what is materialized, and its tensors."""
    answer = store.materialize(target, output=folder, wait=False, cache=False, **options)
    return answer, read_model(folder)


def vector(store, name):
    """Where the stored vector of a merge lies."""
    (file,) = [file for file in store.show(name)["files"] if file["path"] == "unified.safetensors"]
    return store.home.blobs.path(file["digest"])


def test_the_papers_example(models, tmp_path):
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("zero", save(tmp_path / "zero", {"w": floats([0, 0, 0])}))
        for name, values in (("one", [2, -1, 3]), ("two", [1, 2, -1])):
            tuned = save(tmp_path / name, {"w": floats(values)})
            store.register_skill(name, tuned, base="zero", encoding="exact")
        merged = store.merge("both", "zero + one + two", method="emr")
        scales = {skill["skill"]: skill["scale"] for skill in merged.unified["skills"]}
        assert scales == {"one@1": 1.2, "two@1": 1.0}
        for task, expected in (("one", [2.4, 0, 3.6]), ("two", [2, 2, 0])):
            _, tensors = made(store, tmp_path / f"out-{task}", "both", task=task)
            assert np.allclose(tensors["w"].values, expected, rtol=2**-23, atol=0)


@pytest.mark.parametrize("merge", ["both", "all"])
def test_a_skill_from_the_store_is_the_skill_from_the_skills(store, tmp_path, merge):
    expression = EXPRESSION + (" + lora" if merge == "all" else "")
    for task in ("math", "code", "lora") if merge == "all" else ("math", "code"):
        stored, _ = made(store, tmp_path / f"stored-{task}", merge, task=task)
        computed, _ = made(store, tmp_path / f"computed-{task}", expression, method="emr", task=task, threads=3)
        other, _ = made(store, tmp_path / f"one-{task}", merge, task=task, threads=1, shard_size=2000)
        assert stored.recipe_digest == computed.recipe_digest == other.recipe_digest
        assert stored.output_digest == computed.output_digest == other.output_digest


def test_loading_gives_what_materializing_writes(store, tmp_path):
    torch = pytest.importorskip("torch")
    _, written = made(store, tmp_path / "out", "both", task="code")
    loaded = store.load("both", task="code")
    assert loaded.keys() == written.keys()
    for name, tensor in loaded.items():
        assert tensor.view(torch.uint8).numpy().tobytes() == written[name].data


def test_a_tensor_that_the_task_leaves_alone_is_the_bases(store, tmp_path):
    _, tensors = made(store, tmp_path / "out", "both", task="code")
    changed = {name for name in BASE if tensors[name].data != BASE[name].data}
    assert changed == {QUERY, "model.norm.weight"}


def test_without_a_task_the_tasks_are_listed(store, tmp_path):
    for target, options in (("both", {}), (EXPRESSION, {"method": "emr"})):
        with pytest.raises(UsageError, match="no task says which") as caught:
            store.materialize(target, output=tmp_path / "out", **options)
        assert "code@1, math@1" in caught.value.hint
        with pytest.raises(UsageError, match="no task says which"):
            store.load(target, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["lora", "math@2", "nobody"])
def test_a_task_that_is_none_of_the_skills_is_refused(store, tmp_path, task):
    with pytest.raises(UsageError, match="none of the merged skills") as caught:
        store.materialize("both", task=task, output=tmp_path / "out")
    assert "code@1, math@1" in caught.value.hint


def test_a_task_by_version_and_by_alias(store, models, tmp_path):
    store.alias("math@1", "prod")
    with pytest.raises(NotFound):
        store.load("both", task="math@dev")
    # A newer version of the skill does not change what the merge's task means.
    save(tmp_path / "newer", fine_tune(BASE, 9), LLAMA_CONFIG)
    store.register_skill("math", tmp_path / "newer", base="tiny", encoding="exact")
    digests = {
        made(store, tmp_path / str(place), "both", task=task)[0].output_digest
        for place, task in enumerate(("math", "math@1", "math@prod"))
    }
    assert len(digests) == 1
    store.merge("versions", "tiny + math@1 + math@2", method="emr")
    with pytest.raises(UsageError, match="means several of the merged skills"):
        store.load("versions", task="math")
    store.load("versions", task="math@2")


def test_a_task_of_another_method_is_refused(store):
    with pytest.raises(UsageError, match="makes one model of all skills"):
        store.load(EXPRESSION, task="math")


def test_what_cannot_be_merged_so_is_refused_and_leaves_nothing(home, models):
    shell = Shell(home)
    shell.text("register", "skill", "sparse", models / "math", "--base", "tiny")
    shell.refused(2, "merge", "new", "tiny + math + sparse", "--method", "emr")
    shell.refused(2, "merge", "new", "tiny + math", "--method", "emr")
    shell.refused(2, "merge", "new", "tiny + 0.5*math + code", "--method", "emr")
    shell.refused(2, "merge", "new", EXPRESSION, "--method", "emr", "--param", "lambda=1")
    shell.refused(2, "merge", "heads", "bert + head0 + head1", "--method", "emr", "--head", "head0")
    shell.refused(4, "merge", "math", EXPRESSION, "--method", "emr")
    shell.refused(2, "materialize", "both")
    error = shell.refused(2, "materialize", "both", "--task", "lora")
    assert "code@1, math@1" in error["hint"]


def test_every_task_brings_its_own_head(store, tmp_path):
    for number in range(2):
        for target, options in (("heads", {}), ("bert + head0 + head1", {"method": "emr"})):
            folder = tmp_path / f"{number}{len(options)}"
            _, tensors = made(store, folder, target, task=f"head{number}", **options)
            assert np.array_equal(tensors["classifier.weight"].values, np.full((2, 16), number + 1.0))
            assert "bert.embeddings.word_embeddings.weight" in tensors
            assert json.loads((folder / "config.json").read_text())["id2label"] == {"0": f"l{number}"}
            assert json.loads((folder / "mergestore.json").read_text())["head"]["name"] == f"head{number}"


def test_another_head_or_none_may_be_chosen(store, tmp_path):
    _, tensors = made(store, tmp_path / "none", "heads", task="head0", head="none")
    assert "embeddings.word_embeddings.weight" in tensors
    _, tensors = made(store, tmp_path / "other", "heads", task="head0", head="head1")
    assert np.array_equal(tensors["classifier.weight"].values, np.full((2, 16), 2.0))


def test_an_adapter_of_a_stored_task_is_that_of_the_expression(store, tmp_path):
    stored = store.materialize_adapter("both", rank=4, task="math", output=tmp_path / "stored", wait=False)
    computed = store.materialize_adapter(
        EXPRESSION, method="emr", rank=4, task="math", output=tmp_path / "computed", wait=False
    )
    assert stored.output_digest == computed.output_digest


def test_a_head_keeps_its_numbers_where_the_weights_of_others_vary(store, tmp_path):
    target = "bert + {query: 0.3, *: 0.5}*head0 + [0.1, 0.9]*head1"
    _, tensors = made(store, tmp_path / "out", target, head="head1", dtype="BF16")
    assert tensors["classifier.weight"].dtype == "BF16"
    assert np.array_equal(tensors["classifier.weight"].values, np.full((2, 16), 2.0))


def test_a_dtype_chosen_when_merging_or_materializing(store, tmp_path):
    store.merge("wide", EXPRESSION, method="emr", dtype="F32")
    assert vector(store, "wide") == vector(store, "both")
    merged, tensors = made(store, tmp_path / "merged", "wide", task="math")
    chosen, _ = made(store, tmp_path / "chosen", "both", task="math", dtype="F32")
    computed, _ = made(store, tmp_path / "computed", EXPRESSION, method="emr", task="math", dtype="F32")
    assert {tensor.dtype for tensor in tensors.values()} == {"F32"}
    assert merged.output_digest == chosen.output_digest == computed.output_digest
    assert merged.recipe_digest == chosen.recipe_digest == computed.recipe_digest
    assert json.loads((tmp_path / "merged" / "mergestore.json").read_text())["merge"]["name"] == "wide"
    assert json.loads((tmp_path / "chosen" / "mergestore.json").read_text())["merge"] is None


def test_the_run_in_mlflow_tells_the_task(store, tmp_path):
    made(store, tmp_path / "out", "both", task="math")
    with reading(store.engine) as session:
        (told,) = (message.payload for message in session.scalars(select(Outbox)))
    record = describe(told)
    assert record.params["task"] == "math@1"


def test_the_stored_vector_suffices_without_the_skills_own_files(store, tmp_path):
    tasks = {"heads": "head1", "all": "lora"}
    before = [made(store, tmp_path / name, merge, task=name)[0] for merge, name in tasks.items()]
    papers = (tmp_path / "head1" / "mergestore.json").read_bytes()
    for name in (*TUNED, "lora", "head0", "head1"):
        (file,) = (each for each in store.show(name)["files"] if each["path"] == "delta.safetensors")
        store.home.blobs.path(file["digest"]).unlink()
    after = [made(store, tmp_path / f"again-{name}", merge, task=name)[0] for merge, name in tasks.items()]
    assert [each.output_digest for each in after] == [each.output_digest for each in before]
    assert (tmp_path / "again-head1" / "mergestore.json").read_bytes() == papers
    assert not store.verify("all").ok


def test_a_yanked_skill_takes_the_merge_out_of_use(store):
    store.yank("code@1", "wrong data")
    for target, options in (("both", {}), (EXPRESSION.replace("code", "code@1"), {"method": "emr"})):
        with pytest.raises(Conflict, match="wrong data"):
            store.load(target, task="math", **options)
    with pytest.raises(Conflict):
        store.merge("new", EXPRESSION, method="emr")


def test_merging_again_is_recognised_and_mends_a_damaged_vector(store):
    told = store.show("both")["attributes"]["unified"]
    path = vector(store, "both")
    content = path.read_bytes()
    again = store.merge("both", EXPRESSION, method="emr")
    assert (again.created, again.version, again.unified) == (False, 1, told)
    path.write_bytes(content[:-1] + b"?")
    assert not store.merge("both", EXPRESSION, method="emr").created
    assert path.read_bytes() == content
    assert store.merge("same", EXPRESSION, method="emr").created
    assert vector(store, "same") == path


@pytest.mark.parametrize("damage", ["gone", "changed", "short"])
def test_a_damaged_vector_is_named(store, damage):
    path = vector(store, "both")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + b"?" if damage == "changed" else content[:-1])
    with pytest.raises(IntegrityFailure, match=path.name):
        store.load("both", task="math")
    problems = store.verify("both").problems
    assert [problem["where"] for problem in problems] == ["both@1: unified.safetensors"]


def test_the_whole_store_verifies_with_its_vectors(store):
    verified = store.verify()
    assert verified.ok, verified.problems
    assert store.verify("both").checked["deltas"] == 3 * len(BASE)


def test_audit_and_show_tell_of_the_vector_and_its_tasks(home, store, tmp_path):
    answer, _ = made(store, tmp_path / "out", "both", task="math")
    audit = store.audit("both")
    assert [each["materialization_id"] for each in audit.materializations] == [answer.materialization_id]
    assert [each["task"] for each in audit.materializations] == ["math@1"]
    assert audit.counts["materializations"] == 1
    assert {edge["parent"] for edge in audit.lineage["edges"] if edge["child"] == "both@1"} == {
        "tiny@1",
        "math@1",
        "code@1",
    }
    shown = store.show("both")
    assert [each["task"] for each in shown["materializations"]] == ["math@1"]
    assert [file["path"] for file in shown["files"]] == ["unified.safetensors"]
    assert {skill["skill"] for skill in shown["attributes"]["unified"]["skills"]} == {"math@1", "code@1"}
    told = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    assert (told["merge"]["name"], told["recipe"]["task"]) == ("both", store.show("math")["digest"])
    assert "the skill whose model it is): `math@1`" in (tmp_path / "out" / "README.md").read_text()
    shell = Shell(home)
    assert "scale" in shell.text("show", "both")
    assert "1 * skill math@1" in shell.text("audit", "both")


def test_a_model_made_from_a_task_can_be_registered_and_remembers_the_merge(store, tmp_path):
    made(store, tmp_path / "out", "both", task="math")
    store.register_base("specialist", tmp_path / "out")
    assert {edge["parent"] for edge in store.audit("specialist").lineage["edges"]} >= {"both@1", "math@1"}


def test_the_answer_compares_the_vector_with_the_skills(home):
    shell = Shell(home)
    merged = shell.json("merge", "third", "tiny + code + lora + math", "--method", "emr")["unified"]
    sizes = {name: shell.json("show", name)["stored_bytes"] for name in (*TUNED, "lora")}
    assert merged["skills_bytes"] == sum(sizes.values())
    assert {skill["skill"]: skill["skill_bytes"] for skill in merged["skills"]} == {
        f"{name}@1": size for name, size in sizes.items()
    }
    parts = merged["vector_bytes"] + sum(skill["stored_bytes"] for skill in merged["skills"])
    assert 0 < merged["stored_bytes"] - parts < 50_000  # the rest is the header
    text = shell.text("merge", "third", "tiny + code + lora + math", "--method", "emr")
    assert "that its skills take" in text
    assert "lora@1" in text


def test_the_task_on_the_command_line_is_cached_by_task(home, tmp_path):
    shell = Shell(home)
    first = shell.json("materialize", "both", "--task", "math", "--no-wait")
    assert shell.json("materialize", "both", "--task", "code", "--no-wait")["output_digest"] != first["output_digest"]
    again = shell.json("materialize", EXPRESSION, "--method", "emr", "--task", "math", "--no-wait")
    assert (again["cached"], again["output_digest"]) == (True, first["output_digest"])
    assert Path(first["path"]).is_dir()


def test_resident_mode_says_where_else(store):
    pytest.importorskip("torch")
    with store.resident("tiny", ["math", "code"]) as resident, pytest.raises(UsageError, match="not resident"):
        resident.load(EXPRESSION, method="emr")


@pytest.mark.parametrize("saved", ["both", "one"])
def test_tied_weights_are_stored_and_counted_once_and_stay_tied(tmp_path, saved):
    config = {"model_type": "llama", "tie_word_embeddings": True, "torch_dtype": "float32"}
    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    base = llama() | {head: llama()[embedding]}
    tuned = {f"s{number}": fine_tune(base, number) for number in (1, 2)}
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("base", save(tmp_path / "base", base, config))
        for name, model in tuned.items():
            model |= {head: model[embedding]}
            told = {key: each for key, each in model.items() if key != head or saved == "both"}
            store.register_skill(name, save(tmp_path / name, told, config), base="base", encoding="exact")
        merged = store.merge("both", "base + s1 + s2", method="emr")
        order = sorted(tuned, key=lambda name: store.show(name)["digest"])
        deltas = [{name: tuned[skill][name].values - base[name].values for name in base} for skill in order]
        values = {name: each.values for name, each in base.items()}
        _, scales = reference_models(values, deltas, once=[name for name in base if name != head])
        assert [skill["skill"] for skill in merged.unified["skills"]] == [f"{name}@1" for name in order]
        found = [skill["scale"] for skill in merged.unified["skills"]]
        assert np.allclose(found, [float(scale) for scale in scales], rtol=1e-13)
        for name in tuned:
            stored, tensors = made(store, tmp_path / f"stored-{name}", "both", task=name)
            computed, _ = made(store, tmp_path / f"computed-{name}", "base + s1 + s2", method="emr", task=name)
            assert stored.output_digest == computed.output_digest
            assert tensors[head] == tensors[embedding] != base[embedding]
