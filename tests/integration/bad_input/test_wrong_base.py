"""Fine-tunes and skills that do not belong to the base: every tensor that says so is named."""

from pathlib import Path

import numpy as np
import pytest

from tests.integration.bad_input.refusal import ATTENTION, BASE, BERT, OTHER, skill
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    QUERY,
    factors,
    fine_tune,
    floats,
    read_model,
    save,
    save_adapter,
    whole,
)

pytestmark = pytest.mark.usefixtures("surroundings")


# The wrong base


def test_a_fine_tune_of_another_architecture(shell, tmp_path):
    found = skill(shell, save(tmp_path / "x", fine_tune(BERT, 1)))
    assert "does not look like a fine-tune of this base" in found["message"]
    assert "'model.embed_tokens.weight'" in found["message"]
    assert "--base" in found["hint"]


def test_a_skill_of_another_base_names_the_tensors(shell):
    for verb in (("merge", "bad"), ("materialize",)):
        found = shell.refused(4, *verb, "tiny + math + legal")
        assert "legal@1 is a skill of other@1, not of tiny@1" in found["message"]
        assert found["message"].endswith("\n  tiny + math + legal\n                ^")
        assert "the two differ in 'lm_head.weight', 'model.embed_tokens.weight', " in found["message"]
        assert f" and {len(BASE) - 5} more" in found["message"]
        assert found["tensors"] == sorted(BASE)
        assert "begin the expression with other@1" in found["hint"]


def test_a_head_of_another_base(shell):
    found = shell.refused(4, "merge", "bad", "tiny + math", "--head", "sentiment")
    assert "sentiment@1 is a skill of another base than tiny@1" in found["message"]


def test_the_base_was_registered_anew_with_other_weights(alone, tmp_path):
    save(tmp_path / "anew", {**BASE, QUERY: OTHER[QUERY]}, LLAMA_CONFIG)
    assert alone.json("register", "base", "tiny", tmp_path / "anew")["version"] == 2
    found = alone.refused(4, "merge", "bad", "tiny + math")
    assert "math@1 is a skill of tiny@1, not of tiny@2" in found["message"]
    assert f"the two differ in '{QUERY}'\n" in found["message"]
    assert found["tensors"] == [QUERY]
    assert alone.json("merge", "good", "tiny@1 + math")["created"] is True


def test_an_adapter_of_another_base(shell, tmp_path):
    found = skill(shell, save_adapter(tmp_path / "x", factors(BERT, ["pooler.dense.weight"])))
    assert "'pooler.dense.weight'" in found["message"]
    assert "--base" in found["hint"]
    narrow = {**BASE, QUERY: floats(np.zeros((16, 8)))}
    found = skill(shell, save_adapter(tmp_path / "y", factors(narrow, [QUERY])))
    assert f"'{QUERY}' is [16, 16], its factors give [16, 8]" in found["message"]
    assert found["tensors"] == [QUERY]


# Tensors that are missing, renamed, of another shape


def test_missing_tensors_are_named(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    for name in ATTENTION[:2]:
        del tuned[name]
    found = skill(shell, save(tmp_path / "x", tuned))
    assert f"lacks 2 tensors of the base: '{ATTENTION[0]}', '{ATTENTION[1]}'" in found["message"]
    assert found["tensors"] == ATTENTION[:2]
    assert "--allow-missing" in found["hint"]


def test_a_renamed_tensor_is_suspected(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    tuned[QUERY.replace("q_proj", "query_proj")] = tuned.pop(QUERY)
    found = skill(shell, save(tmp_path / "x", tuned))
    assert repr(QUERY) in found["message"]
    assert "'model.layers.0.self_attn.query_proj.weight'?" in found["hint"]


def test_a_mixture_of_names(shell, tmp_path):
    tuned = fine_tune(BERT, 1)
    tuned["bert.pooler.dense.weight"] = tuned.pop("pooler.dense.weight")
    found = skill(shell, save(tmp_path / "x", tuned), base="bert")
    assert "pooler.dense.weight is bert.pooler.dense.weight" in found["message"]


def test_another_shape(shell, tmp_path):
    found = skill(shell, save(tmp_path / "x", {**fine_tune(BASE, 1), QUERY: floats(np.zeros((16, 8)))}))
    assert f"'{QUERY}' is [16, 16] in the base and [16, 8] here" in found["message"]
    assert found["tensors"] == [QUERY]
    assert found["hint"]


def test_a_vocabulary_that_shrank_with_its_sizes(shell, tmp_path):
    tuned = fine_tune(BASE, 1)
    fewer = {name: floats(np.zeros((62, 16))) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    found = skill(shell, save(tmp_path / "x", tuned | fewer))
    assert "64 rows in the base, 62 in the fine-tune" in found["message"]
    assert "'model.embed_tokens.weight' is [64, 16] in the base and [62, 16] here" in found["message"]
    assert "resize_token_embeddings(64)" in found["hint"]


def test_a_vocabulary_that_grew_in_a_part(shell, tmp_path):
    tuned = fine_tune(BASE, 1) | {"lm_head.weight": floats(np.zeros((66, 16)))}
    found = skill(shell, save(tmp_path / "x", tuned))
    assert "do not have the same number of rows" in found["message"]
    assert found["tensors"] == ["lm_head.weight", "model.embed_tokens.weight"]


# Buffers


def test_integer_buffers_that_are_the_bases_are_copied(alone, tmp_path):
    save(tmp_path / "x", fine_tune(BERT, 9), BERT_CONFIG)
    alone.json("register", "skill", "good", tmp_path / "x", "--base", "bert")
    made = alone.json("materialize", "bert + good", "--no-wait")
    assert read_model(Path(made["path"]))["embeddings.position_ids"] == BERT["embeddings.position_ids"]


def test_integer_buffers_that_differ(shell, tmp_path):
    other = whole(np.arange(12)[None] + 1)
    found = skill(shell, save(tmp_path / "x", {**fine_tune(BERT, 1), "embeddings.position_ids": other}), base="bert")
    assert "tensors of dtype I64 differ from the base's and cannot be merged" in found["message"]
    assert "'embeddings.position_ids'" in found["message"]
    assert "remove them" in found["hint"]
