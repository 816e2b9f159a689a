"""Adapters written by the real PEFT: their products equal what merge_and_unload does; variants are refused by name."""

import json
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from storage.checkpoints.adapter import LoraModule, fit_modules, is_adapter, open_adapter
from storage.errors import InputRefused
from tests.unit.trained_adapters import Convolutions, bert, check, gpt2, product, tensor, train, train_only

# What PEFT and transformers remark on their own calls is no concern here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning")


def test_plain(tmp_path):
    config = LoraConfig(r=3, lora_alpha=7, target_modules=["query", "value"])
    adapter = check(tmp_path, *train(bert(), config, tmp_path), changed=4)
    assert is_adapter(tmp_path)
    assert adapter.base_model_name is None
    assert adapter.config["r"] == 3
    assert adapter.replaced == {}
    module = adapter.modules["encoder.layer.0.attention.self.query.weight"]
    assert module == LoraModule(
        a="base_model.model.encoder.layer.0.attention.self.query.lora_A.weight",
        b="base_model.model.encoder.layer.0.attention.self.query.lora_B.weight",
        rank=3,
        alpha=7.0,
        scaling=7 / 3,
        kind="linear",
        transposed=False,
        shape=(12, 12),
    )


def test_pickled_adapter(tmp_path):
    base, merged = train(bert(), LoraConfig(r=2, target_modules=["query"]), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    torch.save(load_file(file), tmp_path / "adapter_model.bin")
    file.unlink()
    check(tmp_path, base, merged, changed=2)


def test_rank_stabilized(tmp_path):
    config = LoraConfig(r=5, lora_alpha=3, use_rslora=True, target_modules=["dense"])
    adapter = check(tmp_path, *train(bert(), config, tmp_path), changed=7)
    assert {module.scaling for module in adapter.modules.values()} == {3 / math.sqrt(5)}


def test_patterns(tmp_path):
    config = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=["query", "key", "value", "dense"],
        rank_pattern={
            "query": 3,
            "^encoder.layer.1.attention.self.key": 5,
            "layer.0.*.dense": 6,
            "ey": 7,
            "value|pooler.dense": 4,
        },
        alpha_pattern={r"layer\.\d.attention.self.(key|value)": 1, "attention.self.query": 9},
    )
    adapter = check(tmp_path, *train(bert(), config, tmp_path), changed=13)
    found = {
        name.removesuffix(".weight").replace("encoder.layer", "").replace("attention.", ""): (module.rank, module.alpha)
        for name, module in adapter.modules.items()
    }
    assert found == {
        ".0.self.query": (3, 9),
        ".0.self.key": (2, 1),
        ".0.self.value": (4, 1),
        ".0.output.dense": (6, 4),
        ".0.intermediate.dense": (6, 4),
        ".1.self.query": (3, 9),
        ".1.self.key": (5, 1),
        ".1.self.value": (4, 1),
        ".1.output.dense": (2, 4),
        ".1.intermediate.dense": (2, 4),
        "pooler.dense": (4, 4),
    } | {name: found[name] for name in found if name.endswith("output.dense")}


def test_fan_in_fan_out(tmp_path):
    config = LoraConfig(r=2, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    adapter = check(tmp_path, *train(gpt2(), config, tmp_path), changed=4)
    assert all(module.transposed for module in adapter.modules.values())
    assert adapter.modules["transformer.h.0.attn.c_attn.weight"].shape == (12, 36)


def test_mixed_orientation_is_settled_by_shape_or_refused(tmp_path):
    """PEFT writes one flag for Conv1D and Linear layers together; merging goes by the layer's type."""
    config = LoraConfig(r=2, target_modules=["c_attn", "lm_head"])
    base, merged = train(gpt2(), config, tmp_path / "telling")
    adapter = open_adapter(tmp_path / "telling")
    fitted = fit_modules(adapter.modules, {name: tuple(base[name].shape) for name in adapter.modules})
    name = "transformer.h.0.attn.c_attn.weight"
    assert [fitted[name].transposed, fitted["lm_head.weight"].transposed] == [True, False]
    torch.testing.assert_close(merged[name] - base[name], product(adapter, fitted[name]), rtol=1e-9, atol=1e-9)
    config = LoraConfig(r=2, target_modules=["c_attn", "attn.c_proj", "lm_head"])
    base, _ = train(gpt2(), config, tmp_path / "square")
    adapter = open_adapter(tmp_path / "square")
    with pytest.raises(InputRefused, match=r"direction of the square 'transformer\.h\.0\.attn\.c_proj\.weight'"):
        fit_modules(adapter.modules, {name: tuple(base[name].shape) for name in adapter.modules})


def test_embedding(tmp_path):
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["word_embeddings", "position_embeddings"])
    adapter = check(tmp_path, *train(bert(), config, tmp_path), changed=2)
    module = adapter.modules["embeddings.word_embeddings.weight"]
    assert (module.kind, module.transposed, module.shape) == ("embedding", True, (30, 12))


def test_saved_embeddings_and_factors_on_them_add_up(tmp_path):
    """PEFT saves the whole of an ``embed_tokens`` that it targets, beside the factors."""
    shape = {"hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**shape, vocab_size=30, pad_token_id=0))
    config = LoraConfig(r=2, target_modules=["embed_tokens", "lm_head", "q_proj"])
    adapter = check(tmp_path, *train(model, config, tmp_path), changed=3)
    assert sorted(adapter.replaced) == ["lm_head.weight", "model.embed_tokens.weight"]
    assert set(adapter.replaced) < set(adapter.modules)


def test_convolutions(tmp_path):
    config = LoraConfig(r=4, target_modules=["one", "two", "point", "emb"])
    adapter = check(tmp_path, *train(Convolutions(), config, tmp_path), changed=4)
    assert adapter.modules["two.weight"].kind == "conv"
    assert adapter.modules["two.weight"].shape == (6, 3, 3, 2)


def test_grouped_convolution_is_refused(tmp_path):
    train_only(Convolutions(), LoraConfig(r=4, target_modules=["grouped"]), tmp_path)
    with pytest.raises(InputRefused, match=r"module 'grouped': A of shape .* do not have the rank 4") as caught:
        open_adapter(tmp_path)
    assert "grouped convolution" in caught.value.hint


def test_modules_to_save(tmp_path):
    model = bert(BertForSequenceClassification)
    config = LoraConfig(r=2, target_modules=["query"], modules_to_save=["classifier", "pooler"])
    adapter = check(tmp_path, *train(model, config, tmp_path), changed=2)
    assert sorted(adapter.replaced) == [
        "bert.pooler.dense.bias",
        "bert.pooler.dense.weight",
        "classifier.bias",
        "classifier.weight",
    ]


@pytest.mark.parametrize(("bias", "ending"), [("all", ".bias"), ("lora_only", ".query.bias"), ("none", "nothing")])
def test_biases(tmp_path, bias, ending):
    base, merged = train(bert(), LoraConfig(r=2, target_modules=["query"], bias=bias), tmp_path)
    adapter = open_adapter(tmp_path)
    assert sorted(adapter.replaced) == sorted(name for name in base if name.endswith(ending))
    for name, entry in adapter.replaced.items():
        torch.testing.assert_close(merged[name], tensor(adapter, entry).double(), rtol=0, atol=0)
    adapter.close()
    check(tmp_path, base, merged, changed=2)


def test_half_precision_factors(tmp_path):
    base, _ = train(bert().bfloat16(), LoraConfig(r=2, target_modules=["query"]), tmp_path)
    save_file({k: v.bfloat16() for k, v in load_file(tmp_path / "adapter_model.safetensors").items()}, tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / "adapter_model.safetensors")
    adapter = open_adapter(tmp_path)
    assert {entry.dtype for entry in adapter.source.entries.values()} == {"BF16"}
    assert set(adapter.modules) <= set(base)


@pytest.mark.parametrize("init", ["gaussian", "orthogonal", "mica", False])
def test_inits_that_leave_the_base_alone(tmp_path, init):
    config = LoraConfig(r=2, target_modules=["query"], init_lora_weights=init)
    check(tmp_path, *train(bert(), config, tmp_path), changed=2)


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_2", "olora"])
def test_inits_that_alter_the_base_are_refused(tmp_path, init):
    train_only(bert(), LoraConfig(r=2, target_modules=["query"], init_lora_weights=init), tmp_path)
    with pytest.raises(InputRefused, match=f"'{init}' altered the base") as caught:
        open_adapter(tmp_path)
    assert "path_initial_model_for_weight_conversion" in caught.value.hint


def test_converted_pissa_is_accepted(tmp_path):
    model = bert()
    original = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["query"], init_lora_weights="pissa"))
    tuned.peft_config["default"].init_lora_weights = True
    tuned.save_pretrained(tmp_path / "initial")
    tuned.peft_config["default"].init_lora_weights = "pissa"
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1
    tuned.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "initial"))
    merged = tuned.merge_and_unload().state_dict()
    adapter = open_adapter(tmp_path / "plain")
    for name, module in adapter.modules.items():
        assert module.rank == 4
        expected = original[name].double() + product(adapter, module)
        torch.testing.assert_close(merged[name].double(), expected, rtol=1e-4, atol=1e-5)


def test_dora_written_by_peft_brings_its_magnitudes(tmp_path):
    train_only(bert(), LoraConfig(r=2, target_modules=["query"], use_dora=True), tmp_path)
    modules = open_adapter(tmp_path).modules
    assert {name: module.magnitude for name, module in modules.items()} == {
        name: f"base_model.model.{name.removesuffix('weight')}lora_magnitude_vector" for name in modules
    }
    document = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(document | {"use_dora": False}))
    with pytest.raises(InputRefused, match="is a DoRA magnitude"):
        open_adapter(tmp_path)
