"""EMR: the paper's example, every skill against a plain reference, and the same bytes from the file and the skills."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merging.engines import numba_engine
from merging.passes.unified_writer import write_unified
from storage.deltas.unified import UnifiedFile
from storage.encodings import unified_kernels
from storage.encodings.coding import SIGN, dare_coding
from storage.encodings.frames import CHUNK
from storage.encodings.measure_kernels import sum_magnitudes
from storage.encodings.numeric import BITS, widen
from storage.encodings.unified import agreeing, masked, pack_mask, pack_values, unify, unpack_mask, unpack_values
from storage.errors import InputRefused, IntegrityFailure
from storage.progress import Silent
from tests.unit.tiny_models import Tiny, tensor
from tests.unit.unified_models import emr_plan, from_file, from_skills, reference_models, write

VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38]) | st.floats(-2, 2, width=32)


@pytest.fixture
def make(tmp_path):
    made = []

    def make(tensors):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Tiny(folder, tensors))
        return made[-1]

    yield make
    for tiny in made:
        tiny.close()


def in_order(*deltas):
    """The deltas in canonical order."""
    return sorted(deltas, key=lambda delta: delta.manifest.digest)


def floats(result, name):
    dtype, data, _ = result[name]
    return widen(np.frombuffer(data, BITS[dtype]), dtype)


def values_of(path, name):
    """The unified vector of one tensor of one chunk, over a base of fp32 zeros."""
    with UnifiedFile.open(path) as file:
        total = None
        for place in range(len(file.manifest.skills)):
            stored = file.tensor(place, name)
            if stored is not None:
                found = stored.chunk(0, np.zeros(stored.tensor.elements, np.uint32))
                total = found if total is None else np.where(found != 0, found, total)
        return total


def test_the_papers_example(make):
    tiny = make({"w": tensor([0, 0, 0])})
    one, two = tiny.delta({"w": tensor([2, -1, 3])}), tiny.delta({"w": tensor([1, 2, -1])})
    path, written = write(tiny, [one, two])
    scales = dict(zip(written.manifest.skills, written.manifest.scales, strict=True))
    assert scales == {one.manifest.digest: 1.2, two.manifest.digest: 1.0}
    assert values_of(path, "w").tolist() == [2, 2, 3]
    for task, expected in ((one, [2.4, 0, 3.6]), (two, [2, 2, 0])):
        for result in (from_skills(tiny, [one, two], task), from_file(tiny, path, [one, two], task)):
            assert np.allclose(floats(result, "w"), expected, rtol=2**-23, atol=0)
    shares = {share.skill: (share.changed, share.agreeing) for share in written.shares}
    assert shares == {one.manifest.digest: (3, 2), two.manifest.digest: (3, 2)}


def test_a_sum_of_exactly_zero_counts_as_plus():
    values, chosen = unify([np.array([-1, 1, 0, -2], np.float32), np.array([1, -1, 0, 2], np.float32)])
    assert values.tolist() == [1, 1, 0, 2]
    assert chosen.tolist() == [1, 0, -1, 1]


def test_of_equal_magnitudes_the_first_is_taken_and_zeros_never_agree():
    deltas = [np.array([0, 3, -0.0], np.float32), np.array([-2, 3, -1], np.float32)]
    values, chosen = unify(deltas)
    assert values.tolist() == [-2, 3, -1]
    assert chosen.tolist() == [1, 0, 1]
    assert agreeing(deltas[0], values).tolist() == [False, True, False]


def test_a_sum_beyond_fp32_still_has_its_sign():
    large = np.float32(3e38)
    values, _ = unify([np.array([large, -large]), np.array([large, -large]), np.array([-1, 1], np.float32)])
    assert values.tolist() == [large, -large]


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(0, 40)), elements=VALUES))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_the_compiled_loop_is_the_definition(deltas):
    values, chosen = np.empty(deltas.shape[1], np.float32), np.empty(deltas.shape[1], np.int16)
    unified_kernels.unify(deltas, values, chosen)
    expected = unify(list(deltas))
    assert np.array_equal(values.view(np.uint32), expected[0].view(np.uint32))
    assert np.array_equal(chosen, expected[1])
    for delta in deltas:
        assert np.array_equal(agreeing(delta, values), delta.astype(np.float64) * values.astype(np.float64) > 0)
        assert np.all(np.abs(values) >= np.abs(delta) * agreeing(delta, values))
    assert np.array_equal(chosen >= 0, np.any(deltas != 0, axis=0))  # an element that any skill changes has a value


@given(arrays(np.float32, st.integers(0, 40), elements=VALUES))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_values_in_planes_and_sums_in_order(values):
    data = pack_values(values)
    assert len(data) == (4 * values.size if values.any() else 0)
    assert np.array_equal(unpack_values(data, values.size), values)
    total = 0.0
    for value in np.abs(values.astype(np.float64)).tolist():
        total += value
    values.flags.writeable = False
    assert sum_magnitudes(values) == total


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 1000])
def test_masks_take_a_bit_for_each_value_that_is_not_zero(count):
    random = np.random.default_rng(count)
    values = np.where(random.random(count) < 0.5, random.normal(size=count), 0).astype(np.float32)
    agrees = agreeing(random.normal(size=count).astype(np.float32), values)
    data = pack_mask(agrees, values)
    assert len(data) == -(-np.count_nonzero(values) // 8)
    assert np.array_equal(unpack_mask(data, values), agrees)
    assert np.array_equal(masked(agrees, values) != 0, agrees)
    with pytest.raises(ValueError, match="do not hold the mask"):
        unpack_mask(data + b"\0", values)
    if np.count_nonzero(values) % 8:
        with pytest.raises(ValueError, match="do not hold the mask"):
            unpack_mask(data[:-1] + bytes([data[-1] | 0x80]), values)


def noisy(base, seed, sigma=1e-3, only=None):
    random = np.random.default_rng(seed)
    tuned = dict(base)
    for name in sorted(only or base):
        noise = random.normal(0, sigma, base[name].shape) * (random.random(base[name].shape) < 0.7)
        tuned[name] = tensor(base[name].floats + noise, base[name].dtype)
    return tuned


def model(dtype, seed=0):
    random = np.random.default_rng(seed)
    shapes = {"a": (40, 30), "b": (17,), "c": (8, 8), "empty": (0, 4)}
    return {name: tensor(random.normal(0, 0.02, shape), dtype) for name, shape in shapes.items()}


def taus(base, tuned):
    return [{name: each[name].floats - base[name].floats for name in base} for each in tuned]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("skills", [2, 3, 5])
def test_every_skill_against_the_reference(make, dtype, skills):
    base = model(dtype)
    tiny = make(base)
    tuned = [noisy(base, 10 + seed) for seed in range(skills)]
    tuned[0]["b"] = base["b"]  # a tensor that one skill leaves as it is
    for each in tuned:
        each["c"] = base["c"]  # and one that all do
    deltas = [tiny.delta(each) for each in tuned]
    order = in_order(*deltas)
    expected, scales = reference_models(
        {name: each.floats for name, each in base.items()},
        taus(base, [tuned[deltas.index(delta)] for delta in order]),
    )
    path, written = write(tiny, deltas)
    assert np.allclose(written.manifest.scales, [float(scale) for scale in scales], rtol=1e-14)
    assert {tensor.values for tensor in written.manifest.tensors.values()} == {"exact", None}
    for place, task in enumerate(order):
        result = from_file(tiny, path, deltas, task)
        assert result == from_skills(tiny, deltas, task, engine=numba_engine, threads=2)
        assert result["c"][1] == base["c"].bits.tobytes()
        for name in ("a", "b"):
            exact = expected[place][name].reshape(-1)
            rounded = tensor(exact, dtype).floats
            step = np.abs(exact) * {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7}[dtype]
            assert np.all(np.abs(floats(result, name) - exact) <= step + 1e-7)
            assert np.mean(floats(result, name) == rounded) > (0.9 if dtype == "F32" else 0.99)


def adapter(tiny, seed, name="a"):
    random = np.random.default_rng(seed)
    rows, columns = tiny.tensors[name].shape
    a, b = random.normal(0, 0.1, (3, columns)), random.normal(0, 0.1, (rows, 3))
    return tiny.adapter({name: (a.astype(np.float32), b.astype(np.float32), 0.5, False)})


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_skills_of_every_unsparsified_encoding_together(make, dtype):
    """Exact, a fine-tune of another dtype, an adapter, int4 and signs: no value is lost on the way into the file."""
    base = model(dtype)
    tiny = make(base)
    other = "BF16" if dtype == "F32" else "F32"
    wide = {name: tensor(each.floats, other) for name, each in noisy(base, 2).items()}
    deltas = [
        tiny.delta(noisy(base, 1)),
        tiny.delta(wide),
        adapter(tiny, 3),
        tiny.delta(noisy(base, 4), dare_coding(0, 0, "int4")),
        tiny.delta(noisy(base, 5), SIGN),
    ]
    path, written = write(tiny, deltas)
    assert written.manifest.tensors["a"].values == "fp32"
    assert written.manifest.tensors["empty"].form == "same"
    for task in deltas:
        for asked in (None, "F32", "F16", "BF16"):
            result = from_file(tiny, path, deltas, task, dtype=asked)
            assert result == from_skills(tiny, deltas, task, dtype=asked)


def test_fine_tunes_of_another_dtype_than_the_base_stay_exact(make):
    """The base's own rounding to bf16 is a delta too."""
    base = model("F32")
    tiny = make(base)
    deltas = [
        tiny.delta({name: tensor(each.floats, "BF16") for name, each in noisy(base, seed).items()}) for seed in (1, 2)
    ]
    path, written = write(tiny, deltas)
    assert (written.manifest.tensors["a"].values, written.manifest.tensors["a"].fine_tuned_dtype) == ("exact", "BF16")
    for task in deltas:
        assert from_file(tiny, path, deltas, task) == from_skills(tiny, deltas, task)


def test_an_element_of_negative_zero_becomes_plus_zero_where_the_skill_changes_its_tensor(make):
    base = {"w": tensor([-0.0, 1.0])}
    tiny = make(base)
    deltas = [tiny.delta({"w": tensor([-0.0, 2.0])}), tiny.delta({"w": tensor([-0.0, 3.0])})]
    path, _ = write(tiny, deltas)
    for result in (from_skills(tiny, deltas, deltas[0]), from_file(tiny, path, deltas, deltas[0])):
        assert np.signbit(floats(result, "w")).tolist() == [False, False]


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_the_file_and_the_models_are_the_same_on_any_number_of_threads(make, dtype):
    """Tensors of several chunks, the last of them short."""
    random = np.random.default_rng(0)
    base = {"large": tensor(random.normal(0, 0.02, 2 * CHUNK + 77), dtype), "small": tensor(np.ones(5), dtype)}
    tiny = make(base)
    deltas = [tiny.delta(noisy(base, seed, only=only)) for seed, only in ((1, None), (2, ["large"]), (3, ["small"]))]
    files = [write(tiny, deltas, f"threads-{threads}.safetensors", threads) for threads in (1, 3)]
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert files[0][1] == files[1][1]
    for task in deltas:
        one = from_file(tiny, files[0][0], deltas, task)
        assert one == from_file(tiny, files[0][0], deltas, task, engine=numba_engine, threads=3)
        assert one == from_skills(tiny, deltas, task, engine=numba_engine, threads=3)


def test_a_skill_that_never_agrees_has_scale_zero_and_the_bases_values(make):
    tiny = make({"w": tensor([1, 1]), "v": tensor([1])})
    one = tiny.delta({"w": tensor([3, 4]), "v": tensor([1])})
    two = tiny.delta({"w": tensor([0, 0]), "v": tensor([1])})
    path, written = write(tiny, [one, two])
    assert dict(zip(written.manifest.skills, written.manifest.scales, strict=True))[two.manifest.digest] == 0
    for result in (from_skills(tiny, [one, two], two), from_file(tiny, path, [one, two], two)):
        assert floats(result, "w").tolist() == [1, 1]


def test_a_scale_that_fp32_cannot_hold_is_refused(make):
    tiny = make({"w": tensor([0, 0])})
    deltas = [tiny.delta({"w": tensor([1e-45, 3e38])}), tiny.delta({"w": tensor([1e-45, -3.1e38])})]
    with pytest.raises(InputRefused, match="the scale of skill"):
        write(tiny, deltas)
    with pytest.raises(InputRefused, match="the scale of skill"):
        from_skills(tiny, deltas, deltas[0])


def test_a_result_that_is_not_finite_is_refused(make):
    tiny = make({"w": tensor([3e38, 0])})  # and the second skill has scale 6
    deltas = [
        tiny.delta({"w": tensor([3.1e38, -3e38])}),
        tiny.delta({"w": tensor([3.2e38, 1e38])}),
    ]
    path, _ = write(tiny, deltas)
    for make_it in (lambda: from_skills(tiny, deltas, deltas[1]), lambda: from_file(tiny, path, deltas, deltas[1])):
        with pytest.raises(InputRefused, match="tensor 'w': element 0 of the result is inf"):
            make_it()


def test_bytes_of_the_base_that_are_not_on_record_are_refused_while_writing(make):
    base = model("BF16")
    tiny = make(base)
    deltas = [tiny.delta(noisy(base, seed)) for seed in (1, 2)]
    plan = emr_plan(tiny, deltas)
    other = dataclasses.replace(plan, base_digests={**plan.base_digests, "a": plan.base_digests["b"]})
    with pytest.raises(IntegrityFailure, match="tensor 'a' of the base hashes to"):
        write_unified(other, tiny.folder / "unified.safetensors", 2, Silent())
    assert not (tiny.folder / "unified.safetensors").exists()
    assert [path.name for path in tiny.folder.glob("*.tmp")] == []
