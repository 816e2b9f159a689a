"""Resident mode: any combination in memory, with the bits of the published model; into new tensors and live modules."""

import json
from pathlib import Path

import numpy as np
import pytest

import mergestore
from mergestore import Conflict, EnvironmentFailure, InputRefused, IntegrityFailure, NotFound, UsageError
from registry.resolved import Choices
from storage.digests import blake3_digest, model_digest
from tests.integration.models import (
    BERT_CONFIG,
    LLAMA_CONFIG,
    Tensor,
    bert,
    factors,
    fine_tune,
    floats,
    llama,
    read_model,
    renamed,
    save,
    save_adapter,
    whole,
)

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("surroundings")
BIG = "model.embed_tokens.weight"  # more than one chunk
QUERY = "model.layers.0.self_attn.q_proj.weight"
NAMES = {
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int64": "I64",
}
METHODS = [
    ("linear", {}),
    ("linear", {"normalize": False}),
    ("task_arithmetic", {"lambda": 0.7}),
    ("dare_linear", {"drop_rate": 0.5, "seed": 4}),
    ("ties", {"density": 0.3}),
    ("ties", {"density": 0.3, "trim": "tensor", "divisor": "weights"}),
    ("dare_ties", {"drop_rate": 0.5}),
]
WHOLE = ["breadcrumbs", "della", "sce", "slerp", "multislerp", "karcher"]
"""Methods that are not of the fused pass, and need all of each delta."""
SKILLS = ["dared", "halves", "exact", "adapter", "large", "signs"]
EVERYTHING = "big + 0.5*dared - 0.2*halves + 0.4*exact + 0.3*adapter + 0.1*large - 0.6*signs"


@pytest.fixture(scope="module")
def store(surroundings, tmp_path_factory):
    """A base with an integer buffer and a tensor of two chunks, and a skill of every encoding."""
    folder = tmp_path_factory.mktemp("resident")
    random = np.random.default_rng(5)
    base = llama("BF16", seed=1) | {
        BIG: floats(random.normal(0, 0.02, (65_600, 16)), "BF16"),
        "steps": whole([[1, 2], [3, 4]]),
        "scalar": floats(0.25),
    }
    save(folder / "big", base, {**LLAMA_CONFIG, "vocab_size": 65_600})
    for number in range(3):
        save(folder / f"ft{number}", fine_tune(base, number, dtype="F32" if number == 1 else None), LLAMA_CONFIG)
    save_adapter(folder / "lora", factors(base, [QUERY, BIG]))
    tower = bert(seed=2)
    save(folder / "tower", tower, BERT_CONFIG)
    head = {"classifier.weight": floats(np.full((2, 16), 0.1))}
    config = {**BERT_CONFIG, "architectures": ["BertForSequenceClassification"]}
    save(folder / "head", renamed(fine_tune(tower, 3), "bert.") | head, config)
    with mergestore.open(folder / "store") as store:
        store.register_base("big", folder / "big")
        store.register_skill("dared", folder / "ft0", base="big", drop_rate=0.9)
        store.register_skill("halves", folder / "ft1", base="big", drop_rate=0.5, values="bf16")
        store.register_skill("exact", folder / "ft2", base="big", encoding="exact")
        store.register_skill("large", folder / "ft0", base="big", encoding="magnitude", density=0.2)
        store.register_skill("signs", folder / "ft2", base="big", encoding="sign")
        store.register_skill("adapter", folder / "lora", base="big")
        store.merge("assistant", "big + 0.5*dared + 0.5*exact", method="ties", parameters={"density": 0.5})
        store.register_base("tower", folder / "tower")
        store.register_skill("headed", folder / "head", base="tower", drop_rate=0.5)
        yield store


@pytest.fixture(scope="module")
def resident(store):
    with store.resident("big", SKILLS, threads=2) as resident:
        yield resident


def as_model(tensors):
    """Torch tensors as the tests' own."""
    found = {}
    for name, tensor in tensors.items():
        raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        found[name] = Tensor(NAMES[str(tensor.dtype)], tuple(tensor.shape), raw)
    return found


def digest(tensors):
    rows = [(name, each.dtype, each.shape, blake3_digest(each.data)) for name, each in as_model(tensors).items()]
    return model_digest(rows)


def published(store, folder, expression, **choices):
    made = store.materialize(expression, output=folder, cache=False, wait=False, **choices)
    return made, read_model(Path(made.path))


@pytest.mark.parametrize(("method", "parameters"), METHODS)
def test_a_load_has_the_bits_and_the_recipe_of_materialize(store, resident, tmp_path, method, parameters):
    made, model = published(store, tmp_path / "out", EVERYTHING, method=method, parameters=parameters)
    tensors = resident.load(EVERYTHING, method=method, parameters=parameters)
    assert as_model(tensors) == model
    assert digest(tensors) == made.output_digest
    assert resident.last.recipe_digest == made.recipe_digest
    assert resident.last.to_dict()["recipe"]["method"] == method


@pytest.mark.parametrize("method", WHOLE)
def test_methods_on_whole_tensors_give_the_same(store, resident, tmp_path, method):
    expression = "big + 0.4*exact + 0.3*adapter"
    made, model = published(store, tmp_path / "out", expression, method=method)
    for _ in range(2):  # the second time from inner products that were kept
        assert as_model(resident.load(expression, method=method)) == model
    assert resident.last.recipe_digest == made.recipe_digest


@pytest.mark.parametrize(
    "expression", ["big + exact", "big + 1.0*halves", "big + adapter", "big - 0.3*dared", "big + large"]
)
@pytest.mark.parametrize("dtype", [None, "F32", "F16"])
def test_single_skills_and_output_dtypes(store, resident, tmp_path, expression, dtype):
    made, model = published(store, tmp_path / "out", expression, dtype=dtype)
    tensors = resident.load(expression, dtype=dtype)
    assert as_model(tensors) == model
    assert digest(tensors) == made.output_digest


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(store, resident, threads):
    with store.resident("big", ["dared", "exact"], threads=threads) as other:
        found = other.load("big + 0.5*dared + 0.5*exact", method="ties")
    assert as_model(found) == as_model(resident.load("big + 0.5*dared + 0.5*exact", method="ties"))


def test_a_named_merge_can_be_loaded_and_varied(store, resident, tmp_path):
    made, model = published(store, tmp_path / "out", "assistant")
    assert as_model(resident.load("assistant")) == model
    assert resident.last.recipe_digest == made.recipe_digest
    resident.load("assistant", parameters={"density": 0.2})
    assert resident.last.recipe_digest != made.recipe_digest


def test_heads_and_prefixes(store, tmp_path):
    with store.resident("tower", ["headed"]) as resident:
        for choices in ({}, {"head": "none"}, {"dtype": "BF16"}):
            made, model = published(
                store, tmp_path / str(len(choices) + len(str(choices))), "tower + headed", **choices
            )
            tensors = resident.load("tower + headed", **choices)
            assert as_model(tensors) == model
            assert digest(tensors) == made.output_digest


def test_into_a_dict_in_any_memory(store, resident):
    wanted = resident.load("big + 0.5*dared")
    target = {name: torch.zeros_like(tensor) for name, tensor in wanted.items()}
    wide = torch.zeros(16, 40, dtype=torch.bfloat16)
    target[QUERY] = wide[:, 8:24]  # not in one piece: what lies around must stay
    loaded = resident.load_into("big + 0.5*dared", target)
    assert loaded == resident.last
    assert as_model(target) == as_model(wanted)
    assert not wide[:, :8].any()
    assert not wide[:, 24:].any()


def test_results_are_separate_tensors(resident):
    one, other = resident.load("big + 0.5*dared"), resident.load("big + 0.5*dared")
    one[QUERY].zero_()
    one["steps"].zero_()
    third = resident.load("big + 0.5*dared")
    assert as_model(other) == as_model(third)


# Refusals


def filled(resident):
    return resident.load("big + 0.5*dared")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda target: target.pop(QUERY), f"it lacks '{QUERY}'"),
        (lambda target: target.update(stranger=torch.zeros(2)), "has besides 'stranger'"),
        (lambda target: target.update({QUERY: target[QUERY][:8]}), r"has shape \(8, 16\), the result has \(16, 16\)"),
        (lambda target: target.update({QUERY: target[QUERY].float()}), "has dtype torch.float32"),
        (lambda target: target.update({QUERY: target[QUERY].to("meta")}), "has device meta, the result has cpu"),
        (lambda target: target.update({QUERY: target[QUERY][:1].expand(16, 16)}), "expanded"),
        (lambda target: target.update({QUERY: "weights"}), "something else than a tensor"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_untouched(resident, spoil, says):
    target = filled(resident)
    spoil(target)
    before = {
        name: tensor for name, tensor in target.items() if isinstance(tensor, torch.Tensor) and not tensor.is_meta
    }
    kept = {name: tensor.clone() for name, tensor in before.items()}
    with pytest.raises(InputRefused, match=says):
        resident.load_into("big - 0.5*dared", target)
    assert resident.last is None or resident.last.expression != "big - 0.5*dared"
    assert all(torch.equal(tensor, kept[name]) for name, tensor in before.items())


def test_what_is_no_target_or_no_list_is_refused(store, resident):
    resident.load("big + dared")
    with pytest.raises(UsageError, match="the target is of type int") as caught:
        resident.load_into("big + dared", 42)
    assert caught.value.hint
    assert resident.last is None
    with pytest.raises(UsageError, match="skills must be a list of names, found the text 'dared'"):
        store.resident("big", "dared")
    resident.load("big + dared")
    with pytest.raises(NotFound):
        resident.load("big + nothing")
    assert resident.last is None, "nothing is left of what was loaded before"


def test_shared_memory_must_have_one_result(resident):
    target = filled(resident)
    other = "model.layers.1.self_attn.q_proj.weight"
    target[other] = target[QUERY]
    with pytest.raises(InputRefused, match="share memory in the target, but differ in the result"):
        resident.load_into("big + 0.5*dared", target)


def test_tensors_that_overlap_are_refused_untouched(resident):
    target = filled(resident)
    other = "model.layers.1.self_attn.q_proj.weight"
    flat = torch.zeros(16 * 17, dtype=target[QUERY].dtype)
    target[QUERY], target[other] = flat[: 16 * 16].view(16, 16), flat[16:].view(16, 16)
    with pytest.raises(InputRefused, match="overlap in memory") as caught:
        resident.load_into("big + 0.5*dared", target)
    assert caught.value.hint
    assert not flat.any()


@pytest.mark.parametrize("options", [{"deltas": "host"}, {"masks": "drawn"}, {"masks": "cached"}])
def test_what_has_no_effect_on_the_cpu_is_refused(store, options):
    with pytest.raises(UsageError, match="no effect on 'cpu'") as caught:
        store.resident("big", ["dared"], **options)
    assert caught.value.hint


def test_any_number_of_expressions_takes_bounded_memory(resident):
    for number in range(600):
        resident._resolve(f"big + {number + 1}*dared", Choices())
    assert len(resident._resolved) <= 256


def test_a_result_that_is_not_finite_is_refused_and_can_be_loaded_over(store, resident):
    target = filled(resident)
    wanted = as_model(target)
    with pytest.raises(InputRefused, match=r"element .* of the result is -?inf"):
        resident.load("big + 1e30*dared", dtype="F16")
    with pytest.raises(InputRefused, match="of the result is"):
        resident.load_into("big + 1e30*dared", target, parameters={"lambda": 1e30})
    assert resident.last is None
    resident.load_into("big + 0.5*dared", target)
    assert as_model(target) == wanted


def test_what_is_not_resident_is_named_with_what_is(store):
    with store.resident("big", ["dared"]) as resident:
        with pytest.raises(UsageError, match=r"'exact@1' is not resident; resident are 'big@1', 'dared@1'"):
            resident.load("big + dared + exact")
        with pytest.raises(UsageError, match="'tower@1', 'headed@1' are not resident"):
            resident.load("tower + headed")
        with pytest.raises(NotFound, match="there is no skill 'nothing'"):
            resident.load("big + nothing")


def test_a_name_that_moved_on_is_not_served_from_memory(store, tmp_path):
    base = llama(seed=9)
    save(tmp_path / "base", base)
    store.register_base("moving", save(tmp_path / "b", base))
    store.register_skill("on", save(tmp_path / "one", fine_tune(base, 1)), base="moving")
    with store.resident("moving", ["on"]) as resident:
        resident.load("moving + on")
        store.register_skill("on", save(tmp_path / "two", fine_tune(base, 2)), base="moving")
        with pytest.raises(UsageError, match="'on@2' is not resident; resident are 'moving@1', 'on@1'"):
            resident.load("moving + on")
        resident.load("moving + on@1")
        store.yank("on@1", "wrong data")
        with pytest.raises(Conflict, match="yanked"):
            resident.load("moving + on@1")


def test_entering_refuses_what_cannot_be_kept(store):
    with pytest.raises(Conflict, match="headed@1 is a skill of tower@1, not of big@1"):
        store.resident("big", ["headed"])
    with pytest.raises(NotFound, match="there is no base model 'dared': it is a skill"):
        store.resident("dared", ["dared"])
    with pytest.raises(UsageError, match="deltas='disk' is unknown"):
        store.resident("big", ["dared"], deltas="disk")
    with pytest.raises(UsageError, match="masks='none' is unknown"):
        store.resident("big", ["dared"], masks="none")
    with pytest.raises(EnvironmentFailure, match="'cuda:99'"):
        store.resident("big", ["dared"], device="cuda:99")


def test_closing_lets_go(store):
    with store.resident("big", ["dared"]) as resident:
        tensors = resident.load("big + dared")
    resident.close()
    assert tensors[QUERY].isfinite().all()  # what was loaded stays
    for call in (lambda: resident.load("big + dared"), lambda: resident.load_into("big + dared", {}), resident.memory):
        with pytest.raises(UsageError, match="is closed"):
            call()


def test_damaged_bytes_are_found_on_entry(tmp_path):
    base = llama(seed=3)
    with mergestore.open(tmp_path / "store") as store:
        store.register_base("b", save(tmp_path / "b", base), reference=True)
        store.register_skill("s", save(tmp_path / "s", fine_tune(base, 1)), base="b")
        file = tmp_path / "b" / "model.safetensors"
        raw = bytearray(file.read_bytes())
        raw[-1] ^= 1
        file.write_bytes(raw)
        with pytest.raises(IntegrityFailure, match="hashes to"):
            store.resident("b", ["s"])


def test_memory_is_told(store, resident):
    footprint = resident.memory()
    base = sum(tensor.nbytes for tensor in resident.load("big + dared").values())
    assert footprint.base == base
    assert set(footprint.skills) == {"dared@1", "halves@1", "exact@1", "adapter@1", "large@1", "signs@1"}
    elements = 65_600 * 16 + 16 * 64
    assert 0.9 * 0.35 / 8 * elements < footprint.skills["dared@1"] < 1.3 * 0.44 / 8 * elements
    assert 2 * elements < footprint.skills["exact@1"] < 2.1 * elements
    assert footprint.skills["adapter@1"] == 4 * 2 * (16 + 16 + 16 + 65_600)
    assert footprint.total == footprint.base + sum(footprint.skills.values())
    assert json.dumps(footprint.to_dict())


def test_an_empty_list_of_skills_keeps_the_base_alone(store):
    with store.resident("big", []) as resident:
        assert resident.memory().skills == {}
        with pytest.raises(UsageError, match="not resident"):
            resident.load("big + dared")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("options", [{}, {"masks": "drawn"}, {"deltas": "host"}], ids=str)
def test_a_cuda_device_gives_the_same_bits(store, resident, options):
    with store.resident("big", SKILLS, device="cuda", **options) as there:
        for method, parameters in METHODS:
            wanted = as_model(resident.load(EVERYTHING, method=method, parameters=parameters))
            found = there.load(EVERYTHING, method=method, parameters=parameters)
            assert as_model({name: tensor.cpu() for name, tensor in found.items()}) == wanted
            loaded = store.load(EVERYTHING, device="cuda", method=method, parameters=parameters)
            assert all(tensor.is_cuda for tensor in loaded.values())
            assert as_model({name: tensor.cpu() for name, tensor in loaded.items()}) == wanted
