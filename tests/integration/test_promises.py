"""The promises of DESIGN.md, each held by tests that fail when it is broken.

1. A skill stands alone. 2. The recipe is the identity. 3. The wrong base is refused, nothing is dropped or invented.
4. Nothing is lost: damage is found and named. (Kills are in test_crash.py, full disks in test_bad_input.py.)
"""

import contextlib
import itertools
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mergestore
from merging import numba_engine, reference
from merging.torch_engine import TorchEngine
from registry import computing, register_base, register_skill
from storage.encodings.frames import CHUNK
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    bert,
    factors,
    fine_tune,
    floats,
    llama,
    raw,
    read_model,
    renamed,
    save,
    save_adapter,
    whole,
)

pytestmark = pytest.mark.usefixtures("surroundings")
DTYPES = ("F32", "F16", "BF16")
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def opened(tmp_path):
    """Open stores in folders of this test; closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda name="store": stack.enter_context(mergestore.open(tmp_path / name))


def threads(patch, count):
    """Let everything compute on so many threads."""
    for module in (register_base, register_skill, computing):
        patch.setattr(module, "thread_count", lambda asked: count)


def stored_bytes(store, reference):
    """The bytes of a skill's stored file."""
    (file,) = store.show(reference)["files"]
    digest = file["digest"].removeprefix("blake3:")
    return (store.home.root / "objects" / "blake3" / digest[:2] / digest).read_bytes()


# 1. A skill stands alone

WIDE = CHUNK + 12345  # elements: more than one chunk, so that threads have something to get wrong


@pytest.fixture(scope="module")
def wide(surroundings, tmp_path_factory):
    """A model whose largest tensor spans chunks, and a fine-tune of it, on disk."""
    folder = tmp_path_factory.mktemp("wide")
    base = llama("BF16", 5) | {"wide.weight": floats(np.random.default_rng(5).normal(0, 0.02, WIDE), "BF16")}
    tuned = fine_tune(base, 6)
    save(folder / "base", base, LLAMA_CONFIG)
    save(folder / "tuned", tuned)
    return folder, base, tuned


CODINGS = (
    {"drop_rate": 0.9},
    {"drop_rate": 0.5, "values": "bf16", "seed": 7},
    {"drop_rate": 0.0, "values": "exact"},
    {"encoding": "exact"},
)


@pytest.fixture(scope="module")
def alone(wide, tmp_path_factory):
    """The stored bytes of that fine-tune in every coding, each registered alone in a store, on one thread."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        threads(patch, 1)
        for number, coding in enumerate(CODINGS):
            with mergestore.open(tmp_path_factory.mktemp("alone") / f"s{number}") as store:
                store.register_base("base", wide[0] / "base")
                store.register_skill("skill", wide[0] / "tuned", base="base", **coding)
                found.append(stored_bytes(store, "skill"))
    return found


def test_neighbours_and_order_do_not_matter(wide, alone, opened, tmp_path):
    folder, base, _ = wide
    store = opened()
    store.register_base("first", save(tmp_path / "x", llama(seed=9)))
    store.register_base("other-name", folder / "base")
    for seed in (1, 2):
        store.register_skill(f"n{seed}", save(tmp_path / f"n{seed}", fine_tune(base, seed)), base="other-name")
    for number in reversed(range(len(CODINGS))):
        made = store.register_skill(f"skill-{number}", folder / "tuned", base="other-name", **CODINGS[number])
        assert stored_bytes(store, made.name) == alone[number]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_threads_do_not_matter(wide, alone, opened, monkeypatch, count):
    threads(monkeypatch, count)
    store = opened()
    store.register_base("base", wide[0] / "base")
    for number, coding in enumerate(CODINGS):
        store.register_skill(f"skill-{number}", wide[0] / "tuned", base="base", **coding)
        assert stored_bytes(store, f"skill-{number}") == alone[number]


def test_files_and_places_do_not_matter(wide, alone, opened, tmp_path):
    _, base, tuned = wide
    store = opened("deep/down/in another place")
    store.register_base("base", save(tmp_path / "shards", base, LLAMA_CONFIG, shards=3), reference=True)
    save(tmp_path / "many", tuned, shards=4, files={"README.md": "---\nlicense: mit\n---\n"})
    store.register_skill("sharded", tmp_path / "many", base="base")
    assert stored_bytes(store, "sharded") == alone[0]
    backward = dict(reversed(tuned.items()))
    store.register_skill("backward", save(tmp_path / "backward", backward) / "model.safetensors", base="base")
    assert stored_bytes(store, "backward") == alone[0]
    pickled(tmp_path / "pickled", tuned)
    store.register_skill("pickled", tmp_path / "pickled", base="base")
    assert stored_bytes(store, "pickled") == alone[0]


def pickled(folder, model):
    import torch

    folder.mkdir()
    names = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    tensors = {
        name: torch.frombuffer(bytearray(tensor.data), dtype=names[tensor.dtype]).reshape(tensor.shape)
        for name, tensor in model.items()
    }
    torch.save(tensors, folder / "pytorch_model.bin")


def test_an_adapter_stands_alone(opened, tmp_path):
    base = llama(seed=1)
    save(tmp_path / "base", base)
    save_adapter(tmp_path / "lora", factors(base, [QUERY], seed=4))
    found = set()
    for name in ("one", "two"):
        store = opened(name)
        store.register_base(name, tmp_path / "base")
        if name == "two":
            store.register_skill("before", save(tmp_path / "x", fine_tune(base, 8)), base=name)
        store.register_skill("lora", tmp_path / "lora", base=name)
        found.add(stored_bytes(store, "lora"))
    assert len(found) == 1


def test_the_seed_and_the_content_choose_the_mask(opened, tmp_path):
    """Two skills never share a mask, and one skill's mask depends on nothing but its seed and itself."""
    flat = {"a": floats(np.zeros(4096)), "b": floats(np.zeros(4096))}
    store = opened()
    store.register_base("flat", save(tmp_path / "flat", flat))
    kept = {}
    for name, step, seed in (("one", 1e-3, 0), ("two", 2e-3, 0), ("again", 1e-3, 1)):
        tuned = {key: floats(np.full(4096, step)) for key in flat}
        save(tmp_path / name, tuned)
        coding = {"drop_rate": 0.75, "values": "bf16", "seed": seed}
        store.register_skill(name, save(tmp_path / name, tuned), base="flat", **coding)
        merged = store.load(f"flat + {name}")
        kept |= {(name, key): merged[key].numpy() != 0 for key in flat}
    for (one, mask), (other, mask2) in itertools.combinations(kept.items(), 2):
        shared = np.mean(mask & mask2)
        assert 0.03 < shared < 0.1, f"{one} and {other} are not independent: {shared}"
    assert all(0.2 < mask.mean() < 0.3 for mask in kept.values())


# 2. The recipe is the identity


@pytest.fixture(scope="module", params=DTYPES)
def mixed(request, surroundings, tmp_path_factory):
    """A store with one base in a dtype and skills of every encoding."""
    folder, base = tmp_path_factory.mktemp("mixed"), bert(request.param, seed=3)
    save(folder / "base", base, BERT_CONFIG, files={"tokenizer.json": "{}"})
    store = mergestore.open(folder / "store")
    fill(store, folder, base)
    yield store
    store.close()


def fill(store, folder, base):
    """Register the base and its four skills, under names that depend on the folder's."""
    store.register_base("base", folder / "base")
    for number, coding in enumerate(({"drop_rate": 0.5}, {"drop_rate": 0.8, "values": "bf16"}, {"encoding": "exact"})):
        tuned = renamed(fine_tune(base, number), "bert.") if number == 1 else fine_tune(base, number)
        store.register_skill(f"s{number}", save(folder / f"s{number}", tuned), base="base", **coding)
    names = ["encoder.layer.0.attention.self.query.weight", "pooler.dense.weight"]
    store.register_skill("s3", save_adapter(folder / "s3", factors(base, names)), base="base")


TERMS = ("0.6*s0", "0.3*s1", "0.5*s2", "0.9*s3")
RECIPES = {
    "linear": {"method": "linear"},
    "unnormalized": {"method": "linear", "parameters": {"normalize": False}},
    "task_arithmetic": {"method": "task_arithmetic", "parameters": {"lambda": 0.7}},
    "dare_linear": {"method": "dare_linear", "parameters": {"drop_rate": 0.6, "seed": 3}},
    "ties": {"method": "ties", "parameters": {"density": 0.3}},
    "ties by tensor": {"method": "ties", "parameters": {"trim": "tensor", "divisor": "weights"}},
    "dare_ties": {"method": "dare_ties", "parameters": {"drop_rate": 0.4}},
}


def weights(folder):
    """Every weight file of a published folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("model*"))}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_recipe_is_the_same_bytes(mixed, tmp_path, monkeypatch, recipe):
    choices, number = RECIPES[recipe], itertools.count()

    def made(order=TERMS, **more):
        target = "base + " + " + ".join(order)
        return mixed.materialize(
            target, output=tmp_path / str(next(number)), wait=False, **{"cache": False, **choices, **more}
        )

    first = made(threads=1)
    bytes_ = weights(first.path)
    tensors = read_model(Path(first.path))
    for order in (TERMS[::-1], TERMS[2:] + TERMS[:2]):
        for count in (2, 5):
            again = made(order, threads=count)
            assert again.recipe_digest == first.recipe_digest
            assert weights(again.path) == bytes_
    for size in (700, 3000):
        sharded = made(shard_size=size)
        assert (sharded.recipe_digest, sharded.output_digest) == (first.recipe_digest, first.output_digest)
        assert len(weights(sharded.path)) > 2
        assert read_model(Path(sharded.path)) == tensors
    for engine in (reference, numba_engine, TorchEngine("cpu")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(computing, "open_engine", lambda device, engine=engine: engine)
            other = made()
        assert weights(other.path) == bytes_, engine.name
        assert other.output_digest == first.output_digest
    loaded = mixed.load("base + " + " + ".join(TERMS), **choices)
    assert {name: as_bytes(tensor) for name, tensor in loaded.items()} == {n: t.data for n, t in tensors.items()}


def as_bytes(tensor):
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_the_same_recipe_from_the_cache_and_in_another_store(mixed, opened, tmp_path):
    expression = "base + " + " + ".join(TERMS)
    first = mixed.materialize(expression, wait=False)
    again = mixed.materialize(expression, wait=False)
    copied = mixed.materialize(expression, output=tmp_path / "copied", wait=False)
    anew = mixed.materialize(expression, cache=False, wait=False)
    assert [made.cached for made in (first, again, copied, anew)][1:] == [True, True, False]
    elsewhere = opened("elsewhere")
    sources = Path(mixed.show("base")["source"]).parent
    for name in ("s3", "s1"):
        shutil.copytree(sources / name, tmp_path / "moved" / name)
    elsewhere.register_base("llm", sources / "base")
    elsewhere.register_skill("c", tmp_path / "moved" / "s3", base="llm")
    elsewhere.register_skill("a", tmp_path / "moved" / "s1", base="llm", drop_rate=0.8, values="bf16")
    elsewhere.register_skill("b", sources / "s2", base="llm", encoding="exact")
    elsewhere.register_skill("d", sources / "s0", base="llm", drop_rate=0.5)
    other = elsewhere.materialize("llm + 0.9*c + 0.6*d + 0.5*b + 0.3*a", wait=False)
    for made in (again, copied, anew, other):
        assert made.recipe_digest == first.recipe_digest
        assert made.output_digest == first.output_digest
        assert weights(made.path) == weights(first.path)


def test_another_recipe_is_another_digest(mixed):
    store, digests = mixed, []
    expression = "base + 0.6*s2 + 0.4*s3"
    for changes in (
        {},
        {"expression": "base + 0.6*s2 - 0.4*s3"},
        {"expression": "base + 0.6000000000000001*s2 + 0.4*s3"},
        {"expression": "base + 0.6*s2 + 0.4*s1"},
        {"expression": "base + 0.6*s2"},
        {"method": "linear"},
        {"method": "ties"},
        {"method": "ties", "parameters": {"density": 0.3}},
        {"method": "dare_linear"},
        {"method": "dare_linear", "parameters": {"seed": 1}},
        {"method": "dare_linear", "parameters": {"drop_rate": 0.5}},
        {"parameters": {"lambda": 0.5}},
        {"dtype": "F32"},
        {"dtype": "F16"},
    ):
        made = store.merge("many", changes.pop("expression", expression), **changes)
        digests.append(made.recipe_digest)
    assert len(set(digests)) == len(digests)
    spelled = store.merge("many", " base  +  .4*s3@1 + 6e-1*s2 ", method="task_arithmetic", parameters={"lambda": 1})
    assert spelled.recipe_digest == digests[0]
    assert spelled.created is False


# 3. Nothing is dropped, invented or cut


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


# 4. Damage is found and named


@pytest.fixture(scope="module")
def sound(surroundings, tmp_path_factory):
    """A store with everything in it that can be damaged."""
    folder, base = tmp_path_factory.mktemp("sound"), bert(seed=1)
    save(folder / "base", base, BERT_CONFIG, files={"tokenizer.json": '{"a": 1}'}, shards=2)
    with mergestore.open(folder / "store") as store:
        store.register_base("base", folder / "base", licence="MIT")
        head = {"classifier.weight": floats(np.ones((2, 16)))}
        save(folder / "s0", renamed(fine_tune(base, 1), "bert.") | head, BERT_CONFIG)
        store.register_skill("exact", folder / "s0", base="base", encoding="exact", licence="MIT")
        store.register_skill("dare", save(folder / "s1", fine_tune(base, 2)), base="base", drop_rate=0.5)
        adapter = save_adapter(folder / "s2", factors(base, ["pooler.dense.weight"]))
        store.register_skill("lora", adapter, base="base")
        store.merge("merge", "base + 0.5*exact + 0.4*dare + 0.3*lora")
        store.alias("merge", "prod")
        store.materialize("merge", output=folder / "out", shard_size=3000, wait=False)
    return folder


def test_every_file_of_a_store_is_watched(sound, tmp_path):
    """One bit of any stored file, anywhere in it, is found; so is a file that is gone; the finding names the file."""
    random = np.random.default_rng(4)
    shutil.copytree(sound / "store", tmp_path / "store")
    with mergestore.open(tmp_path / "store") as store:
        objects = sorted(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
        assert len(objects) == 7
        for path in objects:
            content = path.read_bytes()
            for position in (0, len(content) // 2, len(content) - 1, int(random.integers(0, len(content)))):
                damaged = bytearray(content)
                damaged[position] ^= 1 << int(random.integers(0, 8))
                path.write_bytes(damaged)
                assert_named(store, path.name)
            path.write_bytes(content[:-1])
            assert_named(store, path.name)
            path.unlink()
            assert_named(store, path.name)
            path.write_bytes(content)
        assert store.verify().ok


def assert_named(store, name):
    verified = store.verify()
    assert not verified.ok
    assert any(name in problem["what"] for problem in verified.problems), verified.problems
    assert all(problem["hint"] for problem in verified.problems)


def test_every_file_of_a_published_folder_is_watched(sound, tmp_path):
    random = np.random.default_rng(5)
    folder = shutil.copytree(sound / "out", tmp_path / "out")
    files = sorted(path for path in folder.iterdir() if path.name != "README.md")
    assert {path.name for path in files} >= {"config.json", "tokenizer.json", "mergestore.json"}
    with mergestore.open(sound / "store") as store:
        for path in files:
            content = path.read_bytes()
            for position in (0, len(content) // 2, len(content) - 1, *random.integers(0, len(content), 6)):
                damaged = bytearray(content)
                damaged[position] ^= 1 << int(random.integers(0, 8))
                path.write_bytes(damaged)
                verified = store.verify(folder)
                assert not verified.ok, f"byte {position} of {path.name}"
                assert any(path.name in problem["what"] + problem["where"] for problem in verified.problems)
            path.unlink()
            assert not store.verify(folder).ok
            path.write_bytes(content)
        (folder / "README.md").write_text("a card that its owner rewrote")
        assert store.verify(folder).ok


ROWS = {
    "a base's digest": "update model_version set digest = 'blake3:' || hex(zeroblob(32)) where id = 1",
    "a skill's digest": "update model_version set digest = 'blake3:' || hex(zeroblob(32)) where id = 2",
    "a version's number": "update model_version set version = 2 where id = 3",
    "a licence": "update model_version set licence = 'Apache-2.0' where id = 2",
    "a tensor's digest": "update tensor set digest = 'blake3:' || hex(zeroblob(32)) "
    "where name = 'pooler.dense.bias' and version_id = 1",
    "a tensor's place": "update tensor set offset = offset + 4 where name = 'pooler.dense.bias' and version_id = 1",
    "a tensor's shape": "update tensor set shape = '[2, 128]' where name = 'pooler.dense.weight' and version_id = 1",
    "a tensor": "delete from tensor where name = 'pooler.dense.bias' and version_id = 1",
    "a fine-tuned tensor's digest": "update tensor set digest = 'blake3:' || hex(zeroblob(32)) "
    "where name = 'pooler.dense.bias' and version_id = 2",
    "a file": "delete from version_file where path = 'tokenizer.json'",
    "a file's blob": "update version_file set blob_digest = (select blob_digest from delta where version_id = 3) "
    "where version_id = 2",
    "a delta's blob": "update delta set blob_digest = (select blob_digest from delta where version_id = 3) "
    "where version_id = 2",
    "a delta's base": "update delta set base_version_id = 2 where version_id = 3",
    "a drop rate": "update delta set drop_rate = 0.25 where version_id = 3",
    "a seed": "update delta set seed = 9 where version_id = 3",
    "an encoding": "update delta set encoding = 'lora' where version_id = 2",
    "a recipe's text": "update recipe set canonical = replace(canonical, '0.5', '0.6')",
    "a recipe's digest": "update recipe set digest = 'sha256:' || hex(zeroblob(32))",
    "a recipe's input": "update recipe_input set weight = 0.9 where position = 1",
    "a recipe's inputs": "delete from recipe_input where position = 2",
    "an edge of lineage": "delete from lineage_edge where child_version_id = 5 and parent_version_id = 2",
    "an alias": "update alias set version_id = 1",
    "an output's digest": "update materialization set output_digest = 'blake3:' || hex(zeroblob(32))",
    "a materialization": "delete from materialization",
    "a name": "update model set name = 'exakt' where name = 'exact'",
    "a state": "update model_version set state = 'yanked', reason = 'x' where id = 2",
    "an event": "update audit_event set actor = 'somebody' where sequence = 4",
    "an event that is gone": "delete from audit_event where sequence = 4",
    "the last event": "delete from audit_event where sequence = (select max(sequence) from audit_event)",
    "the chain's head": "update store_meta set value = replace(value, '1', '2') where key = 'audit_head'",
}


@pytest.mark.parametrize("case", ROWS)
def test_every_record_is_watched(sound, tmp_path, case):
    shutil.copytree(sound / "store", tmp_path / "store")
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "registry.db")) as database:
        for (name,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f"drop trigger {name}")
        assert database.execute(ROWS[case]).rowcount > 0
        database.commit()
    with mergestore.open(tmp_path / "store") as store:
        verified = store.verify()
    assert not verified.ok
    assert all(problem["what"] and problem["where"] and problem["hint"] for problem in verified.problems)


def test_a_flipped_bit_of_the_database_is_found_or_harmless(sound, tmp_path):
    """Of bits flipped anywhere in the database file, each is found, or what the registry answers is unchanged."""
    random, path = np.random.default_rng(6), tmp_path / "store" / "registry.db"
    shutil.copytree(sound / "store", tmp_path / "store")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    content, answer, found = path.read_bytes(), None, 0
    for position in (None, *random.integers(0, len(content), 60)):
        damaged = bytearray(content)
        if position is not None:
            damaged[position] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(damaged)
        for sidecar in ("-wal", "-shm"):
            path.with_name(path.name + sidecar).unlink(missing_ok=True)
        try:
            with mergestore.open(tmp_path / "store", create=False) as store:
                verified = store.verify()
                told = answers(store) if verified.ok else None
        except (mergestore.IntegrityFailure, mergestore.EnvironmentFailure):
            verified, told = None, None
        answer = answer or told
        found += told is None
        assert told in (None, answer), f"byte {position}"
    assert answer is not None
    assert found > 10


def answers(store):
    names = ("base", "exact", "dare", "lora", "merge@prod")
    return [store.audit(name).to_dict() for name in names] + [
        {key: value for key, value in store.show(name).items() if key != "files"} for name in names
    ]


def test_damage_is_repaired_by_the_same_content(sound, tmp_path):
    shutil.copytree(sound / "store", tmp_path / "store")
    with mergestore.open(tmp_path / "store") as store:
        for path in sorted(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()):
            path.write_bytes(b"damaged")
        assert not store.verify().ok
        store.register_base("base", sound / "base")
        store.register_skill("exact", sound / "s0", base="base", encoding="exact")
        store.register_skill("dare", sound / "s1", base="base", drop_rate=0.5)
        store.register_skill("lora", sound / "s2", base="base")
        assert store.verify().ok
