"""Which tensors of a model an adapter changes by factors, and which it saves: by names, shapes and kind of model."""

from types import SimpleNamespace

import pytest

from merging.adapters.layers import check_rank, find_layers
from merging.plans.plan import OutputTensor
from storage.checkpoints.tensors import TensorEntry
from storage.errors import InputRefused, UsageError


def plan(shapes, unchanged=(), head=(), whole=()):
    """As much of a plan as sorting asks for: every tensor changes but those that are named."""
    entries = {
        name: TensorEntry(name, "I64" if name in whole else "F32", shape, "f", 0, 0)
        for name, shape in shapes.items()
        if name not in head
    }
    outputs = tuple(
        OutputTensor(name, "F32", shape, head=name) if name in head else OutputTensor(name, "F32", shape, base=name)
        for name, shape in sorted(shapes.items())
    )
    return SimpleNamespace(
        task=None,
        base=SimpleNamespace(entries=entries),
        outputs=outputs,
        terms=lambda name: [] if name in unchanged else ["a term"],
        combine_of=lambda name: SimpleNamespace(base_scale=1.0),
    )


def found(shapes, config=None, *, saves=True, **changes):
    return find_layers(plan(shapes, **changes), config, saves=saves)


def linear(name, rows, columns, bias=None):
    weight = {f"{name}.weight": (rows, columns)}
    return weight if bias is None else weight | {f"{name}.bias": (bias,)}


def test_linear_weights_have_factors_and_the_rest_is_saved_by_module():
    shapes = linear("layer.0.dense", 6, 4, 6) | linear("layer.1.dense", 6, 4, 6)
    shapes |= {"norm.weight": (4,), "norm.bias": (4,), "embed_tokens.weight": (9, 4), "conv.weight": (5, 4, 3, 3)}
    layers = found(shapes, unchanged=("layer.1.dense.weight", "layer.1.dense.bias", "norm.weight"))
    assert layers.linear == {"layer.0.dense.weight": False}
    assert layers.biases == {"layer.0.dense.bias"}
    assert layers.saved == {
        "conv": ("conv.weight",),
        "embed_tokens": ("embed_tokens.weight",),
        "norm": ("norm.bias", "norm.weight"),
    }
    assert layers.others == frozenset()
    dropped = found(shapes, saves=False)
    assert dropped.saved == {}
    assert dropped.others == {"norm.weight", "norm.bias", "embed_tokens.weight", "conv.weight"}
    assert set(dropped.linear) == {"layer.0.dense.weight", "layer.1.dense.weight"}


@pytest.mark.parametrize(
    "name", ["wte", "wpe", "shared", "tok_embeddings", "word_embeddings", "embed_out", "relative_attention_bias"]
)
def test_embeddings_are_no_linear_layers(name):
    assert found({f"model.{name}.weight": (9, 4)}, saves=False).linear == {}


def test_tensors_that_do_not_merge_are_left_alone_but_go_with_their_module():
    shapes = {"bn.weight": (4,), "bn.num_batches_tracked": (1,), "position_ids": (1,)}
    layers = found(shapes, whole=("bn.num_batches_tracked", "position_ids"))
    assert layers.saved == {"bn": ("bn.num_batches_tracked", "bn.weight")}
    assert layers.names == {"bn.num_batches_tracked", "bn.weight"}


def test_a_parameter_of_the_model_itself_has_no_module():
    assert found({"logit_scale": (1,)}).others == {"logit_scale"}


def test_tensors_of_a_head_are_saved():
    layers = found(
        linear("bert.dense", 4, 4) | linear("classifier", 2, 4, 2), head=("classifier.weight", "classifier.bias")
    )
    assert layers.saved == {"classifier": ("classifier.bias", "classifier.weight")}
    assert layers.linear == {"bert.dense.weight": False}


def test_a_module_takes_what_is_in_it_along():
    shapes = {
        "vision.embeddings.cls": (4,),
        **linear("vision.embeddings.inner", 4, 4),
        "vision.embeddings.n.weight": (4,),
    }
    layers = found(shapes)
    assert layers.linear == {}
    assert layers.saved == {"vision.embeddings": tuple(sorted(shapes))}


def test_namesakes_are_saved_as_peft_would():
    """PEFT takes any module whose name ends with one that is to be saved: ``norm`` is the end of ``input_norm``."""
    shapes = {"norm.weight": (4,), "layer.input_norm.weight": (4,), "other.weight": (4,)}
    layers = found(shapes, unchanged=("layer.input_norm.weight", "other.weight"))
    assert sorted(layers.saved) == ["layer.input_norm", "norm"]
    assert layers.with_namesakes({"norm"}) == ["layer.input_norm", "norm"]
    assert layers.with_namesakes({"layer.input_norm"}) == ["layer.input_norm"]
    inner = found({"emb.cls": (4,), "emb.my_emb.weight": (4, 4, 2)})
    with pytest.raises(InputRefused, match=r"'emb\.my_emb', which lies within it"):
        inner.with_namesakes({"emb"})


GPT2 = {"model_type": "gpt2"}


def test_conv1d_lies_the_other_way():
    shapes = linear("h.attn.c_attn", 4, 12, 12) | linear("h.attn.c_proj", 4, 4, 4) | linear("lm_head", 9, 4)
    assert found(shapes, GPT2).linear == {
        "h.attn.c_attn.weight": True,
        "h.attn.c_proj.weight": True,
        "lm_head.weight": False,
    }


def test_biases_tell_which_way_an_unknown_model_lies():
    shapes = linear("a.wide", 4, 12, 12) | linear("b.proj", 12, 4, 4) | linear("a.proj", 4, 4, 4)
    assert set(found(shapes).linear.values()) == {True}
    plain = linear("a.wide", 12, 4, 12) | linear("a.proj", 4, 4, 4)
    assert set(found(plain).linear.values()) == {False}


def test_what_cannot_be_told_is_refused():
    shapes = linear("a.wide", 4, 12, 12) | linear("a.square", 4, 4, 4)
    with pytest.raises(InputRefused, match=r"it cannot be told whether 'a\.square\.weight' are"):
        found(shapes)
    with pytest.raises(InputRefused, match=r"biases of 'c_attn\.weight' do not fit the weights of a gpt2"):
        found(linear("c_attn", 12, 4, 12), GPT2)


def llama(kind, **config):
    return {"model_type": "llama", "architectures": [kind], **config}


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        (llama("LlamaForCausalLM", tie_word_embeddings=True), ("lm_head", "model.embed_tokens.weight")),
        (llama("LlamaForCausalLM", tie_word_embeddings=False), None),
        (llama("LlamaModel", tie_word_embeddings=True), None),
        (None, None),
    ],
)
def test_what_is_tied_to_saved_embeddings_is_saved_too(config, tied):
    shapes = {"model.embed_tokens.weight": (9, 4), **linear("model.q_proj", 4, 4)}
    assert found(shapes, config).tied == tied
    assert found(shapes, config, unchanged=("model.embed_tokens.weight",)).tied is None
    assert found(shapes | linear("lm_head", 9, 4), config).tied is None
    assert found(shapes, config, saves=False).tied is None


def test_ties_without_a_word_are_refused():
    shapes = {"bert.embeddings.word_embeddings.weight": (9, 4)}
    with pytest.raises(InputRefused, match="for which an adapter has no word"):
        found(shapes, {"architectures": ["BertForMaskedLM"]})
    with pytest.raises(InputRefused, match="for which an adapter has no word"):
        found({"shared.weight": (9, 4)}, {"architectures": ["T5Model"]})


def test_a_rank_above_that_of_a_matrix_names_it():
    outputs = [OutputTensor("wide.weight", "F32", (64, 128)), OutputTensor("thin.weight", "F32", (32, 128))]
    check_rank(32, outputs)
    with pytest.raises(UsageError, match=r"rank 64 is above the 32 that 'thin\.weight' of shape \[32, 128\] has"):
        check_rank(64, outputs)
