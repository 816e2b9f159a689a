"""`--semantics mergekit` on the command line."""

import json

from safetensors.numpy import load_file


def test_a_merge_is_named_and_computed_as_mergekit_does(filled, models):
    told = filled.json("merge", "same", "tiny + code", "--method", "passthrough", "--semantics", "mergekit")
    assert told["recipe"]["semantics"] == "mergekit"
    made = filled.json("materialize", "same", "--no-wait")
    ours, theirs = load_file(f"{made['path']}/model.safetensors"), load_file(models / "code" / "model.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    shown = filled.text("show", "same")
    assert "mergekit" in shown


def test_models_have_their_order_and_parameters_of_their_own(filled):
    options = ("--method", "ties", "--semantics", "mergekit", "--param", "density=0.5")
    written = "tiny + 0.3*math + 0.7*code{density: 0.25}"
    recipe = filled.json("merge", "own", written, *options)["recipe"]
    order = recipe.get("order", [0, 1])
    assert [recipe["terms"][place]["weight"] for place in order] == [0.3, 0.7]
    assert recipe["terms"][order[1]]["parameters"] == {"density": 0.25}
    made = filled.json("materialize", "own", "--no-wait")
    again = filled.json("materialize", written, *options, "--no-wait")
    other = filled.json("materialize", "tiny + 0.7*code{density: 0.25} + 0.3*math", *options, "--no-wait")
    assert made["recipe_digest"] == again["recipe_digest"] != other["recipe_digest"]
    assert made["output_digest"] == again["output_digest"]


def test_a_merge_whose_recipe_has_no_order_is_not_given_one(filled):
    code, _, err = filled("materialize", "assistant", "--semantics", "mergekit")
    assert code == 2
    assert '"tiny + 0.6*math + 0.4*code"' in err
    filled.text("merge", "with-base", "tiny + 0.6*math + 0.4*tiny", "--method", "linear", "--semantics", "mergekit")
    code, _, err = filled("materialize", "with-base", "--semantics", "paper")
    assert code == 2
    assert "the base is one of the models" in err


def test_the_methods_of_mergekit_are_listed(filled):
    listed = filled.text("methods", "--semantics", "mergekit")
    assert "arcee_fusion" in listed
    assert "fisher" not in listed
    told = filled.text("methods", "sce", "--semantics", "mergekit")
    assert all(word in told for word in ("select_topk", "int8_mask", "base_model", "same version of torch"))


def test_other_semantics_are_refused(filled):
    for verb in (("merge", "name"), ("materialize",)):
        code, _, err = filled(*verb, "tiny + code", "--semantics", "papers")
        assert code == 2
        assert "choose paper or mergekit" in err
    code, out, _ = filled("methods", "--semantics", "papers", "--json")
    assert code == 2
    assert json.loads(out)["error"]["message"] == "unknown semantics 'papers'"
