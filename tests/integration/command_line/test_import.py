"""`merge --from-mergekit`: models found by content or registered, choices kept, what cannot be imported named."""

import shutil

import pytest
import yaml
from safetensors.numpy import load_file


@pytest.fixture
def write(models, tmp_path):
    """Writes a configuration over copies of the models, in a folder of its own."""
    for name in ("base", "math", "code"):
        shutil.copytree(models / name, tmp_path / name)

    def written(**said):
        path = tmp_path / "config.yml"
        path.write_text(yaml.safe_dump(said))
        return path

    return written


TIES = {
    "merge_method": "ties",
    "base_model": "base",
    "models": [
        {"model": "math", "parameters": {"weight": [0.2, 0.8], "density": 0.5}},
        {"model": "code", "parameters": {"weight": 0.4}},
    ],
    "parameters": {"density": 0.7, "normalize": True},
    "out_dtype": "bfloat16",
}


def test_what_is_missing_is_registered_and_found_the_next_time(fresh, write):
    config = write(**TIES)
    first = fresh.json("merge", "m", "--from-mergekit", config, "--register")
    assert [note.split(" from ")[0] for note in first["notes"][:3]] == [
        "registered the base base@1",
        "registered the skill math@1",
        "registered the skill code@1",
    ]
    recipe = first["recipe"]
    assert (recipe["semantics"], recipe["method"], recipe["dtype"]) == ("mergekit", "ties", "BF16")
    assert recipe["parameters"]["density"] == 0.7
    again = fresh.json("merge", "n", "--from-mergekit", config)
    assert again["recipe_digest"] == first["recipe_digest"]
    assert again["notes"] == []
    spelled = fresh.json(
        "merge", "o", "base + [0.2, 0.8]*math{density: 0.5} + 0.4*code", "--method", "ties", "--semantics", "mergekit",
        "--param", "density=0.7", "--param", "normalize=true", "--dtype", "BF16",
    )  # fmt: skip
    assert spelled["recipe_digest"] == first["recipe_digest"]
    assert fresh.json("materialize", "m", "--no-wait")["recipe_digest"] == first["recipe_digest"]


def test_choices_beside_it_count_before_it(fresh, write):
    config = write(**TIES)
    made = fresh.json("merge", "m", "--from-mergekit", config, "--register", "--dtype", "F32", "--param", "density=0.9")
    assert (made["recipe"]["dtype"], made["recipe"]["parameters"]["density"]) == ("F32", 0.9)
    paper = fresh.json(
        "merge", "p", "--from-mergekit", write(merge_method="linear", models=[
            {"model": "math", "parameters": {"weight": 1}}, {"model": "code", "parameters": {"weight": 3}},
        ]), "--semantics", "paper",
    )  # fmt: skip
    assert paper["recipe"]["semantics"] == "paper"
    assert sorted(term["weight"] for term in paper["recipe"]["terms"]) == [1.0, 3.0]


def test_one_model_comes_out_as_it_went_in(fresh, write, models):
    config = write(merge_method="passthrough", models=[{"model": "code"}], base_model=None)
    fresh.json("register", "base", "base", models / "base")
    fresh.json("register", "skill", "code", models / "code", "--base", "base", "--encoding", "exact")
    fresh.text("merge", "same", "--from-mergekit", config)
    made = fresh.json("materialize", "same", "--no-wait")
    ours, theirs = load_file(f"{made['path']}/model.safetensors"), load_file(models / "code" / "model.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_a_fine_tune_that_was_stored_in_part_is_not_taken_for_it(filled, write):
    """math is stored dropped there: its content cannot be had from it."""
    config = write(merge_method="linear", models=[{"model": "math", "parameters": {"weight": 1}}])
    error = filled.refused(3, "merge", "m", "--from-mergekit", config)
    assert "1 models of the configuration are not in the store" in error["message"]
    assert "--register" in error["hint"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"merge_method": "regmean"}, "has no method 'regmean'"),
        ({"parameters": {"densty": 0.5}}, "parameter 'densty' has no meaning for merge_method ties"),
        ({"chat_template": "chatml"}, "chat_template is neither auto nor taken from a model"),
        ({"tokenizer": {"source": "base", "tokens": {"<s>": {"source": "math"}}}}, "rules for single tokens"),
        (
            {"models": None, "slices": [{"sources": [{"model": "math", "layer_range": [1, 2]}]}]},
            "stack or shift layers",
        ),
        ({"models": [{"model": "math", "parameters": {"normalize": False}}]}, "normalize stands beside one model"),
        ({"models": [{"model": "math", "parameters": {"weight": [{"filter": "q", "value": 1}]}}]}, "no filter fits"),
        ({"models": [{"model": "math", "parameters": {"weight": "much"}}]}, "no weight"),
        ({"base_modle": "base"}, "is no key that can be imported"),
    ],
)
def test_what_cannot_be_imported_is_named(fresh, write, said, message):
    config = write(**{key: value for key, value in {**TIES, **said}.items() if value is not None})
    fresh.json("register", "base", "base", config.parent / "base")
    for name in ("math", "code"):
        fresh.json("register", "skill", name, config.parent / name, "--base", "base", "--encoding", "exact")
    assert message in fresh.refused(2, "merge", "m", "--from-mergekit", config)["message"]


def test_options_that_go_together_and_those_that_do_not(fresh, write, tmp_path):
    config = write(**TIES)
    fresh.refused(2, "merge", "m", "base + math", "--from-mergekit", config)
    fresh.refused(2, "merge", "m", "--method", "ties", "--from-mergekit", config)
    fresh.refused(2, "merge", "m", "base + math", "--register")
    fresh.refused(2, "merge", "m", "--from-mergekit", tmp_path / "none.yml")
    assert not any(fresh.json("list").values())
