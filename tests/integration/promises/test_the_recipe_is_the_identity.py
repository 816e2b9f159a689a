"""2. The recipe is the identity: the same recipe gives the same bytes, another recipe another digest."""

import itertools
import shutil
from pathlib import Path

import pytest

import mergestore
from merging.engines import numba_engine, reference
from merging.engines.torch_engine import TorchEngine
from registry import computing
from tests.integration.models import (
    BERT_CONFIG,
    DTYPES,
    bert,
    factors,
    fine_tune,
    read_model,
    renamed,
    save,
    save_adapter,
)

pytestmark = pytest.mark.usefixtures("surroundings")


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
