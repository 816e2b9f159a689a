"""Which skills touched a tensor, from the records, against the fine-tunes themselves."""

import numpy as np
import pytest

import mergestore
from mergestore import NotFound, UsageError
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
