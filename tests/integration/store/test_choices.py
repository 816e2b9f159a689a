"""What a materialization can be asked for: dtype, head, method, memory; and its result registered again."""

import json
from pathlib import Path

import numpy as np
import pytest

from mergestore import EnvironmentFailure, NotFound, UsageError
from tests.integration.models import bert, floats, read_model
from tests.integration.shell import listing

pytestmark = pytest.mark.usefixtures("surroundings")


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
