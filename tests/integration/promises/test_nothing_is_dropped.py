"""3. The wrong base is refused, nothing is dropped or invented, and ``exact`` rebuilds a fine-tune bit for bit."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mergestore
from tests.integration.models import (
    BERT_CONFIG,
    DTYPES,
    QUERY,
    bert,
    fine_tune,
    floats,
    llama,
    raw,
    read_model,
    renamed,
    save,
    whole,
)
from tests.integration.promises.stored import stored_bytes

pytestmark = pytest.mark.usefixtures("surroundings")


def expected_sum(base, tuned, weight):
    """base + w·(fine-tune − base), each step rounded to fp32, once to the base's dtype at the end."""
    delta = tuned.values - base.values
    return floats(base.values + np.float32(weight) * delta, base.dtype)


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_output_is_the_base_tensor_for_tensor(tmp_path_factory, data):
    draw = data.draw
    dtype, seed = draw(st.sampled_from(DTYPES)), draw(st.integers(0, 2**20))
    base = draw(st.sampled_from([llama, bert]))(dtype, seed)
    base |= {"empty": floats(np.zeros((0, 3))), "scalar": floats(np.float32(0.5)), "odd/é name": floats([1.0], "F16")}
    changed = draw(st.sets(st.sampled_from(sorted(name for name in base if base[name].dtype == dtype)), max_size=6))
    head = {f"classifier.{n}": floats(np.ones(3) * n) for n in range(draw(st.integers(0, 2)))}
    prefix = draw(st.sampled_from(["", "model.x."]))
    weight = draw(st.sampled_from([1.0, 0.5, -0.25, 0.0]))
    tuned = fine_tune(base, seed + 1, only=changed)
    folder = tmp_path_factory.mktemp("set")
    with mergestore.open(folder / "store") as store:
        store.register_base("base", save(folder / "base", base, shards=draw(st.sampled_from([1, 3]))))
        save(folder / "tuned", renamed(tuned, prefix) | head, BERT_CONFIG)
        store.register_skill("skill", folder / "tuned", base="base", encoding="exact")
        sign = "-" if weight < 0 else "+"
        made = store.materialize(f"base {sign} {abs(weight)}*skill", output=folder / "out", wait=False, shard_size=900)
    prefix = prefix if head else ""
    if weight == 1.0:
        expected = renamed(tuned, prefix)
    else:
        merged = {name: expected_sum(base[name], tuned[name], weight) for name in changed}
        expected = renamed(base | merged, prefix)
    assert read_model(Path(made.path)) == expected | head


def test_all_that_a_fine_tune_lacks_is_accounted_for(opened, tmp_path):
    """Allowed to be missing: taken from the base, and said so wherever the result is described."""
    base = bert(seed=1)
    tuned = fine_tune(base, 2)
    for name in ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"):
        del tuned[name]
    store = opened()
    store.register_base("base", save(tmp_path / "base", base, BERT_CONFIG))
    save(tmp_path / "tuned", tuned)
    with pytest.raises(mergestore.InputRefused, match=r"pooler\.dense\.bias"):
        store.register_skill("skill", tmp_path / "tuned", base="base")
    made = store.register_skill("skill", tmp_path / "tuned", base="base", encoding="exact", allow_missing=True)
    assert any("pooler.dense.bias" in note for note in made.notes)
    published = store.materialize("base + skill", output=tmp_path / "out", wait=False)
    assert read_model(Path(published.path)) == base | tuned
    document = manifest(tmp_path / "out")
    assert document["skills"][0]["taken_from_base"] == {
        "buffer": ["embeddings.position_ids"],
        "allowed": ["pooler.dense.bias", "pooler.dense.weight"],
    }
    assert sorted(document["tensors"]) == sorted(base)


def manifest(folder):
    return json.loads((folder / "mergestore.json").read_text())


@pytest.mark.parametrize("encoding", ["exact", "dare"])
def test_a_delta_proves_its_own_base(opened, tmp_path, encoding):
    """Whatever the records say: the stored delta holds the digest of every tensor that it was made from."""
    base = llama(seed=1)
    other = {**base, QUERY: llama(seed=2)[QUERY]}
    store = opened()
    store.register_base("base", save(tmp_path / "base", base))
    store.register_base("other", save(tmp_path / "other", other))
    store.register_skill("skill", save(tmp_path / "tuned", fine_tune(base, 3)), base="base", encoding=encoding)
    with sqlite3.connect(store.home.root / "registry.db") as database:
        database.execute("update delta set base_version_id = 2")
    database.close()
    for call in (store.load, lambda target: store.materialize(target, wait=False)):
        with pytest.raises(mergestore.InputRefused, match="was made against another base") as caught:
            call("other + skill")
        assert QUERY in str(caught.value)
    assert not store.verify().ok


# `exact` rebuilds the fine-tune bit for bit


def every_pattern(dtype, seed):
    """Every finite bit pattern up to half the largest value, in random order: zeros of both signs, denormals, all."""
    random = np.random.default_rng(seed)
    if dtype == "F32":
        bits = random.integers(0, 2**32, 70_000, np.uint32)
        edges = np.array([0, 1 << 31, 1, (1 << 31) + 1, 0x007FFFFF, 0x00800000, 0x7E800000, 0xFE800000], np.uint32)
        bits = np.concatenate([edges, bits])
    else:
        bits = np.arange(2**16, dtype=np.uint16)
    values = raw(bits, dtype).values.reshape(-1)
    limit = {"F32": 1.6e38, "BF16": 1.6e38, "F16": np.inf}[dtype]
    with np.errstate(invalid="ignore"):
        return random.permutation(bits[np.abs(values) <= limit if limit < np.inf else np.isfinite(values)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_rebuilds_every_bit(opened, tmp_path, dtype):
    patterns, others = every_pattern(dtype, 1), every_pattern(dtype, 2)
    size = min(patterns.size, others.size) // 2 * 2
    zeros = np.zeros(1000, patterns.dtype)
    sign = zeros | (1 << (8 * patterns.itemsize - 1))
    base = {
        "all": raw(patterns[:size].reshape(2, -1), dtype),
        "minus": raw(zeros, dtype),
        "plus": raw(sign, dtype),
        "same": raw(patterns[:64], dtype),
        "none": raw(zeros[:0], dtype),
        "ids": whole(range(5)),
    }
    tuned = base | {
        "all": raw(others[:size].reshape(2, -1), dtype),
        "minus": raw(sign, dtype),
        "plus": raw(zeros, dtype),
    }
    store = opened()
    store.register_base("base", save(tmp_path / "base", base))
    store.register_skill("skill", save(tmp_path / "tuned", tuned), base="base", encoding="exact")
    store.register_skill("zero", save(tmp_path / "zero", tuned), base="base", drop_rate=0.0, values="exact")
    store.register_skill("none", save(tmp_path / "none", base), base="base", encoding="exact")
    for expression in ("base + skill", "base + 1.0*zero"):
        made = store.materialize(expression, wait=False, threads=2)
        assert read_model(Path(made.path)) == tuned
        assert made.output_digest == store.register_base(f"again-{len(expression)}", tmp_path / "tuned").digest
    # Nothing added is the base itself, whatever the weight; so is a skill at weight 0 but for the sign of zero.
    for expression in ("base + none", "base - 0.3*none"):
        assert read_model(Path(store.materialize(expression, wait=False).path)) == base


@pytest.mark.parametrize(("base_dtype", "dtype"), [("F32", "BF16"), ("BF16", "F32"), ("F16", "F32")])
def test_exact_rebuilds_a_fine_tune_of_another_dtype(opened, tmp_path, base_dtype, dtype):
    base = llama(base_dtype, seed=1)
    tuned = fine_tune(base, 2, dtype=dtype)
    store = opened()
    store.register_base("base", save(tmp_path / "base", base))
    store.register_skill("skill", save(tmp_path / "tuned", tuned), base="base", encoding="exact")
    made = store.materialize("base + skill", dtype=dtype, wait=False)
    assert read_model(Path(made.path)) == tuned
    assert {
        tensor.dtype for tensor in read_model(Path(store.materialize("base + skill", wait=False).path)).values()
    } == {base_dtype}


@pytest.mark.parametrize("dtype", DTYPES)
def test_int4_is_small(opened, tmp_path, dtype):
    """A large tensor at p = 0.9 takes at most 0.42 bits per parameter, file and all."""
    random = np.random.default_rng(0)
    values = random.normal(0, 0.02, (4096, 1024)).astype(np.float32)
    store = opened()
    store.register_base("base", save(tmp_path / "base", {"w": floats(values, dtype)}))
    tuned = {"w": floats(values + random.normal(0, 1e-3, values.shape).astype(np.float32), dtype)}
    made = store.register_skill("skill", save(tmp_path / "tuned", tuned), base="base")
    assert made.bits_per_parameter <= 0.42
    assert 8 * len(stored_bytes(store, "skill")) / values.size == made.bits_per_parameter
    half = {"w": floats(np.where(np.arange(4096)[:, None] < 2048, values, tuned["w"].values), dtype)}
    sparse = store.register_skill("half", save(tmp_path / "half", half), base="base")
    assert sparse.bits_per_parameter <= 0.56 * made.bits_per_parameter, "rows that were never touched cost nothing"
