"""``check``: it says beforehand what ``materialize`` would say, all of it at once, and does nothing."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import mergestore
from mergestore import EnvironmentFailure, MergestoreError, UsageError
from registry import publishing
from registry.checks import heat_map
from tests.integration.models import LLAMA_CONFIG, QUERY, Tensor, fine_tune, floats, save
from tests.integration.shell import listing, rows
from tests.integration.store.base import BASE

pytestmark = pytest.mark.usefixtures("surroundings")


def kinds(checked):
    return [problem["kind"] for problem in checked.problems]


def messages(checked):
    return [problem["message"] for problem in checked.problems]


def test_what_can_be_made_is_told_as_it_will_be(filled, tmp_path):
    before = listing(tmp_path), rows(tmp_path / "store" / "registry.db")
    checked = filled.check("assistant")
    assert (checked.ok, checked.exit_code, checked.problems, checked.warnings) == (True, 0, [], [])
    assert checked.expression == "tiny + 0.6*math + 0.4*code"
    assert checked.method == "task_arithmetic"
    assert (listing(tmp_path), rows(tmp_path / "store" / "registry.db")) == before
    made = filled.materialize("assistant", wait=False)
    assert checked.recipe_digest == made.recipe_digest
    resources = checked.resources
    assert resources["place"] == made.path
    assert not resources["cached"]
    weights = sum(path.stat().st_size for path in Path(made.path).glob("*.safetensors"))
    companions = [path for path in Path(made.path).iterdir() if path.name in ("config.json", "tokenizer.json")]
    told = resources["needed_bytes"] - sum(path.stat().st_size for path in companions)
    assert 0 <= weights - told < 8192  # but for the header
    assert filled.check("assistant").resources["cached"]


def test_inputs_and_licences_are_facts(filled):
    checked = filled.check("tiny + 0.6*math + [0, 1]*code")
    found = {each["reference"]: each for each in checked.inputs}
    assert set(found) == {"tiny@1", "math@1", "code@1"}
    assert found["tiny@1"]["role"] == "base"
    math = found["math@1"]
    assert (math["weight"], math["base"], math["encoding"], math["drop_rate"]) == (0.6, "tiny@1", "dare", 0.5)
    assert found["code@1"]["weight"] == [0.0, 1.0]
    assert checked.licences["expression"] == "Apache-2.0 AND MIT AND NOASSERTION"
    assert checked.licences["stated"] == {"Apache-2.0": ["tiny@1"], "MIT": ["code@1"]}
    assert checked.licences["unknown"] == ["math@1"]
    assert filled.check("assistant").licences["paths"]["code@1"] == "assistant@1 → skill code@1"


def test_a_method_is_told_what_its_skills_lack_and_the_command_provides_it(filled, models):
    checked = filled.check("tiny + math + code", method="sce")
    assert checked.exit_code == 2
    assert [(each["skill"], each["need"], each["carried"]) for each in checked.needs] == [
        ("math@1", "unsparsified", False),
        ("code@1", "unsparsified", True),
    ]
    command = checked.needs[0]["command"]
    source = models / "ft1"
    assert command == f"mergestore register skill math {source} --base tiny@1 --encoding exact"
    _, _, _, name, path, *options = shlex.split(command)
    chosen = dict(zip(options[::2], options[1::2], strict=True))
    filled.register_skill(name, path, base=chosen["--base"], encoding=chosen["--encoding"])
    again = filled.check("tiny + math + code", method="sce")
    assert again.ok
    assert all(need["carried"] for need in again.needs)


@pytest.mark.parametrize(("method", "kind"), [("fisher", "fisher"), ("regmean", "gram")])
def test_statistics_that_are_missing_are_told_skill_by_skill(filled, method, kind):
    checked = filled.check("tiny + math + code", method=method, quick=True)
    assert checked.exit_code == 3
    assert sorted((each["skill"], each["need"], each["carried"]) for each in checked.needs) == [
        ("code@1", kind, False),
        ("math@1", kind, False),
    ]
    for problem, need in zip(checked.problems, checked.needs, strict=True):
        assert problem["kind"] == "not_found"
        assert need["command"].startswith(f"mergestore stats collect {need['skill']} --kind {kind} ")
        assert need["command"] in problem["hint"]
    assert filled.check("tiny + math", method=method, quick=True).needs == []  # an average of one model is that model


def test_every_problem_is_told_and_the_first_is_that_of_materialize(filled, models, tmp_path):
    filled.register_base("tower", models / "bert")
    filled.register_skill("legal", models / "head0", base="tower")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    asked = {"method": "sce", "parameters": {"selct": 0.5, "lambda": "x"}, "dtype": "F17"}
    target = "tiny + math + maths + legal + 0.5*math"
    checked = filled.check(target, output=tmp_path / "out", **asked)
    assert kinds(checked)[0] == "conflict"  # the folder
    told = "\n".join(messages(checked))
    for part in (
        "out exists already",
        "no skill 'maths'",
        "unknown output dtype 'F17'",
        "math@1 stands here twice",
        "legal@1 is a skill of tower@1, not of tiny@1",
        "no parameter 'selct'",
        "lambda",
        "of math@1, legal@1 only a part was stored",
    ):
        assert part in told, part
    assert len(checked.problems) == 8
    assert len(set(messages(checked))) == 8
    assert all(problem["hint"] for problem in checked.problems)
    assert checked.exit_code == 4
    assert checked.resources is None
    assert checked.interference is None


REQUESTS = [
    ("tiny + + math", {}),
    ("tiny", {}),
    ("  ", {}),
    ("nobody + math", {}),
    ("tiny + nobody", {}),
    ("tiny + math@9", {}),
    ("tiny + math + math", {}),
    ("tiny + math", {"method": "magic"}),
    ("tiny + math", {"method": "slerpp", "dtype": "F17"}),
    ("tiny + math", {"method": "sce"}),
    ("tiny + math", {"parameters": {"lambda": "x"}}),
    ("tiny + math - code", {"method": "linear"}),
    ("tiny + 0.5*math + code", {"method": "model_stock"}),
    ("tiny + math", {"head": "code"}),
    ("tiny + math", {"head": "nobody"}),
    ("tower + zero + one", {}),
    ("tower + zero + math", {}),
    ("assistant", {"method": "sce"}),
    ("assistant@7", {}),
    ("math", {}),
    ("tiny + gone@1", {}),
    ("tiny + gone", {}),
    ("old", {}),
    ("tiny + {layers.0: 1, *: -1}*math + code", {"method": "linear"}),
    ("tiny + {nothere: 1, *: -1}*math", {}),
    ("tiny + {layers.[01].*: 1, *: -1}*math", {}),
    ("tiny + math", {"method": "ties", "parameters": {"density": [{"filter": "layers.7", "value": 1}, {"value": 1}]}}),
    ("tiny + math{lambda: 2}", {}),
    ("tiny + code + lora", {"method": "emr"}),
    ("both", {}),
    ("both", {"task": "math"}),
    ("tiny + math", {"task": "math"}),
    ("tiny + math", {"chat_template": "math"}),
    ("tiny + math", {"generation_config": "math"}),
]
FACTORS = [
    ("tiny + math", {"rank": 4000}, {}),
    ("tiny + nobody", {"rank": 2}, {}),
    ("both", {"rank": 2}, {}),
    ("tower + zero", {"rank": 2}, {"head": "math"}),
]


@pytest.fixture(scope="module")
def shelf(surroundings, models, tmp_path_factory):
    """A store with something of everything, which nothing changes."""
    with mergestore.open(tmp_path_factory.mktemp("shelf") / "store", actor="ann@lab") as store:
        store.register_base("tiny", models / "tiny", licence="Apache-2.0")
        store.register_base("tower", models / "bert")
        store.register_skill("math", models / "ft1", base="tiny", drop_rate=0.5)
        store.register_skill("code", models / "ft2", base="tiny", encoding="exact")
        store.register_skill("gone", models / "ft3", base="tiny")
        store.register_skill("lora", models / "lora", base="tiny")
        store.register_skill("zero", models / "head0", base="tower")
        store.register_skill("one", models / "head1", base="tower")
        store.merge("assistant", "tiny + 0.6*math + 0.4*code")
        store.merge("both", "tiny + code + lora", method="emr")
        store.merge("old", "tiny + gone")
        store.yank("gone@1", "trained on the test set")
        yield store


@pytest.mark.parametrize(("target", "choices"), REQUESTS, ids=str)
def test_the_first_problem_is_what_materialize_raises(shelf, target, choices):
    checked = shelf.check(target, **choices)
    with pytest.raises(MergestoreError) as caught:
        shelf.materialize(target, wait=False, **choices)
    first = checked.problems[0]
    assert (first["kind"], first["message"]) == (caught.value.kind, caught.value.message)
    assert first["hint"] == caught.value.hint
    assert checked.exit_code == caught.value.exit_code
    assert not checked.ok


@pytest.mark.parametrize(("target", "factors", "choices"), FACTORS, ids=str)
def test_the_first_problem_of_an_adapter_is_what_its_making_raises(shelf, target, factors, choices):
    checked = shelf.check(target, adapter=factors, **choices)
    with pytest.raises(MergestoreError) as caught:
        shelf.materialize_adapter(target, wait=False, **factors, **choices)
    first = checked.problems[0]
    assert (first["kind"], first["message"], first["hint"]) == (
        caught.value.kind,
        caught.value.message,
        caught.value.hint,
    )


def test_an_adapter_is_checked_for_what_it_takes(shelf):
    whole, adapter = (shelf.check("tiny + math", adapter=each) for each in (None, {"rank": 2}))
    assert adapter.ok
    made = shelf.materialize_adapter("tiny + math", rank=2, wait=False)
    assert adapter.recipe_digest == made.recipe_digest != whole.recipe_digest
    weights = Path(made.path, "adapter_model.safetensors").stat().st_size
    assert weights / 2 < adapter.resources["needed_bytes"] < 2 * weights + whole.resources["needed_bytes"]
    assert any("find factors" in stage["what"] for stage in adapter.resources["stages"])
    assert shelf.check("tiny + math", adapter={"energy": 0.5}).resources["needed_bytes"] > weights


def test_a_stored_vector_is_what_a_task_reads(shelf, tmp_path):
    checked = shelf.check("both", task="code")
    assert checked.ok
    assert checked.recipe_digest == shelf.materialize("both", task="code", wait=False).recipe_digest
    (file,) = [each for each in shelf.show("both")["files"] if each["path"] == "unified.safetensors"]
    assert [each["what"] for each in checked.resources["passes"]] == ["check the stored vector", "merge"]
    assert checked.resources["passes"][0]["skill_bytes"] == file["size"]
    assert shelf.check("both", quick=True).resources["passes"] == checked.resources["passes"]
    adapter = shelf.check("both", task="code", adapter={"rank": 2})
    made = shelf.materialize_adapter("both", task="code", rank=2, wait=False)
    weights = Path(made.path, "adapter_model.safetensors").stat().st_size
    header = 8 + int.from_bytes(Path(made.path, "adapter_model.safetensors").read_bytes()[:8], "little")
    assert weights - header <= adapter.resources["needed_bytes"] <= weights
    assert checked.interference["whole"]["pairs"]
    assert checked.interference["whole"]["cancelled"] is None
    computed = shelf.check("tiny + code + lora", method="emr", task="code")
    assert [each["what"] for each in computed.resources["passes"]][1] == "find the scales"


def test_a_stored_vector_needs_no_skills(shelf, models, tmp_path):
    shutil.copytree(shelf.home.root, tmp_path / "store")
    with mergestore.open(tmp_path / "store") as store:
        for file in store.show("code")["files"]:
            store.home.blobs.path(file["digest"]).unlink(missing_ok=True)
        checked = store.check("both", task="code")
        assert checked.ok
        assert checked.interference is None
        assert not store.check("tiny + code").ok


def test_skills_stand_in_the_order_of_the_expression(shelf):
    for written in (["code", "lora", "math"], ["math", "lora", "code"], ["lora", "math", "code"]):
        checked = shelf.check("tiny + " + " + ".join(written))
        assert [each["reference"] for each in checked.inputs][1:] == [f"{name}@1" for name in written]
        found = checked.interference
        assert found["skills"] == [f"{name}@1" for name in written]
        norms = shelf.check("tiny + lora").interference["whole"]["norms"]["lora@1"]
        assert found["whole"]["norms"]["lora@1"] == pytest.approx(norms, rel=1e-12)
        assert found["estimated"] == ["math@1"]


@pytest.mark.parametrize(
    ("target", "choices"),
    [
        ("assistant", {}),
        ("tiny + code - 0.3*lora", {"method": "dare_ties", "parameters": {"drop_rate": 0.3}}),
        ("tower + zero + one", {"head": "one"}),
        ("tower + zero + one", {"head": "none", "dtype": "BF16"}),
        ("tiny + code + lora", {"method": "slerp"}),
        ({"expression": "tiny + 0.5*math + 0.5*code", "method": "ties"}, {}),
    ],
    ids=str,
)
def test_what_is_sound_can_be_materialized(shelf, target, choices):
    checked = shelf.check(target, **choices)
    assert checked.ok, checked.problems
    made = shelf.materialize(target, wait=False, **choices)
    assert made.recipe_digest == checked.recipe_digest


def test_versions_out_of_use_are_named_each(shelf):
    checked = shelf.check("tiny + gone@1 + math + nobody")
    assert messages(checked)[0].startswith("there is no skill 'nobody'")
    assert "gone@1 is yanked: trained on the test set" in messages(checked)
    assert [each["state"] for each in checked.inputs if each["reference"] == "gone@1"] == ["yanked"]


def test_heads_that_conflict_are_told_beside_the_rest(shelf):
    checked = shelf.check("tower + zero + one", dtype="F17")
    assert len(checked.problems) == 2
    assert "2 skills have tensors of their own (a task head)" in "\n".join(messages(checked))


def test_a_recipe_file_is_checked_too(shelf, tmp_path):
    file = tmp_path / "recipe.yml"
    file.write_text("expression: tiny + 0.6*math + 0.4*code\nmethod: ties\n")
    assert shelf.check(file).method == "ties"
    file.write_text("expression: [tiny\n")
    broken = shelf.check(file)
    assert kinds(broken) == ["usage"]
    assert broken.inputs == []


def test_files_that_are_gone_or_damaged_are_found(filled, tmp_path):
    stored = {path.stat().st_size: path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()}
    sizes = {each["reference"]: each.get("stored_bytes") for each in filled.check("assistant", quick=True).inputs}
    math, code = stored[sizes["math@1"]], stored[sizes["code@1"]]
    math.chmod(0o644)
    damaged = bytearray(math.read_bytes())
    damaged[-1] ^= 1
    math.write_bytes(damaged)
    code.unlink()
    checked = filled.check("assistant")
    assert (checked.exit_code, kinds(checked)) == (6, ["integrity", "integrity"])
    assert checked.interference is None
    assert kinds(filled.check("assistant", quick=True)) == ["integrity"]  # headers only: the damage is not seen
    (weights,) = [each["digest"] for each in filled.show("tiny")["files"] if each["path"].endswith(".safetensors")]
    filled.home.blobs.path(weights).unlink()
    assert len(filled.check("assistant").problems) == 3


def test_a_referenced_base_that_is_gone_is_found(store, models, tmp_path):
    shutil.copytree(models / "tiny", tmp_path / "mine")
    store.register_base("tiny", tmp_path / "mine", reference=True)
    store.register_skill("math", models / "ft1", base="tiny")
    assert store.check("tiny + math").ok
    (tmp_path / "mine" / "model.safetensors").rename(tmp_path / "mine" / "elsewhere")
    checked = store.check("tiny + math")
    assert checked.exit_code == 6
    assert "model.safetensors is missing" in messages(checked)[0]


def test_space_that_is_missing_is_a_problem(filled, monkeypatch):
    monkeypatch.setattr(publishing, "free_space", lambda folder: 10)
    checked = filled.check("assistant")
    assert (checked.exit_code, kinds(checked)) == (7, ["environment"])
    assert "10 are free" in messages(checked)[0]
    assert checked.interference is not None


def test_a_folder_that_force_may_replace_is_none(filled, tmp_path):
    filled.materialize("assistant", output=tmp_path / "out", wait=False)
    assert filled.check("assistant", output=tmp_path / "out").exit_code == 4
    checked = filled.check("assistant", output=tmp_path / "out", force=True)
    assert checked.ok
    assert (checked.resources["kind"], checked.resources["place"]) == ("folder", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("target", "method", "passes"),
    [
        ("tiny + math + code", "task_arithmetic", ["check the skills' files", "merge"]),
        ("tiny + math + code", "ties", ["check the skills' files", "find what to trim", "merge"]),
        ("tiny + code + lora", "karcher", ["check the skills' files", "find lengths and angles", "merge"]),
        ("tiny + code + lora", "della", ["check the skills' files", "merge"]),
    ],
)
def test_passes_over_the_data_are_those_of_the_method(shelf, target, method, passes):
    resources = shelf.check(target, method=method, quick=True).resources
    assert [each["what"] for each in resources["passes"]] == passes
    assert resources["passes"][0]["base_bytes"] == 0
    size = sum(len(tensor.data) for tensor in BASE.values())
    assert resources["passes"][-1]["base_bytes"] == size
    stored = sum(each.get("stored_bytes", 0) for each in shelf.check(target, method=method, quick=True).inputs)
    assert resources["passes"][-1]["skill_bytes"] == stored
    assert resources["read_bytes"] == sum(each["base_bytes"] + each["skill_bytes"] for each in resources["passes"])


# Interference


def test_exact_skills_are_compared_as_they_are(store, models, tmp_path):
    store.register_base("tiny", models / "tiny")
    tuned = {number: fine_tune(BASE, number) for number in (1, 2)}
    for number in (1, 2):
        store.register_skill(f"s{number}", models / f"ft{number}", base="tiny", encoding="exact")
    found = store.check("tiny + 0.6*s1 - 0.4*s2").interference
    deltas = [
        weight * np.concatenate([(tuned[number][name].values - BASE[name].values).ravel() for name in sorted(BASE)])
        for number, weight in ((1, 0.6), (2, -0.4))
    ]
    one, other = (delta.astype(np.float64) for delta in deltas)
    whole, (pair,) = found["whole"], found["whole"]["pairs"]
    assert whole["norms"] == {
        "s1@1": pytest.approx(np.linalg.norm(one), rel=1e-6),
        "s2@1": pytest.approx(np.linalg.norm(other), rel=1e-6),
    }
    assert {pair["one"], pair["other"]} == {"s1@1", "s2@1"}
    assert pair["cosine"] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), rel=1e-4)
    assert pair["error"] == 0
    assert pair["agreement"] == pytest.approx(np.mean(np.sign(one) == np.sign(other)), abs=1e-3)
    assert pair["overlap"] == pytest.approx(1, abs=1e-3)
    assert found["estimated"] == []
    assert [group["name"] for group in found["groups"]] == ["embeddings", "layer 0", "layer 1", "other"]
    assert sum(group["elements"] for group in found["groups"]) == whole["elements"] == one.size


def test_quick_reads_no_deltas_and_a_skill_alone_has_only_norms(shelf):
    assert shelf.check("assistant", quick=True).interference is None
    alone = shelf.check("tiny + math").interference
    assert alone["whole"]["pairs"] == []
    assert alone["whole"]["cancelled"] is None
    assert alone["whole"]["norms"]["math@1"] > 0
    assert alone["estimated"] == ["math@1"]


def scaled(model, factor):
    """The fine-tune with its delta so many times as large."""
    return {
        name: floats(BASE[name].values + np.float32(factor) * (tensor.values - BASE[name].values))
        for name, tensor in model.items()
    }


@pytest.fixture
def odd(store, models, tmp_path):
    """Skills that warnings are about."""
    store.register_base("tiny", models / "tiny")
    one = fine_tune(BASE, 1)
    made: dict[str, dict[str, Tensor]] = {
        "against": scaled(one, -1.0),
        "loud": scaled(fine_tune(BASE, 2), 8.0),
        "large": fine_tune(BASE, 3, sigma=0.05),
        "layer": {**BASE, QUERY: scaled(one, -2.0)[QUERY], "lm_head.weight": scaled(one, 3.0)["lm_head.weight"]},
    }
    store.register_skill("one", models / "ft1", base="tiny", encoding="exact")
    for name, model in made.items():
        store.register_skill(name, save(tmp_path / name, model, LLAMA_CONFIG), base="tiny", encoding="exact")
    store.register_skill("dropped", tmp_path / "large", base="tiny")
    return store


def warned(checked):
    assert checked.ok  # warnings keep nothing from being made
    return [(each["kind"], each["skills"]) for each in checked.warnings]


def test_warnings_tell_of_skills_that_do_not_go_together(odd):
    both = odd.check("tiny + one + against")
    kinds = [kind for kind, _ in warned(both)]
    assert kinds == ["opposed", "signs"]
    assert both.interference["whole"]["cancelled"] == pytest.approx(1, abs=0.01)
    assert warned(odd.check("tiny + one - against")) == []
    assert warned(odd.check("tiny + one + loud")) == [("dwarfed", ["loud@1"])]
    assert warned(odd.check("tiny + one + 0.2*loud")) == []
    assert warned(odd.check("tiny + one + {lm_head: 0, *: 0}*loud")) == [("silent", ["loud@1"])]
    apart = odd.check("tiny + one + layer")
    assert [(kind, sorted(skills)) for kind, skills in warned(apart)] == [("opposed", ["layer@1", "one@1"])]
    assert "pull apart in layer 0: cosine" in apart.warnings[0]["message"]


def test_warnings_tell_of_values_too_large_to_drop(odd):
    assert warned(odd.check("tiny + large", quick=True)) == []
    assert warned(odd.check("tiny + large", method="dare_linear", quick=True)) == [("dare", ["large@1"])]
    assert warned(odd.check("tiny + large", method="della", quick=True)) == [("dare", ["large@1"])]
    assert warned(odd.check("tiny + dropped", quick=True)) == [("dare", ["dropped@1"])]
    assert warned(odd.check("tiny + one", method="dare_linear", quick=True)) == []


# The picture


def test_the_picture_is_put_in_place_whole(shelf, tmp_path):
    pytest.importorskip("matplotlib")
    place = tmp_path / "skills.png"
    checked = shelf.check("assistant", plot=place)
    assert checked.plot == str(place)
    assert place.read_bytes() == heat_map.png(checked.interference, checked.expression)
    assert [path.name for path in tmp_path.iterdir()] == ["skills.png"]
    assert shelf.check("assistant", plot=place).ok  # drawn again in its place


def test_no_picture_is_drawn_where_a_problem_stands_before_it(shelf, tmp_path):
    pytest.importorskip("matplotlib")
    checked = shelf.check("tiny + math + nobody", plot=tmp_path / "skills.png")
    assert (checked.ok, checked.plot) == (False, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "name", "quick", "message"),
    [
        ("assistant", "skills.png", True, "nothing to draw"),
        ("assistant", "skills.svg", False, "no name for a picture"),
        ("assistant", "nowhere/skills.png", False, "there is no folder"),
        ("assistant", "folder.png", False, "is a folder"),
        ("tiny + math", "skills.png", False, "only one"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(shelf, tmp_path, target, name, quick, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=message) as caught:
        shelf.check(target, plot=tmp_path / name, quick=quick)
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_without_matplotlib_a_check_says_what_to_install(shelf, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert shelf.check("assistant").ok
    with pytest.raises(EnvironmentFailure, match="matplotlib") as caught:
        shelf.check("assistant", plot=tmp_path / "skills.png")
    assert caught.value.hint == "pip install 'mergestore[plot]'"
