"""What expressions and recipe files can say, from the verbs to the bytes: algebra, settings, a skill as target."""

import json
from pathlib import Path

import numpy as np
import pytest

from mergestore import Conflict, NotFound, UsageError
from tests.integration.models import LLAMA_CONFIG, fine_tune, read_model, save
from tests.integration.shell import Shell
from tests.integration.store.base import BASE

pytestmark = pytest.mark.usefixtures("surroundings")


@pytest.fixture
def two_bases(filled, models, tmp_path):
    """The store of ``filled``, with a second base that is a fine-tune of the first, and the same as a skill."""
    save(tmp_path / "general", fine_tune(BASE, 8), {**LLAMA_CONFIG, "torch_dtype": "float32"})
    filled.register_base("general", tmp_path / "general")
    filled.register_skill("chat", tmp_path / "general", base="tiny", encoding="exact")
    return filled


def values(folder):
    return {name: tensor.values for name, tensor in read_model(folder).items()}


def test_a_skill_as_target_is_its_base_and_itself(two_bases, tmp_path):
    one = two_bases.merge("a", "chat + 0.4*code")
    other = two_bases.merge("b", "tiny + chat + 0.4*code")
    assert one.recipe_digest == other.recipe_digest
    with_parentheses = two_bases.merge("c", "chat + 0.4*(code - tiny)")
    assert with_parentheses.recipe_digest == one.recipe_digest


def test_a_delta_of_one_base_added_to_another(two_bases, models, tmp_path):
    made = two_bases.materialize("general + 0.5*(code - tiny)", output=tmp_path / "out", wait=False)
    general, tuned, own = values(tmp_path / "general"), values(models / "ft2"), values(models / "tiny")
    for name, merged in values(tmp_path / "out").items():
        expected = general[name] + np.float32(0.5) * (tuned[name] - own[name])
        assert np.array_equal(merged, expected), name
    named = two_bases.merge("mixed", "general + 0.5*(code - tiny)")
    assert named.recipe_digest == made.recipe_digest
    assert named.recipe["format"] == 2
    again = two_bases.materialize("mixed", output=tmp_path / "again", wait=False)
    assert again.output_digest == made.output_digest
    told = json.loads((tmp_path / "again" / "mergestore.json").read_text())
    assert [each["name"] for each in told["other_bases"]] == ["tiny"]


def test_the_other_base_is_lineage(two_bases):
    two_bases.merge("mixed", "general + 0.5*(code - tiny)")
    edges = {(edge["role"], edge["parent"]) for edge in two_bases.audit("mixed").lineage["edges"]}
    assert {("base", "general@1"), ("base", "tiny@1"), ("skill", "code@1")} <= edges
    two_bases.yank("tiny@1", "out of use")
    with pytest.raises(Conflict, match="tiny@1 is yanked"):
        two_bases.materialize("mixed", wait=False)


@pytest.mark.parametrize(
    ("expression", "error", "says"),
    [
        ("general + 0.5*code", Conflict, "code@1 is a skill of tiny@1, not of general@1"),
        ("general + 0.5*(code - general)", UsageError, "no skill within these parentheses is a fine-tune of general@1"),
        ("general + 0.5*(code - 0.5*tiny)", UsageError, "do not cancel"),
        ("general + (tiny - tiny)", UsageError, "no skill"),
        ("tiny + general", UsageError, "general@1 is a base"),
        ("tiny + (code - nothing)", NotFound, "nothing"),
        ("tiny + 0.5*(math - assistant)", NotFound, "assistant"),
        ("chat + chat", UsageError, "stands here twice"),
        ("tiny + 0.5*(code - tiny{density: 1})", UsageError, "a base has no parameters"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(two_bases, expression, error, says):
    with pytest.raises(error, match=says) as caught:
        two_bases.merge("x", expression)
    assert caught.value.message.splitlines()[-1].strip() == "^"


def test_to_add_to_another_base_on_purpose_is_told_how(two_bases):
    with pytest.raises(Conflict) as caught:
        two_bases.merge("x", "general + 0.5*code")
    assert "(code - tiny)" in caught.value.hint


def test_settings_reach_the_bytes(filled, models, tmp_path):
    expression = "tiny + {mlp: 0.5, *: 0}*code"
    filled.materialize(expression, output=tmp_path / "out", wait=False)
    tuned, own = values(models / "ft2"), values(models / "tiny")
    for name, merged in values(tmp_path / "out").items():
        weight = np.float32(0.5 if "mlp" in name else 0)
        assert np.array_equal(merged, own[name] + weight * (tuned[name] - own[name])), name


def test_a_recipe_file_is_the_expression(filled, tmp_path):
    document = {
        "base": "tiny",
        "skills": [
            {"skill": "math", "weight": [0, 1]},
            {"skill": "code", "weight": 0.4, "parameters": {"density": 0.5}},
        ],
        "method": "ties",
        "parameters": {"trim": "tensor"},
    }
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    spelled = filled.merge(
        "a", "tiny + [0, 1]*math + 0.4*code{density: 0.5}", method="ties", parameters={"trim": "tensor"}
    )
    digests = {filled.merge("b", tmp_path / "recipe.json").recipe_digest, filled.merge("c", document).recipe_digest}
    assert digests == {spelled.recipe_digest}
    made = filled.materialize(tmp_path / "recipe.json", wait=False)
    assert made.recipe_digest == spelled.recipe_digest
    other = filled.materialize(document, parameters={"trim": "tensor", "lambda": 0.5}, wait=False)
    assert other.recipe_digest != spelled.recipe_digest
    assert set(filled.load(document)) == set(read_model(Path(made.path)))


def test_the_command_line_takes_both(filled, tmp_path):
    (tmp_path / "recipe.yml").write_text("base: tiny\nskills:\n- {skill: code, weight: [0, 1]}\n")
    shell = Shell(filled.home.root, tmp_path)
    made = shell.json("merge", "a", "--recipe", tmp_path / "recipe.yml")
    assert made["recipe_digest"] == shell.json("merge", "b", "tiny + [0, 1]*code")["recipe_digest"]
    shell.json("materialize", "a", "--param", "lambda={mlp: [0, 1], *: 0.5}", "-o", tmp_path / "out", "--no-wait")
    told = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    assert told["recipe"]["parameters"]["lambda"] == [{"filter": "mlp", "value": [0, 1]}, {"value": 0.5}]
    assert "[0, 1]" in (tmp_path / "out" / "README.md").read_text()
    assert "[0, 1] * skill code@1" in shell.text("audit", "a")
    shell.refused(2, "merge", "c")
    shell.refused(2, "merge", "c", "tiny + code", "-r", tmp_path / "recipe.yml")
    shell.refused(2, "merge", "c", "-r", tmp_path / "none.yml")
