"""Which skills touched a tensor, from the records, against the fine-tunes themselves."""

import json
import shutil

import numpy as np
import pytest

import mergestore
from mergestore import NotFound, UsageError
from registry.publishing import manifest_digest
from tests.integration.models import BERT_CONFIG, LLAMA_CONFIG, QUERY, bert, fine_tune, floats, llama, renamed, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)
TUNED = {"math": fine_tune(BASE, 1), "code": fine_tune(BASE, 2, only=[QUERY, "model.norm.weight"])}


@pytest.fixture(scope="module")
def filled(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("influence")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for name, tuned in TUNED.items():
        save(folder / name, tuned, LLAMA_CONFIG)
    tower = bert(seed=2)
    save(folder / "bert", tower, BERT_CONFIG)
    head = {"classifier.weight": floats(np.ones((2, 16)))}
    config = {**BERT_CONFIG, "architectures": ["BertForSequenceClassification"]}
    save(folder / "classes", renamed(fine_tune(tower, 1), "bert.") | head, config)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny")
        store.register_skill("math", folder / "math", base="tiny", encoding="exact")
        store.register_skill("code", folder / "code", base="tiny", drop_rate=0.5)
        store.register_base("tower", folder / "bert")
        store.register_skill("classes", folder / "classes", base="tower")
        store.merge("m", "tiny + {q_proj: -0.25, *: 0.5}*math + [0.2, 0.8]*code")
        store.merge("h", "tower + classes")
        store.materialize("m", output=folder / "m", wait=False)
        store.materialize("h", output=folder / "h", wait=False)
        store.materialize_adapter("tiny + 0.5*math", rank=2, output=folder / "adapter", wait=False)
        yield store, folder


def test_weights_norms_and_shares_are_those_of_each_tensor(filled):
    found = {row["name"]: row for row in filled[0].influence("m").tensors}
    assert set(found) == set(BASE)
    for name, row in found.items():
        parts = {part["skill"]: part for part in row["skills"]}
        sizes = {}
        for skill, tuned in TUNED.items():
            norm = np.linalg.norm(tuned[name].values.astype(np.float64) - BASE[name].values)
            part = parts[f"{skill}@1"]
            assert part["norm"] == pytest.approx(norm, rel=1e-6)
            sizes[skill] = abs(part["weight"]) * norm
        assert parts["math@1"]["weight"] == (-0.25 if "q_proj" in name else 0.5)
        for skill, size in sizes.items():
            share = parts[f"{skill}@1"]["share"]
            assert share == pytest.approx(size / sum(sizes.values()), rel=1e-6)
    assert found[QUERY]["skills"]
    assert found["lm_head.weight"]["skills"][0]["kept"] is not None
    code = next(part for part in found[QUERY]["skills"] if part["skill"] == "code@1")
    assert 0 < code["kept"] < code["elements"] == BASE[QUERY].values.size


def test_a_pattern_chooses_tensors_and_one_that_fits_none_is_refused(filled):
    store, _ = filled
    assert {row["name"] for row in store.influence("m", "q_proj").tensors} == {n for n in BASE if "q_proj" in n}
    assert len(store.influence("m", "model.*").tensors) == sum(name.startswith("model.") for name in BASE)
    with pytest.raises(NotFound, match="no tensor of m fits"):
        store.influence("m", "nothere")
    with pytest.raises(UsageError, match="is a skill"):
        store.influence("math", "*")


def test_the_tensors_of_a_head_are_whose_they_are(filled):
    rows = {row["name"]: row for row in filled[0].influence("h").tensors}
    assert rows["classifier.weight"]["skills"] == [{"skill": "classes@1", "role": "head"}]


def test_the_command_tells_it(filled):
    shell = Shell(filled[1] / "store")
    told = shell.text("audit", "m", "--tensor", "q_proj")
    assert "-0.25" in told
    assert "code@1" in told
    assert shell.json("audit", "m", "--tensor", "*")["tensors"]
    assert "face of its own" in shell("audit", "m", "--tensor", "*", "--dot")[2]


def without_measurements(row):
    """A row as far as a manifest tells it."""
    parts = [{key: part[key] for key in part.keys() & {"skill", "tensor", "weight", "role"}} for part in row["skills"]]
    return {**row, "skills": parts}


@pytest.mark.parametrize("name", ["m", "h"])
def test_a_folder_tells_the_weights_of_each_tensor_where_no_store_is(filled, tmp_path, name):
    store, folder = filled
    alone = Shell(tmp_path / "nowhere")
    recorded = store.influence(name)
    told = alone.json("audit", folder / name, "--tensor", "*")
    assert (told["recorded"], told["name"], told["recipe_digest"]) == (False, name, recorded.recipe_digest)
    key = lambda row: row["name"]  # noqa: E731
    assert sorted(map(without_measurements, told["tensors"]), key=key) == sorted(
        map(without_measurements, recorded.tensors), key=key
    )
    measured = [part for row in told["tensors"] for part in row["skills"] if "role" not in part]
    assert all(part["share"] is None and part["norm"] in (None, 0.0) for part in measured)
    assert store.influence(folder / name) == recorded, "the store that made it tells all of it"
    assert store.influence(str(folder / name)) == recorded
    with mergestore.open(tmp_path / "other") as other:
        assert other.influence(folder / name).to_dict() == told
    text, err = alone("audit", folder / name, "--tensor", "query" if name == "h" else "q_proj")[1:]
    assert "told by the store that made it" in err
    assert ("classes@1" if name == "h" else "-0.25") in text


def test_what_a_folder_does_not_tell_is_said(filled, tmp_path):
    alone = Shell(tmp_path / "nowhere")
    error = alone.refused(3, "audit", filled[1] / "adapter", "--tensor", "*")
    assert "it is an adapter" in error["message"]
    assert "--store DIR" in error["hint"]
    assert "no tensor of" in alone.refused(3, "audit", filled[1] / "m", "--tensor", "nothere")["message"]


@pytest.mark.parametrize(
    ("change", "mended"),
    [
        (lambda document: document["skills"][0].update(weight=7), False),
        (lambda document: document["skills"][0].update(head=3), True),
        (lambda document: document["skills"][0].update(taken_from_base={"tied": 1}), True),
        (lambda document: document["skills"][0].pop("taken_from_base"), True),
    ],
)
def test_a_folder_that_was_changed_tells_nothing(filled, tmp_path, change, mended):
    shutil.copytree(filled[1] / "m", tmp_path / "m")
    document = json.loads((tmp_path / "m" / "mergestore.json").read_text())
    change(document)
    document["digest"] = manifest_digest(document) if mended else document["digest"]
    (tmp_path / "m" / "mergestore.json").write_text(json.dumps(document))
    Shell(tmp_path / "nowhere").refused(6, "audit", tmp_path / "m", "--tensor", "*")
