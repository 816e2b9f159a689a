"""Resident mode on a device against resident mode on the host, interpreted or compiled; run by ``test_triton``."""

import os

import numpy as np
import pytest
import torch

from merging.choosing import open_engine
from merging.device.holding import hold_on_device, load_on_device
from merging.residence.host_memory import hold_on_host
from merging.residence.resident import Resident
from merging.streaming.tensors import host_bytes
from storage.encodings.coding import EXACT, SIGN, Coding
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Silent
from tests.unit.tiny_models import Tiny, tensor

DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda:0")
MODES = [(False, None), (False, "drawn"), (True, None), (True, "drawn")]  # skills on the host?, masks
METHODS = [
    ("linear", {"normalize": False}),
    ("task_arithmetic", {"lambda_": 0.7}),
    ("dare_linear", {"drop_rate": 0.5, "seed": 4}),
    ("ties", {"density": 0.3}),
    ("ties", {"density": 0.3, "trim": "tensor", "divisor": "weights"}),
    ("dare_ties", {"drop_rate": 0.5}),
]
CODINGS = [
    Coding("int4", 6554, 1),
    Coding("bf16", 32768, 2),
    EXACT,
    Coding("int4", density=0.2, trim="model"),
    SIGN,
    Coding("exact", 6554, 3),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    rng = np.random.default_rng(0)

    def weights(shape, dtype):
        return tensor(rng.standard_normal(shape) * 0.02, dtype)

    model = Tiny(
        tmp_path_factory.mktemp("tiny"),
        {
            "wide": weights((3, 720), "BF16"),
            "odd": weights((7, 3), "F16"),
            "line": weights((40,), "F32"),
            "none": weights((0, 4), "BF16"),
            "scalar": weights((), "BF16"),
        },
    )
    for coding in CODINGS:
        noisy = {
            name: tensor(old.floats + rng.standard_normal(old.shape) * 1e-3, old.dtype)
            for name, old in model.tensors.items()
        }
        noisy["line"] = model.tensors["line"]
        model.delta(noisy, coding)
    a, b = rng.standard_normal((2, 720)), rng.standard_normal((3, 2)) * 0.01
    model.adapter({"wide": (a.astype(np.float32), b.astype(np.float32), 0.5, False)})
    yield model
    model.close()


@pytest.fixture(scope="module")
def deltas(tiny):
    return {delta.manifest.digest: delta for delta in tiny.opened}


@pytest.fixture(scope="module")
def host(tiny, deltas):
    return Resident(hold_on_host(tiny.source, tiny.digests, deltas, open_engine("cpu"), 1, Silent()), tiny.digests)


@pytest.fixture(scope="module", params=MODES, ids=str)
def device(request, tiny, deltas):
    on_host, masks = request.param
    memory = hold_on_device(
        tiny.source, tiny.digests, deltas, DEVICE, on_host=on_host, masks=masks, threads=2, progress=Silent()
    )
    yield Resident(memory, tiny.digests)
    memory.close()


def as_bytes(tensors):
    return {
        name: (str(each.dtype), tuple(each.shape), host_bytes(each.cpu().contiguous()).tobytes())
        for name, each in tensors.items()
    }


def everything(tiny):
    return [(delta, (-1) ** k * (0.3 + 0.1 * k)) for k, delta in enumerate(tiny.opened)]


@pytest.mark.parametrize(("method", "parameters"), METHODS)
def test_the_device_gives_the_bits_of_the_host(tiny, host, device, method, parameters):
    recipe = tiny.plan(method, everything(tiny), **parameters).recipe
    assert as_bytes(device.load(recipe)) == as_bytes(host.load(recipe))


@pytest.mark.parametrize("number", range(len(CODINGS) + 1))
def test_every_skill_alone_and_the_identity(tiny, host, device, number):
    dtype = ("F16", "F32", None)[number % 3]
    recipe = tiny.plan("task_arithmetic", [(tiny.opened[number], 1.0)], dtype).recipe
    assert as_bytes(device.load(recipe)) == as_bytes(host.load(recipe))


def test_into_tensors_that_are_there(tiny, host, device):
    recipe = tiny.plan("task_arithmetic", everything(tiny)).recipe
    wanted = host.load(recipe)
    target = {name: torch.zeros_like(each, device=DEVICE) for name, each in wanted.items()}
    around = torch.zeros((3, 800), dtype=torch.bfloat16, device=DEVICE)
    target["wide"] = around[:, 33:753]
    device.load_into(recipe, target)
    assert as_bytes(target) == as_bytes(wanted)
    assert not around[:, :33].any()
    assert not around[:, 753:].any()


def test_other_weights_of_the_same_skills(tiny, host, device):
    """What is kept from one recipe to the next does not depend on weights, but for those that make an identity."""
    exact = tiny.opened[2]
    target = {}
    for weight, scale in ((0.5, 1.0), (1.0, 1.0), (-0.25, 1.0), (1.0, 0.5), (1.0, 1.0)):
        recipe = tiny.plan("task_arithmetic", [(exact, weight)], lambda_=scale).recipe
        wanted = host.load(recipe)
        target = target or {name: torch.zeros_like(each, device=DEVICE) for name, each in wanted.items()}
        device.load_into(recipe, target)
        assert as_bytes(target) == as_bytes(wanted)
    for shift in (0.0, 0.1):
        recipe = tiny.plan("ties", [(delta, weight + shift) for delta, weight in everything(tiny)], density=0.3).recipe
        assert as_bytes(device.load(recipe)) == as_bytes(host.load(recipe))


def test_a_weight_of_one_counts_where_its_skill_stands_alone(tmp_path):
    """One skill changes both tensors, the other only one: at weight 1 the first is the fine-tune where it is alone."""
    rng = np.random.default_rng(0)
    model = Tiny(tmp_path, {name: tensor(rng.standard_normal((8, 8)) * 0.02, "BF16") for name in ("alone", "both")})
    for names in (("alone", "both"), ("both",)):
        tuned = {
            name: tensor(own.floats + rng.standard_normal(own.shape) * 1e-2, own.dtype) if name in names else own
            for name, own in model.tensors.items()
        }
        model.delta(tuned, EXACT)
    deltas = {delta.manifest.digest: delta for delta in model.opened}
    common = {"on_host": False, "masks": None, "threads": 1, "progress": Silent()}
    device = Resident(hold_on_device(model.source, model.digests, deltas, DEVICE, **common), model.digests)
    host = Resident(hold_on_host(model.source, model.digests, deltas, open_engine("cpu"), 1, Silent()), model.digests)
    for weight in (1.0, 0.7, 1.0):
        recipe = model.plan("task_arithmetic", list(zip(model.opened, (weight, 0.5), strict=True))).recipe
        assert as_bytes(device.load(recipe)) == as_bytes(host.load(recipe))


@pytest.mark.parametrize(("method", "parameters"), [METHODS[1], METHODS[3]])
@pytest.mark.parametrize("dtype", [None, "F32"])
def test_a_load_is_merged_in_place(tiny, host, method, parameters, dtype):
    plan = tiny.plan(method, everything(tiny), dtype, **parameters)
    assert as_bytes(load_on_device(plan, DEVICE, 2)) == as_bytes(host.load(plan.recipe))


def test_what_is_not_finite_is_named(tiny, device, host):
    recipe = tiny.plan("task_arithmetic", [(tiny.opened[1], 1e30)], "F16").recipe
    says = []
    with np.errstate(all="ignore"):
        for memory in (host, device):
            with pytest.raises(InputRefused, match="of the result is") as refused:
                memory.load(recipe)
            says.append(refused.value.message)
    assert says[0] == says[1]


def test_memory_is_told_and_let_go(tiny, deltas):
    sizes = {}
    for on_host, masks in ((False, "cached"), (False, "drawn")):
        memory = hold_on_device(
            tiny.source, tiny.digests, deltas, DEVICE, on_host=on_host, masks=masks, threads=1, progress=Silent()
        )
        assert memory.base_size() == sum(each.bits.nbytes for each in tiny.tensors.values())
        sizes[masks] = memory.skill_sizes()
        assert sizes[masks].keys() == deltas.keys()
        assert all(size > 0 for size in sizes[masks].values())
        memory.close()
        assert memory.base_size() == 0
        assert memory.skill_sizes() == {}
    bf16 = tiny.opened[1].manifest.digest
    assert sizes["cached"][bf16] > sizes["drawn"][bf16]


def test_damage_is_found_on_entry(tiny, deltas):
    digests = {**tiny.digests, "wide": tiny.digests["odd"]}
    with pytest.raises(IntegrityFailure, match="'wide' hashes to"):
        hold_on_device(tiny.source, digests, deltas, DEVICE, on_host=False, masks=None, threads=1, progress=Silent())
