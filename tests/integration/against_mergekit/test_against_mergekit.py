"""`semantics: mergekit` against mergekit itself: every tensor of every merge, bit for bit."""

from __future__ import annotations

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import mergestore
from storage.errors import InputRefused, UsageError
from tests.integration.against_mergekit import environment
from tests.integration.against_mergekit.cases import (
    BASE,
    DETERMINISTIC,
    DRAWN,
    LONG_SUMS,
    MIXED,
    REFUSED,
    SAMPLED,
)
from tests.integration.against_mergekit.stacks import STACKED
from tests.integration.against_mergekit.worlds import HUGE, SMALL, WIDE, World, load, raw

CASES = DETERMINISTIC | DRAWN
assert not CASES.keys() & STACKED.keys()
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
NOT_FINITE = {("float16", "multislerp")}
"""What mergekit computes to NaN: 1e-8, which keeps it from dividing by zero, is zero in fp16."""


def _models(dtype, skills=5):
    return dict.fromkeys((BASE, *(f"ft{number}" for number in range(skills))), dtype)


@pytest.fixture(scope="module")
def worlds(surroundings, tmp_path_factory):
    """All worlds, and all merges of mergekit in one process: it takes long to start."""
    folder = tmp_path_factory.mktemp("worlds")
    mixed = {BASE: torch.bfloat16, "ft0": torch.float32, "ft1": torch.float16, "ft2": torch.bfloat16}
    found = {name: World(folder / name, _models(dtype), SMALL, CASES | STACKED) for name, dtype in DTYPES.items()}
    found |= {
        "wide bfloat16": World(folder / "wide16", _models(torch.bfloat16, 3), WIDE, LONG_SUMS, threads=1),
        "wide float32": World(folder / "wide32", _models(torch.float32, 3), WIDE, LONG_SUMS, threads=1),
        "huge": World(folder / "huge", _models(torch.float16, 1), HUGE, SAMPLED),
        "mixed": World(folder / "mixed", mixed, SMALL, MIXED),
        "refused": World(folder / "refused", _models(torch.float32, 2), SMALL, REFUSED),
    }
    environment.python()
    for world in found.values():
        world.folder.mkdir()
        world.prepare()
    outcomes = iter(environment.run([job for world in found.values() for job in world.jobs()], folder))
    for world in found.values():
        world.failed.update(zip(world.cases, outcomes, strict=False))
    return found


@pytest.fixture(scope="module")
def stores(worlds):
    opened = {name: world.store() for name, world in worlds.items()}
    yield opened
    for store in opened.values():
        store.close()


def _check(worlds, stores, world, case, **more):
    assert worlds[world].failed[case] is None
    theirs, ours = worlds[world].made(case), load(stores[world], worlds[world].cases[case], **more)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape), name
        assert raw(ours[name]) == raw(tensor), f"{name}: {(ours[name] != tensor).sum()} of {tensor.numel()} differ"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_tensor_is_the_one_that_mergekit_makes(worlds, stores, dtype, case):
    if (dtype, case) in NOT_FINITE:
        assert any(tensor.isnan().any() for tensor in worlds[dtype].made(case).values())
        with pytest.raises(InputRefused, match="compute_dtype"):
            load(stores[dtype], CASES[case])
    else:
        _check(worlds, stores, dtype, case)


@pytest.mark.parametrize("case", DETERMINISTIC)
def test_its_own_configuration_gives_its_own_tensors(worlds, stores, tmp_path, case):
    """The file that mergekit reads, imported: models found by their content, and the same result."""
    world, store = worlds["bfloat16"], stores["bfloat16"]
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(world.cases[case].config({name: str(world.path(name)) for name in world.dtypes})))
    merged = store.merge_from_mergekit("imported", file)
    ours, theirs = store.load(f"imported@{merged.version}"), world.made(case)
    assert ours.keys() == theirs.keys()
    assert all(raw(ours[name]) == raw(tensor) for name, tensor in theirs.items())


@pytest.mark.parametrize("case", STACKED)
@pytest.mark.parametrize("dtype", DTYPES)
def test_stacked_layers_are_those_of_mergekit(worlds, stores, tmp_path, dtype, case):
    world, store = worlds[dtype], stores[dtype]
    assert world.failed[case] is None
    ours, theirs = store.load(_stacked(world, store, tmp_path, case)), world.made(case)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape), name
        assert raw(ours[name]) == raw(tensor), f"{name}: {(ours[name] != tensor).sum()} of {tensor.numel()} differ"


def _stacked(world, store, folder, case):
    """The reference of a stack, imported from mergekit's configuration."""
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(world.cases[case].config({name: str(world.path(name)) for name in world.dtypes})))
    return f"stacked@{store.merge_from_mergekit('stacked', file).version}"


@pytest.mark.parametrize("case", ["overlapping, of five layers", "fewer layers", "slerp by depth"])
def test_a_published_stack_is_loaded_by_transformers_and_has_as_many_layers(worlds, stores, tmp_path, case):
    world, store = worlds["bfloat16"], stores["bfloat16"]
    name = _stacked(world, store, tmp_path, case)
    store.materialize(name, output=tmp_path / "out", wait=False)
    theirs = world.made(case)
    model, told = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.num_hidden_layers == len({key.split(".")[2] for key in theirs if ".layers." in key})
    held = model.state_dict()
    assert all(raw(held[key].to(tensor.dtype)) == raw(tensor) for key, tensor in theirs.items())
    with store.resident(BASE, [key for key in world.dtypes if key != BASE]) as resident:
        ours = resident.load(name)
    assert {key: raw(tensor) for key, tensor in ours.items()} == {key: raw(tensor) for key, tensor in theirs.items()}


@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("world", ["wide bfloat16", "wide float32"])
def test_long_sums_are_those_of_one_thread_however_many_there_are(worlds, stores, world, case):
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            _check(worlds, stores, world, case, threads=3 - threads)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)


@pytest.mark.parametrize("case", MIXED)
def test_dtypes_are_brought_together_and_converted_as_mergekit_does(worlds, stores, case):
    _check(worlds, stores, "mixed", case)


@pytest.mark.parametrize("case", SAMPLED)
def test_the_quartiles_of_more_than_a_million_values_are_those_of_a_sample(worlds, stores, case):
    _check(worlds, stores, "huge", case)


@pytest.mark.parametrize("case", REFUSED)
def test_what_mergekit_fails_on_is_refused(worlds, stores, case):
    assert worlds["refused"].failed[case] is not None
    with pytest.raises((UsageError, InputRefused)):
        load(stores["refused"], REFUSED[case])


def test_a_published_folder_holds_the_same_and_so_does_a_named_merge(worlds, stores, tmp_path):
    world, store = worlds["bfloat16"], stores["bfloat16"]
    for number, name in enumerate(["ties of their own", "linear with the base", "passthrough of the base"]):
        case, folder = CASES[name], tmp_path / str(number)
        merge = store.merge(
            f"m{number}", case.expression, method=case.method, parameters=case.parameters, semantics="mergekit"
        )
        made = store.materialize(f"m{number}", output=folder, wait=False)
        assert made.recipe_digest == merge.recipe_digest
        theirs, ours = world.made(name), load_file(folder / "model.safetensors")
        assert {tensor: raw(values) for tensor, values in ours.items()} == {
            tensor: raw(values) for tensor, values in theirs.items()
        }
        assert "arithmetic of mergekit 0.1.5" in (folder / "README.md").read_text()
        assert store.verify(folder).ok


def test_a_named_merge_can_be_varied(worlds, stores):
    store, case = stores["float32"], CASES["task_arithmetic"]
    store.merge("varied", case.expression, method=case.method, semantics="mergekit")
    asked = CASES["task_arithmetic"]
    same = store.load("varied", dtype="F32")
    assert all(raw(same[name]) == raw(tensor) for name, tensor in load(store, asked).items())
    other = store.load("varied", parameters={"lambda": 0.8})
    expected = store.load(case.expression, method=case.method, parameters={"lambda": 0.8}, semantics="mergekit")
    assert all(torch.equal(other[name], expected[name]) for name in expected)
    paper = store.load("varied", semantics="paper")
    expected = store.load(case.expression, method=case.method)
    assert all(torch.equal(paper[name], expected[name]) for name in expected)


def test_lossy_skills_are_the_base_and_the_delta_rounded_to_the_dtype_of_the_fine_tune(worlds, stores):
    world, store = worlds["bfloat16"], stores["bfloat16"]
    store.register_skill("lossy", world.path("ft1"), base=BASE, drop_rate=0.5)
    model = store.load("base + lossy", method="passthrough", semantics="mergekit")
    expected = store.load("base + lossy", method="task_arithmetic")
    assert {name: raw(tensor) for name, tensor in model.items()} == {
        name: raw(tensor) for name, tensor in expected.items()
    }
    with pytest.raises(UsageError, match="encoding exact"):
        store.load("base + lossy", method="della", semantics="mergekit")


def test_other_names_and_parameters_are_refused(stores):
    store = stores["float32"]
    for text, parameters, message in (
        ("base + nobody", {}, "nobody"),
        ("base + ft0 + base + base", {}, "twice"),
        ("base + ft0 + ft0", {}, "twice"),
        ("base + ft0 + base", {}, "base_model"),
        ("base + ft0{lambda: 0.5}", {}, "one for all skills"),
        ("base + ft0", {"density": 2}, "at most 1"),
        ("base + ft0", {"drop_rate": 0.5}, "no parameter 'drop_rate'"),
    ):
        with pytest.raises(mergestore.MergestoreError, match=message):
            store.load(text, method="ties", parameters=parameters, semantics="mergekit")
    with pytest.raises(UsageError, match="unknown semantics"):
        store.load("base + ft0", semantics="papers")
    with pytest.raises(UsageError, match=r"mergekit 0\.1\.5 has no method 'fisher'"):
        store.load("base + ft0", method="fisher", semantics="mergekit")
    with pytest.raises(mergestore.MergestoreError, match="base"):
        store.load("base + 0.5*base + ft0")


@pytest.mark.parametrize("case", ["ties of their own", "linear with the base", "arcee_fusion", "dare_linear"])
def test_resident_mode_on_the_host_gives_the_same(worlds, stores, case):
    asked, store = CASES[case], stores["bfloat16"]
    names = [name for name in asked.models if name != BASE]
    with store.resident(BASE, names) as resident:
        resident.load("base + ft0" if "ft0" in names else f"base + {names[0]}")  # plans are kept
        ours = resident.load(asked.expression, method=asked.method, parameters=asked.parameters, semantics="mergekit")
    assert {name: raw(tensor) for name, tensor in ours.items()} == {
        name: raw(tensor) for name, tensor in worlds["bfloat16"].made(case).items()
    }
