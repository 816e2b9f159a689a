"""Models as folders, and stores to register them in."""

import numpy as np
import pytest

import mergestore
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    QUERY,
    bert,
    factors,
    fine_tune,
    floats,
    renamed,
    save,
    save_adapter,
)
from tests.integration.store.base import BASE


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    """A base, fine-tunes and an adapter of it, and a BERT with two heads, as folders."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny", BASE, {**LLAMA_CONFIG, "torch_dtype": "float32"}, files={"tokenizer.json": "{}"})
    for number in range(4):
        save(folder / f"ft{number}", fine_tune(BASE, number), LLAMA_CONFIG)
    save_adapter(folder / "lora", factors(BASE, [QUERY]))
    tower = bert(seed=2)
    save(folder / "bert", tower, BERT_CONFIG, files={"LICENSE": "do what you like"})
    for number in range(2):
        head = {"classifier.weight": floats(np.full((2, 16), number + 1.0))}
        config = {
            **BERT_CONFIG,
            "architectures": ["BertForSequenceClassification"],
            "id2label": {"0": f"label {number}"},
        }
        save(folder / f"head{number}", renamed(fine_tune(tower, number), "bert.") | head, config)
    return folder


@pytest.fixture
def store(tmp_path):
    with mergestore.open(tmp_path / "store", actor="ann@lab") as store:
        yield store


@pytest.fixture
def filled(store, models):
    """A store with the base, two skills and a merge."""
    store.register_base("tiny", models / "tiny", licence="Apache-2.0")
    store.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5, seed=3)
    store.register_skill("code", models / "ft2", base="tiny", encoding="exact", licence="MIT")
    store.merge("assistant", "tiny + 0.6*math + 0.4*code")
    return store
