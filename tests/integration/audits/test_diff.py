"""Two models compared, against numpy over what was materialized."""

import numpy as np
import pytest

import mergestore
from mergestore import NotFound, UsageError
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

BASE = llama("BF16", seed=1)


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("diff")
    save(folder / "tiny", BASE, {**LLAMA_CONFIG, "torch_dtype": "bfloat16"})
    save(folder / "other", llama("BF16", seed=9), LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    save(folder / "less", {name: tensor for name, tensor in BASE.items() if name != QUERY}, LLAMA_CONFIG)
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny")
        store.register_skill("math", folder / "math", base="tiny", encoding="exact", meta={"dataset": "gsm8k"})
        store.register_skill("code", folder / "code", base="tiny")
        store.merge("m", "tiny + 0.6*math + 0.4*code")
        store.merge("m", "tiny + 0.6*math + 0.5*code", method="ties", parameters={"density": 0.5})
        for number in (1, 2):
            store.materialize(f"m@{number}", output=folder / f"out{number}", wait=False)
        yield store, folder


def values(model):
    return {name: tensor.values.astype(np.float64) for name, tensor in model.items()}


def test_merges_are_compared_by_recipe_and_tensor(filled):
    store, folder = filled
    found = store.diff("m@1", "m@2")
    one, other, base = (values(read_model(folder / name)) for name in ("out1", "out2", "tiny"))
    assert found.deltas
    assert {row["name"] for row in found.tensors} == set(base)
    for row in found.tensors:
        a, b, origin = (model[row["name"]] for model in (one, other, base))
        assert row["equal"] == bool((a == b).all())
        assert row["distance"] == pytest.approx(np.linalg.norm(a - b), rel=1e-12)
        assert row["norms"] == pytest.approx([np.linalg.norm(a - origin), np.linalg.norm(b - origin)], rel=1e-12)
        product = np.vdot(a - origin, b - origin)
        assert row["cosine"] == pytest.approx(product / (row["norms"][0] * row["norms"][1]), rel=1e-9)
    whole = [np.concatenate([model[name].ravel() for name in sorted(base)]) for model in (one, other, base)]
    assert found.whole["distance"] == pytest.approx(np.linalg.norm(whole[0] - whole[1]), rel=1e-12)
    assert found.whole["differing"] + found.whole["equal"] == len(base)
    changed = {row["what"]: (row["one"], row["other"]) for row in found.made_of}
    assert changed["method"] == ("task_arithmetic", "ties")
    assert changed["skill code@1"] == (0.4, 0.5)
    assert "skill math@1" not in changed
    assert changed["parameter density"] == (None, 0.5)


def test_folders_and_versions_are_compared_with_each_other(filled):
    store, folder = filled
    same = store.diff("m@1", folder / "out1")
    assert (same.whole["differing"], same.whole["distance"], same.made_of) == (0, 0.0, [])
    assert same.whole["cosine"] == pytest.approx(1)
    strange = store.diff(folder / "math", "math")
    assert (strange.whole["differing"], strange.deltas) == (0, True)
    folders = store.diff(folder / "tiny", str(folder / "math"))
    assert not folders.deltas
    assert folders.whole["cosine"] > 0.99
    less = store.diff("tiny", folder / "less")
    assert less.only == {"one": [QUERY], "other": []}
    apart = store.diff("math", folder / "other")
    assert apart.whole["distance"] > 1


def test_skills_are_compared_as_their_fine_tunes(filled):
    found = filled[0].diff("math", "code")
    changed = {row["what"]: (row["one"], row["other"]) for row in found.made_of}
    assert changed["encoding"] == ("exact", "dare")
    assert changed["training: meta"] == ({"dataset": "gsm8k"}, None)
    assert "base" not in changed
    assert abs(found.whole["cosine"]) < 0.2


def test_names_with_a_prefix_are_those_without(filled, tmp_path):
    """As a model with a task head has them."""
    store, folder = filled
    save(tmp_path / "named", renamed(read_model(folder / "math"), "wrapped."), LLAMA_CONFIG)
    for one, other in (("math", tmp_path / "named"), (tmp_path / "named", folder / "math")):
        found = store.diff(one, other)
        assert (found.whole["equal"], found.whole["differing"]) == (len(BASE), 0)
        assert found.only == {"one": [], "other": []}


def test_with_heads_norms_are_those_of_the_deltas_too(filled, tmp_path):
    store, _ = filled
    tower = bert(seed=2)
    save(tmp_path / "tower", tower, BERT_CONFIG)
    config = {**BERT_CONFIG, "architectures": ["BertForSequenceClassification"]}
    store.register_base("tower", tmp_path / "tower")
    tuned = {name: fine_tune(tower, number) for number, name in enumerate(("one", "two"))}
    for name, model in tuned.items():
        head = {"classifier.weight": floats(np.ones((2, 16)))}
        save(tmp_path / name, renamed(model, "bert.") | head, config)
        store.register_skill(name, tmp_path / name, base="tower", encoding="exact")
    found = store.diff("one", "two")
    assert found.deltas
    for row in found.tensors:
        if row["name"] in tower and row["norms"] is not None:
            wanted = [
                np.linalg.norm(model[row["name"]].values.astype(np.float64) - tower[row["name"]].values)
                for model in tuned.values()
            ]
            assert row["norms"] == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert {row["name"] for row in found.tensors} == {*tower, "classifier.weight"}
    assert store.diff("one", tmp_path / "one").whole["differing"] == 0


def test_a_folder_without_a_slash_is_one_too(filled, monkeypatch):
    monkeypatch.chdir(filled[1])
    assert filled[0].diff("out1", "m@1").whole["differing"] == 0


def test_what_cannot_be_compared_is_refused(filled):
    store, folder = filled
    with pytest.raises(NotFound):
        store.diff("m", "nobody")
    with pytest.raises(UsageError, match="is an adapter"):
        store.diff("m", folder / "lora")


def test_a_person_reads_the_largest_differences_first(filled):
    shell = Shell(filled[1] / "store")
    told = shell.text("diff", "m@1", "m@2")
    assert "what they are made of" in told
    assert "skill code@1" in told
    assert "cosine" in told
    assert shell.json("diff", "m@1", "m@2")["whole"]["differing"] > 0
    assert "0 differ" in shell.text("diff", "m@1", filled[1] / "out1")
