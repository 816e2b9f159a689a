"""Statistics of models that transformers does not know, against closed forms, and merges with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mergestore
from mergestore import InputRefused, NotFound, UsageError
from tests.integration.statistics.tiny_transformers import write_jsonl

Register = Callable[..., str]


def linear(inputs: int, outputs: int) -> torch.nn.Module:
    return torch.nn.Linear(inputs, outputs, bias=False)


def forward(model: Any, example: Any) -> torch.Tensor:
    result: torch.Tensor = model(torch.tensor(example["x"]))
    return result


def rows(inputs: np.ndarray) -> list[dict[str, Any]]:
    return [{"x": row.tolist()} for row in inputs.astype(np.float32)]


def values(store: mergestore.Store, digest: str, tensor: str = "weight") -> np.ndarray:
    """What was stored for a tensor: a matrix, or fp32 values."""
    from registry.opening import open_statistics
    from registry.records.database import reading

    with reading(store.engine) as session, open_statistics(session, store.home, digest) as file:
        if file.manifest.kind == "gram":
            return file.matrix(tensor)
        return file.values(tensor, 0, file.manifest.payloads[file.manifest.tensors[tensor].payload].elements)


@pytest.fixture
def softmax(store: mergestore.Store, register: Register, tmp_path: Path) -> tuple[np.ndarray, np.ndarray, Path]:
    """A softmax-linear skill of 3 classes and 4 inputs: its weights, its data, and the data's file."""
    random = np.random.default_rng(1)
    weights, inputs = random.normal(0, 1, (3, 4)).astype(np.float32), random.normal(0, 1, (50, 4)).astype(np.float32)
    register("base", weight=np.zeros((3, 4)))
    register("skill", "base", weight=weights)
    return weights, inputs, write_jsonl(tmp_path / "data.jsonl", rows(inputs))


def closed_form(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """F[c, j] = mean p_c(1 − p_c)x_j²."""
    logits = inputs.astype(np.float64) @ weights.astype(np.float64).T
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.mean((chances * (1 - chances))[:, :, None] * inputs.astype(np.float64)[:, None, :] ** 2, axis=0)


def test_expected_labels_give_the_closed_form(store: mergestore.Store, softmax: Any) -> None:
    weights, inputs, data = softmax
    found = store.collect_statistics(
        "skill", kind="fisher", data=data, examples=50, labels="expected", model=linear(4, 3), forward=forward
    )
    assert values(store, found.digest).reshape(3, 4) == pytest.approx(closed_form(weights, inputs), rel=1e-5)
    assert found.settings["labels"] == "expected"


def test_sampled_labels_have_the_closed_form_as_their_mean(
    store: mergestore.Store, softmax: Any, tmp_path: Path
) -> None:
    weights, inputs, _ = softmax
    many = write_jsonl(tmp_path / "many.jsonl", rows(np.tile(inputs[:5], (400, 1))))
    found = store.collect_statistics(
        "skill", kind="fisher", data=many, examples=2000, seed=3, model=linear(4, 3), forward=forward
    )
    assert values(store, found.digest).reshape(3, 4) == pytest.approx(closed_form(weights, inputs[:5]), rel=0.2)
    assert (found.settings["labels"], found.settings["seed"]) == ("sampled", 3)


def test_a_log_likelihood_is_differentiated_example_by_example(store: mergestore.Store, softmax: Any) -> None:
    """The square of a batch's mean gradient would be much smaller."""
    weights, inputs, data = softmax

    def likelihood(model: Any, example: Any) -> torch.Tensor:
        return forward(model, example).log_softmax(-1)[0]

    found = store.collect_statistics(
        "skill", kind="fisher", data=data, examples=50, model=linear(4, 3), forward=likelihood
    )
    logits = inputs.astype(np.float64) @ weights.astype(np.float64).T
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradients = (np.eye(3)[0] - chances)[:, :, None] * inputs.astype(np.float64)[:, None, :]
    assert values(store, found.digest).reshape(3, 4) == pytest.approx(np.mean(gradients**2, axis=0), rel=1e-4)


def test_the_gram_matrix_is_the_mean_of_products(store: mergestore.Store, softmax: Any) -> None:
    _, inputs, data = softmax
    found = store.collect_statistics("skill", kind="gram", data=data, examples=50, model=linear(4, 3), forward=forward)
    exact = inputs.astype(np.float64)
    assert values(store, found.digest) == pytest.approx(exact.T @ exact / 50, rel=1e-6)


def regressor(random: np.random.Generator, inputs: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy targets of some inputs, and the least-squares weights for them, (outputs, inputs)."""
    targets = inputs @ random.normal(0, 1, (inputs.shape[1], outputs)) + random.normal(0, 0.3, (len(inputs), outputs))
    return targets, np.linalg.lstsq(inputs, targets, rcond=None)[0].T


def test_regmean_is_the_least_squares_optimum_of_the_union_of_the_data(
    store: mergestore.Store, register: Register, tmp_path: Path
) -> None:
    random = np.random.default_rng(7)
    register("base", weight=random.normal(0, 1, (3, 8)))
    seen = []
    for name, count, spread in (("one", 80, 1.0), ("two", 200, 2.0), ("three", 120, 0.5)):
        inputs = (random.normal(0, spread, (count, 8)) + random.normal(0, 1, 8)).astype(np.float32).astype(np.float64)
        targets, weights = regressor(random, inputs, 3)
        register(name, "base", weight=weights)
        data = write_jsonl(tmp_path / f"{name}.jsonl", rows(inputs))
        store.collect_statistics(name, kind="gram", data=data, examples=count, model=linear(8, 3), forward=forward)
        seen.append((inputs, targets))
    best = np.linalg.lstsq(*(np.concatenate(parts) for parts in zip(*seen, strict=True)), rcond=None)[0].T
    expression = "base + 80*one + 200*two + 120*three"  # Gram matrices are means: weights count the examples
    merged = store.load(expression, method="regmean", parameters={"alpha": 1.0})["weight"].numpy()
    assert np.abs(merged - best).max() < 1e-5
    average = store.load(expression, method="linear")["weight"].numpy()
    assert np.abs(average - best).max() > 1e-2
    with store.resident("base", ["one", "two", "three"]) as resident:
        again = resident.load(expression, method="regmean", parameters={"alpha": 1.0})["weight"].numpy()
    assert np.abs(again - best).max() < 1e-5


def test_more_columns_than_a_block_and_fewer_examples_than_columns(
    store: mergestore.Store, register: Register, tmp_path: Path
) -> None:
    random = np.random.default_rng(2)
    register("base", weight=np.zeros((2, 700)))
    for name in ("one", "two"):
        register(name, "base", weight=random.normal(0, 1, (2, 700)))
        inputs = random.normal(0, 1, (20, 700))
        data = write_jsonl(tmp_path / f"{name}.jsonl", rows(inputs))
        found = store.collect_statistics(
            name, kind="gram", data=data, examples=20, model=linear(700, 2), forward=forward
        )
        exact = inputs.astype(np.float32).astype(np.float64)
        assert np.allclose(values(store, found.digest), exact.T @ exact / 20, rtol=1e-6, atol=1e-6)
    with pytest.raises(InputRefused, match="singular matrix") as caught:
        store.load("base + one + two", method="regmean", parameters={"alpha": 1.0})
    assert "alpha" in (caught.value.hint or "")
    assert store.load("base + one + two", method="regmean")["weight"].isfinite().all()


def test_fisher_merges_element_by_element(store: mergestore.Store, softmax: Any, register: Register) -> None:
    weights, inputs, data = softmax
    other = np.ones((3, 4), np.float32)
    register("other", "base", weight=other)
    scaled = []
    for name, of in (("skill", weights), ("other", other)):
        store.collect_statistics(
            name, kind="fisher", data=data, examples=50, labels="expected", model=linear(4, 3), forward=forward
        )
        scaled.append(np.maximum(closed_form(of, inputs), 1e-6))
    expected = (0.3 * scaled[0] * weights + 0.7 * scaled[1] * other) / (0.3 * scaled[0] + 0.7 * scaled[1])
    merged = store.load("base + 0.3*skill + 0.7*other", method="fisher")["weight"].numpy()
    assert merged == pytest.approx(expected, rel=1e-4, abs=1e-5)
    equal = [each / np.sqrt(np.mean(each**2)) for each in (closed_form(weights, inputs), closed_form(other, inputs))]
    expected = (0.3 * equal[0] * weights + 0.7 * equal[1] * other) / (0.3 * equal[0] + 0.7 * equal[1])
    merged = store.load("base + 0.3*skill + 0.7*other", method="fisher", parameters={"scale": "norm"})
    assert merged["weight"].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


class Shared(torch.nn.Module):
    """Two layers on one input, a third on what they give; and a fourth whose input changes under the hand."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.o, self.late = (torch.nn.Linear(4, 4, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor, *, split: bool) -> torch.Tensor:
        mixed = self.q(x) + self.k(x.clone() if split else x)
        x += 1  # in place: what `late` gets is the same memory, and not the same values
        return self.o(mixed) + self.late(x)


def shared(register: Register) -> None:
    random = np.random.default_rng(4)
    register("base", **{f"{name}__weight": np.zeros((4, 4)) for name in ("q", "k", "o", "late")})
    tuned = {f"{name}__weight": random.normal(0, 1, (4, 4)) for name in ("q", "k", "o", "late")}
    register("skill", "base", **tuned)


@pytest.mark.parametrize("splits", [[False, False, False], [False, True, False]])
def test_layers_of_one_input_share_a_matrix_unless_an_example_parts_them(
    store: mergestore.Store, register: Register, tmp_path: Path, splits: list[bool]
) -> None:
    shared(register)
    inputs = np.random.default_rng(3).normal(0, 1, (3, 4)).astype(np.float32)
    lines = [{**row, "split": split} for row, split in zip(rows(inputs), splits, strict=True)]
    data = write_jsonl(tmp_path / "data.jsonl", lines)

    def run(model: Any, example: Any) -> torch.Tensor:
        result: torch.Tensor = model(torch.tensor([example["x"]]), split=example["split"])
        return result

    found = store.collect_statistics("skill", kind="gram", data=data, examples=3, model=Shared(), forward=run)
    tensors = store.show_statistics(found.digest)["tensors"]
    payloads = {name: of["payload"] for name, of in tensors.items()}
    assert (payloads["k.weight"] == payloads["q.weight"]) is not any(splits)
    assert len(set(payloads.values())) == 3 + any(splits)
    assert any("none is shared" in note for note in found.notes) is any(splits)
    exact = inputs.astype(np.float64)
    for name, of in (("q.weight", exact), ("k.weight", exact), ("late.weight", exact + 1)):
        assert values(store, found.digest, name) == pytest.approx(of.T @ of / 3, rel=1e-5)


def test_the_module_gets_the_values_of_the_fine_tune_and_its_own_state_back(
    store: mergestore.Store, softmax: Any
) -> None:
    weights, _, data = softmax
    model = linear(4, 3).train()
    store.collect_statistics("skill", kind="gram", data=data, examples=1, model=model, forward=forward)
    assert np.array_equal(model.weight.detach().numpy(), weights)
    assert model.training
    assert model.weight.requires_grad


def test_an_embedding_and_a_module_of_another_shape(store: mergestore.Store, softmax: Any) -> None:
    _, _, data = softmax
    common: Any = {"kind": "gram", "data": data, "examples": 1, "forward": forward}
    for model in (linear(4, 2), torch.nn.Linear(4, 3), torch.nn.Sequential(linear(4, 3))):
        with pytest.raises(InputRefused, match="does not have the tensors of skill@1"):
            store.collect_statistics("skill", model=model, **common)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kind": "gram", "seed": 1}, "seed has no effect"),
        ({"kind": "gram", "labels": "data"}, "labels has no effect"),
        ({"kind": "fisher", "labels": "data"}, "labels data needs the labels"),
        ({"kind": "fisher", "labels": "expected", "seed": 1}, "nothing is drawn"),
        ({"kind": "fisher", "labels": "guess"}, "unknown labels"),
        ({"kind": "gram", "batch_size": 4}, "batch_size has no effect"),
        ({"kind": "gram", "max_length": 4}, "max_length has no effect"),
        ({"kind": "hessian"}, "unknown kind"),
        ({"kind": "gram", "examples": 0}, "at least 1"),
        ({"kind": "gram", "forward": None}, "belong together"),
    ],
)
def test_what_makes_no_sense_is_refused(
    store: mergestore.Store, softmax: Any, more: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"data": softmax[2], "examples": 2, "model": linear(4, 3), "forward": forward, **more}
    with pytest.raises(UsageError, match=words):
        store.collect_statistics("skill", **given)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(lambda model, example: 1.0, "must return a tensor"), (lambda model, example: model.weight.sum() / 0, "is -?inf")],
)
def test_a_forward_function_that_gives_no_likelihood_is_refused(
    store: mergestore.Store, softmax: Any, answer: Any, words: str
) -> None:
    with pytest.raises(InputRefused, match=words):
        store.collect_statistics(
            "skill", kind="fisher", data=softmax[2], examples=2, model=linear(4, 3), forward=answer
        )
    assert store.statistics() == []
    assert list((store.home.root / "tmp").iterdir()) == []


def test_missing_statistics_are_named_with_the_command(
    store: mergestore.Store, softmax: Any, register: Register, tmp_path: Path
) -> None:
    weights, _, data = softmax
    register("other", "base", weight=np.ones((3, 4)))
    store.collect_statistics("skill", kind="gram", data=data, examples=9, model=linear(4, 3), forward=forward)
    with pytest.raises(NotFound, match=r"regmean needs the gram statistics of other@1, and none were") as caught:
        store.merge("mix", "base + skill + other", method="regmean")
    assert "mergestore stats collect other@1 --kind gram --data" in (caught.value.hint or "")
    register_again = tmp_path / "models" / "again"
    from tests.integration.models import floats, save

    save(register_again, {"weight": floats(weights + 1)})
    store.register_skill("skill", register_again, base="base", encoding="exact")
    with pytest.raises(NotFound, match=r"of skill@2, and none were collected; skill@1 has some, which are not of this"):
        store.merge("mix", "base + skill + other@1", method="regmean")
    with pytest.raises(NotFound, match=r"fisher needs the fisher statistics of skill@1"):
        store.merge("mix", "base + skill@1 + other", method="fisher")
    assert store.merge("mix", "base + skill@1", method="regmean").created  # the average of one is that one


def test_the_newest_is_used_a_chosen_one_is_recorded_and_a_recipe_keeps_its_own(
    store: mergestore.Store, softmax: Any, register: Register
) -> None:
    _, _, data = softmax
    register("other", "base", weight=np.ones((3, 4)))
    found: dict[tuple[str, int], str] = {}
    for name in ("skill", "other"):
        for count in (20, 40):
            collected = store.collect_statistics(
                name, kind="gram", data=data, examples=count, model=linear(4, 3), forward=forward
            )
            found[name, count] = collected.digest
    digests = {each["name"]: each["digest"] for each in store.list().skills}
    newest = store.merge("mix", "base + skill + other", method="regmean")
    assert newest.recipe["format"] == 2
    assert newest.recipe["statistics"] == {digests[name]: found[name, 40] for name in ("skill", "other")}
    chosen = store.merge("mix", "base + skill + other", method="regmean", statistics={"skill": found["skill", 20][:15]})
    assert chosen.recipe["statistics"] == newest.recipe["statistics"] | {digests["skill"]: found["skill", 20]}
    assert chosen.recipe_digest != newest.recipe_digest
    made = store.materialize("mix@2", wait=False)
    assert made.recipe_digest == chosen.recipe_digest
    store.collect_statistics("skill", kind="gram", data=data, examples=50, model=linear(4, 3), forward=forward)
    assert store.materialize("mix@1", wait=False).recipe_digest == newest.recipe_digest
    varied = store.materialize("mix@1", parameters={"alpha": 0.5}, wait=False)
    assert store.materialize("mix@1", parameters={"alpha": 0.9}, wait=False).recipe_digest == newest.recipe_digest
    assert varied.recipe_digest != newest.recipe_digest
    with pytest.raises(UsageError, match="is the gram of other@1, and the gram of skill@1"):
        store.load("base + skill + other", method="regmean", statistics={"skill": found["other", 20]})
    with pytest.raises(UsageError, match="no skill of this merge"):
        store.load("base + skill + other", method="regmean", statistics={"base": found["other", 20]})
    with pytest.raises(UsageError, match="uses no statistics"):
        store.load("base + skill + other", statistics={"skill": found["skill", 20]})


def test_damage_is_found_and_named(store: mergestore.Store, softmax: Any, register: Register) -> None:
    _, _, data = softmax
    register("other", "base", weight=np.ones((3, 4)))
    for name in ("skill", "other"):
        store.collect_statistics(name, kind="gram", data=data, examples=9, model=linear(4, 3), forward=forward)
    assert store.verify().ok
    assert store.verify("skill").checked["statistics"] == 1
    digest = store.statistics("skill")[0]["digest"]
    blob = store.home.blobs.path(store.show_statistics(digest)["blob_digest"])
    whole = blob.read_bytes()
    for position in (9, len(whole) // 2, len(whole) - 1):
        blob.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        problems = store.verify().problems
        assert [each["where"] for each in problems] == [f"skill@1: gram statistics {digest}"]
        with pytest.raises(mergestore.IntegrityFailure, match="damaged"):
            store.load("base + skill + other", method="regmean")
    blob.unlink()
    assert "missing" in store.verify("skill").problems[0]["what"]
    store.collect_statistics("skill", kind="gram", data=data, examples=9, model=linear(4, 3), forward=forward)
    assert store.verify().ok
    assert blob.read_bytes() == whole


def test_statistics_show_where_a_reviewer_looks(store: mergestore.Store, softmax: Any) -> None:
    _, _, data = softmax
    found = store.collect_statistics("skill", kind="gram", data=data, examples=9, model=linear(4, 3), forward=forward)
    assert [each["digest"] for each in store.show("skill")["collected"]] == [found.digest]
    audit = store.audit("skill")
    node = next(node for node in audit.lineage["nodes"] if node["id"] == "skill@1")
    assert node["collected"] == [
        {"kind": "gram", "digest": found.digest, "data_digest": found.data_digest, "examples": 9}
    ]
    event = next(event for event in audit.events if event["action"] == "statistics.add")
    assert event["details"]["statistics"] == found.digest
    again = store.collect_statistics("skill", kind="gram", data=data, examples=9, model=linear(4, 3), forward=forward)
    assert (again.digest, again.created) == (found.digest, False)
    assert len(store.statistics()) == 1


def test_a_module_without_the_head_that_came_with_a_fine_tune(
    store: mergestore.Store, register: Register, tmp_path: Path
) -> None:
    """Names as the base has them, though the fine-tune calls them otherwise beside its classifier."""
    random = np.random.default_rng(2)
    inputs, tuned = random.normal(0, 1, (9, 3)), random.normal(0, 1, (2, 3))
    register("base", **{"layer.weight": np.zeros((2, 3)), "layer.bias": np.zeros(2)})
    own = {"net.layer.weight": tuned, "net.layer.bias": np.ones(2), "classifier.weight": np.ones((4, 2))}
    register("skill", "base", **own)

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)  # type: ignore[no-any-return]

    data = write_jsonl(tmp_path / "data.jsonl", rows(inputs))
    made = store.collect_statistics("skill", kind="gram", data=data, examples=9, model=Tower(), forward=forward)
    x = inputs.astype(np.float32).astype(np.float64)
    assert np.allclose(values(store, made.digest, "layer.weight"), x.T @ x / 9, rtol=1e-6)
