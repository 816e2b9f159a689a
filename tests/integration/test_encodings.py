"""Skills stored by magnitude and by sign, from registering to the merged model, its card and its lineage."""

import json

import numpy as np
import pytest

import mergestore
from mergestore import UsageError
from storage.encodings import sign
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, read_model, save
from tests.integration.shell import Shell

pytestmark = pytest.mark.usefixtures("surroundings")
BASE, TUNED, OTHER = llama(seed=1), fine_tune(llama(seed=1), 1), fine_tune(llama(seed=1), 2)
DELTA = {name: TUNED[name].values - BASE[name].values for name in BASE}
ELEMENTS = sum(delta.size for delta in DELTA.values())


@pytest.fixture(scope="module")
def models(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save(folder / "base", BASE, {**LLAMA_CONFIG, "torch_dtype": "float32"})
    save(folder / "tuned", TUNED, LLAMA_CONFIG)
    save(folder / "other", OTHER, LLAMA_CONFIG)
    return folder


@pytest.fixture
def home(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(home, models):
    with mergestore.open(home, actor="ann@lab") as store:
        store.register_base("tiny", models / "base")
        yield store


def largest(deltas, keep):
    """The deltas without all but their ``keep`` largest magnitudes."""
    cutoff = np.sort(np.concatenate([np.abs(delta).reshape(-1) for delta in deltas.values()]))[-keep]
    return {name: np.where(np.abs(delta) >= cutoff, delta, np.float32(0)) for name, delta in deltas.items()}


def merged(store, folder, expression, **options):
    """The values of a merge, materialized into a folder."""
    store.materialize(expression, output=folder, wait=False, **options)
    return {name: tensor.values for name, tensor in read_model(folder).items()}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


@pytest.mark.parametrize("trim", ["model", "tensor"])
@pytest.mark.parametrize("density", [0.1, 0.5])
def test_a_merge_adds_the_largest_values_as_they_are(store, models, tmp_path, trim, density):
    made = store.register_skill(
        "math", models / "tuned", base="tiny", encoding="magnitude", density=density, trim=trim, values="exact"
    )
    if trim == "model":
        kept = largest(DELTA, int(density * ELEMENTS))
    else:
        kept = {name: largest({name: delta}, int(density * delta.size))[name] for name, delta in DELTA.items()}
    assert made.statistics["total"]["kept"] == sum(np.count_nonzero(delta) for delta in kept.values())
    assert made.statistics["total"]["elements"] == ELEMENTS
    expected = {name: BASE[name].values + np.float32(0.5) * kept[name] for name in BASE}
    assert_equal(merged(store, tmp_path / "out", "tiny + 0.5*math"), expected)


def test_trimming_when_registering_is_what_ties_does_when_merging(store, models, tmp_path):
    """With the same density: first the exact skills, trimmed while merging, then both trimmed once for all."""
    for name in ("tuned", "other"):
        store.register_skill(f"{name}-exact", models / name, base="tiny", encoding="exact")
        store.register_skill(name, models / name, base="tiny", encoding="magnitude", density=0.2, values="exact")
    options = {"method": "ties", "parameters": {"density": 0.2}}
    expected = merged(store, tmp_path / "exact", "tiny + tuned-exact + other-exact", **options)
    assert_equal(merged(store, tmp_path / "trimmed", "tiny + tuned + other", **options), expected)


def test_signs_move_every_weight_by_the_mean_of_its_block(store, models, tmp_path):
    made = store.register_skill("math", models / "tuned", base="tiny", encoding="sign")
    assert made.statistics["total"]["kept"] == ELEMENTS
    expected = {}
    for name, delta in DELTA.items():
        values = sign.dequantize(*sign.quantize(delta.reshape(-1)), delta.size).reshape(delta.shape)
        expected[name] = BASE[name].values + values
    assert_equal(merged(store, tmp_path / "out", "tiny + math"), expected)


def test_dare_draws_no_mask_for_what_was_trimmed_and_one_for_signs(store, models, tmp_path):
    store.register_skill("trimmed", models / "tuned", base="tiny", encoding="magnitude", density=0.3)
    store.register_skill("signs", models / "tuned", base="tiny", encoding="sign")
    added = merged(store, tmp_path / "added", "tiny + 0.7*trimmed")
    assert_equal(merged(store, tmp_path / "dare", "tiny + 0.7*trimmed", method="dare_linear"), added)
    for parameter in ("drop_rate", "seed"):
        with pytest.raises(UsageError, match=f"{parameter} has no effect: every skill here was sparsified"):
            store.materialize("tiny + trimmed", method="dare_linear", parameters={parameter: 0}, wait=False)
    dropped = merged(store, tmp_path / "signs", "tiny + signs", method="dare_linear", parameters={"drop_rate": 0.5})
    shares = [np.mean(dropped[name] == BASE[name].values) for name in BASE if BASE[name].values.size > 500]
    assert all(0.4 < share < 0.6 for share in shares)


def test_a_trimmed_skill_is_never_taken_for_the_whole_fine_tune(store, models, tmp_path):
    store.register_skill("math", models / "tuned", base="tiny", encoding="magnitude", density=0.5, values="exact")
    found = merged(store, tmp_path / "out", "tiny + math")
    assert any((found[name] != TUNED[name].values).any() for name in BASE)


def test_answers_lineage_and_manifest_tell_how_it_is_stored(store, models, tmp_path):
    options = {"base": "tiny", "encoding": "magnitude", "density": 0.25, "trim": "tensor", "values": "bf16"}
    made = store.register_skill("math", models / "tuned", **options)
    told = {"encoding": "magnitude", "values": "bf16", "drop_rate": None, "seed": None}
    told |= {"density": 0.25, "trim": "tensor"}
    assert {key: getattr(made, key) for key in told} == told
    again = store.register_skill("math", models / "tuned", **options)
    assert (again.version, again.created, again.density, again.trim) == (1, False, 0.25, "tensor")
    assert store.register_skill("math", models / "tuned", **options | {"density": 0.5}).version == 2
    assert store.show("math@1")["trim"] == "tensor"
    store.register_skill("signs", models / "other", base="tiny", encoding="sign")
    assert {key: store.show("signs")[key] for key in told} == dict.fromkeys(told) | {"encoding": "sign"}
    store.materialize("tiny + math@1 + signs", output=tmp_path / "out", wait=False)
    document = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    described = {skill["name"]: {key: skill[key] for key in told} for skill in document["skills"]}
    assert described == {"math": told, "signs": dict.fromkeys(told) | {"encoding": "sign"}}
    assert "| magnitude, density 0.25 |" in (tmp_path / "out" / "README.md").read_text()
    assert not store.verify().problems


def test_the_command_line_registers_shows_and_audits_them(store, home, models):
    shell = Shell(home)
    words = ("register", "skill", "math", models / "tuned", "--base", "tiny", "--encoding", "magnitude")
    code, out, _ = shell(*words, "--density", "0.2", "--trim", "tensor")
    assert code == 0
    assert "encoding magnitude (int4), density 0.2, trim tensor" in out
    code, out, _ = shell("register", "skill", "signs", models / "other", "--base", "tiny", "--encoding", "sign")
    assert (code, "encoding sign\n" in out) == (0, True)
    assert shell("merge", "both", "tiny + 0.5*math + 0.5*signs")[0] == 0
    tree = shell("audit", "both")[1]
    assert "magnitude int4, density 0.2, trim tensor, " in tree
    assert "sign, " in tree
    assert shell.json("show", "math")["density"] == 0.2


@pytest.mark.parametrize(
    "words",
    [
        ("--density", "0.1"),
        ("--trim", "tensor"),
        ("--encoding", "sign", "--values", "bf16"),
        ("--encoding", "sign", "--density", "0.1"),
        ("--encoding", "magnitude", "--drop-rate", "0.5"),
        ("--encoding", "magnitude", "--seed", "1"),
        ("--encoding", "magnitude", "--density", "0"),
        ("--encoding", "magnitude", "--density", "1"),
        ("--encoding", "magnitude", "--density", "nan"),
        ("--encoding", "magnitude", "--trim", "layer"),
        ("--encoding", "magnitude", "--values", "sign"),
    ],
)
def test_options_without_effect_or_out_of_range_are_refused_and_leave_nothing(store, home, models, words):
    error = Shell(home).refused(2, "register", "skill", "bad", models / "tuned", "--base", "tiny", *words)
    assert error["hint"]
