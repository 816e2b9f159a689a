"""1. A skill stands alone: its bytes depend on base, fine-tune, coding and seed, and on nothing else."""

import itertools

import numpy as np
import pytest

import mergestore
from registry import computing
from registry.registering import register_base, register_skill
from storage.encodings.frames import CHUNK
from tests.integration.models import LLAMA_CONFIG, QUERY, factors, fine_tune, floats, llama, save, save_adapter
from tests.integration.promises.stored import stored_bytes

pytestmark = pytest.mark.usefixtures("surroundings")


def threads(patch, count):
    """Let everything compute on so many threads."""
    for module in (register_base, register_skill, computing):
        patch.setattr(module, "thread_count", lambda asked: count)


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
