"""Adapters written by the real PEFT: their products equal what merge_and_unload does; variants are refused by name."""

import json
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from storage.checkpoints.adapter import LoraModule, fit_modules, is_adapter, open_adapter
from storage.errors import InputRefused

# What PEFT and transformers remark on their own calls is no concern here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning")
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def bert(kind=BertModel):
    return kind(
        BertConfig(
            hidden_size=12,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=20,
            vocab_size=30,
            max_position_embeddings=16,
        )
    )


def gpt2():
    return GPT2LMHeadModel(GPT2Config(n_embd=12, n_layer=1, n_head=2, vocab_size=30, n_positions=16))


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv1d(3, 5, 2)
        self.two = torch.nn.Conv2d(3, 6, (3, 2), stride=2, padding=1)
        self.point = torch.nn.Conv2d(6, 4, 1)
        self.grouped = torch.nn.Conv2d(4, 4, 3, groups=2)
        self.emb = torch.nn.Embedding(7, 5)


def train(model, config, folder):
    """Randomise an adapter, save it, and return the base's and the merged model's weights in float64."""
    torch.manual_seed(0)
    base = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    tuned = get_peft_model(model, config)
    for parameter in tuned.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    tuned.save_pretrained(folder)
    merged = tuned.double().merge_and_unload().state_dict()
    return base, merged


def tensor(adapter, entry):
    data = bytearray(entry.nbytes)
    adapter.source.read_into(entry.name, 0, memoryview(data))
    return torch.frombuffer(data, dtype=DTYPES[entry.dtype]).reshape(entry.shape)


def product(adapter, module):
    """scaling · B·A in float64, by the rule of LoraModule alone."""
    a, b = (tensor(adapter, adapter.source.entries[name]).double() for name in (module.a, module.b))
    matrix = b.reshape(b.shape[0], -1) @ a.reshape(a.shape[0], -1)
    return module.scaling * (matrix.T if module.transposed else matrix).reshape(module.shape)


def check(folder, base, merged, changed):
    """Base, adapter and nothing else give the merged model."""
    adapter = open_adapter(folder)
    assert len(adapter.modules) == changed
    modules = fit_modules(adapter.modules, {name: tuple(base[name].shape) for name in adapter.modules})
    assert sorted(merged) == sorted(base)
    for name, before in base.items():
        expected = tensor(adapter, adapter.replaced[name]).double() if name in adapter.replaced else before.clone()
        if name in modules:
            expected += product(adapter, modules[name])
        torch.testing.assert_close(merged[name], expected, rtol=1e-12, atol=1e-12)
        if name in modules or name in adapter.replaced:
            assert not torch.equal(merged[name], before) or name.endswith("embeddings.weight")
    adapter.close()
    return adapter


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


def train_only(model, config, folder):
    get_peft_model(model, config).save_pretrained(folder)


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


def test_dora_written_by_peft_is_refused(tmp_path):
    train_only(bert(), LoraConfig(r=2, target_modules=["query"], use_dora=True), tmp_path)
    with pytest.raises(InputRefused, match=r"adapter_config\.json: DoRA \(use_dora\)") as caught:
        open_adapter(tmp_path)
    assert "merge_and_unload" in caught.value.hint
    document = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(document | {"use_dora": False}))
    with pytest.raises(InputRefused, match="is a DoRA magnitude"):
        open_adapter(tmp_path)


A, B = "base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"
PAIR = {A: torch.ones(2, 4), B: torch.ones(3, 2)}


def handmade(folder, tensors=PAIR, **config):
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, **config}))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "LOHA"}, ["'LOHA'", "only LORA"]),
        ({"peft_type": None}, ["None", "only LORA"]),
        ({"peft_type": [[]]}, ["only LORA"]),
        ({"use_qalora": True}, ["QALoRA (use_qalora)"]),
        ({"use_bdlora": {"nblocks": 2}}, ["BD-LoRA"]),
        ({"kasa_config": {"beta": 1}}, ["KaSA"]),
        ({"monteclora_config": {"x": 1}}, ["MonteCLoRA"]),
        ({"velora_config": {"x": 1}}, ["VeLoRA"]),
        ({"arrow_config": {"top_k": 3}}, ["Arrow"]),
        ({"alora_invocation_tokens": [1]}, ["activated LoRA"]),
        ({"layer_replication": [[0, 2]]}, ["layer_replication"]),
        ({"trainable_token_indices": [1]}, ["trainable_token_indices"]),
        ({"target_parameters": ["experts"]}, ["target_parameters"]),
        ({"megatron_config": {"a": 1}}, ["Megatron"]),
        ({"lora_bias": True}, ["lora_bias"]),
        ({"use_new_thing": 3}, ["unknown setting 'use_new_thing'"]),
        ({"init_lora_weights": "LoftQ"}, ["'loftq' altered"]),
        ({"init_lora_weights": "lora_ga"}, ["'lora_ga' altered"]),
        ({"init_lora_weights": "corda"}, ["'corda' altered"]),
        ({"init_lora_weights": "astral"}, ["unknown init_lora_weights 'astral'"]),
        ({"init_lora_weights": 7}, ["unknown init_lora_weights 7"]),
        ({"bias": "some"}, ["bias must be none, all or lora_only"]),
        ({"r": 0}, ["r must be a positive whole number, found 0"]),
        ({"r": 2.0}, ["r must be"]),
        ({"r": True}, ["r must be"]),
        ({"r": 3}, ["do not have the rank 3"]),
        ({"lora_alpha": float("nan")}, ["lora_alpha must be a finite number"]),
        ({"lora_alpha": 10**400}, ["lora_alpha must be a finite number"]),
        ({"lora_alpha": "2"}, ["lora_alpha must be"]),
        ({"use_rslora": "no"}, ["use_rslora must be true or false"]),
        ({"fan_in_fan_out": 1}, ["fan_in_fan_out must be true or false"]),
        ({"rank_pattern": [1]}, ["rank_pattern must map"]),
        ({"rank_pattern": {"x": "2"}}, ["rank_pattern must be"]),
        ({"rank_pattern": {"(": 2}}, ["'(' is not a regular expression"]),
        ({"rank_pattern": {"(a+)+": 2}}, ["repeats too much"]),
        ({"alpha_pattern": {".*.*.*.*": 2}}, ["repeats too much"]),
        ({"alpha_pattern": {"(" * 5000 + ")" * 5000: 2}}, ["is not a regular expression"]),
        ({"rank_pattern": {"x": 5}}, ["do not have the rank 5"]),
    ],
)
def test_settings_that_cannot_be_honoured(tmp_path, config, words):
    handmade(tmp_path, **config)
    with pytest.raises(InputRefused) as caught:
        open_adapter(tmp_path)
    for word in words:
        assert word in caught.value.message


def test_every_key_of_pefts_own_configuration_is_known(tmp_path):
    """A new PEFT may add settings: with their defaults they are accepted, otherwise refused as unknown."""
    config = LoraConfig(r=2, lora_alpha=2, task_type="CAUSAL_LM", target_modules={"x"})
    config.base_model_name_or_path = "me/base"
    document = config.to_dict()
    handmade(tmp_path, **json.loads(json.dumps(document, default=list)))
    adapter = open_adapter(tmp_path)
    assert adapter.base_model_name == "me/base"
    module = adapter.modules["x.weight"]
    assert (module.rank, module.scaling, module.shape) == (2, 1.0, (3, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({B: None}, ["module 'x' has a factor A but no B"]),
        ({A: None}, ["module 'x' has a factor B but no A"]),
        ({A: None, B: None}, ["holds no tensors"]),
        ({B: torch.ones(3, 3)}, ["[2, 4]", "[3, 3]", "rank 2"]),
        ({B: torch.ones(3, 2, 1)}, ["belong to no known layer"]),
        ({A: torch.ones(2, 4, 2), B: torch.ones(3, 2, 2)}, ["belong to no known layer"]),
        ({A: torch.ones(2), B: torch.ones(2)}, ["belong to no known layer"]),
        ({A: torch.ones(2, 4, dtype=torch.int32)}, ["must be F32, F16 or BF16, found I32"]),
        ({"base_model.model.x.lora_B.bias": torch.ones(3)}, ["unknown adapter tensor 'x.lora_B.bias'"]),
        ({"base_model.model.x.lora_A.default.weight": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"base_model.model.x.lora_magnitude_vector": torch.ones(3)}, ["DoRA magnitude"]),
        ({"base_model.model.x.modules_to_save.weight": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"base_model.model.e.token_adapter.trainable_tokens_delta": torch.ones(3)}, ["unknown adapter tensor"]),
        ({"x.weight": torch.ones(3)}, ["'x.weight' does not begin with 'base_model.model.'"]),
        ({"base_model.model.y.weight": torch.ones(1), "base_model.model.y.base_layer.weight": torch.ones(1)}, ["both"]),
        (
            {
                "base_model.model.x.lora_embedding_A": torch.ones(2, 1),
                "base_model.model.x.lora_embedding_B": torch.ones(1, 2),
            },
            ["'x': factors both of an embedding"],
        ),
    ],
)
def test_tensors_that_do_not_belong(tmp_path, change, words):
    tensors = {name: tensor for name, tensor in (PAIR | change).items() if tensor is not None}
    handmade(tmp_path, tensors)
    with pytest.raises(InputRefused) as caught:
        open_adapter(tmp_path)
    for word in words:
        assert word in caught.value.message


def test_incomplete_folders(tmp_path):
    with pytest.raises(InputRefused, match="no such directory"):
        open_adapter(tmp_path / "absent")
    assert not is_adapter(tmp_path)
    handmade(tmp_path)
    assert is_adapter(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert not is_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(InputRefused, match=r"no weights beside adapter_config\.json"):
        open_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(InputRefused, match=r"adapter_config\.json: not valid JSON"):
        open_adapter(tmp_path)


def test_factors_that_fit_no_weight(tmp_path):
    modules = open_adapter(handmade(tmp_path)).modules
    assert fit_modules(modules, {"x.weight": (3, 4)}) == dict(modules)
    turned = fit_modules(modules, {"x.weight": (4, 3)})["x.weight"]
    assert (turned.transposed, turned.shape) == (True, (4, 3))
    with pytest.raises(InputRefused, match=r"'x\.weight' is \[3, 5\], its factors give \[3, 4\]"):
        fit_modules(modules, {"x.weight": (3, 5)})
