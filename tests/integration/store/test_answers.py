"""What the answers of list, show, register and audit tell."""

import json

import numpy as np
import pytest

from mergestore import UsageError
from tests.integration.models import fine_tune, save
from tests.integration.store.base import BASE

pytestmark = pytest.mark.usefixtures("surroundings")


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
    files = {file["path"]: file["size"] for file in filled.show("new")["files"]}
    assert made.stored_bytes == files["delta.safetensors"]
    assert "config.json" in files
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
