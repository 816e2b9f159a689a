"""mergekit's configurations: one form for all of them, precedence as mergekit has it, and nothing that is ignored."""

import pytest
import yaml

from merging.mergekit.config import ModelName, Source, read_config, read_model
from storage.errors import UsageError


def read(text):
    return read_config(yaml.safe_load(text), "config.yml")


MODELS = """
merge_method: ties
base_model: org/base
models:
  - model: org/base
  - model: org/math@v2
    parameters: {density: 0.5, weight: [0, 0.5, 1]}
  - model: org/code+org/code-lora
    parameters:
      density: 0.3
      weight:
        - {filter: mlp, value: 0.5}
parameters: {normalize: true, weight: 0.1, int8_mask: true}
dtype: bfloat16
out_dtype: float16
tokenizer_source: union
chat_template: chatml
"""


def test_models_are_one_slice_of_all_layers():
    config = read(MODELS)
    (part,) = config.slices
    assert (config.method, str(config.base), config.dtype, config.out_dtype) == ("ties", "org/base", "BF16", "F16")
    assert [str(source.model) for source in part.sources] == ["org/base", "org/math@v2", "org/code+org/code-lora"]
    assert all(source.first is None for source in part.sources)
    assert config.models == tuple(source.model for source in part.sources)
    assert config.parameters == {"density", "weight", "normalize", "int8_mask"}
    assert (config.tokenizer.source, config.chat_template) == ("union", "chatml")


def test_what_a_source_does_not_say_the_next_level_says():
    (part,) = read(MODELS).slices
    base, math, code = part.sources
    assert part.setting("weight", base) == 0.1
    assert part.setting("weight", math) == [0, 0.5, 1]
    assert part.setting("weight", code) == [{"filter": "mlp", "value": 0.5}, {"value": 0.1}]
    assert part.setting("density", base) is None
    assert part.setting("normalize") is True


def test_levels_of_a_module_and_a_slice():
    config = read(
        """
        merge_method: linear
        modules:
          text:
            slices:
              - sources: [{model: a, layer_range: [0, 2], parameters: {weight: 1}}, {model: b, layer_range: [4, 6]}]
                parameters: {weight: [{filter: mlp, value: 2}, {filter: "*", value: 3}]}
              - sources: [{model: a, layer_range: [1, 2]}]
            parameters: {weight: 4}
        parameters: {weight: 5}
        """
    )
    first, second = config.slices
    assert first.sources[1] == Source(ModelName("b"), 4, 6, {})
    assert [first.setting("weight", source) for source in first.sources] == [
        1,
        [{"filter": "mlp", "value": 2}, {"value": 3}],
    ]
    assert second.setting("weight", second.sources[0]) == 4


def test_a_base_that_is_none_of_the_models_is_the_last_of_them():
    (part,) = read("merge_method: slerp\nbase_model: b\nmodels: [{model: a}]\nparameters: {t: 0.5}").slices
    assert [str(source.model) for source in part.sources] == ["a", "b"]


def test_a_filter_that_fits_no_name_is_left_out():
    (part,) = read(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: [{filter: 'l*p', value: 1}, {value: 2}]}}]"
    ).slices
    assert part.setting("weight", part.sources[0]) == 2


@pytest.mark.parametrize(
    ("value", "model"),
    [
        ("org/a", ModelName("org/a")),
        ("./folder", ModelName("./folder")),
        ("a@rev+b@other", ModelName("a", "rev", "b", "other")),
        ({"model": {"path": "a", "revision": "r"}}, ModelName("a", "r")),
        ({"model": "a", "lora": {"path": "b"}}, ModelName("a", None, "b")),
    ],
)
def test_models(value, model):
    assert read_model(value, "here") == model


@pytest.mark.parametrize("value", ["", "a+b+c", "a@b@c", "a+", 3, {"lora": "a"}, {"model": "a", "override": "b"}])
def test_what_names_no_model(value):
    with pytest.raises(UsageError, match="names no model"):
        read_model(value, "here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: [{model: a}]", "merge_method is missing"),
        ("merge_method: ties", "exactly one of models, slices and modules"),
        ("merge_method: ties\nmodels: [{model: a}]\nslices: [{sources: []}]", "exactly one of models"),
        ("merge_method: ties\nmodels: [{model: a}]\nbasemodel: b", "'basemodel' is no key that can be imported"),
        ("merge_method: ties\nmodels: [{modle: a}]", r"models\[0\]: 'modle' is no key"),
        ("merge_method: ties\nmodels: [{parameters: {}}]", r"models\[0\] names no model"),
        ("merge_method: ties\nmodels: [{model: a, layer_range: [0, 1]}]", "'layer_range' is no key"),
        ("merge_method: p\nslices: [{sources: [{model: a}]}]", "layer_range must be two numbers"),
        ("merge_method: p\nslices: [{sources: [{model: a, layer_range: [3, 3]}]}]", "layer_range must be two numbers"),
        (
            "merge_method: p\nslices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 2]}]}]",
            "its sources have 1 and 2 layers",
        ),
        (
            "merge_method: p\nslices: [{sources: [{model: a, layer_range: [0, 1]}], residual_weight: 1}]",
            "no equivalent",
        ),
        (
            "merge_method: p\nmodules: {a: {models: [{model: a}]}, b: {models: [{model: b}]}}",
            "2 modules .* no equivalent",
        ),
        ("merge_method: ties\nmodels: [{model: a}]\ndtype: int8", "dtype 'int8' is not known"),
        ("merge_method: ties\nmodels: [{model: a}]\nparameters: {w: [{filter: a}]}", "parameters.w must be a value"),
        ("merge_method: ties\nmodels: [{model: a}]\ntokenizer: {sauce: union}", "'sauce' is no key"),
        ("merge_method: ties\nmodels: [{model: a}]\ntokenizer: {}\ntokenizer_source: base", "say the same"),
        ("merge_method: ties\nmodels: [{model: a}]\ntokenizer: {pad_to_multiple_of: 0}", "pad_to_multiple_of"),
        ("[1]", "must be a table"),
    ],
)
def test_what_is_wrong_or_has_no_equivalent_is_named(text, says):
    with pytest.raises(UsageError, match=says) as caught:
        read(text)
    assert "config.yml" in caught.value.message


def test_a_name_that_is_no_text_is_told_on_one_line():
    wish = {"source": "union", "tokens": {"<\n>": {"source": "\x1b[2J"}}}
    with pytest.raises(UsageError, match=r"tokens\.'<\\n>': '\\x1b\[2J' is none of the models"):
        read(
            yaml.dump(
                {"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": 1}}], "tokenizer": wish}
            )
        )


@pytest.mark.parametrize("weight", [[{}, 0.9], [0.9, {"value": 1}], [{"value": 1}, None]])
def test_a_gradient_with_choices_in_it_is_refused(weight):
    with pytest.raises(UsageError, match=r"parameters\.weight must be a value, a gradient, or choices"):
        read(yaml.dump({"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": weight}}]}))
