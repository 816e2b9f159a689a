"""`merge --from-mergekit`: models found by content or registered, choices kept, what cannot be imported named."""

import json
import shutil

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from tests.integration.command_line.models import save


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
    elected = fresh.json("merge", "e", "--from-mergekit", write(**TIES), "--semantics", "paper")["recipe"]
    assert (elected["semantics"], elected["parameters"]["divisor"]) == ("paper", "weights")
    for changed, message in (({"normalize": False}, "always divides"), ({"rescale": True}, "no parameter 'rescale'")):
        config = write(**{**TIES, "parameters": {"density": 0.7, **changed}})
        found = fresh.refused(2, "merge", "e", "--from-mergekit", config, "--semantics", "paper")
        assert message in found["message"]
    assert sorted(term["weight"] for term in paper["recipe"]["terms"]) == [1.0, 3.0]


def test_what_a_name_means_already_does_not_change(fresh, write, models, tmp_path):
    """Folders are called alike: an import gives names that are free."""
    fresh.json("register", "base", "other", models / "code")
    fresh.json("register", "skill", "math", models / "base", "--base", "other")
    made = fresh.json("merge", "m", "--from-mergekit", write(**{**TIES, "models": TIES["models"][:1]}), "--register")
    assert [note.split(" from ")[0] for note in made["notes"]] == [
        "registered the base base@1",
        "registered the skill math-2@1",
    ]
    assert fresh.json("show", "math")["version"] == 1
    fresh.json("merge", "kept", "other + 0.5*math")


SLERP = {"merge_method": "slerp", "base_model": "base", "models": [{"model": "math"}, {"model": "code"}]}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({**SLERP, "parameters": {"t": 0.5}}, "slerp takes its base_model and 1 other model"),
        ({**TIES, "models": [TIES["models"][0]] * 2}, "math stands twice"),
        ({**TIES, "merge_method": "tis"}, "config.yml: mergekit 0.1.5 has no method 'tis'"),
        ({**TIES, "merge_method": "della", "parameters": {"density": 0.9, "epsilon": 0.2}}, "config.yml:"),
        ({**TIES, "tokenizer": {"source": "base", "tokens": {"x": {"source": "math"}}}}, "'math' has no token 'x'"),
        ({**TIES, "models": [{"model": "math", "parameters": {"weight": "much"}}]}, "weight of math: 'much'"),
    ],
)
def test_what_no_store_could_merge_is_refused_before_anything_is_registered(fresh, write, tmp_path, said, message):
    for name in ("base", "math"):
        vocabulary = {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}}, "added_tokens": []}
        (tmp_path / name / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert message in fresh.refused(2, "merge", "m", "--from-mergekit", write(**said), "--register")["message"]


def test_what_was_registered_before_an_error_is_told(fresh, write):
    config = write(**{**TIES, "tokenizer_source": "union"})  # none of the models has a tokenizer
    error = fresh.json("merge", "m", "--from-mergekit", config, "--register", code=5)["error"]
    assert "registered the base base@1" in error["hint"]
    assert "registered the skill code@1" in error["hint"]


def test_an_adapter_is_found_by_its_content(fresh, write, tmp_path, models):
    tensors = load_file(models / "base" / "model.safetensors")
    name = next(name for name in sorted(tensors) if "layer" in name and tensors[name].ndim == 2)
    rows, columns = tensors[name].shape
    random, module = np.random.default_rng(3), f"base_model.model.{name.removesuffix('.weight')}"
    factors = {"lora_A": random.normal(0, 0.1, (2, columns)), "lora_B": random.normal(0, 0.1, (rows, 2))}
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file(
        {f"{module}.{side}.weight": values.astype(np.float32) for side, values in factors.items()},
        adapter / "adapter_model.safetensors",
    )
    settings = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["x"],
        "base_model_name_or_path": "here",
    }
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    said = {"merge_method": "task_arithmetic", "base_model": "base"}
    model = {"model": "base+adapter", "parameters": {"weight": 0.5}}
    config = write(**said, models=[model, {"model": "math", "parameters": {"weight": 0.5}}])
    first = fresh.json("merge", "m", "--from-mergekit", config, "--register")
    assert "registered the skill adapter@1" in " ".join(first["notes"])
    settings["base_model_name_or_path"] = "elsewhere"
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    again = fresh.json("merge", "n", "--from-mergekit", config)
    assert (again["notes"], again["recipe_digest"]) == ([], first["recipe_digest"])
    config = write(**said, models=[{**model, "model": "math+adapter"}])
    assert "is an adapter on math" in fresh.refused(2, "merge", "o", "--from-mergekit", config, "--register")["message"]


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
    assert "1 model of the configuration is not in the store" in error["message"]
    assert "--register" in error["hint"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"merge_method": "regmean"}, "has no method 'regmean'"),
        ({"parameters": {"densty": 0.5}}, "parameter 'densty' has no meaning for merge_method ties"),
        ({"chat_template": "llama3"}, "chat_template 'llama3' is neither auto, chatml, nor a Jinja template"),
        ({"tokenizer": {"source": "base", "tokens": {"<s>": {"source": "maths"}}}}, "'maths' is none of the models"),
        ({"tokenizer": {"source": "base", "tokens": {"<s>": {"sauce": "math"}}}}, "'sauce' is no key"),
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


@pytest.fixture
def deep(write, tmp_path):
    """As ``write``; the models have two layers, and a configuration that says so."""
    random = np.random.default_rng(7)
    shapes = {"model.embed_tokens.weight": (40, 8), "model.norm.weight": (8,), "lm_head.weight": (40, 8)}
    shapes |= {f"model.layers.{number}.mlp.up_proj.weight": (16, 8) for number in (0, 1)}
    for name in ("base", "math", "code"):
        shutil.rmtree(tmp_path / name)
        save(tmp_path / name, {key: random.normal(0, 0.1, shape).astype(np.float32) for key, shape in shapes.items()})
        config = {"model_type": "llama", "num_hidden_layers": 2, "layer_types": ["full", "sliding"], "vocab_size": 40}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return write


STACK = {
    "merge_method": "passthrough",
    "slices": [
        {"sources": [{"model": "math", "layer_range": [0, 2]}]},
        {"sources": [{"model": "code", "layer_range": [1, 2], "parameters": {"scale": 0.5}}]},
    ],
}


def test_a_stack_of_layers_is_published_shown_audited_and_rebuilt(fresh, deep, tmp_path):
    made = fresh.json("merge", "deep", "--from-mergekit", deep(base_model="base", **STACK), "--register")
    assert [part["layers"] for part in made["recipe"]["slices"]] == [2, 1]
    out = tmp_path / "out"
    fresh.json("materialize", "deep", "--output", out, "--no-wait")
    ours, math, code = (
        load_file(folder / "model.safetensors") for folder in (out, tmp_path / "math", tmp_path / "code")
    )
    assert ours.keys() == {*math, "model.layers.2.mlp.up_proj.weight"}
    assert all((ours[name] == math[name]).all() for name in math if "norm" not in name and "lm_head" not in name)
    assert (ours["model.layers.2.mlp.up_proj.weight"] == code["model.layers.1.mlp.up_proj.weight"] / 2).all()
    assert (ours["lm_head.weight"] == code["lm_head.weight"] / 2).all()
    config = json.loads((out / "config.json").read_text())
    assert (config["num_hidden_layers"], config["layer_types"]) == (3, ["full", "sliding", "sliding"])
    assert "| by slice |" in (out / "README.md").read_text()
    assert fresh.json("verify", out)["ok"]
    shown = fresh.text("show", "deep")
    assert "layers 2" in shown
    assert "scale  0.5" in shown
    assert "* skill" not in fresh.text("audit", "deep")
    assert fresh.json("check", "deep")["ok"]
    again = fresh.json("materialize", "deep", "--output", tmp_path / "again", "--no-wait", "--no-cache")
    assert again["output_digest"] == json.loads((out / "mergestore.json").read_text())["output_digest"]
    assert "other layers" in fresh.refused(2, "materialize", "deep", "--as", "lora", "--rank", "2")["message"]
    assert "stacks layers" in fresh.refused(2, "materialize", "deep", "--dtype", "F16")["message"]


@pytest.mark.parametrize(
    ("said", "options", "message"),
    [
        ([{"math": [1, 9]}], (), "layer_range [1, 9] of math: it has 2 layers"),
        ([{"math": [1, 2]}], ("--semantics", "paper"), "mergekit only"),
        ([{"math": [1, 2]}], ("--param", "scale=2"), "the file says it all"),
    ],
)
def test_stacks_that_have_no_equivalent_are_named(fresh, deep, said, options, message):
    slices = [{"sources": [{"model": name, "layer_range": span} for name, span in part.items()]} for part in said]
    config = deep(merge_method="passthrough", slices=slices, base_model="base")
    assert message in fresh.refused(2, "merge", "m", "--from-mergekit", config, "--register", *options)["message"]


@pytest.mark.parametrize(
    ("base", "said", "message"),
    [
        ("base", [{"math": [1, 2]}], "base_model base must be one of the sources of every slice"),
        (None, [{"math": [1, 2], "code": [0, 1]}], "every slice needs a base_model"),
        (
            "base",
            [{"base": [0, 1], "math": [1, 2]}, {"math": [0, 1], "code": [0, 1], "base": [0, 1]}],
            "is not among these",
        ),
    ],
)
def test_a_stack_needs_a_base_where_its_method_does(fresh, deep, base, said, message):
    slices = [{"sources": [{"model": name, "layer_range": span} for name, span in part.items()]} for part in said]
    config = deep(merge_method="ties", slices=slices, base_model=base, parameters={"weight": 1})
    assert message in fresh.refused(2, "merge", "m", "--from-mergekit", config, "--register")["message"]


@pytest.mark.parametrize("said", ["chatml", "{% for message in messages %}{{ message['content'] }}{% endfor %}"])
def test_a_chat_template_is_taken_from_the_configuration_unless_another_is_chosen(fresh, write, tmp_path, said):
    config = write(**TIES, chat_template=said)
    recipe = fresh.json("merge", "m", "--from-mergekit", config, "--register")["recipe"]
    text = recipe["chat_template"]["templates"]["default"]
    assert text == said if "{" in said else "<|im_start|>" in text
    (tmp_path / "own.jinja").write_text("{{ messages }}")
    other = fresh.json("merge", "n", "--from-mergekit", config, "--chat-template", tmp_path / "own.jinja")["recipe"]
    assert other["chat_template"]["templates"] == {"default": "{{ messages }}"}


@pytest.mark.parametrize("place", ["nowhere", "/no/where", "./a/b", "models/of/mine"])
def test_a_folder_that_is_not_there_is_no_model_of_the_hub(fresh, write, place):
    config = write(merge_method="passthrough", models=[{"model": place}])
    assert f"no model folder {place}" in fresh.refused(3, "merge", "m", "--from-mergekit", config)["message"]


def test_nothing_is_registered_for_what_cannot_be_imported(fresh, write):
    config = write(**{**TIES, "parameters": {"densty": 0.5}})
    assert "densty" in fresh.refused(2, "merge", "m", "--from-mergekit", config, "--register")["message"]
    assert not any(fresh.json("list").values())


def test_options_that_go_together_and_those_that_do_not(fresh, write, tmp_path):
    config = write(**TIES)
    fresh.refused(2, "merge", "m", "base + math", "--from-mergekit", config)
    fresh.refused(2, "merge", "m", "--method", "ties", "--from-mergekit", config)
    fresh.refused(2, "merge", "m", "base + math", "--register")
    fresh.refused(2, "merge", "m", "--from-mergekit", tmp_path / "none.yml")
    assert not any(fresh.json("list").values())
